"""Random small schemas of all modelled kinds, as YAML documents; the same seed gives the same schema.

What a column may hold follows from its name, so that an expression from one schema still makes sense in a mixture of
two; `repaired` takes out what does not fit together any more.
"""

from __future__ import annotations

import copy
import re
from random import Random
from typing import Any

Schema = dict[str, Any]

TABLES = ("t0", "t1", "t2", "T 3")
ENUMS = ("e0", "e1")
VIEWS = {"w0": (), "m0": (), "w1": ("w0",), "m1": ("w0", "m0"), "w2": ("m0", "w1")}
"""What of the others each may read; those of m are materialized."""
VALUES = ("a", "b", "c", "d")
TYPES = {
    "id": ("bigint", "integer"),
    "n0": ("integer", "bigint", "numeric(12,2)", "smallint"),
    "n1": ("bigint", "double precision", "numeric"),
    "x0": ("text", "varchar(40)", "varchar(20)"),
    "x1": ("text", "varchar(30)"),
    "d0": ("date", "timestamptz", "timestamp"),
    "s0": ENUMS,
    "s1": ENUMS,
    "b0": ("boolean", "text", "integer"),
    "j0": ("jsonb", "json"),
    "v0": ("vector(3)", "vector(4)", "halfvec(3)"),
    "a0": ("text[]", "integer[]"),
    "Odd 1": ("text", "uuid"),
}
DEFAULTS = {
    "id": ("7",),
    "n0": ("0", "1", "nextval('q0')"),
    "n1": ("0", "2", "nextval('q1')"),
    "x0": ("'x'", "'it''s'", "'a' || 'b'"),
    "x1": ("'y'",),
    "d0": ("now()", "'2020-01-01'"),
    "s0": ("'a'", "'b'", "'c'"),
    "s1": ("'a'", "'d'"),
    "a0": ("'{}'",),
}
GENERATED = {"n1": ("n0 * 2", "n0 + 1", "length(x0)"), "x1": ("lower(x0)", "upper(x0)", "x0 || 'z'")}
CHECKS = ("n0 > 0", "n0 >= 0", "n0 in (1, 2, 3)", "x0 <> ''", "length(x0) < 50", "n0 > 0 or x0 = 'y'", "s0 <> 'a'",
          "s0 in ('a', 'b')", "d0 > '2000-01-01'", "n1 is not null", "x1 in ('p', 'q')")  # fmt: skip
EXPRESSIONS = ("lower(x0)", "n0 + 1", "coalesce(x1, x0)", "(n1 * 2)")
WHERE = ("n0 > 0", "s0 = 'a'", "x0 is not null", "x1 <> 'z'")
CHANGED = ("n0", "n1", "x0", "x1", "d0", "s0")
TOUCH = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$"
SELECTED = ("id", "n0", "n1", "x0", "x1", "d0", "s0", "b0", "j0")
COMMENTS = (None, None, None, "A comment", "It's another")


def generate(random: Random) -> Schema:
    """A schema that holds together."""
    schema: Schema = {
        "extensions": {"vector": {}},
        "enums": {e: _enum(random) for e in ENUMS if random.random() < 0.7},
        "sequences": {q: _sequence(random) for q in ("q0", "q1") if random.random() < 0.6},
        "functions": {"touch()": {"definition": TOUCH}},
        "tables": {t: _table(random, t) for t in TABLES if random.random() < 0.7},
        "views": {v: _view(random, v) for v in VIEWS if random.random() < 0.6},
    }
    return repaired(schema)


def varied(random: Random, schema: Schema) -> Schema:
    """A schema that has much in common with `schema`: some objects replaced, dropped, added or renamed."""
    result, other = copy.deepcopy(schema), generate(random)
    for kind in ("enums", "sequences", "views"):
        for name in sorted({*result[kind], *other[kind]}):
            if random.random() < 0.3:
                _take(result[kind], other[kind], name)
    for name in sorted({*result["tables"], *other["tables"]}):
        if random.random() < 0.15:
            _take(result["tables"], other["tables"], name)
        elif name in result["tables"]:
            fresh = other["tables"].get(name) or _table(random, name)
            for part in ("columns", "unique", "checks", "foreign_keys", "indexes", "policies", "triggers"):
                for inner in sorted({*result["tables"][name][part], *fresh[part]}):
                    if random.random() < 0.25:
                        _take(result["tables"][name][part], fresh[part], inner)
            for part in ("primary_key", "comment", "row_level_security"):
                if random.random() < 0.2:
                    _take(result["tables"][name], fresh, part)
    if random.random() < 0.3:
        _rename_column(random, schema, result)
    if random.random() < 0.2:
        _rename_table(random, schema, result)
    return repaired(result)


def _take(into: dict[str, Any], source: dict[str, Any], name: str) -> None:
    if name in source:
        into[name] = copy.deepcopy(source[name])
    else:
        into.pop(name, None)


def _rename_column(random: Random, old: Schema, new: Schema) -> None:
    for name, table in new["tables"].items():
        there = old["tables"].get(name, {"columns": {}})["columns"]
        for was, now in (("x0", "x1"), ("n0", "n1"), ("s0", "s1")):
            moved = table["columns"].get(was)
            free = now not in there and now not in table["columns"]
            if was in there and moved and "generated" not in moved and free and random.random() < 0.5:
                text = re.sub(rf"\b{was}\b", now, repr({**table, "columns": {}}))
                columns = {now if c == was else c: v for c, v in table["columns"].items()}
                columns[now] = {**moved, "renamed_from": was}
                for column in columns.values():
                    if "generated" in column:
                        column["generated"] = re.sub(rf"\b{was}\b", now, column["generated"])
                new["tables"][name] = {**eval(text), "columns": columns}
                for view in new["views"].values():
                    if view["from"] == name:
                        view["query"] = re.sub(rf"\b{was}\b", now, view["query"])
                return


def _rename_table(random: Random, old: Schema, new: Schema) -> None:
    names = [t for t in TABLES if t in old["tables"] and t in new["tables"]]
    free = [t for t in TABLES if t not in old["tables"] and t not in new["tables"]]
    if names and free:
        was, now = random.choice(names), random.choice(free)
        new["tables"][now] = {**new["tables"].pop(was), "renamed_from": was}
        for table in new["tables"].values():
            for key in table["foreign_keys"].values():
                if key["references"]["table"] == was:
                    key["references"] = {**key["references"], "table": now}
            for policy in table["policies"].values():
                if policy.get("reads") == was:
                    policy |= {"reads": now, "using": _looked_up(now)}
        for view in new["views"].values():
            if view["from"] == was:
                view["from"], view["query"] = now, view["query"].replace(quoted(was), quoted(now))


def quoted(name: str) -> str:
    """A name in SQL."""
    return name if re.fullmatch(r"[a-z][a-z0-9_]*", name) else f'"{name}"'


def _commented(random: Random, value: dict[str, Any]) -> dict[str, Any]:
    comment = random.choice(COMMENTS)
    return {**value, "comment": comment} if comment else value


def _enum(random: Random) -> dict[str, Any]:
    return _commented(random, {"values": random.sample(VALUES, random.randint(1, 4))})


def _sequence(random: Random) -> dict[str, Any]:
    return _commented(random, {"increment": random.choice((1, 5)), "cache": random.choice((1, 10))})


def _table(random: Random, name: str) -> dict[str, Any]:
    columns = {"id": _column(random, "id")}
    columns |= {c: _column(random, c) for c in TYPES if c != "id" and random.random() < 0.6}
    mark = name.replace(" ", "")
    table: dict[str, Any] = {
        "columns": columns,
        "unique": {f"{mark}_u{n}": _unique(random) for n in range(2) if random.random() < 0.4},
        "checks": {f"{mark}_c{n}": _check(random) for n in range(3) if random.random() < 0.5},
        "foreign_keys": {f"{mark}_f{n}": _foreign_key(random) for n in range(2) if random.random() < 0.5},
        "indexes": {f"{mark}_i{n}": _index(random) for n in range(3) if random.random() < 0.6},
        "policies": {f"p{n}": _policy(random) for n in range(3) if random.random() < 0.4},
        "triggers": {f"{mark}_g{n}": _trigger(random) for n in range(3) if random.random() < 0.4},
    }
    if random.random() < 0.5:
        table["row_level_security"] = random.choice(("enabled", "forced"))
    if random.random() < 0.85:
        key = random.choice((["id"], ["id"], ["id", "n0"]))
        table["primary_key"] = random.choice((key, {"name": f"{mark}_key", "columns": key}))
    return _commented(random, table)


def _column(random: Random, name: str) -> dict[str, Any]:
    column: dict[str, Any] = {"type": random.choice(TYPES[name])}
    if name in GENERATED and random.random() < 0.3:
        column |= {"generated": random.choice(GENERATED[name])}
        column["type"] = TYPES[name][0]
    elif name == "id" and random.random() < 0.5:
        column |= {"identity": random.choice(("always", "by_default")), "not_null": True}
    elif name in DEFAULTS and random.random() < 0.4:
        column["default"] = random.choice(DEFAULTS[name])
    if random.random() < 0.25:
        column["not_null"] = True
    if name in ("x0", "x1") and random.random() < 0.1:
        column["collation"] = "C"
    return _commented(random, column)


def _unique(random: Random) -> dict[str, Any]:
    unique: dict[str, Any] = {"columns": random.choice((["n0"], ["x0"], ["n0", "x0"], ["n1"]))}
    if random.random() < 0.2:
        unique["nulls_not_distinct"] = True
    if random.random() < 0.1:
        unique["deferrable"] = random.choice(("initially_deferred", "initially_immediate"))
    if random.random() < 0.2:
        unique["include"] = ["b0"]
    return _commented(random, unique)


def _check(random: Random) -> dict[str, Any]:
    check: dict[str, Any] = {"expression": random.choice(CHECKS)}
    if random.random() < 0.15:
        check["not_valid"] = True
    return _commented(random, check)


def _foreign_key(random: Random) -> dict[str, Any]:
    key: dict[str, Any] = {
        "columns": [random.choice(("n0", "n1"))],
        "references": {"table": random.choice(TABLES), "columns": [random.choice(("id", "id", "n0"))]},
    }
    if random.random() < 0.4:
        key["on_delete"] = random.choice(("cascade", "set_null", "restrict"))
    if random.random() < 0.2:
        key["not_valid"] = True
    if random.random() < 0.2:
        key["deferrable"] = "initially_deferred"
    return _commented(random, key)


def _index(random: Random) -> dict[str, Any]:
    kind = random.random()
    if kind < 0.15:
        opclass = random.choice(("vector_l2_ops", "vector_cosine_ops"))
        index: dict[str, Any] = {"method": "hnsw", "columns": [{"column": "v0", "opclass": opclass}]}
        return {**index, "with": {"m": random.choice((8, 16))}} if random.random() < 0.5 else index
    if kind < 0.25:
        return {"method": "gin", "columns": [random.choice(("a0", "j0"))]}
    items: list[Any] = [random.choice(("n0", "n1", "x0", "x1", "d0", "s0"))]
    if random.random() < 0.3:
        items = [{"expression": random.choice(EXPRESSIONS)}]
    elif random.random() < 0.3:
        items.append({"column": "id", "order": "desc", "nulls": random.choice(("first", "last"))})
    index = {"columns": items}
    if random.random() < 0.25:
        index["unique"] = True
    if random.random() < 0.25:
        index["where"] = random.choice(WHERE)
    if random.random() < 0.15:
        index["include"] = ["b0"]
    if random.random() < 0.2:
        index["with"] = {"fillfactor": random.choice((70, 90))}
    return _commented(random, index)


def _policy(random: Random) -> dict[str, Any]:
    policy: dict[str, Any] = {"for": random.choice(("all", "all", "select", "insert", "update"))}
    if random.random() < 0.3:
        policy["as"] = "restrictive"
    if random.random() < 0.4:
        policy["to"] = random.choice((["public"], ["pg_monitor"], ["pg_read_all_settings", "pg_monitor"]))
    if policy["for"] != "insert":
        policy["using"] = random.choice(CHECKS)
        if random.random() < 0.3:
            other = random.choice(TABLES)
            policy |= {"reads": other, "using": _looked_up(other)}
    if policy["for"] != "select" and random.random() < 0.6:
        policy["check"] = random.choice(CHECKS)
    return _commented(random, policy)


def _looked_up(table: str) -> str:
    return f"id in (select z.id from {quoted(table)} z)"


def _trigger(random: Random) -> dict[str, Any]:
    trigger: dict[str, Any] = {"when": "after", "events": ["update"], "function": "touch()"}
    kind = random.random()
    if kind < 0.2:
        trigger |= {"constraint": True, "deferrable": random.choice(("initially_deferred", "initially_immediate"))}
    elif kind < 0.4:
        trigger |= {"old_table": "was", "new_table": random.choice(("is_now", "fresh"))}
    elif kind < 0.6:
        trigger |= {"when": "before", "events": random.choice((["insert"], ["delete", "update"]))}
    else:
        trigger |= {"for_each": "row", "events": ["insert", "update"]}
        trigger["of"] = random.sample(CHANGED, random.randint(1, 2))
    if kind > 0.7 or kind < 0.1:
        trigger["condition"] = re.sub(r"\b([a-z][01])\b(?!')", r"new.\1", random.choice(CHECKS))
    if random.random() < 0.2:
        trigger["enabled"] = random.choice(("disabled", "always", "replica"))
    if random.random() < 0.2:
        trigger["arguments"] = random.choice((["a"], ["it's", 1]))
    return _commented(random, trigger)


def _view(random: Random, name: str) -> dict[str, Any]:
    others = VIEWS[name]
    source = random.choice(others) if others and random.random() < 0.5 else random.choice(TABLES)
    columns = random.sample(SELECTED, random.randint(1, 4))
    query = f"select {', '.join(columns)} from {quoted(source)}"
    shape = random.random()
    if shape < 0.2 and source == "w0":  # of a table, it takes the order in which columns were added
        query = f"select * from {quoted(source)}"
    elif shape < 0.35:
        query = f"select {columns[0]}, count(*) as how_many from {quoted(source)} group by {columns[0]}"
    elif shape < 0.6:
        query += f" where {random.choice(WHERE)}"
    view = _commented(random, {"from": source, "query": query})
    if name.startswith("m"):
        keys = [c for c in columns if c not in ("j0", "v0")]
        view["indexes"] = {f"{name}_{k}": {"columns": [k]} for k in keys if random.random() < 0.5}
        view |= {"with": {"fillfactor": 70}} if random.random() < 0.3 else {}
        view |= {"with_data": False} if name == "m1" and random.random() < 0.3 else {}
    if "*" not in query and random.random() < 0.3:
        view["columns"] = {columns[0]: {"comment": random.choice(COMMENTS) or "A column"}}
    return view


# What has to fit together.


def repaired(schema: Schema) -> Schema:
    """`schema` without what cannot be: dangling names, values an enum does not have, wrong types."""
    enums, tables, views = schema["enums"], schema["tables"], schema["views"]
    for table in tables.values():
        _repair_columns(table, schema)
    for table in tables.values():
        columns = table["columns"]
        key = table.get("primary_key")
        if key and not {*(key["columns"] if isinstance(key, dict) else key)} <= {
            c for c, v in columns.items() if "generated" not in v or c != "id"
        }:
            del table["primary_key"]
        _keep(table, "unique", lambda u, c=columns: {*u["columns"], *u.get("include", ())} <= set(c))
        _keep(table, "checks", lambda k, c=columns: _holds(k["expression"], c, enums))
        _keep(table, "indexes", lambda i, c=columns: _index_fits(i, c, enums))
        _keep(table, "policies", lambda p, c=columns: _policy_fits(p, c, tables, enums))
        _keep(table, "triggers", lambda g, c=columns: _trigger_fits(g, c, enums))
    for table in tables.values():
        _keep(table, "foreign_keys", lambda f, t=table: _refers(f, t, tables))
    for _ in range(3):
        for name in list(views):
            if not _view_fits(views[name], tables, views, enums):
                del views[name]
                continue
            selected = views[name]["query"].split(" from ")[0]
            for part in ("columns", "indexes"):
                named = {k: v.get("columns", [k])[0] for k, v in views[name].get(part, {}).items()}
                for key, column in named.items():
                    if "*" in selected or not re.search(rf"\b{column}\b", selected):
                        del views[name][part][key]
    return schema


def _keep(table: dict[str, Any], part: str, good: Any) -> None:
    table[part] = {n: v for n, v in table[part].items() if good(v)}


def _repair_columns(table: dict[str, Any], schema: Schema) -> None:
    columns = table["columns"]
    for name in list(columns):
        column = columns[name]
        if column["type"] in ENUMS and column["type"] not in schema["enums"]:
            del columns[name]
            continue
        default = str(column.get("default", ""))
        values = schema["enums"].get(column["type"], {}).get("values", VALUES)
        bad_sequence = "nextval" in default and default.split("'")[1] not in schema["sequences"]
        bad_value = name in ("s0", "s1") and default and default.strip("'") not in values
        if bad_sequence or bad_value or ("nextval" in default and column["type"].startswith("numeric(")):
            del column["default"]
        if column.get("not_null") is False:
            del column["not_null"]
    for name in list(columns):
        generated = columns[name].get("generated")
        if generated:
            used = [c for c in TYPES if re.search(rf"\b{c}\b", generated)]
            if not all(c in columns and "generated" not in columns[c] for c in used):
                del columns[name]
            elif name == "n1":
                columns[name]["type"] = "bigint"


def _holds(text: str, columns: dict[str, Any], enums: dict[str, Any]) -> bool:
    used = [c for c in TYPES if re.search(rf"\b{c}\b", text)]
    if not all(c in columns for c in used):
        return False
    for name in ("s0", "s1"):
        if name in used:
            values = enums[columns[name]["type"]]["values"]
            return all(v in values for v in re.findall(r"'(\w)'", text))
    return True


def _index_fits(index: dict[str, Any], columns: dict[str, Any], enums: dict[str, Any]) -> bool:
    for item in index["columns"]:
        name = item if isinstance(item, str) else item.get("column")
        if name is not None and name not in columns:
            return False
        if name is None and not _holds(item["expression"], columns, enums):
            return False
        if index.get("method") == "hnsw" and not columns[str(name)]["type"].startswith("vector"):
            return False
        if index.get("method") == "gin" and name == "j0" and columns[name]["type"] != "jsonb":
            return False
    if not set(index.get("include", ())) <= set(columns):
        return False
    return "where" not in index or _holds(index["where"], columns, enums)


def _policy_fits(
    policy: dict[str, Any], columns: dict[str, Any], tables: dict[str, Any], enums: dict[str, Any]
) -> bool:
    if "reads" in policy:
        return policy["reads"] in tables and _holds(policy.get("check", "true"), columns, enums)
    return all(_holds(policy.get(key, "true"), columns, enums) for key in ("using", "check"))


def _trigger_fits(trigger: dict[str, Any], columns: dict[str, Any], enums: dict[str, Any]) -> bool:
    return set(trigger.get("of", ())) <= set(columns) and _holds(trigger.get("condition", "true"), columns, enums)


def _refers(key: dict[str, Any], table: dict[str, Any], tables: dict[str, Any]) -> bool:
    target = tables.get(key["references"]["table"])
    (name,), (there,) = key["columns"], key["references"]["columns"]
    if target is None or name not in table["columns"] or there not in target["columns"]:
        return False
    types = table["columns"][name]["type"], target["columns"][there]["type"]
    if not all(t in ("bigint", "integer", "smallint") for t in types) or "generated" in table["columns"][name]:
        return False
    primary = target.get("primary_key", [])
    keys = [primary["columns"] if isinstance(primary, dict) else primary]
    keys += [u["columns"] for u in target["unique"].values() if "deferrable" not in u]
    keys += [i["columns"] for i in target["indexes"].values() if i.get("unique") and "where" not in i]
    return [there] in keys


def _view_fits(view: dict[str, Any], tables: dict[str, Any], views: dict[str, Any], enums: dict[str, Any]) -> bool:
    source, query = view["from"], view["query"]
    if source in views:
        inner = views[source]["query"]
        if "*" in inner.replace("count(*)", ""):
            return "*" in query and "where" not in query and "count" not in query and "group" not in query
        there = [c for c in TYPES if re.search(rf"\b{c}\b", inner.split(" from ")[0])]
        return all(c in there for c in TYPES if re.search(rf"\b{c}\b", query)) and "count" not in inner
    if source not in tables:
        return False
    if "group by" in query and re.search(r"group by (j0|v0)", query):
        return False
    return _holds(query, tables[source]["columns"], enums)


def document(schema: Schema) -> dict[str, Any]:
    """As a document of a schema file."""
    shown = {n: {k: v for k, v in view.items() if k != "from"} for n, view in schema["views"].items()}
    views = {n: view for n, view in shown.items() if not n.startswith("m")}
    materialized = {n: view for n, view in shown.items() if n.startswith("m")}
    tables = {n: {**table, "policies": _shown(table["policies"])} for n, table in schema["tables"].items()}
    found = {**schema, "tables": tables, "views": views, "materialized_views": materialized}
    return {"store": "s", **{k: v for k, v in found.items() if v}}


def _shown(policies: dict[str, Any]) -> dict[str, Any]:
    return {n: {k: v for k, v in policy.items() if k != "reads"} for n, policy in policies.items()}
