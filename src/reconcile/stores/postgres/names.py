"""Names: dotted and quoted as the YAML has them, generated as the server generates them. Pure text."""

from __future__ import annotations

import re

BYTES = 63
"""NAMEDATALEN - 1: what PostgreSQL keeps of an identifier."""

_KEYWORD_LIST = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case
cast char character check coalesce collate collation column concurrently constraint create cross current_catalog
current_date current_role current_schema current_time current_timestamp current_user dec decimal default
deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant
greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull join
json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize
json_table json_value lateral leading least left like limit localtime localtimestamp merge_action national
natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay
placing position precision primary real references returning right row select session_user setof similar
smallint some substring symmetric system_user table tablesample then time timestamp to trailing treat trim true
union unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat
xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""
KEYWORDS = frozenset(_KEYWORD_LIST.split())
"""What the server quotes in its texts although it is plain (PostgreSQL 18: pg_get_keywords, all but unreserved)."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


def split(name: str) -> tuple[str, ...]:
    """The parts of a dotted name; case is kept, a part in double quotes may hold dots.

    >>> split('audit.events'), split('"a.b".C')
    (('audit', 'events'), ('a.b', 'C'))

    Raises:
        ValueError: stray quotes or empty parts.
    """
    parts, end = [], 0
    for match in _PART.finditer(name):
        if match.start() != end:
            break
        parts.append(match[1].replace('""', '"') if match[1] else match[2])
        end = match.end()
        if end == len(name):
            return tuple(parts)
        if name[end] != ".":
            break
        end += 1
    raise ValueError(f"{name!r} is no name: write schema.name, and a part with a dot in double quotes")


def join(*parts: str) -> str:
    """The inverse of `split`: quoted only where it has to be for `split` to read it.

    >>> join('audit', 'a.b')
    'audit."a.b"'
    """
    return ".".join('"' + p.replace('"', '""') + '"' if not p or "." in p or '"' in p else p for p in parts)


def as_shown(name: str) -> str:
    """As the server writes it in its texts: quoted only where that is needed.

    >>> as_shown('documents'), as_shown('Order'), as_shown('user')
    ('documents', '"Order"', '"user"')
    """
    return name if _PLAIN.fullmatch(name) and name not in KEYWORDS else identifier(name)


def identifier(*parts: str) -> str:
    """Always quoted, for SQL that is sent: `"public"."Order"`."""
    return ".".join('"' + p.replace('"', '""') + '"' for p in parts)


def literal(text: str) -> str:
    """A string constant, right with and without standard_conforming_strings."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def clip(text: str, limit: int = BYTES) -> str:
    """The first `limit` bytes of `text` in UTF-8, never cutting a character."""
    return text.encode()[:limit].decode(errors="ignore")


def generated(table: str, column: str | None, label: str) -> str:
    """The name the server gives to what has none: `TABLE_COLUMN_LABEL` within 63 bytes.

    The longer of the two is cut first, byte by byte, as makeObjectName does.

    >>> generated('documents', None, 'pkey')
    'documents_pkey'
    >>> len(generated('t' * 70, 'c' * 70, 'seq'))
    63
    """
    available = BYTES - len(label) - 1 - (1 if column is not None else 0)
    first, second = len(table.encode()), len((column or "").encode())
    while first + second > available:
        if first > second:
            first -= 1
        else:
            second -= 1
    head = clip(table, first)
    return f"{head}_{label}" if column is None else f"{head}_{clip(column, second)}_{label}"


def identity_sequence(table: str, column: str) -> str:
    """The name that the server gives to the sequence of an identity column, if it is free."""
    return generated(table, column, "seq")


def generated_multirange(name: str) -> str:
    """The name the server gives to the multirange type of a range: the first "range" in it becomes "multirange".

    >>> generated_multirange('timerange'), generated_multirange('span')
    ('timemultirange', 'span_multirange')
    """
    if "range" in name:
        return clip(name.replace("range", "multirange", 1))
    return clip(name, BYTES - len("_multirange")) + "_multirange"
