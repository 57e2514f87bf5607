"""PostgreSQL with pgvector. Importing this imports no driver: parse and dump work without one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile.change import Change, Op, Server, Step
from reconcile.model import Address, Json, Resource, Source, State
from reconcile.stores.asking import Ask
from reconcile.stores.base import Context, Live, Session, Side, StoreSpec
from reconcile.stores.rows import Rows

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.stores.backups import Made
    from reconcile.stores.filling import Unfit
    from reconcile.stores.migrating import Migrates, Script
    from reconcile.yamlio import Map

_ORDER = (
    "schema",
    "extension",
    "collation",
    "enum",
    "domain",
    "composite",
    "range",
    "sequence",
    "function",
    "procedure",
    "aggregate",
    "table",
    "column",
    "primary_key",
    "unique",
    "check",
    "exclusion",
    "foreign_key",
    "index",
    "inherited_index",
    "statistics",
    "view",
    "materialized_view",
    "policy",
    "trigger",
    "event_trigger",
    "grant",
    "default_privileges",
    "rows",
)


class PostgresPackage:
    """What the core asks of the kind `postgres`; see `stores.base.Package`."""

    kind = "postgres"
    schema = "postgres.schema.json"
    ranks: Mapping[str, int] = {kind: rank for rank, kind in enumerate(_ORDER, start=-2)}
    containers = frozenset({"table", "view", "materialized_view"})
    holds_ledger = True
    sides = ("table", "view", "materialized_view")
    ways: Mapping[str, Set[str]] = {"sql": {"parameters", "types"}}

    def parse(self, documents: Sequence[Map], context: Context) -> list[Resource]:
        """The documents of one store as resources; problems go to `context`."""
        from reconcile.stores.postgres.parse import parse

        return parse(documents, context)

    def unfit(self, entry: Mapping[str, Json]) -> Iterable[Unfit]:
        """See `stores.filling.HasBackfills`: rows of a query, told apart by columns of it."""
        from reconcile.stores.filling import VALUES, Unfit

        if not isinstance(entry["select"], str):
            yield Unfit("select", "selects by something else than a query", "write SQL that gives key and fields")
        if "key" not in entry:
            yield Unfit("key", "has no key", "`key: COLUMN` of `select`, or `key: [COLUMN, …]`: unique")
        if VALUES & entry.keys() and "into" not in entry:
            yield Unfit("into", "gives values and does not say to what", "`into: TABLE`, whose rows `key` tells apart")
        if "collection" in entry:
            yield Unfit("collection", "names a collection", "leave it out: `select` says where rows are")

    def dump(
        self,
        live: Live,
        server: Server,
        spec: StoreSpec,
        only: Callable[[Address], bool],
        place: Callable[[str], str] | None = None,
    ) -> Mapping[str, str]:
        """YAML files by name that declare what is live and asked for; long statements beside them."""
        from reconcile.stores.postgres.dump import dump

        return dump(live, server, spec, only, place)

    def connect(self, spec: StoreSpec, project: str, environment: str) -> Session:
        """A session; imports psycopg, sends nothing yet."""
        from reconcile.stores.postgres.session import PostgresSession

        return PostgresSession(spec, project, environment)

    def change(self, before: Resource | None, after: Resource | None) -> Change | None:
        """The change of one address, None where nothing differs: most often, and then `changes` is not imported."""
        if before is not None and after is not None and before == after and before.container == after.container:
            return None
        if isinstance(after, Rows) and (before is None or isinstance(before, Rows)):
            from reconcile.stores.postgres.rows import SyncRows

            return SyncRows(before, after)
        from reconcile.stores.postgres.changes import change

        return change(before, after)

    def renamed(self, live: State, old: Address, wanted: Resource) -> tuple[Change, State]:
        """The rename, and the live state as it is after it."""
        from reconcile.stores.postgres.changes import renamed

        return renamed(live, old, wanted)

    def rename(self, before: Resource, after: Resource) -> Change:
        """Give a live object matched by definition its declared name."""
        from reconcile.stores.postgres.changes import rename

        return rename(before, after)

    def restored(self, live: State, parts: Sequence[Resource], name: str) -> tuple[Change, State]:
        """What brings a kept table or column back, and the live state as it is after it."""
        from reconcile.stores.postgres.changes.restoring import restored

        return restored(live, parts, name)

    def kept_at(self, address: Address, name: str) -> Address:
        """Tables in a schema of their own, columns where they were."""
        from reconcile.stores.postgres.changes.keeping import kept_at

        return kept_at(address, name)

    def purged(self, address: Address, name: str) -> Step:
        """The step that deletes a kept table or column."""
        from reconcile.stores.postgres.changes.keeping import purged

        return purged(address, name)

    def guards(self, address: Address) -> Sequence[Op]:
        """See `stores.base.Guards`: of tables and columns."""
        from reconcile.stores.postgres.changes.keeping import guards

        return guards(address)

    def side(self, kind: str, entry: Map, desired: State, context: Context) -> Side | None:
        """A side of a mirror: a table or view, and the column that is the id."""
        from reconcile.stores.postgres.mirrored import side

        return side(kind, entry, desired, context)

    def inspect(self, folder: Path, made: Made) -> Sequence[str]:
        """What is wrong with the files of a backup; see `stores.backups.Inspects`."""
        from reconcile.stores.postgres.backup import inspect

        spec = StoreSpec(self.kind, self.kind, {}, Source("", 1), Path())
        return inspect(folder, made, spec)

    script_suffixes: tuple[str, ...] = (".sql",)
    comment = "--"

    def script(self, text: str, verifying: bool = False) -> Script:
        """See `stores.migrating.Scripted`."""
        from reconcile.stores.postgres.scripts import script

        return script(text, verifying)

    def reads_only(self, query: str) -> bool:
        """See `stores.migrating.Scripted`."""
        from reconcile.stores.postgres.scripts import reads_only

        return reads_only(query)

    def tracking(self, spec: StoreSpec, table: str) -> tuple[str, ...]:
        """See `stores.migrating.Scripted`: the table, its sequence, and the one beside it."""
        schema, _, name = table.rpartition(".")
        first = next(iter(spec.settings.get("schemas") or ("public",)))
        return tuple(f"{schema or first}.{name}{end}" for end in ("", "_*_seq", "_progress"))

    def migrations(self, spec: StoreSpec, project: str, environment: str) -> Migrates:
        """See `stores.migrating.Scripted`."""
        from reconcile.stores.postgres.migrating import PostgresMigrations

        return PostgresMigrations(spec, f"reconcile {project}/{environment}"[:63])

    def fault(self, ask: Ask, *, writes: bool) -> str | None:
        """See `stores.asking.Askable`."""
        from reconcile.stores.postgres.asking import fault

        return fault(ask, writes=writes)

    def statements(self, text: str) -> Sequence[tuple[int, str]]:
        """See `stores.asking.Askable`."""
        from reconcile.stores.postgres.asking import statements

        return statements(text)

    def ledger(self, spec: StoreSpec, schema: str) -> Ledger | None:
        """The ledger in `schema` of this database."""
        from reconcile.stores.postgres.ledger import open_ledger

        return open_ledger(spec, schema)


PACKAGE = PostgresPackage()
