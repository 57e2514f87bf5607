"""What the commands do, one module each; the command line and the API go through here."""

from reconcile.apply import Event, OnEvent
from reconcile.backups import remove as remove_backup
from reconcile.diff import Options
from reconcile.workflow.admission import admit
from reconcile.workflow.apply import Outcome, apply, resume
from reconcile.workflow.backfill import backfills, chosen, down, preview, redo
from reconcile.workflow.backup import back_up, list_backups
from reconcile.workflow.backup import chosen as chosen_backup
from reconcile.workflow.backup import looked_into as verify_backup
from reconcile.workflow.backup import outdated as outdated_backups
from reconcile.workflow.backup import place as backup_place
from reconcile.workflow.backup import to_json as backup_to_json
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
