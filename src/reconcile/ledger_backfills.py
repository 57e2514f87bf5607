"""The ledger's part on backfills: how far they have come, and the rows they keep."""

from __future__ import annotations

import json
from collections.abc import Sequence

from reconcile.errors import RefusedError
from reconcile.ledger_rows import BACKFILL_ROWS
from reconcile.ledger_tables import Tables
from reconcile.model import Json


class Backfills(Tables):
    """What backfills keep."""

    def keep(self, key: str, value: Json, worker: str = "") -> None:
        """Write one thing that is known, while the lock is still ours: often, so it does not wait for the disk.

        Args:
            worker: who alone may write it: `worker` of what is there.

        Raises:
            RefusedError: the lock was taken over meanwhile, or another worker goes on with it.
        """
        theirs = f'%"worker": {json.dumps(worker)}%' if worker else "%"
        with self._db.hastily():
            rows = self._sql(
                "INSERT INTO {t}known (key, value) SELECT ?, ? FROM {t}lock WHERE id = 1 AND epoch = ?"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE known.value LIKE ? RETURNING key",
                key,
                json.dumps(value),
                self._epoch,
                theirs,
            )
        if not rows:
            raise self._lost(key if worker else "")

    def confirm(self, key: str, worker: str = "") -> None:
        """Look whether the lock is still ours, and the thing this worker's: what `keep` would say, in one query.

        Raises:
            RefusedError: it is not.
        """
        theirs = f'%"worker": {json.dumps(worker)}%' if worker else "%"
        rows = self._sql(
            "SELECT 1 FROM {t}lock, {t}known WHERE id = 1 AND epoch = ? AND key = ? AND value LIKE ?",
            self._epoch,
            key,
            theirs,
        )
        if not rows:
            raise self._lost(key if worker else "")

    def value(self, key: str) -> Json:
        """One thing that is known; None where it is not."""
        rows = self._sql("SELECT value FROM {t}known WHERE key = ?", key)
        return json.loads(str(rows[0][0])) if rows else None

    def swap(self, key: str, old: Json, new: Json) -> bool:
        """Replace one thing that is known; False where it is no more as it was read.

        Raises:
            RefusedError: the lock was taken over.
        """
        with self._db.hastily():
            rows = self._sql(
                "UPDATE {t}known SET value = ? WHERE key = ? AND value = ?"
                " AND EXISTS (SELECT 1 FROM {t}lock WHERE id = 1 AND epoch = ?) RETURNING key",
                json.dumps(new),
                key,
                json.dumps(old),
                self._epoch,
            )
        if not rows and not self._sql("SELECT 1 FROM {t}lock WHERE id = 1 AND epoch = ?", self._epoch):
            raise self._lost()
        return bool(rows)

    def _lost(self, key: str = "") -> RefusedError:
        if key:
            what = f"another worker goes on with {key.removeprefix('backfill-part ')}"
            return RefusedError(what, where=self.placement, hint="see: reconcile status")
        what = f"the lock of run {self._run} was taken over"
        return RefusedError(what, where=self.placement, hint="see: reconcile status")

    def assist(self, run: str, epoch: int) -> None:
        """Write for a run whose lock another process of it holds, as long as that holds it."""
        self._epoch, self._run = epoch, run

    @property
    def held(self) -> int:
        """The epoch of the lock that this process holds."""
        assert self._epoch is not None
        return self._epoch

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
        return [(_key(key), json.loads(str(content))) for key, content in found]

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
        return {_key(key): json.loads(str(content)) for key, content in found}

    def row_totals(self) -> list[tuple[str, str, int, float, int]]:
        """Of each backfill and state: how many rows are kept, since when, and the bytes of what they held."""
        if not self._db.has("backfill_rows"):
            return []
        found = self._sql(
            "SELECT backfill, state, count(*), min(at), sum(length(content)) FROM {t}backfill_rows"
            " GROUP BY backfill, state ORDER BY backfill, state"
        )
        return [(str(b), str(s), int(str(n)), float(str(at)), int(str(size))) for b, s, n, at, size in found]

    def drop_rows(self, backfill: str, keys: Sequence[Json] | None = None, state: str = "old") -> None:
        """Let go of rows that were kept in a state; None: of all of them."""
        if keys is None:
            self._sql("DELETE FROM {t}backfill_rows WHERE backfill = ? AND state = ?", backfill, state)
            return
        self._each(
            "DELETE FROM {t}backfill_rows WHERE backfill = ? AND key = ? AND state = ?",
            [(backfill, json.dumps(key, default=str), state) for key in keys],
        )


def _key(text: object) -> Json:
    """A key as rows have it: of several columns, a tuple."""
    key = json.loads(str(text))
    return tuple(key) if isinstance(key, list) else key
