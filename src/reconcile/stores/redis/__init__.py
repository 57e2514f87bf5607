"""Redis: configuration, key families, search indexes. Seen through `PACKAGE`; the driver is imported when it connects.

A family of keys is content, not schema: `verify` looks whether the keys are as declared, and a plan has a step for it
only where its keys get other names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from reconcile.change import Change, Server
from reconcile.errors import PlanError
from reconcile.model import Address, Resource, State
from reconcile.stores.base import Context, Live, Session, StoreSpec

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile.ledger import Ledger
    from reconcile.stores.backups import Made
    from reconcile.yamlio import Map


class RedisPackage:
    """See `stores.base.Package`."""

    kind = "redis"
    schema = "redis.schema.json"
    ranks: Mapping[str, int] = MappingProxyType({"config": 0, "index": 1, "family": 2, "keys": 3})
    containers: frozenset[str] = frozenset()
    holds_ledger = False

    def parse(self, documents: Sequence[Map], context: Context) -> list[Resource]:
        """Parameters, key families, search indexes."""
        from reconcile.stores.redis.parse import parse

        return parse(documents, context)

    def dump(
        self,
        live: Live,
        server: Server,
        spec: StoreSpec,
        only: Callable[[Address], bool],
        place: Callable[[str], str] | None = None,
    ) -> Mapping[str, str]:
        """One file, `keys.yaml`: what is configured, indexes, and families proposed from a sample of the keys."""
        from reconcile.stores.redis.dump import dump

        del server, place
        return dump(live, spec, only)

    def connect(self, spec: StoreSpec, project: str, environment: str) -> Session:
        """A session; nothing is sent yet."""
        from reconcile.stores.redis.session import RedisSession

        del project, environment  # a database has one mark, written by `mark`
        return RedisSession(spec)

    def change(self, before: Resource | None, after: Resource | None) -> Change | None:
        """The change between two resources of one address; None where they are equal."""
        from reconcile.stores.redis.changes import change

        return change(before, after)

    def renamed(self, live: State, old: Address, wanted: Resource) -> tuple[Change, State]:
        """Never asked for: `renamed_from` of a family is a pattern of keys, no address.

        Raises:
            PlanError: always.
        """
        del live
        raise PlanError(f"{old} cannot become {wanted.address}: only families of keys are renamed")

    def rename(self, before: Resource, after: Resource) -> Change:
        """Never asked for: nothing here is matched by definition.

        Raises:
            PlanError: always.
        """
        raise PlanError(f"{before.address} cannot become {after.address}: only families of keys are renamed")

    def inspect(self, folder: Path, made: Made) -> Sequence[str]:
        """What is wrong with the files of a backup; see `stores.backups.Inspects`."""
        from reconcile.stores.redis.backup import inspect

        return inspect(folder, made)

    def ledger(self, spec: StoreSpec, schema: str) -> Ledger | None:
        """A cache holds no ledger: it may evict it."""
        del spec, schema
        return None


PACKAGE = RedisPackage()
