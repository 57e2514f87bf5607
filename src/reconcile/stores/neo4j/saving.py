"""What a session of Neo4j offers to backups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconcile.backups import Contents
from reconcile.errors import StoreError
from reconcile.stores.backups import BacksUp, Made, Tell
from reconcile.stores.lending import lent
from reconcile.stores.neo4j import cypher, privileges
from reconcile.stores.neo4j.backup import Backup
from reconcile.yamlio import Map


def _backup(session: Any) -> Backup:
    return Backup(session.open_session, session.read, cypher.prefix(session.server()), session.place)


class Saving:
    """See `stores.backups.BacksUp`."""

    def back_up(self: Any, folder: Path, ledger: str | None, tell: Tell) -> Made:
        """See `BacksUp.back_up`."""
        del ledger
        if self._hides_data:
            raise StoreError(privileges.PARTLY, where=self.place, hint="back up as a user who may read all of it")
        with self.translated():
            return _backup(self).back_up(folder, tell)

    def in_the_way(self: Any) -> Sequence[str]:
        """See `BacksUp.in_the_way`."""
        return _backup(self).in_the_way()

    def put_back(self: Any, folder: Path, made: Made, replace: bool, tell: Tell) -> Sequence[str]:
        """See `BacksUp.put_back`: in many transactions."""
        with self.translated():
            return _backup(self).put_back(folder, made, replace, tell)

    def contents(self: Any, made: Made) -> Contents:
        """See `BacksUp.contents`."""
        del made
        with self.translated():
            return _backup(self).contents(lambda detail: None)

    @contextmanager
    def trial(self: Any, made: Made) -> Iterator[BacksUp]:
        """See `BacksUp.trial`: the Community Edition has one database, so a server of the sandbox's."""
        del made
        with lent("neo4j", self.place) as given:
            settings = Map({"kind": self._spec.kind, **given}, source=self._spec.source)
            other = type(self)(replace(self._spec, settings=settings))
            try:
                yield other
            finally:
                other.close()
