"""What a column type change costs: catalog only, a check of every row, or a rewrite; and whether a cast is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TYPE = re.compile(r"^(?P<base>[^(\[]+?)\s*(?:\((?P<args>[^)]*)\)(?P<rest>[^\[(]*?))?(?P<array>(?:\s*\[\])*)$")
_ALIASES = {
    "varchar": "character varying",
    "char": "character",
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "decimal": "numeric",
    "varbit": "bit varying",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "timetz": "time with time zone",
    "time": "time without time zone",
}
_STRINGS = frozenset({"text", "character varying", "character", "name"})
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_TIMES = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_STAMPS = frozenset({"timestamp without time zone", "timestamp with time zone"})
_VARYING = frozenset({"character varying", "text"})
_PADDED = frozenset({"character", "bit"})
"""Without a length they are of length 1."""
_PRECISION = 6
"""Of times where none is said."""
_SAME_BYTES = frozenset(
    {
        ("cidr", "inet"),
        ("bit", "bit varying"),
        ("xml", "text"),
        ("oid", "integer"),
        ("integer", "oid"),
        ("regclass", "oid"),
    }
)
"""Pairs that pg_cast has as binary coercible, of types that columns have."""
_JSON = frozenset({"json", "jsonb"})
_VECTORS = frozenset({"vector", "halfvec", "sparsevec"})
_BITS = frozenset({"bit", "bit varying"})
_NETWORKS = frozenset({"cidr", "inet"})
_WIDER = {
    "smallint": {"integer", "bigint", "numeric", "real", "double precision"},
    "integer": {"bigint", "numeric", "double precision"},
    "bigint": {"numeric"},
    "real": {"double precision"},
    "date": {"timestamp without time zone", "timestamp with time zone"},
    "json": {"jsonb"},
}


@dataclass(frozen=True)
class Type:
    """A type text taken apart: `character varying`, (10,), 1 array dimension or more."""

    base: str
    args: tuple[int, ...]
    array: bool

    @classmethod
    def of(cls, text: str) -> Type:
        """Take a type apart; what cannot be is its own base."""
        match = _TYPE.match(" ".join(text.split()))
        if match is None:
            return cls(text, (), False)
        base = " ".join((match["base"].strip(), (match["rest"] or "").strip())).strip()
        name = base.rpartition(".")[2].strip('"') if _vectorish(base) else _ALIASES.get(base.lower(), base)
        digits = (match["args"] or "").replace(" ", "").split(",")
        return cls(name, tuple(int(d) for d in digits if d.lstrip("-").isdigit()), bool(match["array"]))


def _vectorish(base: str) -> bool:
    return base.rpartition(".")[2].strip('"') in _VECTORS


@dataclass(frozen=True)
class TypeChange:
    """How the server carries a type change out."""

    rewrites: bool
    """Every row is written anew; False: the catalog is changed, or rows are only looked at."""
    using: bool
    """There is no assignment cast: the statement needs USING."""
    wider: bool
    """Every old value fits and reads as before."""
    loses: bool
    """Values are cut or rounded without an error."""
    kept: frozenset[str] | None = frozenset()
    """Methods of plain indexes on the column that are not built again; None for all."""

    def keeps(self, method: str) -> bool:
        """Whether plain indexes of a method on the column stay as they are."""
        return self.kept is None or method in self.kept


def is_vector(text: str) -> bool:
    """Whether it is one of pgvector's types."""
    return Type.of(text).base in _VECTORS


def stored_vectors_fit(old: str, new: str) -> bool:
    """Whether vectors of the old type may stay: only a length that was open before may be fixed, or be opened."""
    before, after = Type.of(old), Type.of(new)
    return before.base == after.base and (not before.args or not after.args or before.args == after.args)


def comparable(old: str, new: str) -> bool:
    """Whether constants and keys that were compared with the old type can be with the new one."""
    before, after = Type.of(old), Type.of(new)
    if before.array != after.array:
        return False
    families = (_STRINGS, _NUMBERS, _TIMES)
    return before.base == after.base or any(before.base in f and after.base in f for f in families)


def joinable(old: str, new: str) -> bool:
    """Whether a foreign key holds on while a column on one side of it has the old type and on the other the new one."""
    numbers = {Type.of(old).base, Type.of(new).base} & set(_NUMBERS)
    return comparable(old, new) and (len(numbers) < 2 or numbers <= _INTEGERS)


_INTEGERS = frozenset({"smallint", "integer", "bigint"})


def type_change(old: str, new: str) -> TypeChange:
    """Judge a change between two canonical type texts; the test `test_type_changes` asks the server the same."""
    before, after = Type.of(old), Type.of(new)
    same_array = before.array == after.array
    free = same_array and _free(before, after)
    wider = (same_array and after.base in _WIDER.get(before.base, ())) or (free and not _in_zone(before, after))
    return TypeChange(
        rewrites=not free,
        using=not (same_array and _assignable(before, after)),
        wider=wider,
        loses=same_array and not wider and not free and _loses(before, after),
        kept=_kept(before, after) if free else frozenset(),
    )


def _free(before: Type, after: Type) -> bool:
    """Without rewriting: the server proves that no value can change.

    Measured on PostgreSQL 18.4, 16.14 and 15: pg_relation_filenode before and after.
    """
    if before.base == after.base and not after.args:
        return before.base not in _PADDED or not before.args
    if before.array or after.array:
        return False
    if before.base == after.base == "numeric":
        return before.args[1:] == after.args[1:] and _longer(before, after)
    if {before.base, after.base} <= _VARYING or before.base == after.base == "bit varying":
        return _longer(before, after)
    if before.base == after.base and (before.base == "interval" or before.base.startswith(("timestamp", "time "))):
        return after.args[0] >= (*before.args, _PRECISION)[0]
    if before.base.startswith("interval ") and after.base == "interval":
        return not after.args or after.args[0] >= _PRECISION
    return _in_zone(before, after) or (not after.args and (before.base, after.base) in _SAME_BYTES)


def _in_zone(before: Type, after: Type) -> bool:
    """With and without a time zone, which is UTC in our sessions: the bytes are the same (PostgreSQL 12 and later)."""
    return {before.base, after.base} == _STAMPS and not after.args


def _kept(before: Type, after: Type) -> frozenset[str] | None:
    """What CheckIndexCompatible lets stand: the same operator class, and of arrays also the same type of the key."""
    if before.array:
        return frozenset({"btree"})
    alike = before.base == after.base or {before.base, after.base} <= _VARYING or before.base in ("cidr", "regclass")
    return None if alike or before.base.startswith("interval ") else frozenset()


def _longer(before: Type, after: Type) -> bool:
    return not after.args or (bool(before.args) and after.args[0] >= before.args[0])


def _assignable(before: Type, after: Type) -> bool:
    if before.base == after.base or after.base in _STRINGS:
        return True
    families = (_NUMBERS, _TIMES, _JSON, _VECTORS, _BITS, _NETWORKS)
    return any(before.base in family and after.base in family for family in families)


def _loses(before: Type, after: Type) -> bool:
    if before.base in _NUMBERS and after.base in _NUMBERS:
        if before.base == after.base == "numeric":
            scales = [(*t.args, 0)[1] if t.args else 1000 for t in (before, after)]
            return scales[1] < scales[0]
        return before.base in ("numeric", "real", "double precision") or after.base in ("real", "double precision")
    if (before.base in _TIMES and after.base == "date") or (before.base, after.base) == ("inet", "cidr"):
        return True
    timed = before.base == after.base and before.base.startswith(("timestamp", "time ", "interval"))
    vectors = {before.base, after.base} <= _VECTORS and before.base != after.base
    return vectors or (timed and not _longer(before, after))
