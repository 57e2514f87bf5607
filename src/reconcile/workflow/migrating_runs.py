"""What `reconcile migrate` does as runs of the ledger: one history with the applies."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from reconcile import planfile
from reconcile.diff import Options
from reconcile.errors import PartialError, ReconcileError
from reconcile.migrations.change import address, changes, step_id
from reconcile.migrations.model import Migration
from reconcile.model import Json
from reconcile.plan import Plan, recorded
from reconcile.workflow.plan import summary
from reconcile.workflow.reporting import commit, plain

if TYPE_CHECKING:
    from reconcile.workflow.migrate import Running

MIGRATING = "migrating"


@contextmanager
def run_of(
    now: Running, command: str, wanted: Sequence[Migration], *, how: str | None = None, reason: str = ""
) -> Iterator[None]:
    """Record what goes on inside as a run, and how it ends.

    A run like this is never unfinished: the tables of the stores know what of it is done, and one that was killed is
    ended by the next.

    Args:
        command: as it was given, for people.
        wanted: what it is about, in order.
        how: what becomes of the migrations where none of them runs: "forgotten".

    Raises:
        ReconcileError: the ledger does not answer.
    """
    plan = _plan(now, command, wanted, how, reason)
    document = planfile.to_json(plan)
    now.ledger.end_broken(MIGRATING, "partly")
    now.ledger.begin(now.run, document["digest"], document, MIGRATING)
    try:
        yield
    except BaseException as error:
        undone = isinstance(error, ReconcileError) and not isinstance(error, PartialError)
        with suppress(ReconcileError):  # the first error is the one to tell
            _ended(now, "undone" if undone else "partly", str(error) or "interrupted")
        raise
    _ended(now, "done", "")


def _plan(now: Running, command: str, wanted: Sequence[Migration], how: str | None, reason: str) -> Plan:
    own = list(changes(now.found, wanted))
    about = tuple(map(recorded, own))
    observed: dict[str, Json] = {"summary": summary(() if how else about), "notes": [], "drift": []}
    if not how:
        stays = {str(c.address): c.reverse().reason for c in own}
        observed |= {"reverse": {"cannot": stays}}
    observed |= {"command": command, "commit": commit(now.project.directory)}
    observed |= {"reason": reason} if reason else {}
    observed |= {"migrations": how} if how else {}
    return Plan(
        project=now.project.name,
        environment=now.project.environment,
        options=Options(),
        complete=True,
        stores=tuple(session.server() for session in now.found.sessions.values()),
        ledger=now.project.ledger.store if now.project.ledger.file is None else None,
        resource_changes=about,
        steps=() if how else tuple(change.step for change in own),
        fingerprints={},
        observed=observed,
    )


def _ended(now: Running, outcome: str, message: str) -> None:
    now.ledger.finish(now.run, outcome, message)
    run = now.ledger.run(now.run)
    if run is not None:
        now.ledger.keep_report(now.run, plain(now.project, now.ledger, run))


@contextmanager
def step_of(now: Running, migration: Migration) -> Iterator[None]:
    """Journal a migration that is carried out inside.

    Raises:
        RefusedError: the lock was taken over meanwhile.
    """
    step, began = step_id(address(migration)), time.monotonic()
    now.ledger.write(now.run, [step], "begun")
    try:
        yield
    except BaseException:
        with suppress(ReconcileError):
            now.ledger.write(now.run, [step], "failed")
        raise
    now.ledger.write(now.run, [step], "done", time.monotonic() - began)
