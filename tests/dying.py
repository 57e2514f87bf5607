"""Runs that end by SIGKILL inside chosen steps, until they are through; which kinds of steps the cases have."""

from __future__ import annotations

import os
import re
import signal
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconcile import apply, workflow
from reconcile.change import Call, Step
from reconcile.plan import Plan
from reconcile.project import Project
from reconcile.survey import open_ledger

_STEP = re.compile(r'^   "id": "[^.]*\.(\w+)\..*/\d+-([\w-]+)",$', re.MULTILINE)


def kind_of(step: Step) -> str:
    """What of: `index 2-reindex` of any index is `index reindex`."""
    return f"{step.id.partition('.')[2].partition('.')[0]} {step.id.rpartition('/')[2].partition('-')[2]}"


def in_golden(plan: Path) -> set[str]:
    """The kinds of steps of a golden plan, but for what is not kept where all is allowed."""
    return {f"{kind} {word}" for kind, word in _STEP.findall(plan.read_text()) if word != "keep"}


def shared(kinds: Mapping[Path, Collection[str]]) -> dict[Path, tuple[str, ...]]:
    """By folder the kinds of steps that are killed there: each kind once, in as few folders as is easily found."""
    found: dict[Path, tuple[str, ...]] = {}
    left = {path: set(of) for path, of in kinds.items()}
    while best := max(sorted(left), key=lambda path: len(left[path])) if any(left.values()) else None:
        taken = left[best]
        found[best] = tuple(sorted(taken))
        left = {path: of - taken for path, of in left.items()}
    return found


def kill_inside(project: Callable[[], Project], plan: Plan, wanted: Iterable[str]) -> tuple[list[str], str]:
    """Apply a plan; the run dies in the first step of each of these kinds, and is resumed each time.

    In a transaction after the first statement, else after the last one: that is done, and nobody has journalled it.

    Returns:
        The kinds in which it died, and the run.
    """
    died, left = list[str](), set(wanted)
    while True:
        found = _died(project(), plan if not died else None, left)
        ledger = open_ledger(project())
        try:
            run = ledger.runs(1)[0].id
            if found is None:
                return died, run
            ledger.unlock(run)
        finally:
            ledger.close()
        died.append(found)
        left.discard(found)


def _died(project: Project, plan: Plan | None, wanted: Collection[str]) -> str | None:
    """In which kind of step; None where it came to its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - it is killed
        try:
            _doom(wanted, writing)
            if plan is not None:
                workflow.apply(project, plan)
            else:
                workflow.resume(project)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # its parent's fixtures are not its own
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as told:
        found = told.read()
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the run failed by itself"
    return found if os.WIFSIGNALED(status) else None


def _doom(wanted: Collection[str], tell: int) -> None:  # pragma: no cover - in a process that is killed
    attempt = apply._Group._attempt

    def doomed(group: Any) -> bool:
        last = {id(s.calls[0 if s.transactional else -1]): kind_of(s) for s in group.steps
                if s.calls and kind_of(s) in wanted}  # fmt: skip

        def told(call: Call) -> None:
            if id(call) in last:
                os.write(tell, last[id(call)].encode())
                os.kill(os.getpid(), signal.SIGKILL)

        session, group.session = group.session, _Told(group.session, told)
        try:
            return attempt(group)
        finally:
            group.session = session

    apply._Group._attempt = doomed  # type: ignore[method-assign, assignment]


class _Told:  # pragma: no cover - in a process that is killed
    """A session or transaction that tells of each call after it."""

    def __init__(self, inner: Any, told: Callable[[Call], None]) -> None:
        self._inner, self._told = inner, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def run(self, call: Call, timeouts: Any) -> None:
        self._inner.run(call, timeouts)
        self._told(call)

    @contextmanager
    def transaction(self, steps: Any) -> Iterator[Any]:
        with self._inner.transaction(steps) as transaction:
            yield _Told(transaction, self._told)
