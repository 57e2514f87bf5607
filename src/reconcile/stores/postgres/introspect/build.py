"""Catalog rows -> resources, and what keeps an object out of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reconcile.model import Address, Resource, State
from reconcile.stores.base import NotModelled
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect.indexdef import keys, options
from reconcile.stores.postgres.introspect.reasons import left_out, sequence_options
from reconcile.stores.postgres.names import join
from reconcile.stores.postgres.sqltokens import unwrap

_ACTIONS = {"a": "no_action", "r": "restrict", "c": "cascade", "n": "set_null", "d": "set_default"}
_MATCH = {"s": "simple", "f": "full", "p": "partial"}
_IDENTITY = {"": None, "a": "always", "d": "by_default"}
_RELATIONS = {"p": "partitioned table", "m": "materialized view", "f": "foreign table"}
PUBLIC_COMMENT = "standard public schema"
"""What initdb writes on schema public: as good as none."""


def _as_is(text: str) -> str:
    return text


class Builder:
    """Collects the resources of one store from catalog rows; `not_modelled` has what it left out."""

    def __init__(
        self, store: str, spell: Callable[[str], str] = _as_is, schemas: Mapping[str, str] | None = None
    ) -> None:
        """`spell` is applied to every text, `schemas` to the schema of every name."""
        self.store, self.spell, self._shown = store, spell, schemas or {}
        self.not_modelled: list[NotModelled] = []
        self.found: list[Resource] = []
        self._tables: dict[int, Address] = {}
        self._views: dict[int, Address] = {}
        self._relations: dict[int, Address] = {}
        """All of the above, and sequences: what a dependency may point at."""
        self._schemas: frozenset[str] = frozenset()
        self._names: dict[int, dict[int, str]] = defaultdict(dict)
        self._types: dict[int, Address] = {}
        self._comments: dict[tuple[int, int], str] = {}
        self._left_out: dict[int, str] = {}
        self._uses: dict[tuple[str, int, int], list[tuple[bool, int, int]]] = defaultdict(list)

    def state(self, rows: Mapping[str, list[tuple[Any, ...]]]) -> State:
        """All resources of `rows`, in an order that needs no looking ahead."""
        self._read_names(rows)
        self._read_schemas(rows["schemas"], rows["extensions"])
        self._read_enums(rows["enums"])
        self._read_sequences(rows["relations"], rows["sequences"])
        self._read_tables(rows["relations"])
        self._read_columns(rows["columns"])
        self._read_constraints(rows["constraints"], rows["indexes"])
        self._read_indexes(rows["indexes"])
        self._read_views(rows["relations"], rows["columns"])
        return State.of(self.found)

    # -- what is there, by oid ---------------------------------------------------------------------------------

    def _read_names(self, rows: Mapping[str, list[tuple[Any, ...]]]) -> None:
        self._schemas = frozenset(row[1] for row in rows["schemas"])
        for _, oid, sub, text in rows["comments"]:
            self._comments[oid, sub] = text
        for origin, oid, sub, is_type, target, target_sub in rows["references"]:
            self._uses[origin, oid, sub].append((is_type, target, target_sub))
        for row in rows["columns"]:
            self._names[row[0]][row[1]] = row[2]
        for oid, schema, name, *_, array in rows["enums"]:
            self._types[oid] = self._types[array] = self._address("enum", schema, name)
        owners = {row[0]: row[8] for row in rows["sequences"]}
        for row in rows["relations"]:
            oid, schema, name, kind = row[:4]
            if kind == "r":
                self._relations[oid] = self._tables[oid] = self._address("table", schema, name)
            elif kind == "v":
                self._relations[oid] = self._views[oid] = self._address("view", schema, name)
            elif kind == "S" and owners.get(oid) != "i":
                self._relations[oid] = self._address("sequence", schema, name)
            elif kind in _RELATIONS:
                what = _RELATIONS[kind]
                word = {"p": "table", "m": "materialized_view", "f": "foreign_table"}[kind]
                self._leave(self._address(word, schema, name), what)
        for oid, reasons in left_out(rows).items():
            if oid in self._tables:
                self._left_out[oid] = reasons
                self._leave(self._tables[oid], reasons)

    def _address(self, kind: str, *parts: str) -> Address:
        return Address(self.store, kind, (self._schema(parts[0]), *parts[1:]))

    def _schema(self, name: str) -> str:
        return self._shown.get(name, name)

    def _leave(self, address: Address, what: str) -> None:
        self.not_modelled.append(NotModelled(address, what))

    def _text(self, text: str | None) -> str | None:
        return None if text is None else self.spell(text)

    def _condition(self, text: str | None) -> str | None:
        return None if text is None else unwrap(self.spell(text))

    def _refers(self, origin: str, oid: int, sub: int = 0, own: int | None = None) -> tuple[Address, ...]:
        """Addresses of what a view, default, index or check is built from; columns of `own` without the table."""
        found: dict[Address, None] = {}
        for is_type, target, target_sub in self._uses.get((origin, oid, sub), ()):
            if is_type:
                if target in self._types:
                    found[self._types[target]] = None
            elif target in self._relations and target not in self._left_out:
                address = self._relations[target]
                if target != own:
                    found[address] = None
                if target_sub and address.kind == "table":
                    found[address.child("column", self._names[target][target_sub])] = None
        return tuple(found)

    # -- one kind each -----------------------------------------------------------------------------------------

    def _read_schemas(self, schemas: Iterable[tuple[Any, ...]], extensions: Iterable[tuple[Any, ...]]) -> None:
        for _, name, comment, _, of_extension in schemas:
            if not of_extension:
                comment = None if name == "public" and comment == PUBLIC_COMMENT else comment
                self.found.append(
                    r.Schema(address=self._address("schema", name), comment=comment, system=name == "public")
                )
        for name, schema, version in extensions:
            self.found.append(
                r.Extension(
                    address=Address(self.store, "extension", (name,)),
                    in_schema=schema,
                    version=version,
                    system=name == "plpgsql",
                )
            )

    def _read_enums(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for oid, _, _, values, _ in rows:
            self.found.append(
                r.Enum(
                    address=self._types[oid],
                    values=tuple(v for v in values if v is not None),
                    comment=self._comments.get((oid, 0)),
                )
            )

    def _read_sequences(self, relations: Iterable[tuple[Any, ...]], rows: Iterable[tuple[Any, ...]]) -> None:
        persistence = {row[0]: row[4] for row in relations}
        for row in rows:
            oid, type_, _, increment, _, _, cache, cycle, kind, owner, _, schema, table, column = row
            if kind == "i" or oid not in self._relations:
                continue
            address = self._relations[oid]
            if persistence[oid] != "p":
                self._leave(address, "unlogged sequence")
            elif owner is not None and (owner not in self._tables or owner in self._left_out):
                self._leave(address, "sequence owned by a table that is not modelled")
            else:
                owned = None if owner is None else (self._schema(schema), table, column)
                self.found.append(
                    r.Sequence(
                        address=address,
                        type=type_,
                        increment=increment,
                        cache=cache,
                        cycle=cycle,
                        owned_by=owned,
                        comment=self._comments.get((oid, 0)),
                        **{k: v for k, v in sequence_options(row).items() if k in ("start", "min", "max")},
                    )
                )

    def _read_tables(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for row in rows:
            oid = row[0]
            if oid in self._tables and oid not in self._left_out:
                self.found.append(r.Table(address=self._tables[oid], comment=self._comments.get((oid, 0))))

    def _read_columns(self, rows: Iterable[tuple[Any, ...]]) -> None:
        tables, gone, types, comments = self._tables, self._left_out, self._types, self._comments
        for row in rows:
            oid, number, name, type_, not_null, identity, generated, expression, collation, base = row[:10]
            table = tables.get(oid)
            if table is None or oid in gone:
                continue
            refers = self._refers("d", oid, number, own=oid) if expression is not None else ()
            address = table.child("column", name)
            if base in types:
                refers = (types[base], *(a for a in refers if a != types[base]))
            self.found.append(
                r.Column(
                    address=address,
                    type=self.spell(type_),
                    not_null=not_null,
                    default=self._text(expression) if not generated else None,
                    identity=_IDENTITY[identity],
                    generated=self._condition(expression) if generated else None,
                    collation=None if collation is None else join(*collation),
                    comment=comments.get((oid, number)),
                    position=number,
                    container=table,
                    refers=tuple(a for a in refers if a != address),
                )
            )

    def _read_constraints(self, rows: Iterable[tuple[Any, ...]], indexes: Iterable[tuple[Any, ...]]) -> None:
        of_constraint = {row[0]: row for row in indexes if row[13] is not None}
        for row in rows:
            _, relation, name, kind = row[:4]
            table = self._tables.get(relation)
            if table is None or relation in self._left_out or kind in ("n", "t"):
                continue
            word = {"p": "primary_key", "u": "unique", "c": "check", "f": "foreign_key", "x": "exclusion"}[kind]
            address = table.child(word, name)
            reason = self._constraint_reason(row, of_constraint.get(row[10]))
            if reason:
                self._leave(address, reason)
            elif kind == "c":
                self.found.append(self._check(address, table, row))
            elif kind == "f":
                self.found.append(self._foreign_key(address, table, row))
            else:
                self.found.append(self._key(address, table, row, of_constraint[row[10]]))

    def _constraint_reason(self, row: tuple[Any, ...], index: tuple[Any, ...] | None) -> str | None:
        kind = row[3]
        if kind == "x":
            return "exclusion constraint"
        if row[16]:
            return "constraint that is not enforced"
        if row[17]:
            return "temporal constraint"
        if kind == "f" and (row[9] in self._left_out or (row[9] not in self._tables and row[18] in self._schemas)):
            return "foreign key to a table that is not modelled"
        if kind in "pu" and index is not None:
            columns = tuple(self._names[index[1]].get(n) for n in index[9][: index[8]])
            items = keys(index[11], columns)
            plain = all(i == r.IndexItem(column=i.column) for i in items)
            if index[10] or index[15] or not plain:
                return "constraint with index options"
            if (index[0], 0) in self._comments:
                self._leave(self._address("index", index[2], index[3]), "comment on the index of a constraint")
        return None

    def _check(self, address: Address, table: Address, row: tuple[Any, ...]) -> r.Check:
        columns = [table.child("column", self._names[row[1]][n]) for n in row[8] or () if n > 0]
        return r.Check(
            address=address,
            container=table,
            expression=self._condition(row[15]) or "",
            no_inherit=row[7],
            not_valid=not row[6],
            comment=self._comments.get((row[0], 0)),
            refers=(*columns, *self._refers("c", row[0])),
        )

    def _foreign_key(self, address: Address, table: Address, row: tuple[Any, ...]) -> r.ForeignKey:
        names = self._names[row[1]]
        schema, target, columns = self._schema(row[18]), row[19], tuple(row[20])
        to = r.table_address(self.store, schema, target)
        own = tuple(names[n] for n in row[8])
        return r.ForeignKey(
            address=address,
            container=table,
            columns=own,
            references=(schema, target),
            references_columns=columns,
            on_delete=_ACTIONS[row[12]],
            on_delete_columns=tuple(names[n] for n in row[14] or ()),
            on_update=_ACTIONS[row[11]],
            match=_MATCH[row[13]],
            deferrable=_deferrable(row),
            not_valid=not row[6],
            comment=self._comments.get((row[0], 0)),
            refers=(
                *(table.child("column", c) for c in own),
                to,
                *(to.child("column", c) for c in columns),
            ),
        )

    def _key(
        self, address: Address, table: Address, row: tuple[Any, ...], index: tuple[Any, ...]
    ) -> r.PrimaryKey | r.Unique:
        names = self._names[row[1]]
        columns = tuple(names[n] for n in row[8])
        include = tuple(names[n] for n in index[9][index[8] :])
        common: dict[str, Any] = {
            "address": address,
            "container": table,
            "columns": columns,
            "include": include,
            "deferrable": _deferrable(row),
            "comment": self._comments.get((row[0], 0)),
            "refers": tuple(table.child("column", c) for c in (*columns, *include)),
        }
        if row[3] == "p":
            return r.PrimaryKey(**common)
        return r.Unique(nulls_not_distinct=index[7], **common)

    def _read_indexes(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for row in rows:
            oid, relation, schema, name, method, unique, valid, not_distinct, count, numbers = row[:10]
            reloptions, definition, predicate, constraint, _, tablespace = row[10:]
            table = self._tables.get(relation)
            if table is None or relation in self._left_out or constraint is not None:
                continue
            address = self._address("index", schema, name)
            if tablespace:
                self._leave(address, "index in a tablespace")
                continue
            names = self._names[relation]
            columns = tuple(names.get(n) for n in numbers[:count])
            include = tuple(names[n] for n in numbers[count:])
            refers = dict.fromkeys(table.child("column", names[n]) for n in numbers if n)
            if predicate is not None or None in columns:
                refers.update(dict.fromkeys(self._refers("i", oid, own=relation)))
            self.found.append(
                r.Index(
                    address=address,
                    container=table,
                    method=method,
                    unique=unique,
                    columns=keys(self.spell(definition), columns),
                    include=include,
                    where=self._condition(predicate),
                    with_=options(reloptions),
                    nulls_not_distinct=not_distinct,
                    valid=valid,
                    comment=self._comments.get((oid, 0)),
                    refers=tuple(refers),
                )
            )

    def _read_views(self, relations: Iterable[tuple[Any, ...]], columns: Iterable[tuple[Any, ...]]) -> None:
        shape: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for row in columns:
            oid, number, name, type_ = row[:4]
            if oid in self._views:
                shape[oid].append((name, self.spell(type_)))
                if (oid, number) in self._comments:
                    self._leave(self._views[oid].child("column", name), "comment on a column of a view")
                if row[7] is not None:
                    self._leave(self._views[oid].child("column", name), "default of a column of a view")
        for row in relations:
            oid = row[0]
            if oid not in self._views:
                continue
            settings = dict(options(row[5]))
            self.found.append(
                r.View(
                    address=self._views[oid],
                    query=self.spell(row[6]).strip().rstrip(";"),
                    check_option=settings.pop("check_option", None),
                    with_=tuple(sorted(settings.items())),
                    columns=tuple(shape[oid]),
                    comment=self._comments.get((oid, 0)),
                    refers=self._refers("v", oid, own=oid),
                )
            )


def _deferrable(row: tuple[Any, ...]) -> str | None:
    return None if not row[4] else "initially_deferred" if row[5] else "initially_immediate"
