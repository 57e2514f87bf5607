"""Live -> YAML, in FORMAT's short forms: identity settings and whatever differs from the defaults.

Laid out for people: what belongs to no schema's tables in `extensions.yaml`, one file a schema for tables with what
they own, one for views. What is not modelled is a comment in the file it would be in.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconcile.change import Server
from reconcile.model import Address, Resource
from reconcile.stores.base import Live, NotModelled, StoreSpec
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.dump import objects, tables, types, views
from reconcile.stores.postgres.dump.access import default_privileges, with_access
from reconcile.stores.postgres.dump.context import Context
from reconcile.stores.postgres.dump.values import key_of, shown_name
from reconcile.stores.postgres.names import join
from reconcile.yamldump import dump as dump_yaml


@dataclass(frozen=True)
class Section:
    """Where a kind is written: the file (one a schema where `each`), the section, and how."""

    kind: str
    name: str
    file: str
    each: bool
    write: Callable[[Context, Any], Any]
    """None: nothing to declare."""


SECTIONS = (
    Section("schema", "schemas", "extensions", False, objects.schema),
    Section("extension", "extensions", "extensions", False, objects.extension),
    Section("collation", "collations", "extensions", False, types.collation),
    Section("enum", "enums", "extensions", False, types.enum),
    Section("domain", "domains", "extensions", False, types.domain),
    Section("composite", "composites", "extensions", False, types.composite),
    Section("range", "ranges", "extensions", False, types.range_type),
    Section("sequence", "sequences", "extensions", False, objects.sequence),
    Section("table", "tables", "tables", True, tables.table),
    Section("view", "views", "views", True, views.view),
    Section("materialized_view", "materialized_views", "views", True, views.materialized_view),
    Section("function", "functions", "routines", True, objects.routine),
    Section("procedure", "procedures", "routines", True, objects.routine),
    Section("aggregate", "aggregates", "routines", True, objects.routine),
    Section("event_trigger", "event_triggers", "extensions", False, objects.event_trigger),
)
"""In the order of sections and files. A sequence that a column owns is written with the tables."""
_FILES = tuple(dict.fromkeys(s.file for s in SECTIONS))


def dump(
    live: Live,
    server: Server,
    spec: StoreSpec,
    only: Callable[[Address], bool],
    place: Callable[[str], str] | None = None,
) -> Mapping[str, str]:
    """YAML files by name that declare `live`, those addresses for which `only` is true; long statements beside them.

    A part (column, constraint, index) alone is written inside its table.
    """
    schemas = [str(s) for s in spec.settings.get("schemas") or ("public",)]
    there = live.state.filter(lambda x: x.leftover_of is None)
    context = Context(there, schemas[0], place, str(server.facts.get("user", "")), server.numbers)
    bodies = _bodies(context, only)
    comments = _comments(live, only)
    defaults = default_privileges(context, only)
    if defaults:
        bodies.setdefault(("extensions", ""), {})
    files: dict[str, str] = {}
    for (file, schema), lines in _places(bodies, comments, schemas[0]):
        body: dict[str, Any] = {name: found for name, found in bodies.get((file, schema), {}).items() if found}
        if (file, schema) == ("extensions", "") and defaults:
            body["default_privileges"] = defaults
        if body or lines:
            files[_file_name(file, schema, schemas[0], files)] = dump_yaml({"store": spec.name, **body}, lines)
    files |= context.files
    return files or {"tables.yaml": dump_yaml({"store": spec.name}, ["nothing is there yet"])}


def _bodies(context: Context, only: Callable[[Address], bool]) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """What is written by (file, schema or "") and section."""
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(
        lambda: {section.name: {} for section in SECTIONS}
    )
    for section in SECTIONS:
        for x in context.state.of_kind(section.kind):
            if not (only(x.address) or any(only(part.address) for part in context.parts.get(x.address, ()))):
                continue
            value = section.write(context, x)
            if not (isinstance(x, r.Table) and x.partition_of is not None):  # that stands in its table, with its access
                value = with_access(context, x, value)
            if value is None:
                continue
            owned = isinstance(x, r.Sequence) and x.owned_by is not None
            file, each = ("tables", True) if owned else (section.file, section.each)
            key = _key(x, context.first)
            found[file, x.address.parts[0] if each else ""][section.name][key] = value
    return found


def _key(x: Resource, first: str) -> str:
    if isinstance(x, r.Routine):
        schema, (name, _, types) = x.schema, x.address.parts[1].partition("(")
        return f"{shown_name(first, schema, name)}({types}"
    return x.name if len(x.address.parts) == 1 else key_of(x, first)


def _places(
    bodies: Iterable[tuple[str, str]], comments: Mapping[str, list[str]], first: str
) -> list[tuple[tuple[str, str], list[str]]]:
    """All (file, schema) in order, with the comments of each; those of a schema go into its first file."""
    places = {*bodies, *((("tables", s) if s else ("extensions", "")) for s in comments)}
    ordered = sorted(places, key=lambda p: (_FILES.index(p[0]), p[1] != first, p[1]))
    found, written = [], set[str]()
    for file, schema in ordered:
        found.append(((file, schema), [] if schema in written else comments.get(schema, [])))
        written.add(schema)
    return found


def _comments(live: Live, only: Callable[[Address], bool]) -> dict[str, list[str]]:
    """`# not modelled: …` lines by schema; "" for what is the database's."""
    found: dict[str, list[str]] = defaultdict(list)
    for x in live.not_modelled:
        if only(x.address):
            schema = x.address.parts[0] if len(x.address.parts) > 1 else ""
            found[schema].append(f"not modelled: {_one_line(x)}")
    managed = {a.parts[0] for a in live.state if a.kind == "schema"}
    keys = [x for x in live.state.of_kind("foreign_key") if isinstance(x, r.ForeignKey) and only(x.address)]
    outside = sorted({join(*x.references) for x in keys if x.references[0] not in managed})
    if outside:
        found[""].append(f"referred to, outside the scope: list under `external:` {', '.join(outside)}")
    return found


def _one_line(x: NotModelled) -> str:
    return f"{x.address.kind} {x.address.name} ({x.what})".replace("\n", " ")


def _file_name(what: str, schema: str, first: str, taken: Mapping[str, str]) -> str:
    """`tables.yaml`, `tables_audit.yaml`: of `[a-z0-9_-]`, no two alike."""
    base = what if not schema or schema == first else f"{what}_" + re.sub(r"[^a-z0-9_-]", "_", schema.lower())
    name, n = f"{base}.yaml", 1
    while name in taken:
        n += 1
        name = f"{base}_{n}.yaml"
    return name
