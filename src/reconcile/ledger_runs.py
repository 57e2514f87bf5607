"""The ledger's part on runs: what they carry out, how far they have come, what their checks and reports say."""

from __future__ import annotations

import getpass
import json
import os
import platform
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from reconcile.errors import RefusedError
from reconcile.ledger_rows import Run, run_of
from reconcile.ledger_tables import Tables
from reconcile.model import Json

if TYPE_CHECKING:
    from reconcile.findings import Result

_ASSERTED = "check/"
"""Before the results of checks, in the journal: no step's id begins so."""


def holder() -> str:
    """Who runs this: `user@host pid 123`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no entry for the uid, as in many containers
        user = str(os.getuid())
    return f"{user}@{platform.node()} pid {os.getpid()}"


class Runs(Tables):
    """Runs and their journal."""

    def begin(self, run: str, digest: str, plan: Json, outcome: str = "running") -> int:
        """Record the start of a run; its number."""
        rows = self._sql(
            "INSERT INTO {t}runs (id, number, digest, plan, who, started, outcome)"
            " SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, {now}, ? FROM {t}runs RETURNING number",
            run,
            digest,
            json.dumps(plan),
            holder(),
            outcome,
        )
        return int(str(rows[0][0]))

    def end_broken(self, outcome: str, ended: str) -> None:
        """Of runs that were left with an outcome which only running ones have: say that they are over.

        For who holds the lock: none of their processes does.
        """
        self._sql(
            "UPDATE {t}runs SET outcome = ?, finished = {now}, message = ? WHERE outcome = ?",
            ended,
            "its process ended before it did",
            outcome,
        )

    def finish(self, run: str, outcome: str, message: str = "") -> None:
        """Record the end of a run."""
        self._sql("UPDATE {t}runs SET finished = {now}, outcome = ?, message = ? WHERE id = ?", outcome, message, run)

    def replan(self, run: str, digest: str, plan: Json) -> None:
        """Record that a run goes on with another plan: the one it had, with what was mended since."""
        self._sql("UPDATE {t}runs SET digest = ?, plan = ? WHERE id = ?", digest, json.dumps(plan), run)

    def go_on(self, run: str) -> None:
        """Record that a run which had paused goes on."""
        self._sql("UPDATE {t}runs SET finished = NULL, outcome = 'running' WHERE id = ?", run)

    def runs(self, limit: int = 20) -> list[Run]:
        """The latest runs, newest first, without their plans."""
        if not self.exists():
            return []
        rows = self._sql(
            "SELECT id, number, digest, who, started, finished, outcome, message FROM {t}runs"
            " ORDER BY number DESC LIMIT ?",
            limit,
        )
        return [run_of(row) for row in rows]

    def run(self, run: str) -> Run | None:
        """One run with its plan."""
        if not self.exists():
            return None
        rows = self._sql(
            "SELECT id, number, digest, who, started, finished, outcome, message, plan FROM {t}runs WHERE id = ?", run
        )
        return run_of(rows[0]) if rows else None

    def keep_report(self, run: str, report: Json) -> None:
        """Keep the report of a run, in place of an earlier one."""
        self._upsert("reports", "run", run=run, report=json.dumps(report))

    def report(self, run: str) -> Json:
        """The report of a run; None where there is none (an older version of the tool ran it, or it only recorded)."""
        return self.reports([run]).get(run)

    def reports(self, runs: Sequence[str]) -> dict[str, Json]:
        """Reports by run, of those that have one."""
        if not runs or not self.exists() or self.version() < 2:
            return {}
        places = ", ".join("?" * len(runs))
        rows = self._sql(f"SELECT run, report FROM {{t}}reports WHERE run IN ({places})", *runs)
        return {str(run): json.loads(str(report)) for run, report in rows}

    def find(self, name: str) -> Run | None:
        """The run of this id, number, or begin of an id (4 characters at least); without its plan."""
        runs = self.runs(1_000_000)
        exact = [run for run in runs if name in (run.id, str(run.number))]
        near = [run for run in runs if len(name) >= 4 and run.id.startswith(name)]
        return next(iter([*exact, *near]), None)

    def unfinished(self) -> Run | None:
        """The latest run that began and neither ended nor was abandoned; it may have paused."""
        if not self.exists():
            return None
        rows = self._sql(
            "SELECT id FROM {t}runs WHERE outcome IN ('running', 'stopped', 'paused') ORDER BY number DESC LIMIT 1"
        )
        return self.run(str(rows[0][0])) if rows else None

    def journal(self, run: str) -> dict[str, str]:
        """Step id -> `begun`, `done` or `failed`."""
        return {str(s): str(st) for s, st in self._sql("SELECT step, state FROM {t}journal WHERE run = ?", run)}

    def seconds(self, run: str) -> dict[str, float]:
        """How long each step took that is done; those of one group took their time together."""
        rows = self._sql("SELECT step, seconds FROM {t}journal WHERE run = ? AND state = 'done'", run)
        return {str(step): float(str(seconds)) for step, seconds in rows if seconds is not None}

    def begun(self, run: str) -> dict[str, float]:
        """Since when a step is under way, in seconds since 1970, by step id."""
        rows = self._sql("SELECT step, at FROM {t}journal WHERE run = ? AND state = 'begun' ORDER BY at, step", run)
        return {str(step): float(str(at)) for step, at in rows}

    def notes(self, run: str) -> dict[str, str]:
        """What was noted when a step was begun, by step id."""
        rows = self._sql("SELECT step, detail FROM {t}journal WHERE run = ? AND state = 'begun'", run)
        return {str(step): str(detail) for step, detail in rows if detail}

    def write(self, run: str, steps: Iterable[str], state: str, seconds: float | None = None, detail: str = "") -> None:
        """Journal the state of steps, while the lock is still ours.

        Raises:
            RefusedError: the lock was taken over meanwhile.
        """
        for step in steps:
            rows = self._sql(
                "INSERT INTO {t}journal (run, step, state, at, seconds, detail)"
                " SELECT ?, ?, ?, {now}, ?, ? FROM {t}lock WHERE id = 1 AND epoch = ?"
                " ON CONFLICT (run, step) DO UPDATE SET state = excluded.state, at = excluded.at,"
                " seconds = excluded.seconds, detail = excluded.detail RETURNING step",
                run,
                step,
                state,
                seconds,
                detail,
                self._epoch,
            )
            if not rows:
                raise RefusedError(
                    f"the lock of run {run} was taken over", where=self.placement, hint="see: reconcile status"
                )

    def assert_(self, run: str, results: Iterable[Result]) -> None:
        """Keep with a run what its checks, queries and probes came to; the last answer of each counts.

        Raises:
            RefusedError: see `write`.
        """
        for result in results:
            step = f"{_ASSERTED}{result.when}/{result.name}"
            self.write(run, [step], str(result.outcome), result.seconds, json.dumps(result.to_json()))

    def asserted(self, run: str) -> list[Json]:
        """What was kept of them, as `Result.to_json`, in the order in which they were asked."""
        if not self.exists():
            return []
        head = f"substr(step, 1, {len(_ASSERTED)}) = '{_ASSERTED}'"
        rows = self._sql(f"SELECT detail FROM {{t}}journal WHERE run = ? AND {head} ORDER BY at, step", run)
        return [json.loads(str(detail)) for (detail,) in rows]
