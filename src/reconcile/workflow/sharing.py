"""Ranges of a backfill done by several processes: of this machine, or of a Dask cluster. One task is one range.

What a worker needs is in the task; how far the range is, in the ledger: a task may be done again by another worker.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconcile.backfills import sharing
from reconcile.backfills.definition import Definition
from reconcile.backfills.running import Around, Running
from reconcile.errors import ReconcileError
from reconcile.model import Address, Json

if TYPE_CHECKING:
    from concurrent.futures import Future

    from reconcile.project import Project

TRIES = 3
"""How often ranges are given to new workers after one has died."""
STOP = "backfill-stop"
"""What the ledger knows of a run that is to stop: workers look for it once a second."""


@dataclass(frozen=True)
class Task:
    """One range, for whoever does it."""

    project: Project
    address: Address
    entry: Json
    run: str
    epoch: int
    number: int


def work(task: Task) -> int:
    """Do a range, or what is left of it; in a process of its own.

    Returns:
        How many rows of it were read, in all.

    Raises:
        ReconcileError: see `Running.run_part`.
    """
    from reconcile.stores import package
    from reconcile.survey import open_ledger
    from reconcile.workflow.filling import busy, filling

    project, definition = task.project, Definition.of(task.address, {**task.entry, "part": task.number})
    ledger = open_ledger(project)
    ledger.assist(task.run, task.epoch)
    names = {task.address.store, *([definition.target.store] if definition.target is not None else [])}
    specs = [project.stores[name] for name in sorted(names)]
    sessions = {s.name: package(s.kind).connect(s, project.name, project.environment) for s in specs}
    try:
        for session in sessions.values():
            session.server()
        part = sharing.taken(ledger, definition, task.number, uuid.uuid4().hex)
        if part is None:
            return 0
        session = sessions[task.address.store]
        stops, over = _Stops(ledger.known, task.run), busy(session, project.stores[task.address.store])
        around = Around(ledger, project.directory, session.transient, stop=stops, busy=over)
        return Running(definition, filling(definition, sessions), part, around).run_part().read
    finally:
        for session in sessions.values():
            session.close()
        ledger.close()


@dataclass
class _Stops:
    """Whether the run is to stop, asked of the ledger once a second at most."""

    known: Callable[[], dict[str, Json]]
    run: str
    asked: float = 0.0

    def __call__(self) -> str | None:
        if time.monotonic() - self.asked < 1:
            return None
        self.asked = time.monotonic()
        return "a signal" if self.known().get(STOP) == self.run else None


Submit = Callable[[Sequence[Task], Callable[[], None]], None]
"""Has tasks done and returns when all are, calling the second argument each second.

Raises the error of a task; what its worker died of is no such error: others go on with its tasks.
"""


def executor(definition: Definition) -> Submit | None:
    """What does the ranges of a backfill; None where it is this process, batch by batch."""
    if definition.cluster is not None:
        cluster = definition.cluster
        return lambda tasks, tell: _by_cluster(cluster, tasks, tell)
    if definition.workers is not None and definition.workers > 1:
        workers = definition.workers
        return lambda tasks, tell: _by_pool(workers, tasks, tell)
    return None


def _by_pool(workers: int, tasks: Sequence[Task], tell: Callable[[], None]) -> None:
    """Processes of this machine; new ones, where one was killed."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    left, tries = list(tasks), 0
    while left:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            futures = {pool.submit(work, task): task for task in left}
            try:
                _waited(list(futures), tell)
            except BrokenProcessPool as error:
                left = [t for f, t in futures.items() if not f.done() or isinstance(f.exception(), BrokenProcessPool)]
                if (tries := tries + 1) >= TRIES:
                    raise ReconcileError(
                        f"workers died {tries} times",
                        where=str(left[0].address),
                        hint="is there memory enough for them? What is done stays: reconcile apply --resume",
                    ) from error
                continue
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return


def _waited(futures: Sequence[Future[int]], tell: Callable[[], None]) -> None:
    from concurrent.futures import FIRST_EXCEPTION, wait

    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=1, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        tell()


def _by_cluster(scheduler: str, tasks: Sequence[Task], tell: Callable[[], None]) -> None:
    """Workers of a Dask cluster, which gives the tasks of a lost one to another by itself."""
    try:
        from distributed import Client
    except ImportError as error:
        hint = "pip install 'reconcile-schema[distributed]'"
        raise ReconcileError("`cluster` needs Dask", where=str(tasks[0].address), hint=hint) from error

    with Client(scheduler, set_as_default=False) as client:
        futures: list[Any] = client.map(work, tasks, pure=False, retries=0)
        while not all(future.done() for future in futures):
            time.sleep(1)
            tell()
        client.gather(futures)


def share(
    project: Project,
    definition: Definition,
    entry: Json,
    run: str,
    epoch: int,
    stop: Callable[[], str | None],
    keep: Callable[[str, Json], None],
) -> Callable[[Sequence[int], Callable[[], None]], None] | None:
    """See `Around.share`: None where no workers are declared."""
    submit = executor(definition)
    if submit is None:
        return None

    def shared(numbers: Sequence[int], tell: Callable[[], None]) -> None:
        asked: list[str] = []

        def telling() -> None:
            if not asked and (why := stop()) is not None:
                asked.append(why)
                keep(STOP, run)
            tell()

        task = Task(project, definition.address, entry, run, epoch, 0)
        submit([replace(task, number=number) for number in numbers], telling)

    return shared
