"""Ranges of a backfill done by several processes: of this machine, or of a Dask cluster. One task is one range.

What a worker needs is in the task; how far the range is, in the ledger: a task may be done again by another worker.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reconcile.backfills import sharing
from reconcile.backfills.budget import Shared
from reconcile.backfills.definition import Definition
from reconcile.backfills.running import Around, Running
from reconcile.errors import ReconcileError
from reconcile.hidden import secrets_of
from reconcile.model import Address, Json

if TYPE_CHECKING:
    from concurrent.futures import Future
    from multiprocessing.connection import Connection

    from reconcile.ledger import Ledger
    from reconcile.project import Project

TRIES = 3
"""How often ranges are given to new workers after one has died."""
STOP = "backfill-stop"
"""What the ledger knows of who is to stop, and why: workers look for it once a second."""
_ANOTHER = "an error of another worker"


@dataclass(frozen=True)
class Task:
    """One range, for whoever does it."""

    project: Project
    address: Address
    entry: Json
    run: str
    epoch: int
    number: int
    sharing: str
    """Which sharing of ranges it is of: what stops one is nothing to the next."""


def work(task: Task) -> int:
    """Do a range, or what is left of it; in a process of its own.

    Returns:
        How many rows of it were read, in all.

    Raises:
        ReconcileError: see `Running.run_part`.
    """
    from reconcile.stores import package
    from reconcile.survey import open_ledger
    from reconcile.workflow.filling import filling, near_limits, stores_of

    project, definition = task.project, Definition.of(task.address, {**task.entry, "part": task.number})
    ledger = open_ledger(project)
    ledger.assist(task.run, task.epoch)
    specs = [project.stores[name] for name in stores_of(definition)]
    sessions = {s.name: package(s.kind).connect(s, project.name, project.environment) for s in specs}
    try:
        for session in sessions.values():
            session.server()
        part = sharing.taken(ledger, definition, task.number, uuid.uuid4().hex)
        if part is None:
            return 0
        session = sessions[task.address.store]
        around = Around(
            ledger,
            project.directory,
            session.transient,
            stop=_Stops(ledger, task.sharing),
            load=near_limits((sessions[spec.name], spec) for spec in specs),
            account=Shared.of(ledger, definition),
            secrets=secrets_of(project),
        )
        return Running(definition, filling(definition, sessions, part), part, around).run_part().read
    finally:
        for session in sessions.values():
            session.close()
        ledger.close()


@dataclass
class _Stops:
    """Whether workers are to stop, and why, asked of the ledger once a second at most."""

    ledger: Ledger
    sharing: str
    asked: float = 0.0

    def __call__(self) -> str | None:
        if time.monotonic() - self.asked < 1:
            return None
        self.asked = time.monotonic()
        known = self.ledger.value(STOP) or {}
        return str(known["why"]) if known.get("sharing") == self.sharing else None


@dataclass
class _Told:
    """Who has ranges done looks for what asks the run to stop, and passes it on to the workers."""

    ledger: Ledger
    sharing: str
    stop: Callable[[], str | None]
    show: Callable[[], None]
    asked: list[str] = field(default_factory=list)

    def __call__(self) -> None:
        """To be called each second."""
        if (why := self.stop()) is not None:
            self.halt(why)
        self.show()

    def halt(self, why: str) -> None:
        """Have all workers stop after the batch that they are at."""
        if not self.asked:
            self.asked.append(why)
            self.ledger.keep(STOP, {"sharing": self.sharing, "why": why})


Submit = Callable[[Sequence[Task], _Told], None]
"""Has tasks done and returns when all are.

Raises the error of a task; what its worker died of is no such error: others go on with its tasks.
"""


def executor(definition: Definition) -> Submit | None:
    """What does the ranges of a backfill; None where it is this process, batch by batch."""
    if definition.cluster is not None:
        cluster = definition.cluster
        return lambda tasks, told: _by_cluster(cluster, tasks, told)
    if definition.workers is not None and definition.workers > 1:
        workers = definition.workers
        return lambda tasks, told: _by_pool(workers, tasks, told)
    return None


def _by_pool(workers: int, tasks: Sequence[Task], told: _Told) -> None:
    """Processes of this machine; new ones, where one was killed."""
    from concurrent.futures.process import BrokenProcessPool

    left, tries = list(tasks), 0
    while left:
        futures: dict[Future[int], Task] = {}
        try:
            _in_pool(workers, left, told, futures)
            return
        except BrokenProcessPool as error:
            failed = {f: f.exception() for f in futures if f.done()}
            if (
                other := next((e for e in failed.values() if not isinstance(e, BrokenProcessPool | None)), None)
            ) is not None:
                raise other from error
            done = {futures[f].number for f, wrong in failed.items() if wrong is None}
            left = [task for task in left if task.number not in done]
            if (why := told.stop()) is not None:  # which was meant for all of them
                raise ReconcileError(f"stopped by {why}, between batches", where=str(tasks[0].address)) from error
            if (tries := tries + 1) >= TRIES:
                raise ReconcileError(
                    f"workers died {tries} times",
                    where=str(tasks[0].address),
                    hint="is there memory enough for them? What is done stays: reconcile apply --resume",
                ) from error


def _in_pool(workers: int, tasks: Sequence[Task], told: _Told, futures: dict[Future[int], Task]) -> None:
    """One pool from its start to its end: after an error all have stopped; interrupted, they are gone at once."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import Pipe, get_context

    gate, ours = Pipe(duplex=False)
    context = get_context("spawn")
    with ours, ProcessPoolExecutor(workers, mp_context=context, initializer=_bound, initargs=(gate,)) as pool:
        try:
            try:
                for task in tasks:
                    futures[pool.submit(work, task)] = task
                _waited(list(futures), told)
            except (BrokenProcessPool, KeyboardInterrupt):
                raise
            except BaseException:
                told.halt(_ANOTHER)
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        except KeyboardInterrupt:
            ours.close()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _bound(gate: Connection) -> None:
    """Of a worker: Ctrl-C is for who started it, and it ends at once when that is gone or gives it up."""

    def wait() -> None:
        from multiprocessing.connection import wait

        wait([gate])  # nothing is ever sent: it is readable when the other end is closed
        os._exit(1)

    signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN, which programs that it starts would inherit
    threading.Thread(target=wait, daemon=True).start()


def _waited(futures: Sequence[Future[int]], told: _Told) -> None:
    from concurrent.futures import FIRST_EXCEPTION, wait

    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=1, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        told()


def _by_cluster(scheduler: str, tasks: Sequence[Task], told: _Told) -> None:
    """Workers of a Dask cluster, which gives the tasks of a lost one to another by itself."""
    try:
        from distributed import Client
    except ImportError as error:
        hint = "pip install 'reconcile-schema[distributed]'"
        raise ReconcileError("`cluster` needs Dask", where=str(tasks[0].address), hint=hint) from error

    try:
        client = Client(scheduler, set_as_default=False)
    except OSError as error:
        what = f"the scheduler {scheduler} does not answer: {error}"
        hint = "start it: dask scheduler; what is done stays: reconcile apply --resume"
        raise ReconcileError(what, where=str(tasks[0].address), hint=hint) from error
    with client:
        futures: list[Any] = client.map(work, tasks, pure=False, retries=0)
        try:
            while not all(future.done() for future in futures):
                if any(future.status == "error" for future in futures):
                    told.halt(_ANOTHER)
                time.sleep(1)
                told()
        except BaseException:
            told.halt(_ANOTHER)
            raise
        errors = [e for f in futures if f.status == "error" and (e := f.exception()) is not None]
        if errors:
            raise next((e for e in errors if _ANOTHER not in str(e)), errors[0])


def share(
    project: Project, definition: Definition, entry: Json, run: str, ledger: Ledger, stop: Callable[[], str | None]
) -> Callable[[Sequence[int], Callable[[], None]], None] | None:
    """See `Around.share`: None where no workers are declared."""
    submit = executor(definition)
    if submit is None:
        return None

    def shared(numbers: Sequence[int], show: Callable[[], None]) -> None:
        name = uuid.uuid4().hex
        task = Task(project, definition.address, entry, run, ledger.held, 0, name)
        submit([replace(task, number=number) for number in numbers], _Told(ledger, name, stop, show))

    return shared
