"""Type names: the aliases of built-in types as format_type spells them. Pure text; the server has the last word.

https://www.postgresql.org/docs/current/datatype.html
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from reconcile.stores.postgres.names import KEYWORDS, as_shown
from reconcile.stores.postgres.sqltokens import tokens

_ALIASES = {
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "int2": "smallint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "varchar": "character varying",
    "char varying": "character varying",
    "national character varying": "character varying",
    "nchar varying": "character varying",
    "char": "character",
    "nchar": "character",
    "national character": "character",
    "decimal": "numeric",
    "dec": "numeric",
    "varbit": "bit varying",
}
_TIMES = {
    "timestamp": ("timestamp", "without"),
    "timestamp without time zone": ("timestamp", "without"),
    "timestamp with time zone": ("timestamp", "with"),
    "timestamptz": ("timestamp", "with"),
    "time": ("time", "without"),
    "time without time zone": ("time", "without"),
    "time with time zone": ("time", "with"),
    "timetz": ("time", "with"),
}
_PLAIN_WORDS = """
bigint bit boolean box bpchar bytea character cid cidr circle date datemultirange daterange inet int4multirange
int4range int8multirange int8range integer interval json jsonb jsonpath line lseg macaddr macaddr8 money name
numeric nummultirange numrange oid path pg_lsn pg_snapshot point polygon real regclass regproc regtype smallint
text tid tsmultirange tsquery tsrange tstzmultirange tstzrange tsvector txid_snapshot uuid xid xid8 xml
"""
_PLAIN = frozenset(_PLAIN_WORDS.split()) | {"double precision", "character varying", "bit varying"}
SERIALS = {
    "serial": "integer",
    "serial4": "integer",
    "bigserial": "bigint",
    "serial8": "bigint",
    "smallserial": "smallint",
    "serial2": "smallint",
}
"""What is no type, and the type of the identity column to write instead."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type as far as its text tells."""

    text: str
    """As format_type would print it, if built in."""
    schema: str | None
    name: str
    """Without schema, modifiers and array brackets."""
    modifiers: tuple[str, ...]
    array: bool
    builtin: bool


@lru_cache(maxsize=4096)
def read(text: str) -> Type:
    """What `text` says; nothing is refused here.

    >>> [read(t).text for t in ('int', 'varchar(10)', 'timestamptz(3)', 'decimal(8)', 'text[]', 'char')]
    ['integer', 'character varying(10)', 'timestamp(3) with time zone', 'numeric(8,0)', 'text[]', 'character(1)']
    """
    words: list[str] = []
    modifiers: list[str] = []
    array, depth, quoted = False, 0, False
    for token in tokens(text):
        if token.kind == "space":
            continue
        if token.text in ("(", ")"):
            depth += 1 if token.text == "(" else -1
        elif depth:
            if token.text == "," or not modifiers:
                modifiers.append("")
            modifiers[-1] += token.text if token.text != "," else ""
        elif token.text == "[" or (token.kind == "word" and token.text.lower() == "array"):
            array = True
        elif not array and token.text != "]":
            words.append(token.name if token.name is not None else token.text)
            quoted = quoted or token.kind == "quoted"
    schema = None
    if len(words) == 3 and words[1] == ".":
        schema, words = words[0], words[2:]
    name = " ".join(words)
    own = schema not in (None, "pg_catalog") or (quoted and name in KEYWORDS)  # "char" is not char
    known = None if own else _builtin(name, modifiers)
    if known is not None:
        return Type(known + ("[]" if array else ""), None, name, tuple(modifiers), array, True)
    plain = name if not quoted and schema is None and " " in name else as_shown(name)
    shown = [*([as_shown(schema)] if schema else []), plain]
    inner = f"({','.join(modifiers)})" if modifiers else ""
    return Type(".".join(shown) + inner + ("[]" if array else ""), schema, name, tuple(modifiers), array, False)


def _builtin(name: str, modifiers: list[str]) -> str | None:
    inner = f"({','.join(modifiers)})" if modifiers else ""
    if name in _TIMES:
        base, zone = _TIMES[name]
        return f"{base}{inner} {zone} time zone"
    if name == "float":
        return "real" if modifiers and int(modifiers[0]) <= 24 else "double precision"
    if name == "bpchar":
        return f"character{inner}" if modifiers else "bpchar"
    base = _ALIASES.get(name, name)
    if base not in _PLAIN:
        return None
    if base in ("character", "bit") and not modifiers:
        return f"{base}(1)"
    if base == "numeric" and len(modifiers) == 1:
        return f"numeric({modifiers[0]},0)"
    return base + inner
