"""What a session of Qdrant offers to backups."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconcile.backups import Contents
from reconcile.errors import StoreError
from reconcile.stores.backups import BacksUp, Made, Tell
from reconcile.stores.qdrant.backup import TRIAL, Backup


class Saving:
    """See `stores.backups.BacksUp`."""

    prefix = ""

    def _backup(self: Any) -> Backup:
        return Backup(self.http, self.prefix)

    def back_up(self: Any, folder: Path, ledger: str | None, tell: Tell) -> Made:
        """See `BacksUp.back_up`."""
        del ledger
        if unseen := self._key().unseen:
            raise StoreError(unseen, where=f"store {self.spec.name}", hint="back up with a key that sees all of it")
        return self._backup().back_up(folder, tell)  # type: ignore[no-any-return]

    def in_the_way(self: Any) -> Sequence[str]:
        """See `BacksUp.in_the_way`."""
        return self._backup().in_the_way()  # type: ignore[no-any-return]

    def put_back(self: Any, folder: Path, made: Made, replace: bool, tell: Tell) -> Sequence[str]:
        """See `BacksUp.put_back`: collection by collection."""
        return self._backup().put_back(folder, made, replace, tell)  # type: ignore[no-any-return]

    def contents(self: Any, made: Made) -> Contents:
        """See `BacksUp.contents`."""
        del made
        return self._backup().contents()  # type: ignore[no-any-return]

    @contextmanager
    def trial(self: Any, made: Made) -> Iterator[BacksUp]:
        """See `BacksUp.trial`: names of their own on the same server."""
        del made
        other = type(self)(self.spec, "", "")
        other.prefix = f"{TRIAL}{secrets.token_hex(6)}_"
        try:
            yield other
        finally:
            try:
                other._backup().clear()
            finally:
                other.close()
