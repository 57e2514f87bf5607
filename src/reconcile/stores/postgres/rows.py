"""Reference rows: `rows:` of a table as a resource, what is live of it, and the change between the two.

The server compares: declared values are read by it as rows of the table and both sides written as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from reconcile.change import Action, Change, Irreversible, Phase, Sql, Step, Timeouts, World
from reconcile.facts import Fact, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Json, State
from reconcile.stores.postgres.resources import Column
from reconcile.stores.postgres.sqltext import ident, idents, literal, relation
from reconcile.stores.rows import Rows

if TYPE_CHECKING:
    from reconcile.stores.postgres.connect import Connection
    from reconcile.stores.postgres.parse.scope import Scope
    from reconcile.yamlio import Map

KIND = "rows"
SHOWN = 4


def parse(value: Map, table: Address, keys: Sequence[Sequence[str]], scope: Scope) -> list[Rows]:
    """`rows:` of a table; what is wrong goes to the scope.

    Args:
        keys: the columns of its primary key and of each unique constraint.
    """
    entry = value.get("rows")
    if entry is None:
        return []
    key = tuple(entry["key"])
    if not any(set(key) == set(columns) for columns in keys):
        hint = "rows are found again by it: name the columns of the primary key or of a unique constraint"
        scope.problem(entry.value_at("key"), f"key: {', '.join(key)} is not unique in this table", hint)
    found: dict[str, Json] = {}
    columns = value.get("columns") or {}
    for index, row in enumerate(entry["values"]):
        where = entry["values"].at(index)
        for name in row:
            if name not in columns:
                scope.problem(row.at(name), f'there is no column "{name}" in this table')
        if missing := [name for name in key if row.get(name) is None]:
            scope.problem(where, f"the row has no {missing[0]}, which is its key")
            continue
        text = ", ".join(str(row[name]) for name in key)
        if text in found:
            scope.problem(where, f"two rows have the key {text}", "keep one of them")
        found[text] = json.loads(json.dumps(row))
    return [
        Rows(
            address=Address(table.store, KIND, table.parts),
            source=value.at("rows"),
            container=table,
            key=key,
            rows=tuple(found[text] for text in sorted(found)),
            extra=entry.get("extra", "keep"),
        )
    ]


def live_rows(connection: Connection, declared: Iterable[Rows], live: State) -> list[Rows]:
    """See `stores.rows.HoldsRows`; of tables that lack a column of the key, nothing."""
    found = []
    for wanted in declared:
        inside = live.children(wanted.container or wanted.address)
        types = {r.address.parts[-1]: r.type for r in inside if isinstance(r, Column)}
        if wanted.container in live and set(wanted.key) <= types.keys():
            found.append(_live(connection, wanted, types))
    return found


def _live(connection: Connection, wanted: Rows, types: dict[str, str]) -> Rows:
    names = [n for n in types if any(n in row for row in wanted.rows)]
    typed = ", ".join(f"{ident(n)} {types[n]}" for n in names)
    on = " AND ".join(f"t.{ident(k)} = d.{ident(k)}" for k in wanted.key)
    table = relation(wanted.address)
    query = (
        f"SELECT n, to_jsonb(d), to_jsonb(t) FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS e(doc, n)"
        f" CROSS JOIN LATERAL jsonb_to_record(e.doc) AS d({typed}) LEFT JOIN {table} AS t ON {on} ORDER BY n"
    )
    rows: dict[int, tuple[Json, Json]] = {}
    for number, declared, there in connection.execute(query.encode(), (json.dumps(list(wanted.rows)),)).fetchall():
        rows[int(number) - 1] = (declared, there)
    seen = []
    for index, row in enumerate(wanted.rows):
        declared, there = rows[index]
        if there is not None:
            seen.append({n: v if n in there and there[n] == declared[n] else there.get(n) for n, v in row.items()})
    if wanted.extra == "delete":
        seen += _extra(connection, wanted, table, on, typed)
    ordered = {", ".join(str(row[name]) for name in wanted.key): row for row in seen}
    return wanted.replace(rows=tuple(ordered[k] for k in sorted(ordered)), source=None)


def _extra(connection: Connection, wanted: Rows, table: str, on: str, typed: str) -> list[Json]:
    """Rows of other keys, by their keys alone."""
    query = (
        f"SELECT to_jsonb(x) FROM (SELECT {', '.join(f't.{ident(k)}' for k in wanted.key)} FROM {table} AS t"
        f" WHERE NOT EXISTS (SELECT FROM jsonb_to_recordset(%s::jsonb) AS d({typed}) WHERE {on})) x"
    )
    return [row[0] for row in connection.execute(query.encode(), (json.dumps(list(wanted.rows)),)).fetchall()]


@dataclass(frozen=True)
class SyncRows(Change):
    """Insert and update the declared rows, by their key."""

    action: ClassVar[Action] = Action.UPDATE

    before: Rows | None
    after: Rows

    def describe(self) -> str:
        """What is inserted, updated and deleted, the first of them by key."""
        new, changed, gone = self._parts()
        told = [f"insert {_named(new)}"] if new else []
        if changed:
            old = self.before.by_key() if self.before else {}
            told.append(f"update {_named(f'{key} ({_differing(old[key], row)})' for key, row in changed.items())}")
        return "; ".join([*told, *([f"delete {_named(gone)}"] if gone else [])])

    def _parts(self) -> tuple[dict[str, Json], dict[str, Json], dict[str, Json]]:
        """Rows to insert, to update, and to delete."""
        old, wanted = self.before.by_key() if self.before else {}, self.after.by_key()
        new = {key: row for key, row in wanted.items() if key not in old}
        changed = {key: row for key, row in wanted.items() if key in old and old[key] != row}
        return new, changed, {key: row for key, row in old.items() if key not in wanted}

    def steps(self, world: World) -> Sequence[Step]:
        """One, in one transaction; the table and the columns come first."""
        from reconcile.stores.postgres.changes.common import requires
        from reconcile.stores.postgres.changes.homes import homes

        table = self.after.container
        assert table is not None
        types = {r.address.parts[-1]: r.type for r in world.target.children(table) if isinstance(r, Column)}
        new, changed, gone = self._parts()
        names = dict.fromkeys(n for row in (*new.values(), *changed.values()) for n in row)
        calls = [Sql(sql) for sql in _upserts(self.after, [*new.values(), *changed.values()], types)]
        calls += [Sql(_delete(self.after, row, types)) for row in gone.values()]
        referred = {
            Address(table.store, KIND, r.references)
            for r in world.target.children(table)
            if r.address.kind == "foreign_key" and hasattr(r, "references")
        }
        needs: set[Fact] = {*requires(world, [table, *homes(world, table, names)])}
        needs |= {ok(a) for a in referred if a in world.target and a not in world.live and a != self.address}
        return [
            Step(
                id=f"{self.address}/1-rows",
                address=self.address,
                calls=tuple(calls),
                phase=Phase.MIGRATE,
                needs=frozenset(needs),
                gives=frozenset({ok(self.address)}),
                hazards=frozenset({Hazard.DELETES_DATA} if gone else ()),
                timeouts=Timeouts(lock="5s"),
            )
        ]

    def reverse(self) -> Change | Irreversible:
        """Of updates the other way round; rows that were inserted stay."""
        new, _, gone = self._parts()
        if self.before is None or new or gone:
            return Irreversible("rows that were inserted may be referred to")
        return SyncRows(self.after, self.before)


def _upserts(rows: Rows, wanted: Sequence[Json], types: dict[str, str]) -> list[str]:
    """INSERT … ON CONFLICT DO UPDATE, one for rows that set the same columns."""
    groups: dict[tuple[str, ...], list[Json]] = {}
    for row in wanted:
        groups.setdefault(tuple(row), []).append(row)
    found = []
    for names, own in groups.items():
        values = ", ".join(f"({', '.join(_sql(row[n], types.get(n, '')) for n in names)})" for row in own)
        sets = ", ".join(f"{ident(n)} = EXCLUDED.{ident(n)}" for n in names if n not in rows.key)
        end = f"UPDATE SET {sets}" if sets else "NOTHING"
        found.append(
            f"INSERT INTO {relation(rows.address)} ({idents(names)}) VALUES {values}"
            f" ON CONFLICT ({idents(rows.key)}) DO {end}"
        )
    return found


def _delete(rows: Rows, row: Json, types: dict[str, str]) -> str:
    where = " AND ".join(f"{ident(k)} = {_sql(row[k], types.get(k, ''))}" for k in rows.key)
    return f"DELETE FROM {relation(rows.address)} WHERE {where}"


def _sql(value: Json, type_: str) -> str:
    """A value as a constant of its column's type."""
    if value is None:
        return "NULL"
    if isinstance(value, list) and type_.endswith("[]"):
        items = ", ".join(_sql(v, type_.removesuffix("[]")) for v in value)
        return f"ARRAY[{items}]::{type_}"
    if isinstance(value, str) and type_ not in ("json", "jsonb"):
        return literal(value)
    if isinstance(value, bool):
        return str(value).lower() if type_ not in ("json", "jsonb") else literal(json.dumps(value))
    return literal(json.dumps(value, ensure_ascii=False))


def _named(keys: Iterable[str]) -> str:
    names = list(keys)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _differing(old: Json, row: Json) -> str:
    return ", ".join(f"{n} {_shown(old.get(n))} → {_shown(v)}" for n, v in row.items() if old.get(n) != v)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
