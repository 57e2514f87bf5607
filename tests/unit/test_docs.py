"""The documentation and the plan file's schema say what the code says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconcile.change import REASONS
from reconcile.hazards import Hazard

ROOT = Path(__file__).parents[2]
PLAN_SCHEMA = json.loads((ROOT / "schema" / "plan.schema.json").read_text(encoding="utf-8"))


def test_the_generated_pages_are_up_to_date() -> None:
    """`python scripts/docs.py` writes them."""
    command = [sys.executable, str(ROOT / "scripts" / "docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_of_the_readme_and_the_docs_lead_somewhere() -> None:
    """Relative links name files that are there."""
    pages = [ROOT / "README.md", ROOT / "examples" / "rag-platform" / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_plan_schema_has_the_closed_lists() -> None:
    """Hazards and reasons, word for word."""
    assert PLAN_SCHEMA["$defs"]["hazard"]["enum"] == list(Hazard)
    reasons = PLAN_SCHEMA["properties"]["resource_changes"]["items"]["properties"]["action_reason"]["enum"]
    assert reasons == [None, *REASONS]


def parts(schema: Any, place: str = "#") -> Iterator[tuple[str, Any]]:
    """Every key's schema with its place."""
    if isinstance(schema, dict):
        for key, inner in schema.get("properties", {}).items():
            yield f"{place}/{key}", inner
        for inner in schema.values():
            yield from parts(inner, place)
    elif isinstance(schema, list):
        for inner in schema:
            yield from parts(inner, place)


def test_every_key_of_the_plan_file_is_described() -> None:
    """A reference without words is none."""
    assert [place for place, part in parts(PLAN_SCHEMA) if not ("description" in part or "$ref" in part)] == []
