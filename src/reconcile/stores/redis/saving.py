"""What a session of Redis offers to backups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconcile.backups import Contents
from reconcile.stores.backups import BacksUp, Made, Tell
from reconcile.stores.lending import lent
from reconcile.stores.redis.backup import Backup
from reconcile.yamlio import Map


class Saving:
    """See `stores.backups.BacksUp`."""

    def _backup(self: Any) -> Backup:
        return Backup(self.wire, self._told())

    def back_up(self: Any, folder: Path, ledger: str | None, tell: Tell) -> Made:
        """See `BacksUp.back_up`."""
        del ledger
        return self._backup().back_up(folder, list(self._indexes()), tell)  # type: ignore[no-any-return]

    def in_the_way(self: Any) -> Sequence[str]:
        """See `BacksUp.in_the_way`."""
        return self._backup().in_the_way()  # type: ignore[no-any-return]

    def put_back(self: Any, folder: Path, made: Made, replace: bool, tell: Tell) -> Sequence[str]:
        """See `BacksUp.put_back`: key by key."""
        return self._backup().put_back(folder, made, replace, tell)  # type: ignore[no-any-return]

    def contents(self: Any, made: Made) -> Contents:
        """See `BacksUp.contents`."""
        del made
        return self._backup().contents()  # type: ignore[no-any-return]

    @contextmanager
    def trial(self: Any, made: Made) -> Iterator[BacksUp]:
        """See `BacksUp.trial`: a server of the sandbox's. Keys beside those of clients could have these evicted."""
        del made
        with lent("redis", self.wire.place) as given:
            settings = Map({"kind": self.spec.kind, **given}, source=self.spec.source)
            other = type(self)(replace(self.spec, settings=settings))
            try:
                yield other
            finally:
                other.close()
