"""Column types changed in place: what the server writes and builds anew is what is judged, and told as hazards."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import psycopg
import pytest
from tests.stores.postgres.writing import (
    Database,
    check,
    column,
    exclusion,
    index,
    primary_key,
    sql,
    state,
    table,
    unique,
)

from reconcile.hazards import Hazard
from reconcile.model import Resource, State
from reconcile.plan import Steps
from reconcile.stores.postgres import checks
from reconcile.stores.postgres.changes.casting import cast_of, fitted
from reconcile.stores.postgres.changes.fitting import misfit
from reconcile.stores.postgres.changes.types import type_change
from reconcile.stores.postgres.resources import IndexItem


@pytest.fixture
def database(postgres_database: str) -> Iterator[Database]:
    opened = Database.at(postgres_database)
    yield opened
    opened.session.close()


PAIRS = """
character varying(5) > character varying(9) > character varying > text > character varying
text > character varying(9) > character varying(5)
character varying > character varying(9)
character(5) > character(9) > text
character(5) > character varying
numeric(8,2) > numeric(10,2) > numeric > numeric(10,2) > numeric(10,4) > numeric(9,1)
numeric(8,0) > numeric(9,0) > integer > bigint > integer > smallint
bit varying(3) > bit varying(5) > bit varying > bit varying(9)
bit(3) > bit varying
bit(3) > bit varying(3)
timestamp(3) without time zone > timestamp(6) without time zone > timestamp without time zone
timestamp without time zone > timestamp(6) without time zone > timestamp(2) without time zone
timestamp(3) with time zone > timestamp(6) with time zone > timestamp with time zone > timestamp(6) with time zone
time(3) without time zone > time(6) without time zone > time without time zone > time(2) without time zone
time(3) with time zone > time with time zone
interval(3) > interval(6) > interval > interval(6) > interval(2)
interval day > interval > interval day
interval year to month > interval
interval day to second(3) > interval
timestamp without time zone > timestamp with time zone > timestamp without time zone
timestamp(3) without time zone > timestamp with time zone > timestamp(3) without time zone
timestamp(3) without time zone > timestamp(3) with time zone
cidr > inet > cidr
smallint > integer > text > "char"
real > double precision > real
date > timestamp without time zone > date
oid > integer > oid
regclass > oid
bigint > oid
uuid > text
character varying(5)[] > character varying(9)[] > character varying[] > text[] > character varying[]
numeric(8,2)[] > numeric[] > numeric(8,2)[]
integer[] > bigint[]
vector(3) > vector > vector(3) > halfvec(3)
""".strip()
"""Chains of types as the server spells them."""
VALUES = {
    "cidr": "'10.0.0.0/8'",
    "inet": "'10.0.0.0/8'",
    "date": "'2026-01-01'",
    "interval year": "'1 month'",
    "interval": "'1 day'",
    "timestamp": "'2026-01-01'",
    "time": "'10:00'",
    "regclass": "'pg_class'",
    "uuid": "gen_random_uuid()",
    "bit": "'101'",
    "vector": "'[1,2,3]'",
}
"""By how the type begins; others take a 1."""
INDEXES = {"btree": "(c)", "hash": "USING hash (c)", "gin": "USING gin (c)", "include": "(id) INCLUDE (c)"}


@pytest.mark.older
def test_the_server_writes_and_builds_anew_what_is_judged(postgres_database: str) -> None:
    wrong = []
    with psycopg.connect(postgres_database, autocommit=True, options="-c timezone=UTC") as connection:
        vectors = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone()
        if vectors:
            connection.execute("CREATE EXTENSION vector")
        for chain in PAIRS.splitlines():
            types = chain.split(" > ")
            for old, new in pairwise(types):
                if vectors or "vec" not in old:
                    wrong += [f"{old} → {new}: {text}" for text in _misjudged(connection, old, new)]
    assert wrong == []


def _misjudged(connection: psycopg.Connection, old: str, new: str) -> list[str]:
    def run(statement: str) -> list[tuple[object, ...]]:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def files() -> dict[str, object]:
        found = run("SELECT c.relname, pg_relation_filenode(c.oid) FROM pg_class c WHERE c.relname ~ '^trial'")
        return {str(name): node for name, node in found}

    value = "'{}'" if old.endswith("[]") else next((v for k, v in VALUES.items() if old.startswith(k)), "1")
    run("DROP TABLE IF EXISTS trial")
    run(f"CREATE TABLE trial (id integer, c {old})")
    run(f"INSERT INTO trial SELECT n, {value} FROM generate_series(1, 3) n")
    for method, rest in INDEXES.items():
        try:
            run(f"CREATE INDEX trial_{method} ON trial {rest}")
        except psycopg.errors.UndefinedObject:
            continue  # no operator class
    before, judged = files(), type_change(old, new)
    run(f"ALTER TABLE trial ALTER COLUMN c TYPE {new}{f' USING c::{new}' if judged.using else ''}")
    after, wrong = files(), []
    for name, node in before.items():
        method = name.removeprefix("trial").strip("_")
        kept = not judged.rewrites and (method in ("", "include") or judged.keeps(method))
        if (after[name] == node) != kept:
            wrong.append(f"{method or 'table'} is {'kept' if after[name] == node else 'not kept'}")
    return wrong


def users(type: str = "character varying(40)", *more: Resource) -> State:
    return state(
        table("users"),
        column("users", "id", "bigint", not_null=True, position=1),
        column("users", "name", type, position=2),
        column("users", "seen", "timestamp without time zone", position=3),
        primary_key("users", "users_pkey", "id"),
        *more,
    )


def hazards(steps: Steps) -> set[Hazard]:
    return {h for s in steps.steps for h in s.hazards}


def nodes(database: Database) -> dict[str, object]:
    rows = database.execute("SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relname ~ '^users'")
    return dict(rows)


def words(steps: Steps) -> list[str]:
    return [s.id.rpartition("/")[2] for s in steps.steps]


def test_a_check_is_read_without_the_lock(database: Database) -> None:
    """Widening a column under a check, the server would read the whole table under the exclusive lock."""
    long = check("users", "users_name", "length((name)::text) > 1", comment="no initials")
    other = check("users", "users_id", "id > 0")
    late = check("users", "users_late", "(name)::text <> 'x'::text", not_valid=True)
    uses = (long, other, late, unique("users", "users_name_key", "name"), index("users", "users_seen", "seen"))
    database.to(users("character varying(40)", *uses))
    database.execute("INSERT INTO users VALUES (1, 'ann', now())")
    before = nodes(database)
    steps = database.to(users("character varying(80)", *uses))
    assert words(steps) == ["1-type", "2-validate"] and hazards(steps) == set()
    assert len({s.group for s in steps.steps}) == 2, "validated after the lock is gone"
    altered = [c.sql for c in steps.steps[0].calls if hasattr(c, "sql")]
    assert not any("users_late" in s or "users_id" in s for s in altered), "nobody reads rows for those"
    assert nodes(database) == before

    database.run(database.plan(users("character varying(90)", *uses)).steps[:1])
    assert words(database.to(users("character varying(90)", *uses))) == ["1-validate"], "broken off between the two"


def test_a_check_that_is_to_be_another_is_not_validated_in_vain(database: Database) -> None:
    old, new = (check("users", "users_name", f"length((name)::text) > {n}") for n in (1, 2))
    database.to(users("character varying(40)", old))
    database.execute("INSERT INTO users VALUES (1, 'ann', now())")
    steps = database.to(users("character varying(80)", new))
    assert words(steps).count("1-type") == 1 and "2-validate" in words(steps)
    [altered] = [s for s in steps.steps if s.id.endswith("1-type")]
    assert any("NOT VALID" in c for c in sql([altered]))


@pytest.mark.parametrize(
    ("item", "more"),
    [
        (IndexItem(expression="lower((name)::text)"), {}),
        (IndexItem(column="id"), {"where": "name IS NOT NULL"}),
    ],
)
def test_an_index_that_is_built_again_is_a_hazard(database: Database, item: IndexItem, more: dict[str, str]) -> None:
    """Of an index with an expression or a condition the server does not see that it could stay."""
    odd = index("users", "users_odd", item, **more)
    plain = index("users", "users_plain", "name")
    database.to(users("character varying(40)", odd, plain))
    assert hazards(database.to(users("character varying(50)", odd, plain))) == set(), "nothing in it"
    database.execute("INSERT INTO users VALUES (1, 'ann', now())")
    before = nodes(database)
    steps = database.to(users("character varying(80)", odd, plain))
    assert hazards(steps) == {Hazard.BUILDS_INDEX, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES}
    assert {name for name, node in nodes(database).items() if before[name] != node} == {"users_odd"}

    def online(type: str, *indexes: Resource) -> State:
        return users(type, *indexes).add(column("users", "name", type, position=2, strategy="online"))

    assert words(database.to(online("character varying(90)", odd, plain)))[-1].endswith("-swap")
    database.to(users("character varying(90)", plain))
    assert words(database.to(online("text", plain))) == ["1-type"], "nothing would be built"


def test_a_time_gets_a_zone_without_a_rewrite(database: Database) -> None:
    """Sessions of the tool are in UTC, where the bytes are the same; an index is of another operator class then."""
    database.to(users())
    database.execute("INSERT INTO users VALUES (1, 'ann', '2026-07-01 12:00')")
    before = nodes(database)
    zoned = users().add(column("users", "seen", "timestamp with time zone", position=3))
    plan = database.plan(zoned)
    assert hazards(plan) == {Hazard.BREAKS_CLIENTS}
    assert [c.strategy for c in plan.changes] == ["in place, no row is written; times are taken as UTC"]
    database.to(zoned)
    assert nodes(database) == before
    assert database.execute("SELECT seen = '2026-07-01 12:00Z' FROM users") == [(True,)]
    database.to(users(), "all")
    database.to(users("character varying(40)", index("users", "users_seen", "seen")))
    indexed = zoned.add(index("users", "users_seen", "seen"))
    assert Hazard.BUILDS_INDEX in hazards(database.to(indexed))


FITS = {
    "text > integer": "'1', ' 2 ', '2147483648', 'x', '', NULL",
    "text > numeric(4,2)": "'99.994', '99.995', '100', 'NaN', '1e1'",
    "text > boolean": "'yes', 'maybe'",
    "text > uuid": "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0'",
    "text > jsonb": "'{}', '{'",
    "text > date": "'2026-02-28', '2026-02-30'",
    "text > character varying(3)": "'abc', 'abcd', 'abc  ', 'äöü', NULL",
    "text > character(3)": "'abc', 'abcd', 'abc  '",
    "integer > character varying(3)": "999, 1000, -99, -999",
    "bigint > integer": "2147483647, 2147483648, -2147483648, -2147483649",
    "integer > smallint": "32767, 32768, -32769",
    "numeric > integer": "2147483647.4, 2147483647.5, -2147483648.5, -2147483648.4, 'NaN'",
    "double precision > smallint": "32767.4, 32768.1, -32768.4, -32769, 'NaN', 'Infinity', 1e300",
    "numeric > bigint": "9223372036854775807, 9223372036854775808",
    "numeric > numeric(4,2)": "99.994, 99.995, -99.995, 'NaN'",
    "integer > numeric(4,2)": "99, 100, -100",
    "double precision > numeric(4,2)": "99.994, 100, 'NaN'",
    "double precision > real": "1e38, 1e39, 'NaN', 'Infinity', 3.4028235e38",
    "bit varying > bit varying(3)": "'101', '1011'",
    "bit varying > bit(3)": "'101', '1011', '10'",
    "text > bit(3)": "'101', '1011'",
    "text[] > integer[]": "'{1,2}', '{1,x}', '{}', NULL",
    "bigint[] > integer[]": "'{1,2}', '{{1},{3000000000}}'",
    "text[] > character varying(2)[]": "'{ab}', '{ab,abc}'",
}
"""Values by change of type; some fit."""


def test_values_that_do_not_fit_are_those_the_server_refuses(postgres_database: str) -> None:
    wrong = []
    with psycopg.connect(postgres_database, autocommit=True, options="-c timezone=UTC") as connection:
        version, server = connection.info.server_version // 10000, checks.server(connection, "s")
        for change, values in FITS.items():
            old, new = change.split(" > ")
            condition, before, after = misfit("c", old, new, (version,)), *(column("trial", "c", t) for t in (old, new))
            using = f" USING {cast_of(server, before, after)}" if type_change(old, new).using else ""
            if condition is None:
                assert version < 16 and old.startswith("text"), change
                continue
            rows = ", ".join(f"(({value})::{old})" for value in values.split(", "))
            asked = f"SELECT c::text, coalesce(({condition}), false) FROM (VALUES {rows}) t(c)"
            for value, refused in connection.execute(asked.encode()).fetchall():
                connection.execute(f"DROP TABLE IF EXISTS trial, fresh; CREATE TABLE trial (c {old})".encode())
                connection.execute(f"INSERT INTO trial VALUES (%s::{old})".encode(), (value,))
                connection.execute(f"CREATE TABLE fresh (c {new})".encode())
                try:  # as the trigger and the backfill of an online change do it
                    connection.execute(f"INSERT INTO fresh SELECT {fitted(server, before, after)} FROM trial".encode())
                except psycopg.Error as error:
                    wrong += [] if refused else [f"{change}: {value} is refused online: {error}"]
                else:
                    wrong += [f"{change}: {value} fits online"] if refused else []
                try:
                    connection.execute(f"ALTER TABLE trial ALTER c TYPE {new}{using}".encode())
                except psycopg.Error as error:
                    wrong += [] if refused else [f"{change}: {value} is refused: {error}"]
                else:
                    wrong += [f"{change}: {value} fits"] if refused else []
    assert wrong == []


def test_two_columns_of_one_expression_leave_no_casts(database: Database) -> None:
    """The server changes one after the other, and reads the expression again each time."""

    def both(type: str) -> State:
        return state(
            table("sums"),
            column("sums", "a", type, position=1),
            column("sums", "b", type, position=2),
            check("sums", "sums_check", "a >= b"),
            index("sums", "sums_sum", IndexItem(expression="a + b")),
            index("sums", "sums_both", "a", "b"),
            exclusion("sums", "sums_once", [("a", "=")], method="btree", where="a < b"),
        )

    database.to(both("numeric"))
    database.execute("INSERT INTO sums VALUES (2, 1)")
    steps = database.to(both("integer"))
    assert not any("sums_both" in s.id for s in steps.steps), "of plain columns nothing is made again"


def test_types_the_server_does_not_cast_go_over_as_text(database: Database) -> None:
    def held(type: str) -> State:
        return state(table("held"), column("held", "a", type, position=1))

    database.to(held("integer"))
    database.execute("INSERT INTO held VALUES (7), (NULL)")
    database.to(held("jsonb"))
    assert database.execute("SELECT a::text FROM held") == [("7",), (None,)]
    database.execute("DELETE FROM held")
    database.to(held("uuid"))
