"""Rows that break a rule are counted before anything is changed, by name, with a sample and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow
from tests.projects import Folder
from tests.stores.postgres.writing import (
    Database,
    at,
    check,
    column,
    domain,
    enum,
    exclusion,
    foreign_key,
    index,
    primary_key,
    state,
    table,
    unique,
)

from reconcile import workflow
from reconcile.change import Op, Step
from reconcile.checkup import stopping
from reconcile.errors import Problem, ReconcileError, Unchecked
from reconcile.model import Resource, State
from reconcile.stores.postgres import needs, privileges, violations
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
    column("users", "tags", "text[]", position=7),
    column("users", "size", "numeric", position=8),
    primary_key("users", "users_pkey", "id"),
)
ROWS = """
INSERT INTO teams VALUES (1);
INSERT INTO users (id, name, age, team, mood, e) VALUES
  (1, 'ann', 20, 1, 'ok', '[1,2,3]'), (2, 'bob', -1, 7, 'sad', '[1,2]'), (3, 'bob', 3000000000, NULL, 'glad', NULL),
  (4, NULL, 1, 1, NULL, NULL);
UPDATE users SET tags = '{a,long}', size = 12.34 WHERE id = 2;
UPDATE users SET tags = '{ab}', size = 123.45 WHERE id = 3
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
    "unique index with more columns": (
        index("users", "users_name", "name", unique=True, include=("age",)),
        "(name) occurs more than once in public.users: 1 value (name = 'bob', 2 times)",
    ),
    "unique index of some rows, where NULL is a value": (
        index("users", "users_team", "team", unique=True, nulls_not_distinct=True, where="age > 0"),
        "(team) occurs more than once in public.users: 1 value (team = 1, 2 times)",
    ),
    "unique of several": (
        unique("users", "users_team_key", "team", "name", include=("age",)),
        None,
    ),
    "exclusion": (
        exclusion("users", "users_once", [("name", "=")], method="btree", where="age <> 0"),
        "rows of public.users exclude each other: 1 pair (id = 2, other id = 3)",
    ),
    "text that is no number": (
        column("users", "name", "integer", position=2),
        "name of public.users does not fit integer: 3 rows (id = 1, name = 'ann'; id = 2",
    ),
    "elements of arrays": (
        column("users", "tags", "character varying(2)[]", position=7),
        "tags of public.users does not fit character varying(2)[]: 1 row (id = 2, tags = ['a', 'long'])",
    ),
    "generated and not null": (
        column("users", "double", "bigint", generated="team * 2", not_null=True, position=9),
        "double of public.users, generated as team * 2, would be null: 1 row (id = 3, team = null)",
    ),
    "generated and not null, of what is never null": (
        column("users", "double", "bigint", generated="age * 2", not_null=True, position=9),
        None,
    ),
    "a number with fewer digits": (
        column("users", "size", "numeric(3,1)", position=8),
        "size of public.users does not fit numeric(3,1): 1 row (id = 3, size = 123.45)",
    ),
}
"""What is declared, and what is said: nothing where no row breaks it."""


@pytest.mark.pgvector
def test_rows_that_break_a_rule_are_found_before(database: Database) -> None:
    for name, (resource, message) in CASES.items():
        found = problems(database, resource)
        if message is None:
            assert found == [], name
        else:
            said = only(found)
            assert message in said and "SELECT" in said and "to fix: " in said, name


@pytest.mark.pgvector
def test_what_changes_where_many_use_a_type_is_found_in_each(database: Database) -> None:
    """A domain's new check, in the columns of that domain and in arrays of it."""
    before = state(
        domain("age_", "integer"),
        table("ages"),
        column("ages", "id", "bigint", not_null=True, position=1),
        column("ages", "a", "age_", position=2, refers=(at("domain", "age_"),)),
        column("ages", "b", "age_", position=3, refers=(at("domain", "age_"),)),
        primary_key("ages", "ages_pkey", "id"),
    )
    database.to(State.of([*BEFORE.values(), *before.values()]), prune="extra")
    database.execute("INSERT INTO ages VALUES (1, 1, -5), (2, -1, 1)")
    strict = before.add(domain("age_", "integer", checks={"age_check": "VALUE >= 0"}))
    found = problems(database, desired=State.of([*BEFORE.values(), *strict.values()]))
    assert ["id = 1" in str(p) for p in found] == [False, True]


def test_rows_that_come_between_plan_and_apply_are_found(postgres_database: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}}, {"ledger": {"file": "l.db"}})
    before = "tables: {t: {columns: {id: bigint, n: integer}, primary_key: [id]}}"
    folder.declare(app=before).apply("all")
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO t VALUES (0, 1)")
    after = before.replace("n: integer}", "n: {type: integer, not_null: true}, more: text}, checks: {t_n: n > 0}")
    plan = folder.declare(app=after).plan(allow=("all",))
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO t VALUES (1, 0), (2, NULL)")
        with pytest.raises(ReconcileError, match="nothing was changed") as caught:
            workflow.apply(folder.load(), plan)
        assert "(id = 1)" in str(caught.value) and "(id = 2)" in str(caught.value)
        asked = "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'more'"
        assert connection.execute(asked).fetchone() == (0,)


class Steps_(list[Step]):
    """Counts how often they are gone through."""

    passes = 0

    def __iter__(self) -> Iterator[Step]:
        self.passes += 1
        return super().__iter__()


@pytest.mark.pgvector
def test_what_stops_a_plan_is_asked_for_in_as_many_queries_and_passes_whatever_its_length(database: Database) -> None:
    """Going through all steps for each of them took 77 s of 1,017; now one pass serves all."""
    counts = []
    for tables in (2, 40):
        new = [r for n in range(tables) for r in (table(f"n{n}"), column(f"n{n}", "id", "bigint"))]
        new += [column("users", f"c{n}", "text", position=20 + n) for n in range(tables)]
        steps = Steps_(database.plan(with_(*new), prune="extra").steps)
        connection = database.session.connection
        asked = Counting(connection)
        server = database.session.server()
        found = privileges.asked(asked, server, needs.of_steps(steps))  # type: ignore[arg-type]
        assert stopping(privileges.checks(server, steps, found)) == []
        counts.append((asked.queries, steps.passes))
    assert counts[0] == counts[1]
    assert counts[0][1] < 12


@dataclass
class Counting:
    """A connection that counts what it is asked."""

    connection: psycopg.Connection[TupleRow]
    queries: int = 0

    def execute(self, *arguments: Any) -> psycopg.Cursor[TupleRow]:
        self.queries += 1
        return self.connection.execute(*arguments)


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
    others = ("narrower text", "text that is no number", "unique index")  # of what stands in another case too
    chosen = [resource for name, (resource, _) in CASES.items() if name not in others]
    assert problems(database, *chosen) == []


SCORES = """
DELETE FROM scores; DELETE FROM teams; INSERT INTO teams VALUES (1);
INSERT INTO scores (id, n, m, at, team) VALUES
  (1, 0.4, 1, '2026-01-01 10:00', 1), (2, 0.3, 1.2, '2026-01-01 11:00', 1.4), (3, NULL, 2, NULL, NULL)
"""
RULES = {
    "check": ("checks: {scores_n: n > 0}", {"n": "integer"}, "n > 0 does not hold in public.scores: 2 rows (id = 1"),
    "unique": (
        "unique: {scores_m: [m]}",
        {"m": "integer"},
        "(m) occurs more than once in public.scores: 1 value (m = 1, 2 times)",
    ),
    "unique index of some rows": (
        "indexes: {scores_at: {columns: [at], unique: true, where: m < 2}}",
        {"at": "date"},
        "(at) occurs more than once in public.scores: 1 value (at = 2026-01-01, 2 times)",
    ),
    "exclusion": (
        "exclusions: {scores_once: {method: btree, columns: [{column: at, with: '='}]}}",
        {"at": "date"},
        "rows of public.scores exclude each other: 1 pair (id = 1, other id = 2)",
    ),
    "foreign key": (
        "foreign_keys: {scores_team: {columns: [team], references: teams}}",
        {"team": "numeric(9,2)", "m": "integer"},
        None,
    ),
    "kept": ("checks: {scores_n: n >= 0 AND m > 0}", {"n": "integer", "m": "smallint"}, None),
}
"""A rule, the columns that get another type under it, and what is said."""


@pytest.mark.parametrize(
    ("standing", "strategy"), [(True, ""), (False, ""), (True, ", strategy: online")], ids=["in place", "new", "online"]
)
def test_rows_that_break_a_rule_only_once_they_are_cast(
    standing: bool, strategy: str, postgres_database: str, tmp_path: Path
) -> None:
    """0.4 is more than 0, and as an integer is not: told before, or the apply stops part-way."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}}, {"ledger": {"file": "l.db"}})

    def declare(rule: str, **types: str) -> Folder:
        first = {"n": "numeric", "m": "numeric", "at": "timestamp", "team": "numeric"}
        columns = ", ".join(
            f'{name}: {{type: "{types.get(name, old)}"{strategy if name in types else ""}}}'
            for name, old in first.items()
        )
        return folder.declare(
            app=f"""tables:
  teams: {{columns: {{id: numeric}}, primary_key: [id]}}
  scores:
    columns: {{id: bigint, {columns}}}
    primary_key: [id]
    {rule}
"""
        )

    with psycopg.connect(postgres_database, autocommit=True) as connection:
        for name, (rule, types, message) in RULES.items():
            if strategy and name == "exclusion":
                continue  # it cannot be built beside the old one
            declare("").apply("all")
            connection.execute(SCORES.encode())
            if standing and name != "foreign key":
                declare(rule).apply("all")
            declare(rule, **types)
            if message is None:
                connection.execute("UPDATE scores SET n = 1, team = NULL WHERE team = 1.4")
                folder.apply("all")
                assert folder.plan().steps == ()
                continue
            with pytest.raises(ReconcileError, match="nothing was changed") as caught:
                folder.apply("all")
            assert message in str(caught.value), name
            assert str(caught.value).count("to fix: ") == 1, name


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
    monkeypatch.setattr(violations, "SECONDS", 0.1)
    (said,) = database.session.preflight(plan.steps)
    assert isinstance(said, Unchecked)
    assert "not checked before" in str(said) and "took more than" in str(said)
    monkeypatch.setattr(violations, "ALTOGETHER", 0)
    (said,) = database.session.preflight(plan.steps)
    assert isinstance(said, Unchecked) and "the queries before it took 0 s" in str(said)


@pytest.mark.pgvector
def test_a_query_needs_nothing_but_the_plan(database: Database) -> None:
    (step,) = [s for s in database.plan(with_(CASES["check"][0]), prune="extra").steps if s.preconditions]
    (call,) = step.preconditions
    assert isinstance(call, Op) and call.op == "no_rows"
    assert set(call.args) == {"sql", "what", "unit", "fix"}
