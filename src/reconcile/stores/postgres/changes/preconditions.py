"""Queries for rows that a step would trip over, run before anything is changed: what they find stops the apply.

They read the store as it is then, so they name things as they are called now, and cast what this plan retypes. What
rows hold afterwards is not always known before (a column made again from an expression): the step itself decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

from reconcile.change import Call, Op, Step, World
from reconcile.model import Address
from reconcile.stores.postgres.changes.casting import castable, fitted
from reconcile.stores.postgres.changes.column import volatile
from reconcile.stores.postgres.changes.fitting import STRINGS, as_text_misfit, misfit
from reconcile.stores.postgres.changes.homes import home, homes
from reconcile.stores.postgres.changes.named import columns_used, mentions
from reconcile.stores.postgres.changes.remaking import is_made_again, made_again, retyped
from reconcile.stores.postgres.changes.renaming import renamed_in
from reconcile.stores.postgres.changes.type_remaking import reshaped, type_remade
from reconcile.stores.postgres.changes.types import Type
from reconcile.stores.postgres.resources import (
    Check,
    Column,
    Enum,
    Exclusion,
    ForeignKey,
    Index,
    Key,
    PrimaryKey,
    Unique,
)
from reconcile.stores.postgres.sqltext import as_written, dotted, ident, literal, operator, relation

NO_ROWS = "no_rows"
"""The operation: `sql` finds the rows, `what` is wrong with them, `unit` is what is counted, `fix` what to do."""


def preceded(steps: Sequence[Step], calls: Iterable[Call]) -> list[Step]:
    """`steps`, the first of which has `calls` as its preconditions."""
    found = tuple(calls)
    if not steps or not found:
        return list(steps)
    return [replace(steps[0], preconditions=(*steps[0].preconditions, *found)), *steps[1:]]


def no_rows(sql: str, what: str, fix: str, unit: str = "row") -> Op:
    """The precondition that a query finds nothing."""
    return Op(NO_ROWS, {"sql": sql, "what": what, "unit": unit, "fix": fix})


def _known(world: World, columns: Iterable[Address]) -> bool:
    """Whether these columns are there now, and what they hold afterwards can be asked."""
    return all(c in world.live and c in world.target and converted(world, c) is not None for c in columns)


def converted(world: World, column: Address) -> str | None:
    """What a live column holds after the plan, as an expression over what it holds now: its name, or a cast of it.

    What does not fit the new type, see `misfits`, becomes NULL. None where it is not known, or the type is not there.
    """
    name = live_column(world, column)
    if not retyped(world, column):
        return name
    before, after = world.live[column], world.target[column]
    if not isinstance(before, Column) or not isinstance(after, Column) or made_again(world, before, after):
        return None
    if any(world.creates(a) or type_remade(world, a) or reshaped(world, a) for a in (*before.refers, *after.refers)):
        return None
    if after.using is not None:
        return f"({_back(world, before.table, after.using)})"
    if before.type == after.type:  # another collation
        return name
    condition = _misfit(world, before, after)
    cast = fitted(world.server, before, after, name)
    return cast if condition is None else f"CASE WHEN {condition} THEN NULL ELSE {cast} END"


def _rows(world: World, table: Address, columns: Iterable[Address], alias: str | None = None) -> str:
    """What to read a table's rows from, as they are after the plan as far as `columns` are concerned.

    Args:
        alias: what to call it; by default by the table's own name.
    """
    now = _now(world, table)
    casts = {name: cast for c in columns if (cast := converted(world, c)) != (name := live_column(world, c))}
    if not casts:
        return now if alias is None else f"{now} {alias}"
    used = [live_column(world, c) for c in columns]
    names = dict.fromkeys(["ctid", *shown(world, table, *used).split(", "), *used])
    items = ", ".join(f"{casts[n]} AS {n}" if n in casts else n for n in names)
    return f"(SELECT {items} FROM {now}) {alias or ident(world.where(table).parts[-1])}"


def _now(world: World, table: Address) -> str:
    return relation(world.where(table))


def live_column(world: World, column: Address) -> str:
    """What a column is called now, quoted."""
    return ident(world.where(column).parts[-1])


def shown(world: World, table: Address, *more: str) -> str:
    """What to select so that a row can be told from others: its primary key, else its place."""

    def key_of() -> list[str]:
        keys = (x for x in world.live.children(table) if isinstance(x, PrimaryKey))
        return [live_column(world, table.child("column", c)) for key in keys for c in key.columns]

    return ", ".join(dict.fromkeys([*(world.once("live key", table, key_of) or ["ctid"]), *more]))


def _plain(table: Address) -> str:
    return ".".join(table.parts)


def nulls(world: World, columns: Sequence[Address]) -> list[Op]:
    """Rows that hold NULL in one of `columns`."""
    columns = [c for c in columns if c in world.live and not is_made_again(world, c) and not _not_null(world, c)]
    if not columns:
        return []
    table = world.live[columns[0]].container or columns[0]
    names = [live_column(world, c) for c in columns]
    found = " OR ".join(f"{n} IS NULL" for n in names)
    said = " or ".join(c.parts[-1] for c in columns)
    fix = f"UPDATE {_now(world, table)} SET {names[0]} = … WHERE {names[0]} IS NULL, or delete these rows"
    sql = f"SELECT {shown(world, table)} FROM {_now(world, table)} WHERE {found}"
    return [no_rows(sql, f"{said} is null in {_plain(table)}", fix)]


def computed_nulls(world: World, column: Column) -> list[Op]:
    """Rows of which a generated column that is added would be NULL."""
    table = column.table
    used = [c.address for c in columns_used(world, world.target, table, column) if c.address != column.address]
    if column.generated is None or not _known(world, used):
        return []
    expression = _back(world, table, str(as_written(column, "generated")))
    names = [live_column(world, c) for c in used]
    sql = f"SELECT {shown(world, table, *names)} FROM {_rows(world, table, used)} WHERE ({expression}) IS NULL"
    what = f"{column.address.parts[-1]} of {_plain(table)}, generated as {column.generated}, would be null"
    return [no_rows(sql, what, "change or delete these rows, or declare the column without `not_null`")]


def _not_null(world: World, column: Address) -> bool:
    there = world.live[column]
    return isinstance(there, Column) and there.not_null and there.not_null_valid


def duplicates(world: World, rule: Key | Index) -> list[Op]:
    """Values that a unique rule would hold twice. NULLs in a primary key are found by its columns' own steps."""
    table, where = rule.table, None
    if isinstance(rule, Index):
        bare = replace(rule, include=())
        used = [c.address for c in columns_used(world, world.target, home(world, table), bare)]
        items, where = _index_items(world, rule), _back(world, table, as_written(rule, "where") if rule.where else None)
        said = ", ".join(i.column or f"({i.expression})" for i in rule.columns)
    else:
        used = homes(world, table, rule.columns)
        items, said = [live_column(world, c) for c in used], ", ".join(rule.columns)
    null_counts = isinstance(rule, Unique | Index) and rule.nulls_not_distinct
    if table not in world.live:
        return []
    if any(world.creates(c) for c in used):
        new = [cast(Column, world.target[c]) for c in used if world.creates(c)]
        if where or any(_varies(c) or not (c.default or null_counts) for c in new):
            return []
        if len(new) == len(items):
            sql = f"SELECT {shown(world, table)} FROM {_now(world, table)} OFFSET 1"
            return [no_rows(sql, f"({said}) would be the same in every row of {_plain(table)}", _ONE_ROW)]
        if isinstance(rule, Index) and any(i.column is None or i.collation for i in rule.columns):
            return []
        used = [c for c in used if not world.creates(c)]  # what is new is the same in all rows: the others decide
        items = [live_column(world, c) for c in used]
    if not _known(world, used):
        return []
    conditions = [f"({where})"] if where else []
    conditions += [] if null_counts else [f"{i} IS NOT NULL" for i in items]
    sql = f"SELECT {', '.join(items)}, count(*) AS times FROM {_rows(world, table, used)}"
    sql += f" WHERE {' AND '.join(conditions)}" if conditions else ""
    sql += f" GROUP BY {', '.join(str(n + 1) for n in range(len(items)))} HAVING count(*) > 1"
    what = f"({said}) occurs more than once in {_plain(table)}"
    return [no_rows(sql, what, "delete or change all but one row of each", "value")]


_ONE_ROW = "add the column without the rule first, and fill it"
"""Where what it gets by default breaks the rule."""


def _varies(column: Column) -> bool:
    """Whether a new column may hold another value in each row from the beginning."""
    return column.identity is not None or column.generated is not None or volatile(column.default)


def _index_items(world: World, index: Index | Exclusion) -> list[str]:
    written, found = as_written(index, "columns"), []
    for item, text in zip(index.columns, written, strict=True):
        if item.column is not None:
            sql = live_column(world, home(world, index.table).child("column", item.column))
        else:
            expression = text.get("expression") if isinstance(text, dict) else text.expression
            sql = f"({_back(world, index.table, expression or item.expression)})"
        found.append(sql + (f" COLLATE {dotted(item.collation)}" if item.collation else ""))
    return found


def _back(world: World, table: Address, sql: str | None) -> str | None:
    """An expression over columns by the names they have now."""

    def renamed() -> list[tuple[str, str]]:
        columns = (c.address for c in world.live.children(home(world, table)) if isinstance(c, Column))
        names = ((c.parts[-1], world.where(c).parts[-1]) for c in columns)
        return [(wanted, now) for wanted, now in names if wanted != now]

    for wanted, now in world.once("renamed columns", table, renamed) if sql is not None else ():
        sql = renamed_in(sql or "", wanted, now)
    return sql


def orphans(world: World, key: ForeignKey) -> list[Op]:
    """Rows that point at nothing."""
    columns = homes(world, key.table, key.columns)
    target = Address(key.address.store, "table", key.references)
    there = homes(world, target, key.references_columns)
    values = [_value(world, c) for c in columns]
    if None in values or len(there) != len(columns):
        return []
    names = [str(v) for v in values]
    all_set = " AND ".join(f"{n} IS NOT NULL" for n in names)
    if target in world.live and all(c in world.live for c in there):
        if not _known(world, there):
            return []
        same = " AND ".join(f"t.{live_column(world, c)} = {n}" for c, n in zip(there, names, strict=True))
        missing = f"{all_set} AND NOT EXISTS (SELECT FROM {_rows(world, target, there, 't')} WHERE {same})"
    elif world.creates(target):
        missing = all_set
    else:
        return []
    if key.match == "full" and len(names) > 1:
        some_set = " OR ".join(f"{n} IS NOT NULL" for n in names)
        some_null = " OR ".join(f"{n} IS NULL" for n in names)
        missing = f"({missing}) OR (({some_set}) AND ({some_null}))"
    here = [c for c in columns if c in world.live]
    old = [live_column(world, c) for c in here]
    selected = ", ".join(f"f.{c}" for c in shown(world, key.table, *old).split(", "))
    sql = f"SELECT {selected} FROM {_rows(world, key.table, here, 'f')} WHERE {missing}"
    what = f"({', '.join(key.columns)}) of {_plain(key.table)} is not in {_plain(target)}"
    fix = (
        f"add what is missing to {_plain(target)}, or delete these rows or set their {(old or key.columns)[0]} to NULL"
    )
    return [no_rows(sql, what, fix if len(old) == len(columns) else _ONE_ROW)]


def _value(world: World, column: Address) -> str | None:
    """What rows `f` will hold in a column, as far as that is known: what they hold now, or what all get at first."""
    if _known(world, [column]):
        return f"f.{live_column(world, column)}"
    new = world.target.get(column)
    if not isinstance(new, Column) or not world.creates(column) or _varies(new) or any(map(world.creates, new.refers)):
        return None
    return "NULL" if new.default is None else f"CAST({as_written(new, 'default')} AS {as_written(new, 'type')})"


def broken(world: World, rule: Check | ForeignKey) -> list[Op]:
    """Rows that a check or foreign key refuses; nothing where it does not look at the rows that are there."""
    if rule.not_valid or not rule.enforced or rule.table not in world.live:
        return []
    if isinstance(rule, ForeignKey):
        return orphans(world, rule)
    used = [c.address for c in columns_used(world, world.target, home(world, rule.table), rule)]
    if not used or not _known(world, used):
        return []
    expression = _back(world, rule.table, str(as_written(rule, "expression")))
    sql = f"SELECT {shown(world, rule.table)} FROM {_rows(world, rule.table, used)} WHERE NOT ({expression})"
    what = f"{rule.expression} does not hold in {_plain(rule.table)}"
    return [no_rows(sql, what, "change or delete these rows, or declare the check `not_valid: true`")]


def rewritable(world: World, table: Address) -> list[Op]:
    """Rows that cannot be written as they are: they break a check that was never validated."""
    found = []
    for check in (*world.live.children(table), *(c for c in world.target.children(table) if world.creates(c.address))):
        if not isinstance(check, Check) or not check.not_valid or not check.enforced or check.leftover_of:
            continue
        used = [c.address for c in world.live.children(table) if mentions(check.expression, c.address.parts[-1])]
        if check.address in world.live or not any(retyped(world, c) for c in used):
            what = f"{check.address.parts[-1]} does not hold in {_plain(table)}, whose rows are to be written"
            sql = failing(world, check)
            found.append(no_rows(sql, what, "change or delete these rows, or drop the check before"))
    return found


def failing(world: World, check: Check) -> str:
    """The query for rows of its table for which a check does not hold, whether or not the server looks at them."""
    table, only = check.table, "ONLY " if check.no_inherit else ""
    expression = _back(world, table, check.expression)
    return f"SELECT {shown(world, table)} FROM {only}{_now(world, table)} WHERE NOT ({expression})"


def _misfit(world: World, before: Column, after: Column) -> str | None:
    """SQL that is true of values that the new type refuses."""
    name = live_column(world, before.address)
    enum = next((r for a in after.refers if isinstance(r := world.target.get(a), Enum)), None)
    apart = not castable(world.server, before, after)
    array = Type.of(after.type).array or Type.of(before.type).array
    if enum is not None and (apart or Type.of(before.type).base in STRINGS | _enums(world)):
        return None if array else f"{name}::text NOT IN ({', '.join(map(literal, enum.values))})"
    if apart and not array and not any(map(world.creates, after.refers)):
        return as_text_misfit(name, after.type, world.server.numbers)
    return misfit(name, before.type, after.type, world.server.numbers)


def misfits(world: World, before: Column, after: Column) -> list[Op]:
    """Values that the new type of a column refuses, where that can be asked for."""
    condition = _misfit(world, before, after)
    if condition is None:
        return []
    name, table = live_column(world, before.address), before.table
    sql = f"SELECT {shown(world, table, name)} FROM {_now(world, table)} WHERE {condition}"
    what = f"{after.address.parts[-1]} of {_plain(table)} does not fit {after.type}"
    return [no_rows(sql, what, "change these values first, or declare a type they fit")]


def _enums(world: World) -> set[str]:
    """How the types of columns are spelled that are of a live enum."""
    return {s for e in world.live.of_kind("enum") for s in (e.address.parts[1], ident(e.address.parts[1]))} | {
        f"{e.address.parts[0]}.{e.address.parts[1]}" for e in world.live.of_kind("enum")
    }


def leftovers(world: World, column: Column, before: Enum, after: Enum) -> list[Op]:
    """Rows that hold a value which the enum is to lose."""
    gone = [v for v in before.values if v not in after.values]
    if not gone:
        return []
    name = live_column(world, column.address)
    values, table = ", ".join(map(literal, gone)), _now(world, column.table)
    held = f"{name}::text[] && ARRAY[{values}]" if column.type.endswith("[]") else f"{name}::text IN ({values})"
    sql = f"SELECT {shown(world, column.table, name)} FROM {table} WHERE {held}"
    what = f"{column.address.parts[-1]} of {_plain(column.table)} holds a value that {before.name} is to lose"
    return [no_rows(sql, what, f"UPDATE {table} SET {name} = … WHERE {held.replace('::text', '', 1)}")]


def conflicts(world: World, exclusion: Exclusion) -> list[Op]:
    """Pairs of rows for which every operator holds; not asked where this plan changes what is compared."""
    table = exclusion.table
    top = home(world, table)
    used = [c.address for c in columns_used(world, world.target, top, exclusion)]
    if table not in world.live or not used or not _known(world, used):
        return []
    keys = ", ".join(f"{sql} AS k{n}" for n, sql in enumerate(_index_items(world, exclusion)))
    listed = shown(world, table).split(", ")
    where = f" WHERE {_back(world, table, as_written(exclusion, 'where'))}" if exclusion.where is not None else ""
    rows = f"(SELECT ctid AS place, {', '.join(f'{c} AS s{n}' for n, c in enumerate(listed))}, {keys}"
    rows += f" FROM {_rows(world, table, used)}{where})"
    same = " AND ".join(f"a.k{n} {operator(o)} b.k{n}" for n, o in enumerate(exclusion.operators))
    said = ", ".join(f"a.s{n} AS {c}, b.s{n} AS {_other(c)}" for n, c in enumerate(listed))
    sql = f"SELECT {said} FROM {rows} a JOIN {rows} b ON a.place < b.place AND {same}"
    what = f"rows of {_plain(table)} exclude each other"
    return [no_rows(sql, what, "change or delete one row of each pair", "pair")]


def _other(column: str) -> str:
    """What a column of the second row of a pair is called."""
    return f'"other {column.strip(chr(34))}"'
