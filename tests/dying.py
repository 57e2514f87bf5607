"""Runs that end by SIGKILL inside chosen steps, until they are through; which kinds of steps the cases have.

The runs are carried out by children of a fork server, which has no threads: libpq may hang in a fork of a process that
has some.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from reconcile import planfile, workflow
from reconcile.change import Call, Op, Step
from reconcile.plan import Plan
from reconcile.project import Project
from reconcile.stores.base import Session
from reconcile.survey import open_ledger
from reconcile.workflow import carrying

_STEP = re.compile(r'^   "id": "[^.]*\.(\w+)\..*/\d+-([\w-]+)",$', re.MULTILINE)
_TOLD = "died-in"
"""The file in the folder of a project in which a run writes where it is about to die."""
_SECONDS = 120.0

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["tests.dying"])


def kind_of(step: Step) -> str:
    """What of: `index reindex` of the step `2-reindex` of any index."""
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


def kill_inside(project: Project, plan: Plan, wanted: Iterable[str] | None = None) -> tuple[list[str], str]:
    """Apply a plan; the run dies in the first step of each of these kinds, and is resumed each time.

    In a transaction after the first statement, else after the last one: that is done, and nobody has journalled it.

    Args:
        wanted: None: each kind of step that there is in the plan.

    Returns:
        The kinds in which it died, and the run.
    """
    died = list[str]()
    left = {kind_of(s) for s in plan.steps if s.calls} if wanted is None else set(wanted)
    while True:
        found = _died(project, None if died else plan, left)
        ledger = open_ledger(project)
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
    told = project.directory / _TOLD
    told.unlink(missing_ok=True)
    document = None if plan is None else planfile.to_json(plan)
    child = _forking.Process(target=_doomed, args=(str(project.directory), document, tuple(wanted)))
    child.start()
    try:
        child.join(_SECONDS)
    finally:
        child.kill()
        child.join()
    assert child.exitcode in (0, -signal.SIGKILL), "the run failed by itself"
    assert child.exitcode == 0 or told.exists(), f"the run did not end in {_SECONDS:.0f} s"
    return told.read_text() if child.exitcode else None


def _doomed(root: str, document: Any, wanted: Collection[str]) -> None:  # pragma: no cover - it is killed
    within: Any = carrying
    execute, told = within.execute, Path(root) / _TOLD

    def doomed(plan: Plan, run: str, sessions: Mapping[str, Session], *more: Any) -> Any:
        last = {id(s.calls[0 if s.transactional else -1]): kind_of(s) for s in plan.steps
                if s.calls and kind_of(s) in wanted}  # fmt: skip

        def after(call: Call) -> None:
            if id(call) in last:
                told.write_text(last[id(call)])
                os.kill(os.getpid(), signal.SIGKILL)

        def then(does: Callable[[Step, Op], None], step: Step, call: Op) -> None:
            does(step, call)
            after(call)

        watched: Any = {name: _Watched(session, after) for name, session in sessions.items()}
        *others, own = more
        return execute(plan, run, watched, *others, {name: partial(then, does) for name, does in own.items()})

    within.execute = doomed
    project = Project.load(Path(root))
    if document is None:
        workflow.resume(project)
    else:
        workflow.apply(project, planfile.from_json(document))


class _Watched:  # pragma: no cover - in a process that is killed
    """A session or transaction that tells of each call after it."""

    def __init__(self, inner: Any, after: Callable[[Call], None]) -> None:
        self.__dict__.update(_inner=inner, _after=after)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_inner"], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.__dict__["_inner"], name, value)

    def run(self, call: Call, timeouts: Any) -> None:
        self._inner.run(call, timeouts)
        self._after(call)

    @contextmanager
    def transaction(self, steps: Any) -> Iterator[Any]:
        with self._inner.transaction(steps) as transaction:
            yield _Watched(transaction, self._after)
