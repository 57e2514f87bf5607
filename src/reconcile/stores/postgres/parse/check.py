"""References among what is declared: completed where the server would complete them, reported where they dangle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.names import join, split
from reconcile.stores.postgres.parse.fields import composites_of, enums_of
from reconcile.stores.postgres.parse.partitions import check as partitioning
from reconcile.stores.postgres.parse.routines import references
from reconcile.stores.postgres.parse.scope import Scope
from reconcile.stores.postgres.parse.settings import check as settings
from reconcile.stores.postgres.sqlroutines import header, parsed_body
from reconcile.stores.postgres.sqltokens import called, named
from reconcile.stores.postgres.sqltypes import read
from reconcile.suggest import meant


def check(found: list[Resource], scope: Scope) -> list[Resource]:
    """`found`, its foreign keys completed and `refers` filled; what names something undeclared is reported."""
    checker = _Checker(found, scope)
    checker.names()
    partitioning(found, scope)
    for number, resource in enumerate(found):
        found[number] = checker.completed(resource)
    settings(found, scope)
    return found


class _Checker:
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

    # -- names that would meet ---------------------------------------------------------------------------------

    def names(self) -> None:
        """Relations share one name space a schema, constraints one a table."""
        relations: dict[tuple[str, ...], Resource] = {}
        constraints: dict[tuple[str, ...], Resource] = {}
        for x in self.found:
            parts, kind = x.address.parts, x.address.kind
            if kind in r.RELATIONS:
                self._meet(relations, (parts[0], parts[-1]), x, "relation")
            constraint = isinstance(x, r.Trigger) and x.constraint
            if constraint or kind in ("primary_key", "unique", "check", "foreign_key", "exclusion"):
                self._meet(constraints, (parts[0], parts[1], parts[2]), x, "constraint")

    def _meet(self, seen: dict[tuple[str, ...], Resource], key: tuple[str, ...], x: Resource, what: str) -> None:
        other = seen.setdefault(key, x)
        if other is not x and other.address != x.address:
            self.scope.problem(
                x.source,
                f"{_noun(x)} {key[-1]!r} has the name of the {_noun(other)} at {other.source}",
                f"a {what} name can be used once",
            )

    # -- one resource ------------------------------------------------------------------------------------------

    def completed(self, x: Resource) -> Resource:
        """`x` with what it refers to, its schema and the extension of its type included where those are declared."""
        x = self._own_references(x)
        if self.has_composites and (inside := composites_of(x, self.by_address)):
            x = x.replace(refers=_distinct((*x.refers, *inside)))
        if self.has_enums and (compared := enums_of(x, self.by_address)):
            x = x.replace(refers=_distinct((*x.refers, *compared)))
        around = []
        if self.schemas and x.address.kind in _IN_SCHEMA:
            around += [self.schemas.get(x.address.parts[0])]
        if self.extensions:
            around += [self.extensions.get(e) for e in _extensions(x)]
        declared = [a for a in around if a is not None]
        return x.replace(refers=_distinct((*x.refers, *declared))) if declared else x

    def _own_references(self, x: Resource) -> Resource:
        match x:
            case r.Table():
                return x.replace(refers=self._table(x))
            case r.Column():
                if x.default is None and x.generated is None:
                    return x
                refers = [*x.refers, *self._sequences(x.default), *self._own(x.table, x.generated)]
                return x.replace(refers=_distinct(a for a in refers if a != x.address))
            case r.Key():
                return x.replace(refers=self._columns(x, (*x.columns, *x.include)))
            case r.Check():
                return x.replace(refers=self._own(x.table, x.expression))
            case r.Index() | r.Exclusion():
                return x.replace(refers=self._index(x))
            case r.Statistics():
                found = list(self._columns(x, [i.column for i in x.columns if i.column is not None]))
                for item in x.columns:
                    found += self._own(x.table, item.expression)
                return x.replace(refers=_distinct(found))
            case r.ForeignKey():
                return self._foreign_key(x)
            case r.View() | r.MaterializedView():
                return x.replace(refers=self._view(x))
            case r.Sequence():
                return self._sequence(x)
            case r.Routine():
                return x.replace(refers=self._routine(x))
            case r.EventTrigger():
                return x.replace(refers=_distinct(self._calls(x, x.function)))
            case r.Policy():
                return x.replace(refers=self._policy(x))
            case r.Trigger():
                return x.replace(refers=self._trigger(x))
            case r.Domain() | r.Range():
                texts = [x.default, *(c.expression for c in x.checks)] if isinstance(x, r.Domain) else [_calling(x)]
                refers = [a for text in texts if text for a in (*self._types(named(text)), *self._routines(text))]
                return x.replace(refers=_distinct(a for a in (*x.refers, *refers) if a != x.address))
            case r.Grant():
                return x.replace(refers=self._granted(x))
            case r.DefaultPrivileges():
                return x.replace(refers=tuple(a for a in x.refers if a in self.declared))
        return x

    def _table(self, x: r.Table) -> tuple[Address, ...]:
        """Its parent, and what the expressions it is partitioned by call."""
        found = list(x.refers) if x.parent is None else [*x.refers, x.parent]
        for key in x.partition_by.keys if x.partition_by else ():
            if key.column is not None and key.column not in self.columns[x.address]:
                self.scope.problem(
                    x.source,
                    f"column {key.column!r}, by which table {x.name!r} is partitioned, is not declared",
                    meant(key.column, self.columns[x.address]),
                )
            found += [a for a in self._own(x.address, key.expression) if a.kind != "column"]
        return _distinct(found)

    def _columns(self, x: r.PostgresResource, names: Iterable[str]) -> tuple[Address, ...]:
        """The addresses of columns of `x`'s table; those that are missing or doubled are reported."""
        columns = self.columns[x.table]
        names = tuple(names)
        found = tuple([columns[n].address for n in dict.fromkeys(names) if n in columns])
        if len(found) == len(names):
            return found
        for name in dict.fromkeys(n for n in names if n not in columns):
            self.scope.problem(
                x.source,
                f"column {name!r} of {_noun(x)} {x.name!r} is not declared in table {_table(x.table)!r}",
                meant(name, columns),
            )
        for name in dict.fromkeys(n for n in names if names.count(n) > 1 and not isinstance(x, r.Index | r.Exclusion)):
            self.scope.problem(x.source, f"column {name!r} stands twice in {_noun(x)} {x.name!r}")
        return found

    def _own(self, table: Address, sql: str | None) -> tuple[Address, ...]:
        """Columns of `table` that an expression names, and the enums it casts to."""
        if sql is None:
            return ()
        columns = self.columns[table]
        words = named(sql)
        found = [columns[n].address for q, n in words if n in columns and q in (None, table.parts[-1])]
        return _distinct((*found, *self._types(words), *self._routines(sql)))

    def _types(self, words: Iterable[tuple[str | None, str]]) -> list[Address]:
        """Declared types among the words; a table is no type here, since a column may have its name."""
        if not self.named_types:
            return []
        found = [(q or self.scope.first, n) for q, n in words]
        types = [self.scope.declares(name) for name in found if self.scope.types.get(name) in r.TYPES]
        return [*types, *(self.scope.address("collation", *name) for name in found if name in self.scope.collations)]

    def _routines(self, sql: str) -> list[Address]:
        """All overloads of what `sql` calls, as far as it is declared."""
        if not self.scope.routines:
            return []
        names = ((q or self.scope.first, n) for q, n in called(sql))
        return [address for name in names for address in self.scope.routines.get(name, ())]

    def _sequences(self, sql: str | None) -> list[Address]:
        """Sequences, types and routines that a default names."""
        if sql is None:
            return []
        words = named(sql)
        found = [self.relations.get((q or self.scope.first, n)) for q, n in words]
        return [
            *(a for a in found if a is not None and a.kind == "sequence"),
            *self._types(words),
            *self._routines(sql),
        ]

    def _index(self, x: r.Index | r.Exclusion) -> tuple[Address, ...]:
        if x.table.kind == "materialized_view":  # its columns are known to the server only
            texts = [sql for sql in (*(i.expression for i in x.columns), x.where) if sql is not None]
            used = (a for sql in texts for a in (*self._types(named(sql)), *self._routines(sql)))
            return _distinct((x.table, *used))
        columns = [i.column for i in x.columns if i.column is not None]
        found = list(self._columns(x, (*columns, *x.include)))
        for text in (*(i.expression for i in x.columns), x.where):
            found += self._own(x.table, text)
        return _distinct(found)

    def _foreign_key(self, x: r.ForeignKey) -> r.ForeignKey:
        own = self._columns(x, x.columns)
        for name in x.on_delete_columns:
            if name not in x.columns:
                self.scope.problem(x.source, f"on_delete column {name!r} is not one of foreign key {x.name!r}")
        schema, table = x.references
        target = r.table_address(self.scope.store, schema, table)
        if target not in self.declared:
            if not self.scope.is_external(schema, table):
                shown = table if schema == self.scope.first else join(schema, table)
                tables = [_table(a, self.scope.first) for a in self.declared if a.kind == "table"]
                self.scope.problem(
                    x.source,
                    f"foreign key {x.name!r} references table {shown!r}, which is neither declared nor external",
                    meant(shown, tables, list_up_to=0) or f"declare it, or list {schema}.{table} under `external:`",
                )
            return x.replace(refers=own)  # type: ignore[return-value]
        columns = x.references_columns
        if not columns:
            key = self.primary.get(target)
            if key is None:
                self.scope.problem(
                    x.source,
                    f"foreign key {x.name!r} references table {table!r}, which has no primary key",
                    "name the columns: references: {table: …, columns: […]}",
                )
                return x.replace(refers=(*own, target))  # type: ignore[return-value]
            columns = key.columns
        known = self.columns[target]
        for name in columns:
            if name not in known:
                self.scope.problem(
                    x.source,
                    f"foreign key {x.name!r} references column {name!r}, which table {table!r} does not declare",
                    meant(name, known),
                )
        if len(columns) != len(x.columns):
            self.scope.problem(
                x.source, f"foreign key {x.name!r} has {len(x.columns)} columns and references {len(columns)}"
            )
        elif all(n in known for n in columns) and not any(set(k) == set(columns) for k in self.keys[target]):
            self.scope.problem(
                x.source,
                f"foreign key {x.name!r} references {', '.join(columns)} of {table!r}, which is not unique",
                "declare a primary key or unique constraint over exactly these columns",
            )
        refers = (*own, target, *(known[n].address for n in columns if n in known))
        return x.replace(references_columns=columns, refers=_distinct(refers))  # type: ignore[return-value]

    def _view(self, x: r.AnyView) -> tuple[Address, ...]:
        """What its query names, and the defaults of its columns."""
        texts = [sql for _, sql in x.column_defaults] if isinstance(x, r.View) else []
        used = [a for text in texts for a in self._sequences(text)]
        return _distinct((*self._read_by(x.address, x.query), *used))

    def _read_by(self, own: Address, sql: str) -> tuple[Address, ...]:
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
        return _distinct((*found, *self._types(words), *self._routines(sql)))

    def _routine(self, x: r.Routine) -> tuple[Address, ...]:
        """Types of arguments and result; what defaults of arguments and a body outside quotes name."""
        stated = header(x.definition_)
        found = list(references(stated, self.scope))
        for argument in stated.arguments:
            found += self._sequences(argument.default)
        if stated.kind == "aggregate":
            found += self._words(x, stated.body)
        else:
            found += self._read_by(x.address, parsed_body(stated))
        return _distinct(a for a in found if a != x.address)

    def _words(self, x: r.Routine, sql: str) -> list[Address]:
        """Types and routines that the options of an aggregate name."""
        words = named(sql)
        routines = [a for q, n in words for a in self.scope.routines.get((q or self.scope.first, n), ())]
        return [*self._types(words), *(a for a in routines if a.kind != "aggregate" and a != x.address)]

    def _calls(self, x: Resource, function: tuple[str, str]) -> list[Address]:
        """The function without arguments that a trigger or an event trigger calls."""
        schema, name = function[0], function[1].removesuffix("()")
        address = self.scope.address("function", *function)
        overloads = self.scope.routines.get((schema, name), ())
        if address in overloads:
            return [address]
        if overloads:
            self.scope.problem(
                x.source,
                f"{_noun(x)} {x.name!r} calls {join(*function)}, which is declared with arguments only",
                "such a function takes none: what a trigger passes is in TG_ARGV",
            )
        elif schema in self.scope.schemas and not self._may_be_there(schema, name):
            shown = name if schema == self.scope.first else join(schema, name)
            declared = [n if s == self.scope.first else join(s, n) for s, n in self.scope.routines]
            self.scope.problem(
                x.source,
                f"{_noun(x)} {x.name!r} calls function {shown!r}, which is neither declared nor external",
                meant(shown, declared, list_up_to=0)
                or f"declare it under `functions:`, or list {schema}.{name} under `external:`",
            )
        return []

    def _may_be_there(self, schema: str, name: str) -> bool:
        """Whether a function that is not declared may be the server's own, an extension's or somebody else's."""
        ours = self.scope.is_external(schema, name) or self.scope.is_external(schema, f"{name}()")
        return ours or name in _TRIGGER_FUNCTIONS or bool(self.extensions.keys() - _WITHOUT_TRIGGERS)

    def _policy(self, x: r.Policy) -> tuple[Address, ...]:
        """Columns of its table, and what its conditions look up elsewhere."""
        found: list[Address] = []
        for sql in (x.using, x.check):
            if sql is not None:
                found += [*self._own(x.table, sql), *self._read_by(x.table, sql)]
        return _distinct(found)

    def _trigger(self, x: r.Trigger) -> tuple[Address, ...]:
        """Columns of OF and of the condition, the table of FROM, its function."""
        found = list(self._columns(x, x.of)) if x.table.kind == "table" else []
        if x.condition is not None:
            columns, words = self.columns[x.table], named(x.condition)
            found += [columns[n].address for _, n in sorted(words, key=str) if n in columns]
            found += [*self._types(words), *self._routines(x.condition)]
        if x.from_ is not None:
            found += self._from(x, x.from_)
        return _distinct([*found, *self._calls(x, x.function)])

    def _from(self, x: r.Trigger, other: tuple[str, str]) -> list[Address]:
        target = r.table_address(self.scope.store, *other)
        if target in self.declared:
            return [target]
        if not self.scope.is_external(*other):
            self.scope.problem(
                x.source,
                f"from of trigger {x.name!r} names table {join(*other)!r}, which is neither declared nor external",
                f"declare it, or list {'.'.join(other)} under `external:`",
            )
        return []

    def _granted(self, x: r.Grant) -> tuple[Address, ...]:
        """The object and, of a table, the columns that are granted on."""
        if x.object.kind != "table" or x.object not in self.columns:
            return x.refers
        columns = self.columns[x.object]
        names = dict.fromkeys(name for p in x.grants or () for name in p.columns)
        for name in names:
            if name not in columns:
                self.scope.problem(
                    x.source,
                    f"column {name!r} is granted on but not declared in table {_table(x.object)!r}",
                    meant(name, columns),
                )
        return _distinct((*x.refers, *(columns[n].address for n in names if n in columns)))

    def _sequence(self, x: r.Sequence) -> r.Sequence:
        if x.owned_by is None:
            return x
        schema, table, column = x.owned_by
        target = r.table_address(self.scope.store, schema, table)
        if target not in self.declared:
            tables = [_table(a, self.scope.first) for a in self.declared if a.kind == "table"]
            self.scope.problem(
                x.source,
                f"owned_by of sequence {x.name!r} names table {table!r}, which is not declared",
                meant(table, tables, list_up_to=0),
            )
            return x
        if column not in self.columns[target]:
            self.scope.problem(
                x.source,
                f"owned_by of sequence {x.name!r} names column {column!r}, which table {table!r} does not declare",
                meant(column, self.columns[target]),
            )
        if schema != x.schema:
            self.scope.problem(x.source, f"sequence {x.name!r} and its owner {table!r} are in different schemas")
        return x


def _calling(x: r.Range) -> str | None:
    return x.subtype_diff and f"{x.subtype_diff}()"


_IN_SCHEMA = frozenset(
    {"statistics", "table", "sequence", "view", "materialized_view", "collation", *r.TYPES, *r.ROUTINES}
)
_OF_EXTENSION = {
    **dict.fromkeys(("vector", "halfvec", "sparsevec", "bit"), "vector"),
    "geometry": "postgis",
    "geography": "postgis",
    "gin_trgm_ops": "pg_trgm",
    "gist_trgm_ops": "pg_trgm",
}


_TRIGGER_FUNCTIONS = frozenset(
    {"suppress_redundant_updates_trigger", "tsvector_update_trigger", "tsvector_update_trigger_column"}
)
"""What the server brings for triggers."""
_WITHOUT_TRIGGERS = frozenset(
    {
        *("vector", "pg_trgm", "btree_gin", "btree_gist", "uuid-ossp", "pgcrypto", "citext", "hstore", "unaccent"),
        *("ltree", "intarray", "fuzzystrmatch", "pg_stat_statements", "tablefunc", "cube", "earthdistance", "plpgsql"),
    }
)
"""Extensions that bring no trigger functions."""


def _extensions(x: Resource) -> Iterable[str]:
    """The extensions whose type or operator class is named, as far as names tell."""
    if isinstance(x, r.Column):
        type_ = read(x.type)
        words = [] if type_.builtin else [type_.name]
    elif isinstance(x, r.Index):
        classes = [split(i.opclass)[-1] for i in x.columns if i.opclass]
        words = [c if c in _OF_EXTENSION else c.split("_")[0] for c in classes]
    else:
        words = []
    return [_OF_EXTENSION.get(w) or w for w in words]


def _distinct(addresses: Iterable[Address]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys(addresses))


def _noun(x: Resource) -> str:
    return x.address.kind.replace("_", " ")


def _table(address: Address, first: str | None = None) -> str:
    return address.parts[1] if address.parts[0] == first else join(*address.parts)
