"""What the commands do, one module each; the command line and the API go through here."""

from reconcile.apply import Event, OnEvent
from reconcile.diff import Options
from reconcile.workflow.admission import admit
from reconcile.workflow.apply import Outcome, apply, resume
from reconcile.workflow.check import check, grants
from reconcile.workflow.drift import drift
from reconcile.workflow.import_ import Imported, import_
from reconcile.workflow.pausing import paused_run
from reconcile.workflow.plan import plan, release
from reconcile.workflow.records import abandon, forget, history, let_go, shown, status, unlock
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
    "apply",
    "check",
    "drift",
    "forget",
    "grants",
    "history",
    "import_",
    "let_go",
    "paused_run",
    "plan",
    "release",
    "resume",
    "rollback",
    "shown",
    "status",
    "unlock",
    "verify",
]
