"""More kinds for the random schemas: domains, composite and range types, functions, exclusion, partitions, grants.

They stand beside what `random_schemas` makes: in columns and objects of names that nothing there refers to.
"""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from tests.stores.postgres.random_schemas import COMMENTS, Schema

_KINDS = ("domains", "composites", "ranges", "functions")
_HOLD = {"k0": "d0", "k1": "p0", "k2": "r0", "k3": "d1"}
"""Columns by name, and the type each is of, where that is there."""


def with_kinds(random: Random, schema: Schema) -> Schema:
    """`schema` with some of each kind."""
    result = copy.deepcopy(schema)
    result |= {"domains": _domains(random), "composites": _composites(random), "ranges": _ranges(random)}
    result["functions"] = {**result["functions"], **_functions(random)}
    for name, table in result["tables"].items():
        _put(table, _parts(random, name))
    if random.random() < 0.8:
        result["tables"]["parted"] = _parted(random)
    return fitting(result)


def varied_kinds(random: Random, first: Schema, second: Schema) -> Schema:
    """`second`, which has none of these kinds, with those of `first`, some of them others."""
    result, other = copy.deepcopy(second), with_kinds(random, second)
    for kind in _KINDS:
        result[kind] = {**result.get(kind, {}), **copy.deepcopy(first[kind])}
        for name in sorted({*first[kind], *other[kind]} - {"touch()"}):
            if random.random() < 0.4:
                _take(result[kind], other[kind], name)
    for name, table in result["tables"].items():
        there, fresh = first["tables"].get(table.get("renamed_from", name)), _parts(random, name)
        _put(table, fresh if there is None or random.random() < 0.4 else _of(there, name))
    parted = random.choice((first["tables"].get("parted"), other["tables"].get("parted")))
    if parted is not None:
        result["tables"]["parted"] = copy.deepcopy(parted)
    return fitting(result)


def _take(into: dict[str, Any], source: dict[str, Any], name: str) -> None:
    if name in source:
        into[name] = copy.deepcopy(source[name])
    else:
        into.pop(name, None)


def _commented(random: Random, value: dict[str, Any]) -> dict[str, Any]:
    comment = random.choice(COMMENTS)
    return {**value, "comment": comment} if comment else value


def _domains(random: Random) -> dict[str, Any]:
    checks = random.choice(({}, {"low": "value > 0"}, {"low": "value >= 0"}, {"high": "value < 100"}))
    domains = {"d0": {"type": random.choice(("integer", "integer", "bigint")), "checks": checks}}
    texts = random.choice(({}, {"short": "length(value) < 9"}, {"short": "length(value) < 99", "full": "value <> ''"}))
    domains["d1"] = {"type": random.choice(("text", "varchar(20)")), "checks": texts}
    if random.random() < 0.3:
        domains["d1"]["default"] = "'d'"
    return {n: _commented(random, d) for n, d in domains.items() if random.random() < 0.8}


def _composites(random: Random) -> dict[str, Any]:
    fields = {"street": random.choice(("text", "varchar(30)")), "zip": random.choice(("integer", "text"))}
    if random.random() < 0.4:
        fields["town"] = "text"
    return {"p0": _commented(random, {"fields": fields})} if random.random() < 0.7 else {}


def _ranges(random: Random) -> dict[str, Any]:
    return {"r0": {"subtype": random.choice(("double precision", "text"))}} if random.random() < 0.6 else {}


def _functions(random: Random) -> dict[str, Any]:
    body = random.choice(("a + 1", "a * 2", "abs(a)"))
    kind = random.choice(("IMMUTABLE", "IMMUTABLE STRICT", "IMMUTABLE PARALLEL SAFE"))
    sql = f"CREATE FUNCTION low(a integer) RETURNS integer LANGUAGE sql {kind} RETURN {body}"
    found = {"low(integer)": _commented(random, {"definition": sql})}
    if random.random() < 0.5:
        text = f"CREATE FUNCTION high(a integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN low(a) + {len(body)}"
        found["high(integer)"] = {"definition": text}
    return found


def _parts(random: Random, name: str) -> dict[str, Any]:
    """What a table has of these kinds."""
    mark = name.replace(" ", "")
    columns = {c: _commented(random, {"type": t}) for c, t in _HOLD.items() if random.random() < 0.5}
    parts: dict[str, Any] = {"columns": columns, "checks": {}, "exclusions": {}}
    if random.random() < 0.4:
        called = random.choice(("low(id::integer) is not null", "high(id::integer) is not null"))
        parts["checks"][f"{mark}_called"] = {"expression": called}
    if random.random() < 0.4:
        keys = random.choice(([{"column": "id", "with": "="}], [{"expression": "abs(id)", "with": "="}]))
        where = random.choice(({}, {"where": "id > 0"}))
        parts["exclusions"][f"{mark}_x"] = {"method": "btree", "columns": keys, **where}
    readers = {"pg_monitor": ["select"], "pg_read_all_settings": ["select", "insert", {"update": ["id"]}]}
    parts["grants"] = {role: rights for role, rights in readers.items() if random.random() < 0.4}
    return parts


def _put(table: dict[str, Any], parts: dict[str, Any]) -> None:
    for part, found in copy.deepcopy(parts).items():
        table[part] = {**table.get(part, {}), **found}


def _of(table: dict[str, Any], name: str) -> dict[str, Any]:
    """The parts of these kinds that a table has, named for another."""
    mark = name.replace(" ", "")
    columns = {c: v for c, v in table["columns"].items() if c in _HOLD}
    checks = {f"{mark}_called": v for n, v in table["checks"].items() if n.endswith("_called")}
    exclusions = {f"{mark}_x": v for v in table.get("exclusions", {}).values()}
    return {"columns": columns, "checks": checks, "exclusions": exclusions, "grants": table.get("grants", {})}


def _parted(random: Random) -> dict[str, Any]:
    bounds = {
        "parted_low": {"from": ["minvalue"], "to": [0]},
        "parted_mid": {"from": [0], "to": [random.choice((10, 20))]},
        "parted_high": {"from": [20], "to": [100]},
    }
    partitions: dict[str, Any] = {n: b for n, b in bounds.items() if n == "parted_mid" or random.random() < 0.5}
    if random.random() < 0.4:
        partitions["parted_rest"] = "default"
    columns = {"id": {"type": "bigint", "not_null": True}, "note": random.choice(("text", "varchar(30)"))}
    if random.random() < 0.5:
        columns["size"] = {"type": "integer", "default": 3}
    table: dict[str, Any] = dict.fromkeys(("unique", "checks", "foreign_keys", "indexes", "policies", "triggers"))
    table = {part: {} for part in table}
    table |= {"columns": columns, "partition_by": {"range": ["id"]}, "partitions": partitions, "grants": {}}
    if random.random() < 0.6:
        table["indexes"] = {"parted_note": {"columns": [random.choice(("note", {"column": "note", "order": "desc"}))]}}
    if random.random() < 0.5:
        table["checks"] = {"parted_check": {"expression": random.choice(("id > -5", "note <> ''"))}}
    if random.random() < 0.5:
        table["primary_key"] = ["id"]
    return _commented(random, table)


def fitting(schema: Schema) -> Schema:
    """Without what names a type or function that is not there."""
    types = {name for kind in _KINDS[:3] for name in schema[kind]}
    for table in schema["tables"].values():
        columns = table["columns"]
        table["columns"] = {c: v for c, v in columns.items() if c not in _HOLD or _HOLD[c] in types}
        checks = {n: v for n, v in table["checks"].items() if _callable(v["expression"], schema)}
        table["checks"] = checks
    functions = schema["functions"]
    if "low(integer)" not in functions:
        functions.pop("high(integer)", None)
        for table in schema["tables"].values():
            table["checks"] = {n: v for n, v in table["checks"].items() if "high(" not in v["expression"]}
    return schema


def _callable(sql: str, schema: Schema) -> bool:
    names = [f for f in ("low", "high") if f"{f}(" in sql]
    return all(f"{f}(integer)" in schema["functions"] for f in names)
