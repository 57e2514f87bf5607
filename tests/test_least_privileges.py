"""Acceptance cases applied by the role that `check --grants` makes: what it names is enough, for each kind of step."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from reconcile import workflow
from tests.stores_by_kind import KINDS
from tests.test_cases import CASES, Case

KIND = "postgres"
CHOSEN = (
    "change_constraints",
    "partition_index_names",
    "retype_under_policies_and_triggers",
    "sequences_change",
    "types_altered",
)
"""Of all cases these have the kinds of steps that need something else than the others."""


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.usefixtures("postgres_version")
def test_a_role_with_the_least_privileges_applies(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    case = Case(CASES / KIND / name, tmp_path, KINDS[KIND](request))
    target = case.begin()
    url, role = str(target.settings["url"]), f"least_{secrets.token_hex(4)}"
    options: dict[str, Any] = {"prune": case.options.get("prune", "none"), "allow": ("all",)}
    ((_, texts),) = workflow.grants(case.project(), role, workflow.Options(**options)).items()
    wanted = [step.id for step in case.plan("all").steps]
    with psycopg.connect(url, autocommit=True) as admin:
        try:
            admin.execute(texts["apply"].encode())
            admin.execute(f"ALTER ROLE {role}_apply PASSWORD 'pw'".encode())
            parts = urlsplit(url)
            target.settings["url"] = parts._replace(
                netloc=f"{role}_apply:pw@{parts.netloc.rpartition('@')[2]}"
            ).geturl()
            case.declare("new.yaml", target)
            made = case.plan("all")
            assert [step.id for step in made.steps] == wanted
            assert workflow.apply(case.project(), made).steps_done == len(wanted)
        finally:
            admin.execute(f"DROP OWNED BY {role}_apply CASCADE".encode())
            admin.execute(f"DROP ROLE {role}_apply".encode())
