"""What is declared, by name, and what of it a piece of SQL names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.names import join
from reconcile.stores.postgres.parse.scope import Scope
from reconcile.stores.postgres.sqltokens import called, named
from reconcile.suggest import meant


class Names:
    """Looks up by name; what is named and not declared is reported to `scope`."""

    def __init__(self, found: Sequence[Resource], scope: Scope) -> None:
        self.found, self.scope = found, scope
        self.declared = dict.fromkeys(x.address for x in found)
        self.has_composites = any(isinstance(x, r.Composite) for x in found)
        self.has_enums = any(isinstance(x, r.Enum) for x in found)
        self.by_address = {x.address: x for x in found} if self.has_composites or self.has_enums else {}
        self.columns: dict[Address, dict[str, r.Column]] = defaultdict(dict)
        self.keys: dict[Address, list[tuple[str, ...]]] = defaultdict(list)
        self.primary: dict[Address, r.PrimaryKey] = {}
        for x in found:
            if isinstance(x, r.Column):
                self.columns[x.table][x.address.parts[-1]] = x
            elif isinstance(x, r.Key):
                self.keys[x.table].append(x.columns)
                if isinstance(x, r.PrimaryKey):
                    self.primary[x.table] = x
            elif isinstance(x, r.Index) and x.unique and x.where is None:
                self.keys[x.table].append(tuple(i.column or "" for i in x.columns))
        for x in found:  # a parent stands before its partitions
            if isinstance(x, r.Table) and x.parent is not None:
                self.columns[x.address] = self.columns[x.parent]
                self.keys[x.address] += self.keys[x.parent]
                if x.parent in self.primary:
                    self.primary.setdefault(x.address, self.primary[x.parent])
        self.extensions = {a.parts[0]: a for a in self.declared if a.kind == "extension"}
        self.schemas = {a.parts[0]: a for a in self.declared if a.kind == "schema"}
        self.named_types = bool(scope.collations) or not r.TYPES.isdisjoint(scope.types.values())
        """Whether any type or collation is declared that a text could name."""
        self.relations = {
            (x.address.parts[0], x.address.parts[1]): x.address
            for x in found
            if x.address.kind in ("table", "view", "materialized_view", "sequence")
        }

    def columns_of(self, x: r.PostgresResource, names: Iterable[str]) -> tuple[Address, ...]:
        """The addresses of columns of `x`'s table; those that are missing or doubled are reported."""
        columns = self.columns[x.table]
        names = tuple(names)
        found = tuple([columns[n].address for n in dict.fromkeys(names) if n in columns])
        if len(found) == len(names):
            return found
        for name in dict.fromkeys(n for n in names if n not in columns):
            self.scope.problem(
                x.source,
                f"column {name!r} of {noun(x)} {x.name!r} is not declared in table {table_name(x.table)!r}",
                meant(name, columns),
            )
        for name in dict.fromkeys(n for n in names if names.count(n) > 1 and not isinstance(x, r.Index | r.Exclusion)):
            self.scope.problem(x.source, f"column {name!r} stands twice in {noun(x)} {x.name!r}")
        return found

    def in_table(self, table: Address, sql: str | None) -> tuple[Address, ...]:
        """Columns of `table` that an expression names, and the enums it casts to."""
        if sql is None:
            return ()
        columns = self.columns[table]
        words = named(sql)
        found = [columns[n].address for q, n in words if n in columns and q in (None, table.parts[-1])]
        return distinct((*found, *self.types(words), *self.routines(sql)))

    def types(self, words: Iterable[tuple[str | None, str]]) -> list[Address]:
        """Declared types among the words; a table is no type here, since a column may have its name."""
        if not self.named_types:
            return []
        found = [(q or self.scope.first, n) for q, n in words]
        types = [self.scope.declares(name) for name in found if self.scope.types.get(name) in r.TYPES]
        return [*types, *(self.scope.address("collation", *name) for name in found if name in self.scope.collations)]

    def routines(self, sql: str) -> list[Address]:
        """All overloads of what `sql` calls, as far as it is declared."""
        if not self.scope.routines:
            return []
        names = ((q or self.scope.first, n) for q, n in called(sql))
        return [address for name in names for address in self.scope.routines.get(name, ())]

    def in_default(self, sql: str | None) -> list[Address]:
        """Sequences, types and routines that a default names."""
        if sql is None:
            return []
        words = named(sql)
        found = [self.relations.get((q or self.scope.first, n)) for q, n in words]
        return [
            *(a for a in found if a is not None and a.kind == "sequence"),
            *self.types(words),
            *self.routines(sql),
        ]

    def in_query(self, own: Address, sql: str) -> tuple[Address, ...]:
        """Best effort: relations whose name stands in the SQL, and of their columns those that do."""
        words = named(sql)
        bare = {n for _, n in words}
        found: list[Address] = []
        for q, n in words:
            address = self.relations.get((q or self.scope.first, n))
            if address is None or address == own:
                continue
            found.append(address)
            if address.kind == "table":
                found += [c.address for name, c in self.columns[address].items() if name in bare or "*" in sql]
        return distinct((*found, *self.types(words), *self.routines(sql)))


def distinct(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Each once, in the order of their first."""
    return tuple(dict.fromkeys(addresses))


def noun(x: Resource) -> str:
    """Its kind in words: "materialized view"."""
    return x.address.kind.replace("_", " ")


def table_name(address: Address, first: str | None = None) -> str:
    """How a table is called in a message: without its schema where that is `first`."""
    return address.parts[1] if address.parts[0] == first else join(*address.parts)
