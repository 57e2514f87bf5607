"""Carry out the steps of an apply that are migrations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeGuard

from reconcile.apply import Event, OnEvent
from reconcile.change import Call, Op, Step
from reconcile.errors import ProjectError, RefusedError
from reconcile.migrations.change import OP, changes
from reconcile.migrations.looked import files, looked, refuse_changed
from reconcile.migrations.safety import refusals
from reconcile.model import Address
from reconcile.plan import Plan, ResourceChange, recorded
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
                running = Running(self.project, found, self.ledger, self.run, lambda: True, tell, within=True)
                carry_out(running, migration, [migration])

    def _tell(self, step: Step, line: str) -> None:
        self.on_event(Event("reported", step, detail=line.strip()))


def mended(made: Plan, project: Project, run: str, journal: Mapping[str, str]) -> tuple[Plan, list[str]]:
    """The plan of a run that stopped, with the files as they are now of the migrations in which it did.

    Such a file may be mended, but for the statements that are committed. What it was not shown to do, it may not do.

    Args:
        journal: of the run: a migration that was not begun runs as it was planned.

    Returns:
        The plan, and what to tell of it.

    Raises:
        ProjectError: what is committed of the migration reads otherwise, or it is dangerous and does not say so.
        RefusedError: it is allowed more than the plan showed, or another file moved.
    """
    left = {s.id: s for s in made.steps if journal.get(s.id) != "done" and any(map(_runs, s.calls))}
    if not left:
        return made, []
    told: list[str] = []
    steps, entries = dict[str, Step](), dict[Address, ResourceChange]()
    with looked(project) as found:
        refuse_changed(found)
        by_id = {m.id: m for m in found.migrations}
        for step in left.values():
            planned = next(filter(_runs, step.calls)).args
            migration = by_id.get(planned["id"])
            if migration is not None and migration.checksum == planned["checksum"]:
                continue
            if migration is None or step.id not in journal:
                raise _unfit(f"{planned['file']} moved since the plan was made, and had not begun", run)
            if problems := refusals([migration]):
                raise ProjectError(problems)
            change = next(changes(found, [migration]))
            before = next(c for c in made.resource_changes if c.address == change.address)
            now = recorded(change)
            if more := sorted(_reasons(now) - _reasons(before)):
                raise _unfit(f"{migration.file} is allowed now what the plan did not show: {'; '.join(more)}", run)
            if change.step.hazards - step.hazards:
                raise _unfit(f"{migration.file} is no longer one transaction, as the plan showed it", run)
            steps[step.id] = replace(step, calls=change.step.calls)
            entries[change.address] = now
            told.append(
                f"{migration.file} was mended: its checksum was {planned['checksum'][:12]} when it failed, it is"
                f" {migration.checksum[:12]}; it runs as it is now"
            )
    return replace(
        made,
        steps=tuple(steps.get(s.id, s) for s in made.steps),
        resource_changes=tuple(entries.get(c.address, c) for c in made.resource_changes),
    ), told


def _runs(call: Call) -> TypeGuard[Op]:
    return isinstance(call, Op) and call.op == OP


def _reasons(change: ResourceChange) -> set[str]:
    """What it is allowed, wherever in the file that stands."""
    return {re.sub(r" \(line \d+\)", "", one) for one in change.after.get("allowed", ())}


def _unfit(what: str, run: str) -> RefusedError:
    return RefusedError(what, hint=f"put it back; or give the run up and plan again: reconcile apply --abandon {run}")


def refuse_moved(made: Plan, project: Project) -> None:
    """
    Raises:
        RefusedError: the file of a planned migration is not as it was.
    """
    planned = [call for step in made.steps for call in filter(_runs, step.calls)]
    if not planned:
        return
    now = {m.id: m.checksum for m in files(project).migrations}
    for call in planned:
        if now.get(call.args["id"]) != call.args["checksum"]:
            raise _moved(call.args["file"])


def _moved(file: str) -> RefusedError:
    return RefusedError(f"the plan is stale: {file} moved since it was made", hint="make a new plan")
