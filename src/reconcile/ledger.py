"""The ledger: lock, runs, journal, applied state, and how the servers spell what is declared.

One SQL text serves every database a ledger can be in; what differs is in `Database`.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from reconcile.checkup import Check, Topic, Verdict
from reconcile.errors import BusyError, ReconcileError, RefusedError
from reconcile.findings import Result
from reconcile.ledger_rows import BACKFILL_ROWS, TABLES, UPGRADES, Applied, Lock, Run, World, run_of
from reconcile.model import Address, Json, State

LOCK_SECONDS = 60.0
"""How long a lock holds without being renewed; the holder renews at a third of it."""

SCHEMA_VERSION = max(UPGRADES)
_ASSERTED = "check/"
"""Before the results of checks, in the journal: no step's id begins so."""


class Database(Protocol):
    """What the SQL ledger needs of a database."""

    now: str
    """SQL expression: the database's clock, UTC seconds since 1970 as a float."""
    prefix: str
    """Before every table name, quoted: `"reconcile".` or nothing."""
    placement: str
    """For messages: "store app, schema reconcile" or the file's path."""

    def exists(self) -> bool:
        """Whether the ledger's tables are there; creates nothing."""

    def create(self, statements: Sequence[str]) -> None:
        """Make the place (schema, file) and run the statements, in one transaction."""

    def lacks(self) -> list[tuple[str, str]]:
        """What keeps it from being made or written: (what, what to do). Writes nothing."""

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Run one statement with `?` placeholders; rows, if it returns any. Commits at once."""

    def rows(self, sql: str) -> Iterator[tuple[object, ...]]:
        """The rows of one statement without placeholders, a few thousand at a time."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for each of `rows`, sent together; inside `transaction`."""

    def has(self, table: str) -> bool:
        """Whether a table of the ledger is there."""

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction over the statements inside."""

    def close(self) -> None:
        """End the connection."""


def holder() -> str:
    """Who runs this: `user@host pid 123`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no entry for the uid, as in many containers
        user = str(os.getuid())
    return f"{user}@{platform.node()} pid {os.getpid()}"


class Ledger:
    """Reads answer as an empty ledger would while none is there; the first write makes it."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._there: bool | None = None
        self._epoch: int | None = None
        self._run: str | None = None

    @property
    def placement(self) -> str:
        """Where it is, for messages."""
        return self._db.placement

    def exists(self) -> bool:
        """Whether anything was ever recorded."""
        if not self._there:
            self._there = self._db.exists()
        return self._there

    def ensure(self) -> None:
        """Make it, if it is not there.

        Raises:
            ReconcileError: it was written by a newer version of the tool.
        """
        if not self.exists():
            made = (*TABLES, *(statement for statements in UPGRADES.values() for statement in statements))
            tables = [statement.format(t=self._db.prefix) for statement in made]
            stamp = f"INSERT INTO {self._db.prefix}meta (key, value) VALUES ('schema_version', '{SCHEMA_VERSION}')"
            self._db.create([*tables, stamp])
            self._there = True
        self._sql("INSERT INTO {t}lock (id, epoch, expires) VALUES (1, 0, 0) ON CONFLICT (id) DO NOTHING")
        version = self.version()
        if version > SCHEMA_VERSION:
            raise ReconcileError(
                f"the ledger has schema version {version}, this version of the tool knows {SCHEMA_VERSION}",
                where=self.placement,
                hint="upgrade reconcile",
            )
        for number in range(version + 1, SCHEMA_VERSION + 1):
            self._upgrade(number)

    def version(self) -> int:
        """The version of its schema; the newest where there is none yet."""
        if not self.exists():
            return SCHEMA_VERSION
        rows = self._sql("SELECT value FROM {t}meta WHERE key = 'schema_version'")
        return int(str(rows[0][0])) if rows else 1

    def _upgrade(self, number: int) -> None:
        """To this version from the one before, unless another process has come first."""
        with self._db.transaction():
            before, after = str(number - 1), str(number)
            ours = "UPDATE {t}meta SET value = ? WHERE key = 'schema_version' AND value = ? RETURNING value"
            for statement in UPGRADES[number] if self._sql(ours, after, before) else ():
                self._sql(statement)

    def check(self) -> list[Check]:
        """Whether it can be written, or made where there is none yet. Writes nothing."""
        lacks = self._db.lacks()
        if lacks:
            return [Check(Topic.LEDGER, Verdict.STOPS, what, hint, self.placement) for what, hint in lacks]
        state = "can be written" if self.exists() else "is made by the first apply"
        return [Check(Topic.LEDGER, Verdict.GOOD, f"{self.placement}: {state}")]

    def inside(self, transaction: object) -> Ledger | None:
        """This ledger writing within an open transaction of a store; None where that is another database."""
        del transaction
        return None

    def close(self) -> None:
        """End the connection."""
        self._db.close()

    def _sql(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        return self._db.execute(sql.format(t=self._db.prefix, now=self._db.now), parameters)

    def _each(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            self._db.execute_many(sql.format(t=self._db.prefix, now=self._db.now), rows)

    # --- world ---------------------------------------------------------------------------------------------

    def world(self) -> World | None:
        """The stamp of the first apply; None before it."""
        if not self.exists():
            return None
        meta = {str(k): str(v) for k, v in self._sql("SELECT key, value FROM {t}meta")}
        if "project" not in meta:
            return None
        stores = {str(s): str(i) for s, i in self._sql("SELECT store, identity FROM {t}stores WHERE target = ''")}
        return World(meta["project"], meta["environment"], stores)

    def stamp(self, world: World) -> None:
        """Record whose ledger this is; stores not named before are added."""
        self._upsert("meta", "key", key="project", value=world.project)
        self._upsert("meta", "key", key="environment", value=world.environment)
        for store, identity in world.stores.items():
            self._upsert("stores", "store, target", store=store, target="", identity=identity)

    def reach(self, digest: str) -> None:
        """Record that the desired state of this digest is applied whole, now."""
        self._sql(
            "INSERT INTO {t}meta (key, value) VALUES (?, CAST({now} AS text))"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            f"reached {digest}",
        )

    def reached(self, digest: str) -> float | None:
        """When the desired state of this digest was last applied whole; None where it never was."""
        if not self.exists():
            return None
        rows = self._sql("SELECT value FROM {t}meta WHERE key = ?", f"reached {digest}")
        return float(str(rows[0][0])) if rows else None

    def _upsert(self, table: str, conflict: str, **row: object) -> None:
        columns = ", ".join(row)
        updates = ", ".join(f"{c} = excluded.{c}" for c in row)
        self._sql(
            f"INSERT INTO {{t}}{table} ({columns}) VALUES ({', '.join('?' * len(row))})"
            f" ON CONFLICT ({conflict}) DO UPDATE SET {updates}",
            *row.values(),
        )

    # --- lock ----------------------------------------------------------------------------------------------

    def lock_state(self) -> Lock:
        """Who holds the lock."""
        if not self.exists():
            return Lock(None, None, 0, True)
        rows = self._sql(
            "SELECT run, holder, epoch, CASE WHEN expires < {now} THEN 1 ELSE 0 END FROM {t}lock WHERE id = 1"
        )
        if not rows:  # a backup leaves it out: `ensure` makes it again
            return Lock(None, None, 0, True)
        run, who, epoch, expired = rows[0]
        return Lock(_text(run), _text(who), int(str(epoch)), bool(expired))

    def lock(self, run: str) -> None:
        """Take the lock for `run` by one conditional update.

        Raises:
            BusyError: another run holds it.
        """
        taken = self._sql(
            "UPDATE {t}lock SET run = ?, holder = ?, epoch = epoch + 1, expires = {now} + ?"
            " WHERE id = 1 AND (run IS NULL OR expires < {now}) RETURNING epoch",
            run,
            holder(),
            LOCK_SECONDS,
        )
        if not taken:
            state = self.lock_state()
            raise self.busy(state)
        self._epoch, self._run = int(str(taken[0][0])), run

    def busy(self, state: Lock) -> BusyError:
        """The error that says who holds the lock."""
        return BusyError(
            f"another run holds the lock: {state.run} by {state.holder}",
            where=self.placement,
            hint=f"wait for it (--lock-timeout 10min), or, if that process is gone: reconcile unlock {state.run}",
        )

    def renew(self) -> bool:
        """Hold the lock for longer; False where it was lost."""
        return bool(
            self._sql(
                "UPDATE {t}lock SET expires = {now} + ? WHERE id = 1 AND epoch = ? AND run = ? RETURNING epoch",
                LOCK_SECONDS,
                self._epoch,
                self._run,
            )
        )

    def release(self) -> None:
        """Give the lock back; nothing happens where it was lost."""
        self._sql(
            "UPDATE {t}lock SET run = NULL, holder = NULL, expires = 0 WHERE id = 1 AND epoch = ? AND run = ?",
            self._epoch,
            self._run,
        )

    def unlock(self, run: str) -> bool:
        """Take the lock from `run`; False where that run does not hold it."""
        return self.exists() and bool(
            self._sql(
                "UPDATE {t}lock SET run = NULL, holder = NULL, epoch = epoch + 1, expires = 0"
                " WHERE id = 1 AND run = ? RETURNING epoch",
                run,
            )
        )

    # --- runs and journal ----------------------------------------------------------------------------------

    def begin(self, run: str, digest: str, plan: Json) -> int:
        """Record the start of a run; its number."""
        rows = self._sql(
            "INSERT INTO {t}runs (id, number, digest, plan, who, started, outcome)"
            " SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, {now}, 'running' FROM {t}runs RETURNING number",
            run,
            digest,
            json.dumps(plan),
            holder(),
        )
        return int(str(rows[0][0]))

    def finish(self, run: str, outcome: str, message: str = "") -> None:
        """Record the end of a run."""
        self._sql("UPDATE {t}runs SET finished = {now}, outcome = ?, message = ? WHERE id = ?", outcome, message, run)

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

    # --- backfills -----------------------------------------------------------------------------------------

    def keep(self, key: str, value: Json) -> None:
        """Write one thing that is known, while the lock is still ours.

        Raises:
            RefusedError: the lock was taken over meanwhile.
        """
        rows = self._sql(
            "INSERT INTO {t}known (key, value) SELECT ?, ? FROM {t}lock WHERE id = 1 AND epoch = ?"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value RETURNING key",
            key,
            json.dumps(value),
            self._epoch,
        )
        if not rows:
            raise RefusedError(
                f"the lock of run {self._run} was taken over", where=self.placement, hint="see: reconcile status"
            )

    def prepare_rows(self) -> None:
        """Make the table of rows that backfills keep, if it is not there: older ledgers lack it."""
        if not self._db.has("backfill_rows"):
            self._sql(BACKFILL_ROWS)

    def keep_rows(self, backfill: str, rows: Sequence[tuple[Json, str, Json]]) -> None:
        """Keep of rows (key, state, content) what they held; of those that are kept already, what they held first."""
        self._each(
            "INSERT INTO {t}backfill_rows (backfill, key, state, content, at) VALUES (?, ?, ?, ?, {now})"
            " ON CONFLICT (backfill, key, state) DO NOTHING",
            [(backfill, json.dumps(k, default=str), state, json.dumps(c, default=str)) for k, state, c in rows],
        )

    def kept_rows(self, backfill: str, state: str, limit: int) -> list[tuple[Json, Json]]:
        """Some of the rows that are kept: (key, content)."""
        if not self._db.has("backfill_rows"):
            return []
        found = self._sql(
            "SELECT key, content FROM {t}backfill_rows WHERE backfill = ? AND state = ? ORDER BY key LIMIT ?",
            backfill,
            state,
            limit,
        )
        return [(json.loads(str(key)), json.loads(str(content))) for key, content in found]

    def old_rows(self, backfill: str, keys: Sequence[Json]) -> dict[Json, Json]:
        """What rows of these keys held, as far as it is kept."""
        if not keys or not self._db.has("backfill_rows"):
            return {}
        places = ", ".join("?" * len(keys))
        found = self._sql(
            f"SELECT key, content FROM {{t}}backfill_rows WHERE backfill = ? AND state = 'old' AND key IN ({places})",
            backfill,
            *(json.dumps(key, default=str) for key in keys),
        )
        return {json.loads(str(key)): json.loads(str(content)) for key, content in found}

    def drop_rows(self, backfill: str, keys: Sequence[Json] | None = None, state: str = "old") -> None:
        """Let go of rows that were kept in a state; None: of all of them."""
        if keys is None:
            self._sql("DELETE FROM {t}backfill_rows WHERE backfill = ? AND state = ?", backfill, state)
            return
        self._each(
            "DELETE FROM {t}backfill_rows WHERE backfill = ? AND key = ? AND state = ?",
            [(backfill, json.dumps(key, default=str), state) for key in keys],
        )

    # --- applied state -------------------------------------------------------------------------------------

    def applied(self, alike: State | None = None) -> dict[Address, Applied]:
        """Everything applied, by declared address: by the very addresses of `alike`, where those are equal."""
        if not self.exists():
            return {}
        query = "SELECT address, live, declared, canonical, run FROM {t}applied WHERE target = ''"
        known = {} if alike is None else alike.texts()
        share = dict[str, str]().setdefault  # most tables have columns that other tables have
        found = {}
        for row in self._db.rows(query.format(t=self._db.prefix)):
            address, live, declared, canonical, run = map(str, row)
            where = known.get(address) or Address.parse(address)
            there = where if live == address else Address.parse(live)
            texts = share(declared, declared), share(canonical, canonical)
            found[where] = Applied(where, *texts, "", there, share(run, run))
        return found

    def record(self, rows: Iterable[Applied], gone: Iterable[Address], known: Mapping[str, Json]) -> None:
        """Write what is applied now, forget what is gone, keep what was learned; in one transaction."""
        values = [(str(r.address), str(r.live), r.declared_text, r.canonical_text, r.fingerprint, r.run) for r in rows]
        with self._db.transaction():
            self._each(
                "INSERT INTO {t}applied (address, target, live, declared, canonical, fingerprint, run, at)"
                " VALUES (?, '', ?, ?, ?, ?, ?, {now}) ON CONFLICT (address, target) DO UPDATE SET"
                " live = excluded.live, declared = excluded.declared, canonical = excluded.canonical,"
                " fingerprint = excluded.fingerprint, run = excluded.run, at = excluded.at",
                values,
            )
            self._each("DELETE FROM {t}applied WHERE address = ?", [(str(address),) for address in gone])
            for key, value in known.items():
                self._upsert("known", "key", key=key, value=json.dumps(value))

    def known(self) -> dict[str, Json]:
        """What earlier runs learned of the servers' spellings."""
        if not self.exists():
            return {}
        return {str(k): json.loads(str(v)) for k, v in self._sql("SELECT key, value FROM {t}known")}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
