"""Qdrant: collections, payload indexes, aliases. Seen through `PACKAGE`; httpx is imported when it connects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import TYPE_CHECKING

from reconcile.change import Change, Server, Step
from reconcile.errors import PlanError
from reconcile.model import Address, Json, Resource, State
from reconcile.stores.asking import Ask
from reconcile.stores.base import Context, Live, Session, Side, StoreSpec

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile.ledger import Ledger
    from reconcile.stores.backups import Made
    from reconcile.stores.filling import Unfit
    from reconcile.yamlio import Map


class QdrantPackage:
    """See `stores.base.Package`."""

    kind = "qdrant"
    schema = "qdrant.schema.json"
    ranks: Mapping[str, int] = MappingProxyType({"collection": 0, "payload_index": 1, "alias": 2})
    containers = frozenset({"collection"})
    holds_ledger = False
    sides = ("collection",)
    ways: Mapping[str, Set[str]] = MappingProxyType({"collection": {"filter", "using"}})

    def parse(self, documents: Sequence[Map], context: Context) -> list[Resource]:
        """Collections, payload indexes, aliases."""
        from reconcile.stores.qdrant.parse import parse

        return parse(documents, context)

    def unfit(self, entry: Mapping[str, Json]) -> Iterable[Unfit]:
        """See `stores.filling.HasBackfills`: points of one collection, by a filter."""
        from reconcile.stores.filling import Unfit

        if isinstance(entry["select"], str):
            yield Unfit("select", "selects by something else than a filter", "write it as the API has it: {must: […]}")
        if "collection" not in entry:
            yield Unfit("collection", "does not say in which collection", "`collection: NAME`")
        if "statement" in entry:
            hint = "`rules`, `function`, `command` or `program` give what is set"
            yield Unfit("statement", "has a statement, of which this store has none", hint)
        if "deletes" in entry and "program" not in entry:
            yield Unfit("deletes", "deletes, which no backfill of this store can", "a `program` may, by the API")
        if "key" in entry:
            yield Unfit("key", "has a key", "leave it out: points are told apart by their ids")

    def dump(
        self,
        live: Live,
        server: Server,
        spec: StoreSpec,
        only: Callable[[Address], bool],
        place: Callable[[str], str] | None = None,
    ) -> Mapping[str, str]:
        """One file, `collections.yaml`."""
        from reconcile.stores.qdrant.dump import dump

        del place
        return dump(live, server, spec, only)

    def connect(self, spec: StoreSpec, project: str, environment: str) -> Session:
        """A session; nothing is sent yet."""
        from reconcile.stores.qdrant.session import QdrantSession

        return QdrantSession(spec, project, environment)

    def change(self, before: Resource | None, after: Resource | None) -> Change | None:
        """The change between two resources of one address; None where they are equal."""
        from reconcile.stores.qdrant.changes import change

        return change(before, after)

    def renamed(self, live: State, old: Address, wanted: Resource) -> tuple[Change, State]:
        """Qdrant cannot rename a collection, and a payload index is named by its field.

        Raises:
            PlanError: always.
        """
        del live
        raise PlanError(
            f"{old} cannot become {wanted.address}: Qdrant cannot rename",
            hint="declare the new one, move the points, then delete the old one from the YAML",
        )

    def rename(self, before: Resource, after: Resource) -> Change:
        """Never asked for: nothing here is matched by definition.

        Raises:
            PlanError: always.
        """
        raise PlanError(f"{before.address} cannot become {after.address}: Qdrant cannot rename")

    def restored(self, live: State, parts: Sequence[Resource], name: str) -> tuple[Change, State]:
        """What brings a kept collection back, and the live state as it is after it."""
        from reconcile.stores.qdrant.changes.keeping import restored

        return restored(live, parts, name)

    def kept_at(self, address: Address, name: str) -> Address:
        """Under its name."""
        return Address(address.store, address.kind, (name,))

    def purged(self, address: Address, name: str) -> Step:
        """The step that deletes a kept collection."""
        from reconcile.stores.qdrant.changes.keeping import purged

        return purged(address, name)

    def side(self, kind: str, entry: Map, desired: State, context: Context) -> Side | None:
        """A side of a mirror: a collection, and the payload field that is the id, if it is not the point's own."""
        from reconcile.stores.qdrant.mirrored import side

        return side(kind, entry, desired, context)

    def inspect(self, folder: Path, made: Made) -> Sequence[str]:
        """What is wrong with the files of a backup; see `stores.backups.Inspects`."""
        from reconcile.stores.qdrant.backup import inspect

        return inspect(folder, made)

    def fault(self, ask: Ask, *, writes: bool) -> str | None:
        """Nothing can be wrong that is seen without the server; all of them only read."""
        del ask, writes
        return None

    def statements(self, text: str) -> Sequence[tuple[int, str]]:
        """See `stores.asking.Askable`."""
        return [(1, text)]

    def ledger(self, spec: StoreSpec, schema: str) -> Ledger | None:
        """Qdrant cannot hold one: it has no transactions."""
        del spec, schema
        return None


PACKAGE = QdrantPackage()
