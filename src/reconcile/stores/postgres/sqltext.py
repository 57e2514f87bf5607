"""SQL text: identifiers, literals and the clauses statements are made of, so that a statement is one readable line.

Expressions (defaults, checks, queries) are SQL already and stand as they were written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from reconcile.model import Address, Json
from reconcile.stores.postgres.names import identifier, split
from reconcile.stores.postgres.names import literal as quoted
from reconcile.stores.postgres.resources import (
    ROUTINES,
    Check,
    Column,
    Enum,
    Exclusion,
    ForeignKey,
    Index,
    IndexItem,
    Key,
    Pairs,
    PostgresResource,
    PrimaryKey,
    Unique,
)
from reconcile.stores.postgres.sequencetext import given_settings
from reconcile.stores.postgres.sqltokens import faithful

NAME_BYTES = 63
"""NAMEDATALEN - 1: the server cuts longer names off without an error."""
_BARE_VALUE = re.compile(r"[A-Za-z0-9_.+-]+")


def ident(*names: str) -> str:
    """Quoted names joined by dots: `"public"."documents"`."""
    return identifier(*names)


def idents(names: Iterable[str]) -> str:
    """`"a", "b"`."""
    return ", ".join(ident(n) for n in names)


def literal(value: str) -> str:
    """A string constant."""
    return quoted(value).strip()


def do_block(body: str) -> str:
    """DO, quoted by what the body does not hold: a name in it may be anything.

    >>> do_block(" BEGIN END ")
    'DO $reconcile$ BEGIN END $reconcile$'
    >>> do_block(" '$reconcile$' ")
    "DO $reconcile_$ '$reconcile$' $reconcile_$"
    """
    tag = "$reconcile$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag}{body}{tag}"


def relation(address: Address) -> str:
    """The quoted name of what a schema holds (table, index, view, …) or of the table a column or constraint is of."""
    return ident(*address.parts[:2])


def routine_name(address: Address) -> str:
    """`"public"."match"(vector, integer)`: the name quoted, the argument types as the server spells them."""
    name, _, arguments = address.parts[1].partition("(")
    return f"{ident(address.parts[0], name)}({arguments}"


def object_name(resource: PostgresResource) -> str:
    """The quoted name, as it is in the store, of what a schema holds."""
    return ident(resource.schema, resource.name)


def dotted(name: str) -> str:
    """A name that may carry a schema (`extensions.gin_trgm_ops`, `"en_US.utf8"`), quoted part by part."""
    return ident(*split(name))


def helper_name(name: str, suffix: str) -> str:
    """`NAME__rc_SUFFIX`, within 63 bytes; a cut name carries a hash, so that two long names never meet.

    >>> helper_name("documents_hnsw", "new")
    'documents_hnsw__rc_new'
    """
    tail = f"__rc_{suffix}"
    whole = name + tail
    if len(whole.encode()) <= NAME_BYTES:
        return whole
    tail = f"_{hashlib.sha256(name.encode()).hexdigest()[:8]}{tail}"
    return name.encode()[: NAME_BYTES - len(tail)].decode(errors="ignore") + tail


def as_written(resource: PostgresResource, key: str) -> Json:
    """An attribute in the words of the YAML where those are kept, else in the server's, such that it reads them so."""
    if isinstance(resource.declared, Mapping) and key in resource.declared:
        return resource.declared[key]
    found = getattr(resource, key)
    return faithful(found) if isinstance(found, str) else found


def column_clause(column: Column) -> str:
    """`"lang" text COLLATE "C" DEFAULT 'en' NOT NULL`: as in CREATE TABLE and ADD COLUMN."""
    parts = [ident(column.address.parts[-1]), str(as_written(column, "type"))]
    if column.collation:
        parts.append(f"COLLATE {dotted(column.collation)}")
    if column.default is not None:
        parts.append(f"DEFAULT {as_written(column, 'default')}")
    if column.generated is not None:
        parts.append(
            f"GENERATED ALWAYS AS ({as_written(column, 'generated')}) {'STORED' if column.stored else 'VIRTUAL'}"
        )
    if column.identity:
        parts.append(identity_clause(column))
    if column.not_null and column.not_null_valid:
        name = f"CONSTRAINT {ident(column.not_null_name)} " if column.not_null_name else ""
        parts.append(f"{name}NOT NULL{' NO INHERIT' if column.not_null_no_inherit else ''}")
    return " ".join(parts)


def identity_clause(column: Column) -> str:
    """`GENERATED ALWAYS AS IDENTITY (START WITH 100)`: of the options what is not the default."""
    given = dict(column.identity_options)
    parts = [f"SEQUENCE NAME {ident(column.schema, given['sequence_name'])}"] if "sequence_name" in given else []
    parts += given_settings(given)
    options = f" ({' '.join(parts)})" if parts else ""
    return f"GENERATED {identity_word(column.identity or '')} AS IDENTITY{options}"


def identity_word(identity: str) -> str:
    """`ALWAYS` or `BY DEFAULT`."""
    return identity.upper().replace("_", " ")


def key_clause(key: Key) -> str:
    """`PRIMARY KEY ("id") INCLUDE ("path")`, `UNIQUE NULLS NOT DISTINCT ("no") DEFERRABLE …`."""
    distinct = " NULLS NOT DISTINCT" if isinstance(key, Unique) and key.nulls_not_distinct else ""
    include = f" INCLUDE ({idents(key.include)})" if key.include else ""
    tail = f"{include}{with_clause(key.with_)}{deferrable_clause(key.deferrable)}"
    return f"{key_word(key)}{distinct} ({idents(key.columns)}){tail}"


def key_word(key: Key) -> str:
    """`PRIMARY KEY` or `UNIQUE`."""
    return "PRIMARY KEY" if isinstance(key, PrimaryKey) else "UNIQUE"


def deferrable_clause(deferrable: str | None) -> str:
    """Empty, ` DEFERRABLE INITIALLY IMMEDIATE` or ` DEFERRABLE INITIALLY DEFERRED`."""
    return f" DEFERRABLE {deferrable.upper().replace('_', ' ')}" if deferrable else ""


def exclusion_clause(x: Exclusion) -> str:
    """`EXCLUDE USING gist ("room" WITH =, "span" WITH &&) WHERE (…)`."""
    written = as_written(x, "columns")
    keys = ", ".join(f"{_item(item, written[n])} WITH {operator(x.operators[n])}" for n, item in enumerate(x.columns))
    include = f" INCLUDE ({idents(x.include)})" if x.include else ""
    where = f" WHERE ({as_written(x, 'where')})" if x.where is not None else ""
    tail = f"{include}{with_clause(x.with_)}{where}{deferrable_clause(x.deferrable)}"
    return f"EXCLUDE USING {ident(x.method)} ({keys}){tail}"


def operator(name: str) -> str:
    """`&&`, or `OPERATOR("public".&&)`."""
    schema, _, bare = name.rpartition(".")
    return f"OPERATOR({dotted(schema)}.{bare})" if schema else bare


def with_clause(pairs: Pairs) -> str:
    """` WITH (fillfactor = 70)`, or nothing."""
    return f" WITH ({options(pairs)})" if pairs else ""


def check_clause(check: Check) -> str:
    """`CHECK (size >= 0) NO INHERIT`."""
    tail = f"{' NO INHERIT' if check.no_inherit else ''}{'' if check.enforced else ' NOT ENFORCED'}"
    return f"CHECK ({as_written(check, 'expression')}){tail}"


def foreign_key_clause(key: ForeignKey) -> str:
    """`FOREIGN KEY ("a") REFERENCES "s"."t" ("id") MATCH FULL ON DELETE SET NULL ("a") …`; defaults left out."""
    parts = [f"FOREIGN KEY ({idents(key.columns)}) REFERENCES {ident(*key.references)}"]
    if key.references_columns:
        parts.append(f"({idents(key.references_columns)})")
    if key.match != "simple":
        parts.append(f"MATCH {key.match.upper()}")
    if key.on_update != "no_action":
        parts.append(f"ON UPDATE {_action(key.on_update)}")
    if key.on_delete != "no_action":
        only = f" ({idents(key.on_delete_columns)})" if key.on_delete_columns else ""
        parts.append(f"ON DELETE {_action(key.on_delete)}{only}")
    return " ".join(parts) + deferrable_clause(key.deferrable) + ("" if key.enforced else " NOT ENFORCED")


def _action(word: str) -> str:
    return word.upper().replace("_", " ")


def constraint_clause(constraint: PostgresResource) -> str:
    """`CONSTRAINT "name" …` of a key, check or foreign key, under its name."""
    match constraint:
        case Key():
            body = key_clause(constraint)
        case Check():
            body = check_clause(constraint)
        case Exclusion():
            body = exclusion_clause(constraint)
        case ForeignKey():
            body = foreign_key_clause(constraint)
        case _:
            raise TypeError(f"{constraint.address} is no constraint")
    return f"CONSTRAINT {ident(constraint.name)} {body}"


def index_statement(index: Index, *, concurrently: bool, name: str | None = None, only: bool = False) -> str:
    """The CREATE INDEX of `index`, on request concurrently, under another name or without that of its partitions."""
    written = as_written(index, "columns")
    items = ", ".join(_item(item, written[n]) for n, item in enumerate(index.columns))
    table = f"{'ONLY ' if only else ''}{relation(index.table)}"
    return "".join(
        (
            "CREATE ",
            "UNIQUE " if index.unique else "",
            "INDEX ",
            "CONCURRENTLY " if concurrently else "",
            f"{ident(name or index.name)} ON {table} USING {ident(index.method)} ({items})",
            f" INCLUDE ({idents(index.include)})" if index.include else "",
            " NULLS NOT DISTINCT" if index.nulls_not_distinct else "",
            f" WITH ({options(index.with_)})" if index.with_ else "",
            f" WHERE {as_written(index, 'where')}" if index.where is not None else "",
        )
    )


def _item(item: IndexItem, written: IndexItem | Mapping[str, Json]) -> str:
    if item.column is not None:
        text = ident(item.column)
    else:
        declared = written.get("expression") if isinstance(written, Mapping) else None
        text = f"({declared if declared is not None else faithful(item.expression or '')})"
    if item.collation:
        text += f" COLLATE {dotted(item.collation)}"
    if item.opclass:
        text += f" {dotted(item.opclass)}"
        if item.parameters:
            text += f" ({options(item.parameters)})"
    if item.order == "desc":
        text += " DESC"
    if item.nulls:
        text += f" NULLS {item.nulls.upper()}"
    return text


def options(pairs: Iterable[tuple[str, str]]) -> str:
    """`m = 16, ef_construction = 64`: storage parameters, view options, opclass parameters."""
    return ", ".join(f"{name} = {value if _BARE_VALUE.fullmatch(value) else literal(value)}" for name, value in pairs)


def enum_statement(enum: Enum, name: str | None = None) -> str:
    """CREATE TYPE … AS ENUM, on request under another name."""
    values = ", ".join(literal(v) for v in enum.values)
    return f"CREATE TYPE {ident(enum.schema, name or enum.name)} AS ENUM ({values})"


_ON = {
    "table": "TABLE",
    "view": "VIEW",
    "materialized_view": "MATERIALIZED VIEW",
    "index": "INDEX",
    "sequence": "SEQUENCE",
    "statistics": "STATISTICS",
    "collation": "COLLATION",
    "domain": "DOMAIN",
    **dict.fromkeys(("enum", "composite", "range"), "TYPE"),
}
_CONSTRAINTS = frozenset({"primary_key", "unique", "check", "foreign_key", "exclusion"})


def is_constraint(address: Address) -> bool:
    """Whether the address names a table's constraint."""
    return address.kind in _CONSTRAINTS


def comment_statement(resource: PostgresResource, name: str | None = None) -> str:
    """COMMENT ON … IS `resource.comment`, on request under another name; None removes the comment."""
    kind, parts = resource.address.kind, resource.address.parts
    name = name or resource.name
    if kind == "column":
        target = f"COLUMN {ident(*parts[:2], name)}"
    elif kind in ("trigger", "policy"):
        target = f"{kind.upper()} {ident(name)} ON {relation(resource.address)}"
    elif kind in ROUTINES:
        target = f"{kind.upper()} {routine_name(resource.address)}"
    elif kind in _CONSTRAINTS:
        target = f"CONSTRAINT {ident(name)} ON {relation(resource.address)}"
    elif kind in _ON:
        target = f"{_ON[kind]} {ident(parts[0], name)}"
    else:
        target = f"{kind.upper().replace('_', ' ')} {ident(name)}"
    text = "NULL" if resource.comment is None else literal(resource.comment)
    return f"COMMENT ON {target} IS {text}"


def index_comment_calls(before: PostgresResource | None, after: PostgresResource) -> list[str]:
    """COMMENT ON INDEX of a constraint's index, where it differs."""
    if not isinstance(after, Key | Exclusion):
        return []
    there = before.index_comment if isinstance(before, Key | Exclusion) else None
    if there == after.index_comment:
        return []
    name = after.name if before is None else before.name
    text = "NULL" if after.index_comment is None else literal(after.index_comment)
    return [f"COMMENT ON INDEX {ident(after.schema, name)} IS {text}"]
