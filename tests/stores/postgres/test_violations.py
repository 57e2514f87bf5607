"""Rows that break a rule are counted before anything is changed, by name, with a sample and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.stores.postgres.writing import (
    Database,
    at,
    check,
    column,
    enum,
    foreign_key,
    index,
    primary_key,
    state,
    table,
    unique,
)

from reconcile.change import Op
from reconcile.errors import Problem, Unchecked
from reconcile.model import Resource, State
from reconcile.stores.postgres import violations
from reconcile.stores.postgres.resources import IndexItem


@pytest.fixture
def database(postgres_database: str) -> Iterator[Database]:
    opened = Database.at(postgres_database)
    opened.execute("CREATE EXTENSION vector")
    opened.to(BEFORE, prune="extra")
    opened.execute(ROWS)
    yield opened
    opened.session.close()


def with_(*more: Resource) -> State:
    found = dict(BEFORE)
    for resource in more:
        found[resource.address] = resource
    return State.of(found.values())


BEFORE = state(
    enum("mood", "sad", "ok", "glad"),
    table("teams"),
    column("teams", "id", "bigint", not_null=True, position=1),
    primary_key("teams", "teams_pkey", "id"),
    table("users"),
    column("users", "id", "bigint", not_null=True, position=1),
    column("users", "name", "text", position=2),
    column("users", "age", "bigint", position=3),
    column("users", "team", "bigint", position=4),
    column("users", "mood", "mood", position=5, refers=(at("enum", "mood"),)),
    column("users", "e", "vector", position=6),
    primary_key("users", "users_pkey", "id"),
)
ROWS = """
INSERT INTO teams VALUES (1);
INSERT INTO users (id, name, age, team, mood, e) VALUES
  (1, 'ann', 20, 1, 'ok', '[1,2,3]'), (2, 'bob', -1, 7, 'sad', '[1,2]'), (3, 'bob', 3000000000, NULL, 'glad', NULL),
  (4, NULL, 1, 1, NULL, NULL)
"""


def problems(database: Database, *more: Resource, desired: State | None = None) -> list[Problem]:
    return list(database.session.preflight(database.plan(desired or with_(*more), prune="extra").steps))


def only(found: list[Problem]) -> str:
    assert len(found) == 1, found
    assert not isinstance(found[0], Unchecked)
    return str(found[0])


CASES = {
    "not null": (
        column("users", "name", "text", not_null=True, position=2),
        "app.check.public.users.name__rc_not_null: name is null in public.users: 1 row (id = 4); to see it:",
    ),
    "unique": (
        unique("users", "users_name_key", "name"),
        "(name) occurs more than once in public.users: 1 value (name = 'bob', 2 times)",
    ),
    "unique with nulls": (
        unique("users", "users_name_key", "team", nulls_not_distinct=True),
        "(team) occurs more than once in public.users: 1 value (team = 1, 2 times)",
    ),
    "unique index": (
        index("users", "users_name", IndexItem(expression="upper(name)"), unique=True, where="age < 100 or age > 200"),
        "((upper(name))) occurs more than once in public.users: 1 value (upper = 'BOB', 2 times)",
    ),
    "check": (
        check("users", "users_age", "age >= 0"),
        "age >= 0 does not hold in public.users: 1 row (id = 2)",
    ),
    "foreign key": (
        foreign_key("users", "users_team", ["team"], "teams", ["id"]),
        "(team) of public.users is not in public.teams: 1 row (id = 2, team = 7)",
    ),
    "narrower number": (
        column("users", "age", "integer", position=3),
        "age of public.users does not fit integer: 1 row (id = 3, age = 3000000000)",
    ),
    "narrower text": (
        column("users", "name", "character varying(2)", position=2),
        "name of public.users does not fit character varying(2): 3 rows (id = 1, name = 'ann'; id = 2",
    ),
    "lost value": (
        enum("mood", "ok", "glad"),
        "mood of public.users holds a value that mood is to lose: 1 row (id = 2, mood = 'sad')",
    ),
    "vector": (
        column("users", "e", "vector(3)", position=6),
        "e of public.users does not fit vector(3): 1 row (id = 2, e = '[1,2]')",
    ),
}


@pytest.mark.pgvector
@pytest.mark.parametrize("name", CASES)
def test_rows_that_break_a_rule_are_found_before(database: Database, name: str) -> None:
    resource, message = CASES[name]
    said = only(problems(database, resource))
    assert message in said
    assert "SELECT" in said and "to fix: " in said


@pytest.mark.pgvector
def test_a_foreign_key_to_a_new_table_finds_every_row(database: Database) -> None:
    new = state(table("gone"), column("gone", "id", "bigint", not_null=True), primary_key("gone", "gone_pkey", "id"))
    desired = State.of([*with_(foreign_key("users", "f", ["team"], "gone", ["id"])).values(), *new.values()])
    assert "(team) of public.users is not in public.gone: 3 rows" in only(problems(database, desired=desired))


@pytest.mark.pgvector
def test_a_new_column_that_is_the_same_in_every_row_cannot_be_unique(database: Database) -> None:
    same = column("users", "code", "text", default="'x'::text", position=7)
    said = only(problems(database, same, unique("users", "users_code_key", "code")))
    assert "(code) would be the same in every row of public.users: 3 rows" in said
    empty = column("users", "code", "text", position=7)
    assert problems(database, empty, unique("users", "users_code_key", "code")) == []


@pytest.mark.pgvector
def test_rows_that_keep_the_rules_are_no_problem(database: Database) -> None:
    database.execute("DELETE FROM users WHERE id > 1")
    assert problems(database, *(resource for name, (resource, _) in CASES.items() if name != "narrower text")) == []


@pytest.mark.pgvector
def test_counting_ends_at_the_limit(database: Database) -> None:
    database.execute("INSERT INTO users (id, age) SELECT n, -n FROM generate_series(10, 2000) n")
    said = only(problems(database, CASES["check"][0]))
    assert "1000+ rows" in said and "; …)" in said


@pytest.mark.pgvector
def test_columns_are_asked_for_by_the_name_they_have_now(database: Database) -> None:
    desired = with_(
        column("users", "called", "text", not_null=True, position=2, renamed_from="name"),
        check("users", "users_called", "called <> 'bob'"),
        unique("users", "users_called_key", "called"),
    ).without(at("column", "users", "name"))
    found = problems(database, desired=desired)
    assert not any(isinstance(p, Unchecked) for p in found)
    assert {str(p.where).rpartition(".")[2] for p in found} == {
        "called__rc_not_null",
        "users_called",
        "users_called_key__rc_new",
    }


@pytest.mark.pgvector
def test_what_cannot_be_asked_is_said_and_stops_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = database.plan(with_(check("users", "users_age", "pg_sleep(1) IS NOT NULL AND age > 0")), prune="extra")
    monkeypatch.setattr(violations, "SECONDS", "0.1")
    (said,) = database.session.preflight(plan.steps)
    assert isinstance(said, Unchecked)
    assert "not checked before" in str(said) and "took more than" in str(said)


@pytest.mark.pgvector
def test_a_query_needs_nothing_but_the_plan(database: Database) -> None:
    (step,) = [s for s in database.plan(with_(CASES["check"][0]), prune="extra").steps if s.preconditions]
    (call,) = step.preconditions
    assert isinstance(call, Op) and call.op == "no_rows"
    assert set(call.args) == {"sql", "what", "unit", "fix"}
