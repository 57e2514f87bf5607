"""What a session of PostgreSQL offers to backups."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from psycopg import errors

from reconcile.errors import StoreError
from reconcile.stores.base import StoreSpec
from reconcile.stores.postgres.connect import Connection
from reconcile.yamlio import Map

if TYPE_CHECKING:
    from reconcile.backups import Contents
    from reconcile.stores.backups import BacksUp, Made, Tell
    from reconcile.stores.postgres.backup import Backup
    from reconcile.stores.postgres.lent import Lent


class _Session(Protocol):
    _spec: StoreSpec

    @property
    def connection(self) -> Connection: ...

    def _translated(self) -> AbstractContextManager[None]: ...

    def close(self) -> None: ...


def _backup(session: _Session) -> Backup:
    from reconcile.stores.postgres.backup import Backup

    return Backup(session.connection, session._spec)


class Saving:
    """See `stores.backups.BacksUp`."""

    def back_up(self: Any, folder: Path, ledger: str | None, tell: Tell) -> Made:
        """See `BacksUp.back_up`."""
        with self._translated():
            return _backup(self).back_up(folder, ledger, tell)

    def in_the_way(self: Any) -> Sequence[str]:
        """See `BacksUp.in_the_way`."""
        with self._translated():
            return _backup(self).in_the_way()

    def put_back(self: Any, folder: Path, made: Made, replace: bool, tell: Tell) -> Sequence[str]:
        """See `BacksUp.put_back`."""
        with self._translated():
            return _backup(self).put_back(folder, made, replace, tell)

    def contents(self: Any, made: Made) -> Contents:
        """See `BacksUp.contents`."""
        with self._translated():
            return _backup(self).contents(made)

    @contextmanager
    def trial(self: Any, made: Made) -> Iterator[BacksUp]:
        """See `BacksUp.trial`: a database on the same server, else one of the sandbox's of the same major version."""
        del made
        name = f"reconcile_restore_{secrets.token_hex(6)}"
        try:
            with _backup(self).scratch_database(name), _elsewhere(self, {"database": name}) as other:
                yield other
        except errors.InsufficientPrivilege:
            from reconcile.stores.postgres.lent import Lent, NotLent

            try:
                lent: Lent = Lent(self.connection)
            except NotLent as error:
                raise StoreError(
                    f"the role may not create a database to restore into, and {error}",
                    where=f"store {self._spec.name}",
                    hint="ALTER ROLE … CREATEDB, or try it as a role that may",
                ) from error
            try:
                with _elsewhere(self, {"url": lent.url}, plain=True) as other:
                    yield other
            finally:
                lent.close()


@contextmanager
def _elsewhere(session: Any, settings: dict[str, str], plain: bool = False) -> Iterator[BacksUp]:
    """A session like this one on another database.

    Args:
        plain: with nothing of how this one is reached.
    """
    spec: StoreSpec = session._spec
    kept = {k: v for k, v in spec.settings.items() if k in ("kind", "backup", "schemas")} if plain else spec.settings
    changed = Map({**kept, **settings}, source=spec.source)
    other = type(session)(replace(spec, settings=changed), "", "")
    try:
        yield other
    finally:
        other.close()
