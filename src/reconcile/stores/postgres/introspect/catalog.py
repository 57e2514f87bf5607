"""What the catalog rows say by oid: names, comments, dependencies. Readers of each kind make resources of the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reconcile.model import Address
from reconcile.stores.base import NotModelled
from reconcile.stores.postgres.names import join
from reconcile.stores.postgres.sqltokens import unwrap

Row = tuple[Any, ...]
Rows = Mapping[str, list[Row]]


def spent(rows: list[Row]) -> Iterator[Row]:
    """Each row in turn, let go of once the next is asked for: for the last who reads what there is most of."""
    rows.reverse()
    while rows:
        yield rows.pop()


def _as_is(text: str) -> str:
    return text


class Catalog:
    """Names of one store's objects by oid, filled by the readers' `names` before any `read`."""

    def __init__(
        self, store: str, spell: Callable[[str], str] = _as_is, schemas: Mapping[str, str] | None = None
    ) -> None:
        """`spell` is applied to every text, `schemas` to the schema of every name."""
        self.store, self.spell, self._shown = store, spell, schemas or {}
        self.not_modelled: list[NotModelled] = []
        self.schemas: frozenset[str] = frozenset()
        self.relations: dict[int, Address] = {}
        """Tables, views, materialized views and sequences: what a dependency may point at."""
        self.tables: dict[int, Address] = {}
        self.columns: dict[int, dict[int, str]] = defaultdict(dict)
        """Column names by relation and number."""
        self.types: dict[int, Address] = {}
        """Types that are declared as such, and their arrays; the row type of a table is the table."""
        self.routines: dict[int, Address] = {}
        self.roots: dict[int, Address] = {}
        """Of a partition, the table by which its columns are called: the topmost."""
        self.partitioned: dict[int, Row] = {}
        """Rows of `partitions.PARTITIONS` by oid."""
        self.inherited: frozenset[int] = frozenset()
        """Indexes of partitions that belong to an index of the parent."""
        self.collations: dict[int, Address] = {}
        self.inherited_names: dict[int, list[tuple[str, str]]] = defaultdict(list)
        """By the table they are on: their names, and those of the ones they belong to."""
        self.left_out: dict[int, str] = {}
        """Why a table is not modelled as a whole."""
        self._addresses: dict[int, dict[str, Address]] = defaultdict(dict)
        """Of columns by relation and name: each once, since keys, indexes and foreign keys refer to them."""
        self.shared = dict[str, str]().setdefault
        """Each name and type once: the same few stand in every table."""
        self._comments: dict[tuple[int, int], str] = {}
        self._uses: dict[tuple[str, int, int], list[tuple[str, int, int]]] = defaultdict(list)

    def read_shared(self, rows: Rows) -> None:
        """Schemas, comments, column names and dependencies, which all readers ask for."""
        self.schemas = frozenset(row[1] for row in rows["schemas"])
        for _, oid, sub, text in rows["comments"]:
            self._comments[oid, sub] = text
        for origin, oid, sub, kind, target, target_sub in spent(rows["references"]):
            self._uses[origin, oid, sub].append((kind, target, target_sub))
        for row in rows["columns"]:
            self.columns[row[0]][row[1]] = self.shared(row[2], row[2])
        self.partitioned = {row[0]: row for row in rows["partitions"]}
        self.inherited = frozenset(row[0] for row in rows["inherited_indexes"])
        for row in rows["inherited_indexes"]:
            self.inherited_names[row[1]].append((row[3], row[8]))

    def address(self, kind: str, *parts: str) -> Address:
        """An address whose first part is a schema, under the name it is shown by."""
        return Address(self.store, kind, (self.schema(parts[0]), *parts[1:]))

    def schema(self, name: str) -> str:
        """The name a schema is shown by."""
        return self._shown.get(name, name)

    def operator(self, name: str) -> str:
        """An operator's name, its schema before it where it has one, as that is shown."""
        schema, _, bare = name.rpartition(".")
        return f"{self.schema(schema)}.{bare}" if schema else bare

    def leave(self, address: Address, what: str, of: Address | None = None) -> None:
        """Note something as not modelled; `of` is the modelled object that it is a detail of."""
        self.not_modelled.append(NotModelled(address, what, of))

    def comment(self, oid: int, sub: int = 0) -> str | None:
        """COMMENT ON the object, or on its column `sub`."""
        return self._comments.get((oid, sub))

    def text(self, text: str | None) -> str | None:
        """A text as it is shown."""
        return None if text is None else self.spell(text)

    def condition(self, text: str | None) -> str | None:
        """A text as it is shown, without parentheses around all of it."""
        return None if text is None else unwrap(self.spell(text))

    def collation(self, parts: Sequence[str] | None) -> str | None:
        """A collation by its name, after its schema where that is not pg_catalog."""
        if parts is None:
            return None
        return join(*parts) if len(parts) == 1 else join(self.schema(parts[0]), parts[1])

    def has_table(self, oid: int) -> bool:
        """Whether a table is modelled."""
        return oid in self.tables and oid not in self.left_out

    def is_partitioned(self, oid: int) -> bool:
        """Whether a table has partitions, or may have."""
        row = self.partitioned.get(oid)
        return row is not None and row[9] is not None

    def column(self, oid: int, name: str) -> Address:
        """A column of a table; of a partition, that of the table on top."""
        found = self._addresses[oid].get(name)
        if found is None:
            found = self._addresses[oid][name] = (self.roots.get(oid) or self.relations[oid]).child("column", name)
        return found

    def refers(self, origin: str, oid: int, sub: int = 0, own: int | None = None) -> tuple[Address, ...]:
        """Addresses of what an object is built from; columns of relation `own` without the relation itself.

        `origin` is a letter of `queries.REFERENCES`.
        """
        uses = self._uses.get((origin, oid, sub))
        if not uses:
            return ()
        found: dict[Address, None] = {}
        for kind, target, target_sub in uses:
            if kind == "t":
                address = self.types.get(target)
            elif kind == "f":
                address = self.routines.get(target)
            elif kind == "l":
                address = self.collations.get(target)
            else:
                address = None if target in self.left_out else self.relations.get(target)
                if address is not None and target_sub and address.kind == "table":
                    name = self.columns[target].get(target_sub)
                    if name is not None:
                        found[self.column(target, name)] = None
                if target == own:
                    address = None
            if address is not None:
                found[address] = None
        return tuple(found)
