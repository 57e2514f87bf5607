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


def _backup(session: Any) -> Backup:
    return Backup(session.http, session.prefix)


class Saving:
    """See `stores.backups.BacksUp`."""

    prefix = ""

    def back_up(self: Any, folder: Path, ledger: str | None, tell: Tell) -> Made:
        """See `BacksUp.back_up`."""
        del ledger
        if unseen := self._key().unseen:
            raise StoreError(unseen, where=f"store {self.spec.name}", hint="back up with a key that sees all of it")
        return _backup(self).back_up(folder, tell)

    def in_the_way(self: Any) -> Sequence[str]:
        """See `BacksUp.in_the_way`."""
        return _backup(self).in_the_way()

    def put_back(self: Any, folder: Path, made: Made, replace: bool, tell: Tell) -> Sequence[str]:
        """See `BacksUp.put_back`: collection by collection."""
        return _backup(self).put_back(folder, made, replace, tell)

    def contents(self: Any, made: Made) -> Contents:
        """See `BacksUp.contents`."""
        del made
        return _backup(self).contents()

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
                _backup(other).clear()
            finally:
                other.close()
