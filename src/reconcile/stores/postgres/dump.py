"""Live -> YAML, in FORMAT's short forms: identity settings and whatever differs from the defaults.

Laid out for people: `extensions.yaml` (extensions, schemas, enums, sequences that no table owns), one file a
schema for tables with what they own, one for views. What is not modelled is a comment in the file it would be in.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reconcile.change import Server
from reconcile.model import Address, Resource
from reconcile.stores.base import Live, NotModelled, StoreSpec
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.names import generated, join
from reconcile.yamldump import dump as dump_yaml

SECTIONS = ("schemas", "extensions", "enums", "sequences", "tables", "views")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})\Z")


def dump(live: Live, server: Server, spec: StoreSpec, only: Callable[[Address], bool]) -> Mapping[str, str]:
    """YAML files by name that declare `live`, those addresses for which `only` is true.

    A part (column, constraint, index) alone is written inside its table.
    """
    del server
    schemas = [str(s) for s in spec.settings.get("schemas") or ("public",)]
    writer = _Writer(live, schemas[0], only)
    files = {name: dump_yaml(document, comments) for name, document, comments in writer.documents(spec.name)}
    return files or {"tables.yaml": dump_yaml({"store": spec.name}, ["nothing is there yet"])}


class _Writer:
    def __init__(self, live: Live, first: str, only: Callable[[Address], bool]) -> None:
        self.first, self.only = first, only
        self.live = live
        self.state = live.state
        self.parts: dict[Address, list[Resource]] = defaultdict(list)
        self.primary: dict[tuple[str, str], tuple[str, ...]] = {}
        for x in self.state.values():
            if x.container is not None:
                self.parts[x.container].append(x)
            if isinstance(x, r.PrimaryKey):
                self.primary[x.table.parts[0], x.table.parts[1]] = x.columns
        self.schemas = list(dict.fromkeys([first, *(a.parts[0] for a in self.state if a.kind != "extension")]))

    def documents(self, store: str) -> Iterable[tuple[str, dict[str, Any], list[str]]]:
        """(file name, document, comments)."""
        base = {
            "schemas": {
                x.name: _without_empty({"comment": x.comment}) for x in self._kind("schema") if self._wanted(x)
            },
            "extensions": {x.name: self._extension(x) for x in self._kind("extension") if not x.system},
            "enums": {self._name(x): self._enum(x) for x in self._kind("enum")},
            "sequences": {self._name(x): self._sequence(x) for x in self._kind("sequence") if not x.owned_by},
        }
        tables: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: {"sequences": {}, "tables": {}})
        for x in self._kind("sequence"):
            if x.owned_by:
                tables[x.schema]["sequences"][self._name(x)] = self._sequence(x)
        for x in self._tables():
            tables[x.schema]["tables"][self._name(x)] = self._table(x)
        views: dict[str, dict[str, Any]] = defaultdict(dict)
        for x in self._kind("view"):
            views[x.schema][self._name(x)] = self._view(x)
        comments = self._comments()
        names: set[str] = set()
        contents: list[tuple[str, str, Mapping[str, Any]]] = [("extensions", "", base)]
        contents += [("tables", s, tables[s]) for s in sorted(tables, key=self._rank)]
        contents += [("views", s, {"views": views[s]}) for s in sorted(views, key=self._rank)]
        contents += [("tables", s, {}) for s in comments if s and s not in tables]
        written: set[str] = set()
        for what, schema, sections in contents:
            lines = comments.get("", []) if what == "extensions" else []
            if what == "tables" or (what == "views" and schema not in tables and schema not in written):
                lines = comments.get(schema, [])
                written.add(schema)
            body = {k: v for k, v in sections.items() if v}
            if body or lines:
                yield _file_name(what, schema, self.first, names), {"store": store, **body}, lines

    def _rank(self, schema: str) -> tuple[int, str]:
        return (0 if schema == self.first else 1, schema)

    def _kind(self, kind: str) -> list[Any]:
        return [x for x in self.state.of_kind(kind) if self.only(x.address)]

    def _wanted(self, x: r.Schema) -> bool:
        return not x.system or x.comment is not None

    def _tables(self) -> list[r.Table]:
        """Those asked for, and those with a part that is."""
        return [
            x
            for x in self.state.of_kind("table")
            if isinstance(x, r.Table)
            and (self.only(x.address) or any(self.only(p.address) for p in self.parts[x.address]))
        ]

    def _name(self, x: Resource) -> str:
        schema, name = x.address.parts[:2]
        return join(name) if schema == self.first else join(schema, name)

    # -- one object each ---------------------------------------------------------------------------------------

    def _extension(self, x: r.Extension) -> dict[str, Any]:
        return _without_empty({"schema": x.in_schema if x.in_schema != self.first else None})

    def _enum(self, x: r.Enum) -> Any:
        return {"values": list(x.values), "comment": x.comment} if x.comment else list(x.values)

    def _sequence(self, x: r.Sequence) -> dict[str, Any]:
        owner = None
        if x.owned_by:
            schema, *column = x.owned_by
            owner = join(*column) if schema == x.schema else join(schema, *column)
        return _without_empty(
            {
                "type": x.type if x.type != "bigint" else None,
                "start": x.start,
                "increment": x.increment if x.increment != 1 else None,
                "min": x.min,
                "max": x.max,
                "cache": x.cache if x.cache != 1 else None,
                "cycle": x.cycle or None,
                "owned_by": owner,
                "comment": x.comment,
            }
        )

    def _table(self, x: r.Table) -> dict[str, Any]:
        parts = self.parts[x.address]
        key = next((p for p in parts if isinstance(p, r.PrimaryKey)), None)
        implied = frozenset(key.columns if key else ())

        def section(kind: type[Resource], write: Callable[[Any], Any]) -> dict[str, Any]:
            return {p.address.parts[-1]: write(p) for p in parts if isinstance(p, kind)}

        return _without_empty(
            {
                "comment": x.comment,
                "columns": section(r.Column, lambda c: _column(c, c.address.parts[-1] in implied)),
                "primary_key": None if key is None else self._primary_key(key, x.address.parts[1]),
                "unique": section(r.Unique, _unique),
                "checks": section(r.Check, _check),
                "foreign_keys": section(r.ForeignKey, self._foreign_key),
                "indexes": section(r.Index, _index),
            },
            keep=("columns",),
        )

    def _primary_key(self, x: r.PrimaryKey, table: str) -> Any:
        name = x.address.parts[-1]
        return _short({"name": name if name != generated(table, None, "pkey") else None, **_key(x)}, "columns")

    def _foreign_key(self, x: r.ForeignKey) -> dict[str, Any]:
        schema, table = x.references
        target: Any = join(table) if schema == self.first else join(schema, table)
        if self.primary.get(x.references) != x.references_columns:
            target = {"table": target, "columns": list(x.references_columns)}
        on_delete: Any = {x.on_delete: list(x.on_delete_columns)} if x.on_delete_columns else x.on_delete
        return _without_empty(
            {
                "columns": list(x.columns),
                "references": target,
                "on_delete": on_delete if on_delete != "no_action" else None,
                "on_update": x.on_update if x.on_update != "no_action" else None,
                "match": x.match if x.match != "simple" else None,
                "deferrable": x.deferrable,
                "not_valid": x.not_valid or None,
                "comment": x.comment,
            }
        )

    def _view(self, x: r.View) -> dict[str, Any]:
        return _without_empty(
            {
                "query": _dedented(x.query),
                "with": _options(x.with_),
                "check_option": x.check_option,
                "comment": x.comment,
            }
        )

    def _comments(self) -> dict[str, list[str]]:
        """`# not modelled: …` lines by schema; "" for what is the database's."""
        found: dict[str, list[str]] = defaultdict(list)
        for x in self.live.not_modelled:
            if self.only(x.address):
                schema = x.address.parts[0] if len(x.address.parts) > 1 else ""
                found[schema].append(f"not modelled: {_one_line(x)}")
        managed = {a.parts[0] for a in self.state if a.kind == "schema"}
        outside = sorted({join(*x.references) for x in self._kind("foreign_key") if x.references[0] not in managed})
        if outside:
            found[""].append(f"referred to, outside the scope: list under `external:` {', '.join(outside)}")
        return found


def _one_line(x: NotModelled) -> str:
    return f"{x.address.kind} {x.address.name} ({x.what})".replace("\n", " ")


def _file_name(what: str, schema: str, first: str, taken: set[str]) -> str:
    """`tables.yaml`, `tables_audit.yaml`: of `[a-z0-9_-]`, no two alike."""
    base = what if not schema or schema == first else f"{what}_" + re.sub(r"[^a-z0-9_-]", "_", schema.lower())
    name, n = base, 1
    while name in taken:
        n += 1
        name = f"{base}_{n}"
    taken.add(name)
    return f"{name}.yaml"


def _without_empty(values: Mapping[str, Any], keep: tuple[str, ...] = ()) -> dict[str, Any]:
    return {k: v for k, v in values.items() if (v is not None and v != {} and v != []) or k in keep}


def _short(values: Mapping[str, Any], only: str) -> Any:
    """The value of `only` where nothing else is to be said."""
    found = _without_empty(values)
    return found[only] if set(found) == {only} else found


def _sql(text: str | None) -> Any:
    """An SQL value; whole numbers and booleans as such."""
    if text is None:
        return None
    if text in ("true", "false"):
        return text == "true"
    return int(text) if _NUMBER.match(text) and text != "-0" else text


def _options(pairs: Iterable[tuple[str, str]]) -> dict[str, Any] | None:
    return {k: _sql(v) for k, v in pairs} or None


def _column(x: r.Column, in_key: bool) -> Any:
    return _short(
        {
            "type": x.type,
            "not_null": True if x.not_null and not in_key and not x.identity else None,
            "default": _sql(x.default),
            "identity": x.identity,
            "generated": _sql(x.generated),
            "collation": x.collation,
            "comment": x.comment,
        },
        "type",
    )


def _key(x: r.Key) -> dict[str, Any]:
    return {
        "columns": list(x.columns),
        "include": list(x.include),
        "deferrable": x.deferrable,
        "comment": x.comment,
    }


def _unique(x: r.Unique) -> Any:
    return _short({**_key(x), "nulls_not_distinct": x.nulls_not_distinct or None}, "columns")


def _check(x: r.Check) -> Any:
    return _short(
        {
            "expression": _sql(x.expression),
            "not_valid": x.not_valid or None,
            "no_inherit": x.no_inherit or None,
            "comment": x.comment,
        },
        "expression",
    )


def _index(x: r.Index) -> dict[str, Any]:
    return _without_empty(
        {
            "method": x.method if x.method != "btree" else None,
            "unique": x.unique or None,
            "columns": [_item(i) for i in x.columns],
            "include": list(x.include),
            "where": _sql(x.where),
            "with": _options(x.with_),
            "nulls_not_distinct": x.nulls_not_distinct or None,
            "comment": x.comment,
        }
    )


def _item(x: r.IndexItem) -> Any:
    return _short(
        {
            "column": x.column,
            "expression": _sql(x.expression),
            "opclass": x.opclass,
            "parameters": _options(x.parameters),
            "order": x.order if x.order != "asc" else None,
            "nulls": x.nulls,
            "collation": x.collation,
        },
        "column",
    )


def _dedented(query: str) -> str:
    """The query without the server's trailing blanks, which keep YAML from writing it as a block."""
    return "\n".join(line.rstrip() for line in query.strip().splitlines())
