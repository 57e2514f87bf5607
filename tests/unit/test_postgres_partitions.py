"""Partitioned tables without a server: what the YAML may say, bounds, what older servers make necessary."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stores.postgres.writing import column, partition, planned, sql, state, table

from reconcile import wording
from reconcile.errors import PlanError
from reconcile.model import Source, State
from reconcile.stores.base import Context, StoreSpec
from reconcile.stores.postgres import PACKAGE, bounds
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.resources import IndexItem, PartitionBy
from reconcile.yamlio import parse as read_yaml

RANGE = PartitionBy("range", (IndexItem(column="at"),))


def problems(text: str) -> list[str]:
    """What is wrong with the tables of a document."""
    found = read_yaml(f"store: app\ntables:\n{text}", "s.yaml")
    worded = [str(p) for d in found for p in wording.problems(d, PACKAGE.schema)]
    if worded:
        return worded
    context = Context(StoreSpec("app", "postgres", {}, Source("reconcile.yaml", 1), Path()), {})
    PACKAGE.parse(found, context)
    return [str(p) for p in context.problems]


EVENTS = "  events: {columns: {at: date, kind: text}, partition_by: {range: [at]}, "


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        (EVENTS + "partitions: {a: {in: [1]}}}", "partitioned by range needs `from` and `to`"),
        (EVENTS + "partitions: {a: {from: [1, 2], to: [3]}}}", "`from` has 2 values for 1 partition keys"),
        (EVENTS + "partitions: {a: {from: [2026-01-01], to: [maxvalue]}}}", "is no SQL constant"),
        (EVENTS + "partitions: {a: default, b: default}}", "is a second default partition"),
        (EVENTS + "primary_key: [kind]}", "lacks 'at', by which table 'events' is partitioned"),
        (EVENTS + "indexes: {i: {columns: [kind], unique: true}}}", "index 'i' lacks 'at'"),
        (
            EVENTS
            + "indexes: {i: {columns: [kind]}}, partitions: {a: {default: true, indexes: {j: {columns: [kind]}}}}}",
            "index 'j' of partition 'a' comes from its table: see s.yaml:",
        ),
        (
            EVENTS + "primary_key: [at], partitions: {a: {default: true, primary_key: [at]}}}",
            "primary key 'a_pkey' of partition 'a' comes from its table",
        ),
        (EVENTS + "checks: {c: {expression: 'true', no_inherit: true}}}", "cannot be NO INHERIT"),
        ("  t: {columns: {a: int}, partitions: {p: default}}", "the table of partition 'p' is not partitioned"),
        ("  t: {columns: {a: int}, partition_by: {range: [b]}}", "column 'b', by which table 't' is partitioned"),
        ("  t: {columns: {a: int}, partition_by: {hash: [a]}, partitions: {p: default}}", "has no default partition"),
        (
            "  t: {columns: {a: int}, partition_by: {hash: [a]}, partitions: {p: {modulus: 2, remainder: 2}}}",
            "the remainder has to be less than the modulus",
        ),
        (
            "  t: {columns: {a: int}, unique: {u: [a]}, partition_by: {list: [{expression: a + 1}]}}",
            "table 't' is partitioned by an expression",
        ),
        (
            "  t: {columns: {a: int, b: int}, primary_key: [a], partition_by: {list: [a]},"
            " partitions: {p: {in: [1], partition_by: {hash: [b]}}}}",
            "lacks 'b', by which table 'p' is partitioned",
        ),
    ],
)
def test_wrong_declarations_are_told_with_their_place(yaml: str, said: str) -> None:
    found = problems(yaml)
    assert any(said in problem and problem.startswith("s.yaml:") for problem in found), found


def test_a_partition_says_nothing_of_columns() -> None:
    assert "columns" in problems(EVENTS + "partitions: {a: {default: true, columns: {b: int}}}}")[0]


@pytest.mark.parametrize(
    ("bound", "rows"),
    [
        ("FOR VALUES FROM ('a') TO ('b')", '"at" IS NOT NULL AND "at" >= \'a\' AND "at" < \'b\''),
        ("FOR VALUES FROM (MINVALUE) TO (5)", '"at" IS NOT NULL AND "at" < 5'),
        ("DEFAULT", None),
    ],
)
def test_rows_of_a_range(bound: str, rows: str | None) -> None:
    assert bounds.condition(RANGE, bound) == rows


def test_rows_of_several_keys_and_of_lists() -> None:
    two = PartitionBy("range", (IndexItem(column="a"), IndexItem(column="b")))
    assert bounds.condition(two, "FOR VALUES FROM (1, 2) TO (3, MAXVALUE)") == (
        '"a" IS NOT NULL AND "b" IS NOT NULL AND ("a", "b") >= (1, 2) AND "a" <= 3'
    )
    one = PartitionBy("list", (IndexItem(expression="lower(k)", collation="C"),))
    assert bounds.condition(one, "FOR VALUES IN ('a', NULL)") == (
        '((lower(k)) COLLATE "C" IS NULL OR (lower(k)) COLLATE "C" IN (\'a\'))'
    )


@pytest.mark.parametrize(
    ("left", "right", "may"),
    [
        ("FOR VALUES IN (1, 2)", "FOR VALUES IN (2)", True),
        ("FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "FOR VALUES FROM ('2027-01-01') TO (MAXVALUE)", False),
        ("FOR VALUES FROM ('b') TO ('c')", "FOR VALUES FROM ('d') TO ('e')", True),  # text: the collation decides
        ("FOR VALUES WITH (modulus 4, remainder 1)", "FOR VALUES WITH (modulus 2, remainder 1)", True),
        ("FOR VALUES WITH (modulus 4, remainder 1)", "FOR VALUES WITH (modulus 2, remainder 0)", False),
        ("DEFAULT", "FOR VALUES IN (1)", False),
    ],
)
def test_overlap(left: str, right: str, may: bool) -> None:
    assert bounds.may_overlap(left, right) is may


def tree(*more: r.Table) -> State:
    return state(table("p", partition_by=RANGE), column("p", "at", "integer"), *more)


ONE = partition("p1", "p", "FOR VALUES FROM (1) TO (5)")


def test_detach_concurrently_needs_14_and_no_default_partition() -> None:
    new = sql(planned(tree(ONE), tree(), version="14.0").steps)
    assert new == ["ALTER TABLE public.p DETACH PARTITION public.p1 CONCURRENTLY", "DROP TABLE public.p1"]
    old = sql(planned(tree(ONE), tree(), version="13.0").steps)
    assert old[0] == "ALTER TABLE public.p DETACH PARTITION public.p1"
    rest = partition("rest", "p", "DEFAULT")
    assert sql(planned(tree(ONE, rest), tree(rest)).steps)[0] == "ALTER TABLE public.p DETACH PARTITION public.p1"


def test_a_detach_that_was_broken_off_is_finalized() -> None:
    [first, *_] = sql(planned(tree(ONE.replace(detaching=True)), tree()).steps)
    assert first == "ALTER TABLE public.p DETACH PARTITION public.p1 FINALIZE"


def test_how_a_table_is_partitioned_is_not_changed() -> None:
    plain = state(table("p"), column("p", "at", "integer"))
    for before, after in ((tree(), plain), (plain, tree())):
        with pytest.raises(PlanError, match="cannot change how a table is partitioned"):
            planned(before, after)


def test_the_partition_key_keeps_its_type_and_stays() -> None:
    other = state(table("p", partition_by=RANGE), column("p", "at", "bigint"))
    with pytest.raises(PlanError, match="is partitioned by it"):
        planned(tree(ONE), other.add(ONE))
    with pytest.raises(PlanError, match="is partitioned by it"):
        planned(
            tree().add(column("p", "b", "integer")), state(table("p", partition_by=RANGE), column("p", "b", "integer"))
        )


def test_partitions_made_at_run_time_are_left_alone_only_where_that_is_declared() -> None:
    listed = table("p", partition_by=RANGE)
    assert not listed.leaves(ONE)
    assert table("p", partition_by=RANGE, partitions_managed="any").leaves(ONE)
