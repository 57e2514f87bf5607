"""Where a resource holds SQL that the server spells in its own way, and how two spellings are compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from reconcile.model import Json, Resource, to_json
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.canonical.parts import part_texts, parts_from, parts_json, taken_parts
from reconcile.stores.postgres.resources import IndexItem
from reconcile.stores.postgres.sqltokens import same
from reconcile.stores.postgres.sqltypes import read

_FIELDS: Mapping[type, tuple[str, ...]] = {
    r.Column: ("type", "default", "generated", "collation"),
    r.Check: ("expression",),
    r.View: ("query",),
    r.MaterializedView: ("query",),
    r.Index: ("where",),
    r.Exclusion: ("where",),
    r.Statistics: (),
    **dict.fromkeys((r.Function, r.Procedure, r.Aggregate), ("definition_",)),
    r.Policy: ("using", "check"),
    r.Trigger: ("condition",),
    r.Table: ("bound",),
    r.Domain: ("type", "collation", "default"),
    r.Composite: (),
    r.Range: ("subtype", "opclass", "collation", "subtype_diff"),
    r.Collation: ("locale",),
}

_KEYED = (r.Index, r.Exclusion, r.Statistics)
"""What has keys like those of an index."""


def texts(x: Resource) -> list[tuple[str, str | None]]:
    """(path, SQL) of everything that the server may spell otherwise: also keys of an index and defaults of a view."""
    if type(x) not in _FIELDS:
        return []
    found = [(field, getattr(x, field)) for field in _FIELDS[type(x)]]
    if isinstance(x, r.Column | r.Check):  # most there are
        return found
    if isinstance(x, _KEYED):
        found += [(f"columns.{n}", _item_text(item)) for n, item in enumerate(x.columns)]
        if isinstance(x, r.Exclusion):
            found += [(f"operators.{n}", name) for n, name in enumerate(x.operators)]
    elif isinstance(x, r.View):
        found += [(f"columns.{name}.default", sql) for name, sql in x.column_defaults]
    elif isinstance(x, r.Table) and x.partition_by is not None:
        found += [(f"partition_by.{n}", _item_text(item)) for n, item in enumerate(x.partition_by.keys)]
    return [*found, *part_texts(x)]


def _is_type(path: str) -> bool:
    return path in ("type", "subtype") or (path.startswith("fields.") and path.endswith(".type"))


def _item_text(item: IndexItem) -> str | None:
    """A key of an index but a plain column, in the words of CREATE INDEX."""
    if not (item.opclass or item.parameters or item.collation):
        return None if item.expression is None else f"({item.expression})"
    parts = [
        item.column if item.column is not None else f"({item.expression})",
        f"collate {item.collation}" if item.collation else "",
        item.opclass or "",
        f"({', '.join('='.join(p) for p in item.parameters)})" if item.parameters else "",
    ]
    return " ".join(p for p in parts if p)


def _same(path: str, left: str | None, right: str | None) -> bool:
    del path
    return same(left, right)


def same_parts(x: Resource, y: Resource) -> Iterator[tuple[str, str, str]]:
    """(path, declared, live) of texts that differ in white space, case or parentheses only."""
    theirs = dict(texts(y))
    for path, text in texts(x):
        other = theirs.get(path)
        if text is not None and other is not None and text != other and _same(path, text, other):
            yield path, text, other


def taken(x: Resource, y: Resource) -> Resource:
    """`x` with `y`'s spelling wherever the texts say the same; of a view also the output columns."""
    changes: dict[str, Any] = {}
    for field in _FIELDS.get(type(x), ()):
        ours, theirs = getattr(x, field), getattr(y, field)
        if ours != theirs and same(ours, theirs):
            changes[field] = theirs
    if isinstance(x, _KEYED) and isinstance(y, _KEYED) and len(x.columns) == len(y.columns):
        items = _items_taken(x.columns, y.columns)
        if items != x.columns:
            changes["columns"] = items
    if isinstance(x, r.Table) and isinstance(y, r.Table) and x.partition_by and y.partition_by:
        ours, theirs = x.partition_by.keys, y.partition_by.keys
        if len(ours) == len(theirs) and (items := _items_taken(ours, theirs)) != ours:
            changes["partition_by"] = dataclasses.replace(x.partition_by, keys=items)
    if isinstance(x, r.VIEWS) and isinstance(y, r.VIEWS) and same(x.query, y.query):
        changes["columns"] = y.columns
    if isinstance(x, r.View) and isinstance(y, r.View) and x.column_defaults != y.column_defaults:
        known = dict(y.column_defaults)
        pairs = ((name, known[name] if same(sql, known.get(name)) else sql) for name, sql in x.column_defaults)
        changes["column_defaults"] = tuple(pairs)
    changes |= taken_parts(x, y)
    return x.replace(**changes) if changes else x


def _items_taken(ours: tuple[IndexItem, ...], theirs: tuple[IndexItem, ...]) -> tuple[IndexItem, ...]:
    return tuple(
        dataclasses.replace(a, expression=b.expression)
        if a.expression != b.expression and same(a.expression, b.expression)
        else a
        for a, b in zip(ours, theirs, strict=True)
    )


def pending(x: Resource, y: Resource | None) -> list[tuple[str, str, str]]:
    """(path, declared, live) of texts whose equality only the server can tell; new objects have a live text of "".

    Built-in types, plain columns of an index that exists and what is absent need no server.
    """
    if type(x) not in _FIELDS:
        return []
    theirs = {} if y is None else dict(texts(y))
    found = [
        (path, text, theirs.get(path) or "")
        for path, text in texts(x)
        if text is not None and not same(text, theirs.get(path)) and not (_is_type(path) and read(text).builtin)
    ]
    if y is None and isinstance(x, _KEYED) and not found:
        found.append(("columns", "", ""))  # built all the same: the server says if the method cannot index this
    return found


def as_json(x: Resource) -> Json:
    """The texts of a resource the server has spelled, for the ledger; `with_texts` reads them."""
    found: dict[str, Json] = {field: getattr(x, field) for field in _FIELDS.get(type(x), ())}
    if isinstance(x, r.Index | r.Exclusion | r.Statistics | r.AnyView):
        found["columns"] = to_json(x.columns)
    if isinstance(x, r.Exclusion):
        found["operators"] = list(x.operators)
    if isinstance(x, r.View):
        found["column_defaults"] = to_json(x.column_defaults)
    if isinstance(x, r.Table):
        found["partition_by"] = to_json(x.partition_by)
    return found | parts_json(x)


def spelling(kind: type[Resource], spelled: Mapping[str, Json]) -> dict[str, Any]:
    """What `as_json` noted of a resource of that kind, as fields: as far as it is the same for all that it is of."""
    changes: dict[str, Any] = {field: spelled.get(field) for field in _FIELDS.get(kind, ())}
    if issubclass(kind, r.VIEWS):
        changes["columns"] = tuple((name, type_) for name, type_ in spelled["columns"])
        if issubclass(kind, r.View):
            changes["column_defaults"] = tuple((name, sql) for name, sql in spelled["column_defaults"])
    elif issubclass(kind, _KEYED):
        changes["columns"] = _items(spelled["columns"])
        if issubclass(kind, r.Exclusion):
            changes["operators"] = tuple(spelled["operators"])
    elif issubclass(kind, r.Table) and (by := spelled.get("partition_by")) is not None:
        changes["partition_by"] = r.PartitionBy(by["strategy"], _items(by["keys"]))
    return changes


def with_texts(x: Resource, spelled: Mapping[str, Json], fields: Mapping[str, Any]) -> Resource:
    """`x` in the spelling that `as_json` noted; `fields` is what `spelling` says of that."""
    if isinstance(x, _KEYED) and any(own.statistics is not None for own in x.columns):
        items = zip(fields["columns"], x.columns, strict=True)
        own_targets = tuple(dataclasses.replace(item, statistics=own.statistics) for item, own in items)
        fields = {**fields, "columns": own_targets}
    return x.replace(**fields, **parts_from(x, spelled))


def _items(spelled: Json) -> tuple[IndexItem, ...]:
    return tuple(
        IndexItem(**{**item, "parameters": tuple((k, v) for k, v in item.get("parameters", ())), "statistics": None})
        for item in spelled
    )
