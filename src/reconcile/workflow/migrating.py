"""Carry out the steps of an apply that are migrations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reconcile.apply import Event, OnEvent
from reconcile.change import Op, Step
from reconcile.errors import RefusedError
from reconcile.migrations.change import OP
from reconcile.migrations.looked import files, looked
from reconcile.plan import Plan
from reconcile.workflow.migrate import Running, carry_out

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.project import Project


@dataclass(frozen=True)
class Migrator:
    """Runs migrations within one run of an apply, whose lock it is under."""

    project: Project
    run: str
    ledger: Ledger
    on_event: OnEvent

    def __call__(self, step: Step, call: Op) -> None:
        """Run the migration of a step; nothing where it has run meanwhile.

        Raises:
            ReconcileError: it failed; see `migrate.carry_out`.
            RefusedError: its file is not as it was planned.
        """
        with looked(self.project) as found:
            migration = found.named(call.args["id"])
            if migration.checksum != call.args["checksum"]:
                raise _moved(migration.file)
            if found.of(migration).pending:
                tell = partial(self._tell, step)
                running = Running(self.project, found, self.ledger, self.run, lambda: True, tell)
                carry_out(running, migration, [migration])

    def _tell(self, step: Step, line: str) -> None:
        self.on_event(Event("reported", step, detail=line.strip()))


def refuse_moved(made: Plan, project: Project) -> None:
    """
    Raises:
        RefusedError: the file of a planned migration is not as it was.
    """
    planned = [call for step in made.steps for call in step.calls if isinstance(call, Op) and call.op == OP]
    if not planned:
        return
    now = {m.id: m.checksum for m in files(project).migrations}
    for call in planned:
        if now.get(call.args["id"]) != call.args["checksum"]:
            raise _moved(call.args["file"])


def _moved(file: str) -> RefusedError:
    return RefusedError(f"the plan is stale: {file} moved since it was made", hint="make a new plan")
