"""The functions of `reconcile.workflow`, each imported when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from reconcile import workflow


@pytest.mark.parametrize("name", workflow.__all__)
def test_every_name_is_there_and_no_module_hides_it(name: str) -> None:
    __import__(f"reconcile.{workflow._FROM[name][0]}")  # binds the module in the package, under the same name perhaps
    assert not isinstance(getattr(workflow, name), ModuleType)


def test_no_name_is_known_to_one_of_two_lists_only() -> None:
    assert sorted(workflow._FROM) == sorted(workflow.__all__)
    with pytest.raises(AttributeError, match="no attribute 'plann'"):
        _ = workflow.plann  # type: ignore[attr-defined]


def test_a_plan_imports_nothing_of_other_commands() -> None:
    code = "from reconcile import planfile, workflow; workflow.plan; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    others = {"apply", "backup", "check", "drift", "import_", "records", "restore", "rollback", "verify"}
    assert not {f"reconcile.workflow.{other}" for other in others}.intersection(loaded)
    assert "reconcile.workflow.plan" in loaded
