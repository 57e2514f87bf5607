"""Neo4j 5 and newer: constraints and indexes of one database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from reconcile.change import Change, Server
from reconcile.model import Address, Json, Resource, State
from reconcile.stores.asking import Ask
from reconcile.stores.base import Context, Live, Package, Session, Side, StoreSpec
from reconcile.stores.neo4j import changes
from reconcile.stores.neo4j import dump as dumping
from reconcile.stores.neo4j import parse as parsing

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile.ledger import Ledger
    from reconcile.stores.backups import Made
    from reconcile.stores.filling import Unfit
    from reconcile.stores.migrating import Migrates, Script
    from reconcile.yamlio import Map


class Neo4j:
    """The store package; see `stores.base.Package`."""

    kind = "neo4j"
    schema = "neo4j.schema.json"
    ranks: Mapping[str, int] = {"constraint": 0, "index": 1, "check": 2, "vocabulary": 3}
    containers: frozenset[str] = frozenset()
    holds_ledger = False
    sides = ("label",)
    ways: Mapping[str, Set[str]] = {"cypher": {"parameters"}}

    def parse(self, documents: Sequence[Map], context: Context) -> list[Resource]:
        """Constraints and indexes."""
        return parsing.parse(documents, context)

    def unfit(self, entry: Mapping[str, Json]) -> Iterable[Unfit]:
        """See `stores.filling.HasBackfills`: elements of a pattern, told apart by the server's id."""
        from reconcile.stores.filling import Unfit

        if not isinstance(entry["select"], str):
            yield Unfit("select", "selects by something else than a pattern", "write MATCH … WHERE …, without RETURN")
        if not isinstance(entry.get("key"), str):
            yield Unfit("key", "has no variable as its key", "`key: r`, the variable of what `select` matches")
        if "deletes" in entry and entry.get("down") == "restore":
            hint = (
                "leave it out: what is deleted is archived, but ids are given anew, so no relationship finds its ends"
            )
            yield Unfit("down", "would make deleted elements again", hint)
        if "collection" in entry:
            yield Unfit("collection", "names a collection", "leave it out: `select` says where they are")

    def dump(
        self,
        live: Live,
        server: Server,
        spec: StoreSpec,
        only: Callable[[Address], bool],
        place: Callable[[str], str] | None = None,
    ) -> Mapping[str, str]:
        """One file."""
        del place
        return dumping.dump(live, server, spec, only)

    script_suffixes: tuple[str, ...] = (".cypher", ".cql")
    comment = "//"

    def script(self, text: str, verifying: bool = False) -> Script:
        """See `stores.migrating.Scripted`."""
        from reconcile.stores.neo4j.scripts import script

        return script(text, verifying)

    def reads_only(self, query: str) -> bool:
        """See `stores.migrating.Scripted`."""
        from reconcile.stores.neo4j.scripts import reads_only

        return reads_only(query)

    def tracking(self, spec: StoreSpec, table: str) -> tuple[str, ...]:
        """See `stores.migrating.Scripted`: nodes, which introspection leaves out by their label."""
        del spec, table
        return ()

    def migrations(self, spec: StoreSpec, project: str, environment: str) -> Migrates:
        """See `stores.migrating.Scripted`."""
        from reconcile.stores.neo4j.migrating import Neo4jMigrations

        del project, environment
        return Neo4jMigrations(spec)

    def connect(self, spec: StoreSpec, project: str, environment: str) -> Session:
        """A session; the driver is imported with its first call."""
        from reconcile.stores.neo4j.session import Neo4jSession

        del project, environment  # a graph has one mark, written by `mark`
        return Neo4jSession(spec)

    def change(self, before: Resource | None, after: Resource | None) -> Change | None:
        """See `changes.change`."""
        return changes.change(before, after)

    def renamed(self, live: State, old: Address, wanted: Resource) -> tuple[Change, State]:
        """Never asked for: no resource here has `renamed_from`, since its definition finds it again."""
        was, new = live[old], wanted.address
        before = was.replace(address=new, live_name=was.name)
        after = was.replace(address=new, live_name=None)
        return changes.rename(before, after), live.without(old).add(after)

    def rename(self, before: Resource, after: Resource) -> Change:
        """See `changes.rename`."""
        return changes.rename(before, after)

    def side(self, kind: str, entry: Map, desired: State, context: Context) -> Side | None:
        """A side of a mirror: a label, and the property that is the id."""
        from reconcile.stores.neo4j.mirrored import side

        return side(kind, entry, desired, context)

    def inspect(self, folder: Path, made: Made) -> Sequence[str]:
        """What is wrong with the files of a backup; see `stores.backups.Inspects`."""
        from reconcile.stores.neo4j.backup import inspect

        return inspect(folder, made)

    def fault(self, ask: Ask, *, writes: bool) -> str | None:
        """See `stores.asking.Askable`."""
        from reconcile.stores.neo4j.asking import fault

        return fault(ask, writes=writes)

    def statements(self, text: str) -> Sequence[tuple[int, str]]:
        """See `stores.asking.Askable`."""
        from reconcile.stores.neo4j.asking import statements

        return statements(text)

    def ledger(self, spec: StoreSpec, schema: str) -> Ledger | None:
        """A graph holds no ledger."""
        del spec, schema
        return None


PACKAGE: Package = Neo4j()
