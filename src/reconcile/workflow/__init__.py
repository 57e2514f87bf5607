"""What the commands do, one module each; the command line and the API go through here.

Each name is imported when it is asked for: a plan needs a third of the modules, and importing all took as long as
comparing a thousand tables.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconcile.apply import Event, OnEvent
    from reconcile.backups import remove as remove_backup
    from reconcile.diff import Options
    from reconcile.workflow.admission import admit
    from reconcile.workflow.apply import apply, resume
    from reconcile.workflow.backfill import backfills, chosen, down, preview, redo
    from reconcile.workflow.backup import back_up, list_backups
    from reconcile.workflow.backup import chosen as chosen_backup
    from reconcile.workflow.backup import looked_into as verify_backup
    from reconcile.workflow.backup import outdated as outdated_backups
    from reconcile.workflow.backup import place as backup_place
    from reconcile.workflow.backup import to_json as backup_to_json
    from reconcile.workflow.carrying import Outcome
    from reconcile.workflow.check import check, grants
    from reconcile.workflow.drift import drift
    from reconcile.workflow.import_ import Imported, import_
    from reconcile.workflow.keeping import bring_back, kept_list, purge
    from reconcile.workflow.pausing import paused_run
    from reconcile.workflow.plan import plan, release
    from reconcile.workflow.records import abandon, forget, history, let_go, shown, status, unlock, wait
    from reconcile.workflow.restore import adopt, refuse_held, restoring
    from reconcile.workflow.restore import carry_out as restore
    from reconcile.workflow.restore import shown as held_shown
    from reconcile.workflow.restore import tried as try_restore
    from reconcile.workflow.rollback import rollback
    from reconcile.workflow.verify import verify

__all__ = [
    "Event",
    "Imported",
    "OnEvent",
    "Options",
    "Outcome",
    "abandon",
    "admit",
    "adopt",
    "apply",
    "back_up",
    "backfills",
    "backup_place",
    "backup_to_json",
    "bring_back",
    "check",
    "chosen",
    "chosen_backup",
    "down",
    "drift",
    "forget",
    "grants",
    "held_shown",
    "history",
    "import_",
    "kept_list",
    "let_go",
    "list_backups",
    "outdated_backups",
    "paused_run",
    "plan",
    "preview",
    "purge",
    "redo",
    "refuse_held",
    "release",
    "remove_backup",
    "restore",
    "restoring",
    "resume",
    "rollback",
    "shown",
    "status",
    "try_restore",
    "unlock",
    "verify",
    "verify_backup",
    "wait",
]

_FROM = {
    "Event": ("apply", "Event"),
    "Imported": ("workflow.import_", "Imported"),
    "OnEvent": ("apply", "OnEvent"),
    "Options": ("diff", "Options"),
    "Outcome": ("workflow.carrying", "Outcome"),
    "abandon": ("workflow.records", "abandon"),
    "admit": ("workflow.admission", "admit"),
    "adopt": ("workflow.restore", "adopt"),
    "apply": ("workflow.apply", "apply"),
    "back_up": ("workflow.backup", "back_up"),
    "backfills": ("workflow.backfill", "backfills"),
    "backup_place": ("workflow.backup", "place"),
    "backup_to_json": ("workflow.backup", "to_json"),
    "bring_back": ("workflow.keeping", "bring_back"),
    "check": ("workflow.check", "check"),
    "chosen": ("workflow.backfill", "chosen"),
    "chosen_backup": ("workflow.backup", "chosen"),
    "down": ("workflow.backfill", "down"),
    "drift": ("workflow.drift", "drift"),
    "forget": ("workflow.records", "forget"),
    "grants": ("workflow.check", "grants"),
    "held_shown": ("workflow.restore", "shown"),
    "history": ("workflow.records", "history"),
    "import_": ("workflow.import_", "import_"),
    "kept_list": ("workflow.keeping", "kept_list"),
    "let_go": ("workflow.records", "let_go"),
    "list_backups": ("workflow.backup", "list_backups"),
    "outdated_backups": ("workflow.backup", "outdated"),
    "paused_run": ("workflow.pausing", "paused_run"),
    "plan": ("workflow.plan", "plan"),
    "preview": ("workflow.backfill", "preview"),
    "purge": ("workflow.keeping", "purge"),
    "redo": ("workflow.backfill", "redo"),
    "refuse_held": ("workflow.restore", "refuse_held"),
    "release": ("workflow.plan", "release"),
    "remove_backup": ("backups", "remove"),
    "restore": ("workflow.restore", "carry_out"),
    "restoring": ("workflow.restore", "restoring"),
    "resume": ("workflow.apply", "resume"),
    "rollback": ("workflow.rollback", "rollback"),
    "shown": ("workflow.records", "shown"),
    "status": ("workflow.records", "status"),
    "try_restore": ("workflow.restore", "tried"),
    "unlock": ("workflow.records", "unlock"),
    "verify": ("workflow.verify", "verify"),
    "verify_backup": ("workflow.backup", "looked_into"),
    "wait": ("workflow.records", "wait"),
}
"""Where each name comes from: the module, and what it is called there."""


class _Workflow(ModuleType):
    """Knows functions by the names of the modules that they are in."""

    def __getattr__(self, name: str) -> Any:
        if name not in _FROM:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module, own = _FROM[name]
        found = self.__dict__[name] = getattr(importlib.import_module(f"reconcile.{module}"), own)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        """An import of `workflow.plan` binds the module here, which must not hide the function."""
        if name not in _FROM or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Workflow
