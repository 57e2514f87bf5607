"""What many tables say alike is asked of the server once, and what is wrong is told of each."""

from __future__ import annotations

import pytest
from tests.stores.postgres.reading import Store, different

TABLE = """
  {name}:
    columns: {{size: "{type}", at: {{type: timestamptz, default: "now() at time zone 'utc'"}}}}
    checks: {{{name}_size: "{check}"}}
    indexes: {{{name}_i: {{columns: [{{expression: "size+1"}}], where: "size > 0"}}}}
"""


def tables(count: int, check: str = "size >= 0") -> str:
    found = [TABLE.format(name=f"t{n}", type="numeric(12,2)", check=check) for n in range(count)]
    return "store: app\ntables:" + "".join(found)


@pytest.fixture
def store(postgres_database: str) -> Store:
    return Store(postgres_database)


@pytest.mark.pgvector
@pytest.mark.parametrize("count", [2, 20])
def test_what_tables_have_alike_is_built_and_learned_once(store: Store, count: int) -> None:
    store.make(store.canonical(tables(count))[0].state)
    first, live, built = store.canonical(tables(count))
    assert (different(first, live), built) == ({}, 1)
    assert len(first.learned) == 3  # the default, the check, the index
    again, live, built = store.canonical(tables(count), first.learned)
    assert (different(again, live), built, again.learned) == ({}, 0, {})


def test_alike_are_those_whose_columns_are(store: Store) -> None:
    text = "store: app\ntables:" + "".join(
        TABLE.format(name=name, type=type_, check="size in (1, 2)")
        for name, type_ in (("a", "numeric"), ("b", "int"), ("c", "numeric"), ("size", "numeric"))
    )
    result = store.canonical(text)[0]
    assert {x.address.parts[1]: x.attributes()["expression"] for x in result.state.of_kind("check")} == {
        "a": "size = ANY (ARRAY[(1)::numeric, (2)::numeric])",
        "b": "size = ANY (ARRAY[1, 2])",
        "c": "size = ANY (ARRAY[(1)::numeric, (2)::numeric])",
        "size": "size = ANY (ARRAY[(1)::numeric, (2)::numeric])",
    }


def test_a_mistake_that_stands_in_many_tables_is_told_of_each(store: Store) -> None:
    result = store.canonical(tables(3, check="size >= nowhere(1)"))[0]
    assert [str(p.where) for p in result.problems] == ["s.yaml:5:14", "s.yaml:10:14", "s.yaml:15:14"]
