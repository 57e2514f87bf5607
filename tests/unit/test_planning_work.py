"""Planning grows with the number of steps, not with its square: work is counted in lines of Python carried out.

Lines are counted, not seconds: the same each time, on any machine. Four times as many objects may take four times the
work, and a little for the sorting.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from random import Random
from types import FrameType
from typing import Any

import pytest
from tests.stores.postgres.writing import (
    at,
    check,
    column,
    domain,
    enum,
    foreign_key,
    function,
    index,
    planned,
    policy,
    primary_key,
    state,
    table,
    trigger,
    unique,
    view,
)

from reconcile.model import Resource, State

SMALL, LARGE = 40, 160
MOST = 1.25
"""How much more than in proportion the work may grow from SMALL to LARGE."""


def lines(work: Callable[[], object]) -> int:
    """How many lines of Python are carried out, each turn of a loop counted."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def tables(n: int, type: str = "integer") -> list[Resource]:
    """Tables with a key, a check, an index and a foreign key each, the keys in one ring."""
    found: list[Resource] = []
    for i in range(n):
        name, there = f"t{i}", f"t{(i + 1) % n}"
        found += [
            table(name),
            column(name, "id", "bigint", not_null=True),
            column(name, "a", type),
            primary_key(name, f"{name}_pkey", "id"),
            unique(name, f"{name}_key", "a"),
            check(name, f"{name}_check", "(a > 0)", refers=(at("column", name, "a"),)),
            index(name, f"{name}_idx", "a"),
            foreign_key(name, f"{name}_fkey", ["id"], there, ["id"]),
        ]
    return found


def chain(n: int, type: str = "integer") -> list[Resource]:
    """A table, and views each on the one before."""
    found: list[Resource] = [table("t"), column("t", "a", type)]
    for i in range(n):
        below = [at("view", f"v{i - 1}")] if i else [at("table", "t"), at("column", "t", "a")]
        found.append(view(f"v{i}", f"SELECT a FROM {below[0].parts[1]}", [("a", type)], below))
    return found


def fan(n: int, type: str = "integer") -> list[Resource]:
    """A table, and much that stands on one of its columns."""
    a = at("column", "t", "a")
    found: list[Resource] = [table("t", row_level_security="enabled"), column("t", "a", type), function("f()", "")]
    for i in range(n):
        found += [
            view(f"v{i}", "SELECT a FROM t", [("a", type)], [at("table", "t"), a]),
            policy("t", f"p{i}", using="(a > 0)", refers=(a,)),
            trigger("t", f"g{i}", of=("a",), events=("update",), refers=(a,)),
            check("t", f"c{i}", "(a > 0)", refers=(a,)),
            index("t", f"i{i}", "a"),
        ]
    return found


def wide(n: int, type: str = "integer") -> list[Resource]:
    """A table of many columns, an index and a check on each."""
    found: list[Resource] = [table("t")]
    for i in range(n):
        name = f"c{i}"
        found += [
            column("t", name, type),
            index("t", f"i{i}", name),
            check("t", f"k{i}", f"({name} > 0)", refers=(at("column", "t", name),)),
        ]
    return found


def typed(n: int, *values: str) -> list[Resource]:
    """An enum, and a column of it in each of many tables."""
    found: list[Resource] = [enum("e", *values)]
    for i in range(n):
        found += [table(f"t{i}"), column(f"t{i}", "a", "e", refers=(at("enum", "e"),))]
    return found


def calling(n: int, body: str = "1") -> list[Resource]:
    """Functions with parsed bodies, each calling the one before."""
    found: list[Resource] = []
    for i in range(n):
        below = [at("function", f"f{i - 1}()")] if i else []
        text = f"RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT {f'f{i - 1}()' if i else body}; END"
        found.append(function(f"f{i}()", text, refers=tuple(below)))
    return found


def domains(n: int, low: int = 0) -> list[Resource]:
    """Domains, each over the one before."""
    found: list[Resource] = []
    for i in range(n):
        below = (at("domain", f"d{i - 1}"),) if i else ()
        checks = {f"d{i}_check": f"(VALUE > {low})"}
        found.append(domain(f"d{i}", f"d{i - 1}" if i else "integer", checks=checks, refers=below))
    return found


def without(found: list[Resource], kind: str) -> list[Resource]:
    return [x for x in found if x.address.kind != kind]


Shape = Callable[[int], tuple[list[Resource], list[Resource]]]
SHAPES: dict[str, Shape] = {
    "create tables": lambda n: ([], tables(n)),
    "drop tables": lambda n: (tables(n), []),
    "retype a column of each table": lambda n: (tables(n), tables(n, "bigint")),
    "add a column to each table": lambda n: (
        tables(n), [*tables(n), *(column(f"t{i}", "b", "text") for i in range(n))]
    ),
    "add foreign keys in a ring": lambda n: (without(tables(n), "foreign_key"), tables(n)),
    "create views on views": lambda n: ([], list(reversed(chain(n)))),
    "drop views on views": lambda n: (chain(n), chain(0)),
    "retype under views on views": lambda n: (chain(n), chain(n, "bigint")),
    "create all on one table": lambda n: (fan(0), fan(n)),
    "drop all on one table": lambda n: (fan(n), fan(0)),
    "retype under all on one table": lambda n: (fan(n), fan(n, "bigint")),
    "create a wide table": lambda n: ([], wide(n)),
    "retype all of a wide table": lambda n: (wide(n), wide(n, "bigint")),
    "retype all of a wide table to what may not fit": lambda n: (wide(n, "bigint"), wide(n)),
    "drop all of a wide table": lambda n: (wide(n), wide(1)),
    "index all of a wide table": lambda n: (without(wide(n), "index"), wide(n)),
    "append an enum value": lambda n: (typed(n, "a"), typed(n, "a", "b")),
    "remove an enum value": lambda n: (typed(n, "a", "b"), typed(n, "a")),
    "create functions calling functions": lambda n: ([], calling(n)),
    "drop functions calling functions": lambda n: (calling(n), []),
    "create domains over domains": lambda n: ([], domains(n)),
}  # fmt: skip


def shuffled(found: list[Resource]) -> State:
    """No order in which they come may help, but that of a table's columns."""
    mixed = sorted(found, key=lambda x: (x.container is None, str(x.address)))
    Random(1).shuffle(mixed)
    return state(*mixed)


@pytest.mark.parametrize("name", SHAPES)
def test_four_times_as_much_takes_four_times_the_work(name: str) -> None:
    shape = SHAPES[name]

    def work(n: int) -> int:
        before, after = map(shuffled, shape(n))
        return lines(lambda: planned(before, after))

    work(3)  # what is read or cached once
    small, large = work(SMALL), work(LARGE)
    assert large <= MOST * LARGE / SMALL * small, f"{small} lines for {SMALL}, {large} for {LARGE}"


def test_a_chain_may_be_longer_than_python_calls_deep() -> None:
    n = sys.getrecursionlimit()
    assert len(planned(shuffled(chain(n)), shuffled(chain(n, "bigint"))).steps) == 2 * n + 1
    assert len(planned(shuffled(domains(n)), shuffled(domains(n, 1))).changes) == n
