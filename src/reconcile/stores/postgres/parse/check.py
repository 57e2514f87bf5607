"""References among what is declared: completed where the server would complete them, reported where they dangle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.names import join, split
from reconcile.stores.postgres.parse.fields import composites_of, enums_of
from reconcile.stores.postgres.parse.lookup import Names, distinct, noun, table_name
from reconcile.stores.postgres.parse.partitions import check as partitioning
from reconcile.stores.postgres.parse.routines import references
from reconcile.stores.postgres.parse.scope import Scope
from reconcile.stores.postgres.parse.settings import check as settings
from reconcile.stores.postgres.sqlroutines import header, parsed_body
from reconcile.stores.postgres.sqltokens import named
from reconcile.stores.postgres.sqltypes import read
from reconcile.suggest import meant


def check(found: list[Resource], scope: Scope) -> list[Resource]:
    """`found`, its foreign keys completed and `refers` filled; what names something undeclared is reported."""
    checker = _Checker(found, scope)
    checker.clashes()
    partitioning(found, scope)
    for number, resource in enumerate(found):
        found[number] = checker.completed(resource)
    settings(found, scope)
    return found


class _Checker:
    def __init__(self, found: Sequence[Resource], scope: Scope) -> None:
        self.found, self.scope, self.names = found, scope, Names(found, scope)

    # -- names that would meet ---------------------------------------------------------------------------------

    def clashes(self) -> None:
        """Relations share one name space a schema, constraints one a table."""
        relations: dict[tuple[str, ...], Resource] = {}
        constraints: dict[tuple[str, ...], Resource] = {}
        for x in self.found:
            parts, kind = x.address.parts, x.address.kind
            if kind in r.RELATIONS:
                self._meet(relations, (parts[0], parts[-1]), x, "relation")
            if isinstance(x, r.InheritedIndex):
                self._meet(relations, (parts[0], x.called), x, "relation")
            constraint = isinstance(x, r.Trigger) and x.constraint
            if constraint or kind in ("primary_key", "unique", "check", "foreign_key", "exclusion"):
                self._meet(constraints, (parts[0], parts[1], parts[2]), x, "constraint")

    def _meet(self, seen: dict[tuple[str, ...], Resource], key: tuple[str, ...], x: Resource, what: str) -> None:
        other = seen.setdefault(key, x)
        if other is not x and other.address != x.address:
            self.scope.problem(
                x.source,
                f"{noun(x)} {key[-1]!r} has the name of the {noun(other)} at {other.source}",
                f"a {what} name can be used once",
            )

    # -- one resource ------------------------------------------------------------------------------------------

    def completed(self, x: Resource) -> Resource:
        """`x` with what it refers to, its schema and the extension of its type included where those are declared."""
        x = self._own_references(x)
        if self.names.has_composites and (inside := composites_of(x, self.names.by_address)):
            x = x.replace(refers=distinct((*x.refers, *inside)))
        if self.names.has_enums and (compared := enums_of(x, self.names.by_address)):
            x = x.replace(refers=distinct((*x.refers, *compared)))
        around = []
        if self.names.schemas and x.address.kind in _IN_SCHEMA:
            around += [self.names.schemas.get(x.address.parts[0])]
        if self.names.extensions:
            around += [self.names.extensions.get(e) for e in _extensions(x)]
        declared = [a for a in around if a is not None]
        return x.replace(refers=distinct((*x.refers, *declared))) if declared else x

    def _own_references(self, x: Resource) -> Resource:
        match x:
            case r.Table():
                return x.replace(refers=self._table(x))
            case r.Column():
                if x.default is None and x.generated is None:
                    return x
                refers = [*x.refers, *self.names.in_default(x.default), *self.names.in_table(x.table, x.generated)]
                return x.replace(refers=distinct(a for a in refers if a != x.address))
            case r.Key():
                return x.replace(refers=self.names.columns_of(x, (*x.columns, *x.include)))
            case r.Check():
                return x.replace(refers=self.names.in_table(x.table, x.expression))
            case r.Index() | r.Exclusion():
                return x.replace(refers=self._index(x))
            case r.Statistics():
                found = list(self.names.columns_of(x, [i.column for i in x.columns if i.column is not None]))
                for item in x.columns:
                    found += self.names.in_table(x.table, item.expression)
                return x.replace(refers=distinct(found))
            case r.ForeignKey():
                return self._foreign_key(x)
            case r.View() | r.MaterializedView():
                return x.replace(refers=self._view(x))
            case r.Sequence():
                return self._sequence(x)
            case r.Routine():
                return x.replace(refers=self._routine(x))
            case r.EventTrigger():
                return x.replace(refers=distinct(self._calls(x, x.function)))
            case r.Policy():
                return x.replace(refers=self._policy(x))
            case r.Trigger():
                return x.replace(refers=self._trigger(x))
            case r.Domain() | r.Range():
                texts = [x.default, *(c.expression for c in x.checks)] if isinstance(x, r.Domain) else [_calling(x)]
                refers = [
                    a for text in texts if text for a in (*self.names.types(named(text)), *self.names.routines(text))
                ]
                return x.replace(refers=distinct(a for a in (*x.refers, *refers) if a != x.address))
            case r.Grant():
                return x.replace(refers=self._granted(x))
            case r.DefaultPrivileges():
                return x.replace(refers=tuple(a for a in x.refers if a in self.names.declared))
        return x

    def _table(self, x: r.Table) -> tuple[Address, ...]:
        """Its parent, and what the expressions it is partitioned by call."""
        found = list(x.refers) if x.parent is None else [*x.refers, x.parent]
        for key in x.partition_by.keys if x.partition_by else ():
            if key.column is not None and key.column not in self.names.columns[x.address]:
                self.scope.problem(
                    x.source,
                    f"column {key.column!r}, by which table {x.name!r} is partitioned, is not declared",
                    meant(key.column, self.names.columns[x.address]),
                )
            found += [a for a in self.names.in_table(x.address, key.expression) if a.kind != "column"]
        return distinct(found)

    def _index(self, x: r.Index | r.Exclusion) -> tuple[Address, ...]:
        if x.table.kind == "materialized_view":  # its columns are known to the server only
            texts = [sql for sql in (*(i.expression for i in x.columns), x.where) if sql is not None]
            used = (a for sql in texts for a in (*self.names.types(named(sql)), *self.names.routines(sql)))
            return distinct((x.table, *used))
        columns = [i.column for i in x.columns if i.column is not None]
        found = list(self.names.columns_of(x, (*columns, *x.include)))
        for text in (*(i.expression for i in x.columns), x.where):
            found += self.names.in_table(x.table, text)
        return distinct(found)

    def _foreign_key(self, x: r.ForeignKey) -> r.ForeignKey:
        own = self.names.columns_of(x, x.columns)
        for name in x.on_delete_columns:
            if name not in x.columns:
                self.scope.problem(x.source, f"on_delete column {name!r} is not one of foreign key {x.name!r}")
        schema, table = x.references
        target = r.table_address(self.scope.store, schema, table)
        if target not in self.names.declared:
            if not self.scope.is_external(schema, table):
                shown = table if schema == self.scope.first else join(schema, table)
                tables = [table_name(a, self.scope.first) for a in self.names.declared if a.kind == "table"]
                self.scope.problem(
                    x.source,
                    f"foreign key {x.name!r} references table {shown!r}, which is neither declared nor external",
                    meant(shown, tables, list_up_to=0) or f"declare it, or list {schema}.{table} under `external:`",
                )
            return x.replace(refers=own)
        columns = x.references_columns
        if not columns:
            key = self.names.primary.get(target)
            if key is None:
                self.scope.problem(
                    x.source,
                    f"foreign key {x.name!r} references table {table!r}, which has no primary key",
                    "name the columns: references: {table: …, columns: […]}",
                )
                return x.replace(refers=(*own, target))
            columns = key.columns
        known = self.names.columns[target]
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
        elif all(n in known for n in columns) and not any(set(k) == set(columns) for k in self.names.keys[target]):
            self.scope.problem(
                x.source,
                f"foreign key {x.name!r} references {', '.join(columns)} of {table!r}, which is not unique",
                "declare a primary key or unique constraint over exactly these columns",
            )
        refers = (*own, target, *(known[n].address for n in columns if n in known))
        return x.replace(references_columns=columns, refers=distinct(refers))

    def _view(self, x: r.AnyView) -> tuple[Address, ...]:
        """What its query names, and the defaults of its columns."""
        texts = [sql for _, sql in x.column_defaults] if isinstance(x, r.View) else []
        used = [a for text in texts for a in self.names.in_default(text)]
        return distinct((*self.names.in_query(x.address, x.query), *used))

    def _routine(self, x: r.Routine) -> tuple[Address, ...]:
        """Types of arguments and result; what defaults of arguments and a body outside quotes name."""
        stated = header(x.definition_)
        found = list(references(stated, self.scope))
        for argument in stated.arguments:
            found += self.names.in_default(argument.default)
        if stated.kind == "aggregate":
            found += self._words(x, stated.body)
        else:
            found += self.names.in_query(x.address, parsed_body(stated))
        return distinct(a for a in found if a != x.address)

    def _words(self, x: r.Routine, sql: str) -> list[Address]:
        """Types and routines that the options of an aggregate name."""
        words = named(sql)
        routines = [a for q, n in words for a in self.scope.routines.get((q or self.scope.first, n), ())]
        return [*self.names.types(words), *(a for a in routines if a.kind != "aggregate" and a != x.address)]

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
                f"{noun(x)} {x.name!r} calls {join(*function)}, which is declared with arguments only",
                "such a function takes none: what a trigger passes is in TG_ARGV",
            )
        elif schema in self.scope.schemas and not self._may_be_there(schema, name):
            shown = name if schema == self.scope.first else join(schema, name)
            declared = [n if s == self.scope.first else join(s, n) for s, n in self.scope.routines]
            self.scope.problem(
                x.source,
                f"{noun(x)} {x.name!r} calls function {shown!r}, which is neither declared nor external",
                meant(shown, declared, list_up_to=0)
                or f"declare it under `functions:`, or list {schema}.{name} under `external:`",
            )
        return []

    def _may_be_there(self, schema: str, name: str) -> bool:
        """Whether a function that is not declared may be the server's own, an extension's or somebody else's."""
        ours = self.scope.is_external(schema, name) or self.scope.is_external(schema, f"{name}()")
        return ours or name in _TRIGGER_FUNCTIONS or bool(self.names.extensions.keys() - _WITHOUT_TRIGGERS)

    def _policy(self, x: r.Policy) -> tuple[Address, ...]:
        """Columns of its table, and what its conditions look up elsewhere."""
        found: list[Address] = []
        for sql in (x.using, x.check):
            if sql is not None:
                found += [*self.names.in_table(x.table, sql), *self.names.in_query(x.table, sql)]
        return distinct(found)

    def _trigger(self, x: r.Trigger) -> tuple[Address, ...]:
        """Columns of OF and of the condition, the table of FROM, its function."""
        found = list(self.names.columns_of(x, x.of)) if x.table.kind == "table" else []
        if x.condition is not None:
            columns, words = self.names.columns[x.table], named(x.condition)
            found += [columns[n].address for _, n in sorted(words, key=str) if n in columns]
            found += [*self.names.types(words), *self.names.routines(x.condition)]
        if x.from_ is not None:
            found += self._from(x, x.from_)
        return distinct([*found, *self._calls(x, x.function)])

    def _from(self, x: r.Trigger, other: tuple[str, str]) -> list[Address]:
        target = r.table_address(self.scope.store, *other)
        if target in self.names.declared:
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
        if x.object.kind != "table" or x.object not in self.names.columns:
            return x.refers
        columns = self.names.columns[x.object]
        names = dict.fromkeys(name for p in x.grants or () for name in p.columns)
        for name in names:
            if name not in columns:
                self.scope.problem(
                    x.source,
                    f"column {name!r} is granted on but not declared in table {table_name(x.object)!r}",
                    meant(name, columns),
                )
        return distinct((*x.refers, *(columns[n].address for n in names if n in columns)))

    def _sequence(self, x: r.Sequence) -> r.Sequence:
        if x.owned_by is None:
            return x
        schema, table, column = x.owned_by
        target = r.table_address(self.scope.store, schema, table)
        if target not in self.names.declared:
            tables = [table_name(a, self.scope.first) for a in self.names.declared if a.kind == "table"]
            self.scope.problem(
                x.source,
                f"owned_by of sequence {x.name!r} names table {table!r}, which is not declared",
                meant(table, tables, list_up_to=0),
            )
            return x
        if column not in self.names.columns[target]:
            self.scope.problem(
                x.source,
                f"owned_by of sequence {x.name!r} names column {column!r}, which table {table!r} does not declare",
                meant(column, self.names.columns[target]),
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
