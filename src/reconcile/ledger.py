"""The ledger: lock, runs, journal, applied state, and how the servers spell what is declared.

One SQL text serves every database a ledger can be in; what differs is in `ledger_tables.Database`. Runs and backfills
have a module each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from reconcile.errors import BusyError
from reconcile.ledger_backfills import Backfills
from reconcile.ledger_rows import Applied, Lock, World
from reconcile.ledger_runs import Runs, holder
from reconcile.model import Address, Json, State

LOCK_SECONDS = 60.0
"""How long a lock holds without being renewed; the holder renews at a third of it."""


class Ledger(Runs, Backfills):
    """All of it, as commands use it."""

    def inside(self, transaction: object) -> Ledger | None:
        """This ledger writing within an open transaction of a store; None where that is another database."""
        del transaction
        return None

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
        for store, identity in world.stores.items():
            self._upsert("stores", "store, target", store=store, target="", identity=identity)
        self._upsert("meta", "key", key="environment", value=world.environment)
        # Last: whoever reads meanwhile takes a ledger without a project for one that is not stamped yet.
        self._upsert("meta", "key", key="project", value=world.project)

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
