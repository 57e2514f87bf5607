"""Columns that get another name or type online: clients of both sides at work, runs broken off, plans given up."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.catalog import differences, objects
from tests.projects import Folder
from tests.stores.postgres.load import Load, Work
from tests.stores.postgres.reading import Store

from reconcile import workflow
from reconcile.apply import Event
from reconcile.change import Phase
from reconcile.errors import PartialError, ReconcileError

OLD = """
tables:
  documents:
    columns:
      id: {type: bigint, identity: always}
      user_id: {type: bigint, default: 7}
      title: text
    primary_key: [id]
    indexes: {documents_user: {columns: [user_id]}}
"""
NEW = OLD.replace("user_id: {", "owner_id: {renamed_from: user_id, strategy: online, ").replace(
    "[user_id]", "[owner_id]"
)
ROWS = 20_000


def project(path: Path, url: str, before: str = OLD, rows: int = ROWS) -> Folder:
    found = Folder(path, {"app": {"kind": "postgres", "url": url, "lock_timeout": "1s", "backfill_rows": 500}})
    found.settings["ledger"] = {"file": "ledger.db"}
    found.declare(app=before).apply("all")
    if rows:
        sql(url, f"INSERT INTO documents (user_id, title) SELECT n % 10, 't' || n FROM generate_series(1, {rows}) n")
    return found


def sql(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def client(column: str) -> Work:
    """An application that knows the column by one name."""

    def work(chance: random.Random) -> str:
        n, value = chance.randint(1, ROWS), chance.choice(["1", "2", "3", "NULL"])
        return chance.choice(
            [
                f"INSERT INTO documents ({column}, title) VALUES ({value}, 'x')",
                "INSERT INTO documents (title) VALUES ('y')",
                f"UPDATE documents SET {column} = {value} WHERE id = {n}",
                f"UPDATE documents SET title = 'z' WHERE id = {n}",
                f"DELETE FROM documents WHERE id = {n} AND {column} = 1",
                f"SELECT count(*) FROM documents WHERE {column} = {value}",
            ]
        )

    return work


def test_old_and_new_clients_write_while_both_names_are_there(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url).declare(app=NEW)
    old = Load(url, (client("user_id"), client("user_id")), "5s")
    new = Load(url, (client("owner_id"), client("owner_id")), "5s", seed=9)
    both: list[object] = []

    def on_event(event: Event) -> None:
        if event.kind == "step_done" and event.step is not None and event.step.id.endswith("/1-beside"):
            new.__enter__()
        if event.kind == "step_started" and event.step is not None and event.step.phase is Phase.CONTRACT:
            old.__exit__(None, None, None)
            both.extend(sql(url, "SELECT count(*) FROM documents WHERE user_id IS DISTINCT FROM owner_id"))

    with old:
        workflow.apply(folder.load(), folder.plan(allow=("all",)), on_event)
    new.__exit__(None, None, None)
    assert both == [(0,)]
    assert old.errors == [] and new.errors == []
    assert folder.plan().steps == ()


BOTH = """
tables:
  people: {columns: {id: bigint}, primary_key: [id]}
  documents:
    columns:
      id: {type: bigint, identity: by_default}
      user_id: {type: bigint, default: 7}
      twice: {type: bigint, generated: user_id * 2}
    primary_key: [id]
    checks: {documents_check: user_id < 100}
    foreign_keys: {documents_user: {columns: [user_id], references: people}}
  accounts:
    columns: {id: bigint, name: {type: text, not_null: true}, doc: json}
    primary_key: [id]
    unique: {accounts_name: [name]}
"""
RENAMED = (
    BOTH.replace("user_id", "owner_id").replace("owner_id: {", "owner_id: {renamed_from: user_id, strategy: online, ")
    .replace("name: {", "title: {renamed_from: name, strategy: online, ").replace("[name]", "[title]")
    .replace("doc: json", "body: {renamed_from: doc, strategy: online, type: json}")
)  # fmt: skip
SEEN = {
    "documents": "SELECT user_id, owner_id, twice FROM documents WHERE id = 1",
    "accounts": "SELECT name, title FROM accounts WHERE id = 1",
    "docs": "SELECT doc::text, body::text FROM accounts WHERE id = 1",
}
NEW_ROW = "DELETE FROM documents; INSERT INTO documents"
NEW_NAME = "DELETE FROM accounts; INSERT INTO accounts"
WRITES: list[tuple[str, str, object]] = [
    (f"{NEW_ROW} (id, user_id) VALUES (1, 5)", "documents", (5, 5, 10)),
    (f"{NEW_ROW} (id, owner_id) VALUES (1, 5)", "documents", (5, 5, 10)),
    (f"{NEW_ROW} (id) VALUES (1)", "documents", (7, 7, 14)),
    (f"{NEW_ROW} (id, user_id) VALUES (1, NULL)", "documents", (None, None, None)),
    # NULL and nothing are the same to a trigger: the default is that of the old name
    (f"{NEW_ROW} (id, owner_id) VALUES (1, NULL)", "documents", (7, 7, 14)),
    (f"{NEW_ROW} (id, user_id, owner_id) VALUES (1, 5, 6)", "documents", (6, 6, 12)),
    (f"{NEW_ROW} (id, owner_id) VALUES (1, 100)", "documents", psycopg.errors.CheckViolation),
    (f"{NEW_ROW} (id, owner_id) VALUES (1, 99)", "documents", psycopg.errors.ForeignKeyViolation),
    ("UPDATE documents SET user_id = 5", "documents", (5, 5, 10)),
    ("UPDATE documents SET owner_id = 5", "documents", (5, 5, 10)),
    ("UPDATE documents SET owner_id = owner_id + 1", "documents", (2, 2, 4)),
    ("UPDATE documents SET user_id = NULL", "documents", (None, None, None)),
    ("UPDATE documents SET owner_id = NULL", "documents", (None, None, None)),
    ("UPDATE documents SET user_id = DEFAULT", "documents", (7, 7, 14)),
    ("UPDATE documents SET user_id = 5, owner_id = 6", "documents", (5, 5, 10)),
    ("UPDATE documents SET user_id = user_id, owner_id = 6", "documents", (6, 6, 12)),
    ("UPDATE documents SET owner_id = 99", "documents", psycopg.errors.ForeignKeyViolation),
    *(
        (f"INSERT INTO documents (id, {given}) VALUES (1, 4) ON CONFLICT (id) DO UPDATE SET {then}", "documents", seen)
        for given, then, seen in [
            ("user_id", "user_id = EXCLUDED.user_id", (4, 4, 8)),
            ("owner_id", "owner_id = EXCLUDED.owner_id", (4, 4, 8)),
            ("owner_id", "user_id = EXCLUDED.user_id", (4, 4, 8)),
            ("user_id", "owner_id = EXCLUDED.owner_id + 1", (5, 5, 10)),
        ]
    ),
    ("DELETE FROM documents; COPY documents (id, user_id) FROM STDIN", "documents", (5, 5, 10)),
    ("DELETE FROM documents; COPY documents (id, owner_id) FROM STDIN", "documents", (5, 5, 10)),
    (f"{NEW_NAME} (id, name) VALUES (1, 'x')", "accounts", ("x", "x")),
    (f"{NEW_NAME} (id, title) VALUES (1, 'x')", "accounts", ("x", "x")),
    (f"{NEW_NAME} (id) VALUES (1)", "accounts", psycopg.errors.NotNullViolation),
    ("UPDATE accounts SET title = 'x'", "accounts", ("x", "x")),
    ("UPDATE accounts SET title = NULL", "accounts", psycopg.errors.NotNullViolation),
    ("UPDATE accounts SET name = NULL", "accounts", psycopg.errors.NotNullViolation),
    ("INSERT INTO accounts (id, title) VALUES (2, 'ann')", "accounts", psycopg.errors.UniqueViolation),
    ("INSERT INTO accounts (id, title) VALUES (2, 'ann') ON CONFLICT (name) DO UPDATE SET title = 'y'",
     "accounts", ("y", "y")),
    ("UPDATE accounts SET body = '{\"a\": 2}'", "docs", ('{"a": 2}', '{"a": 2}')),
    ("UPDATE accounts SET doc = '{\"a\": 3}', body = body", "docs", ('{"a": 3}', '{"a": 3}')),
]  # fmt: skip
"""What old and new clients write, what the row with id 1 is then by both names."""


def test_both_names_say_the_same(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url, BOTH, rows=0)
    sql(
        url,
        "INSERT INTO people SELECT generate_series(1, 9); INSERT INTO documents VALUES (1, 1);"
        " INSERT INTO accounts VALUES (1, 'ann', '{\"a\": 1}')",
    )
    begun = len(
        [s for s in folder.declare(app=RENAMED).plan(allow=("all",)).groups if s[0].phase is not Phase.CONTRACT]
    )
    begin(folder, begun)
    wrong = []
    with psycopg.connect(url) as connection:
        for statement, seen, expected in WRITES:
            try:
                found = _written(connection, statement, SEEN[seen])
            except psycopg.Error as error:
                found = type(error)
            connection.rollback()
            wrong += [] if found == expected else [(statement, found, expected)]
    assert wrong == []
    folder.apply("all")
    assert folder.plan().steps == ()


def _written(connection: psycopg.Connection[Any], statement: str, seen: str) -> object:
    first, copies, _ = statement.rpartition("COPY")
    if not copies:
        connection.execute(statement.encode())
    else:
        connection.execute(first.encode())
        with connection.cursor().copy(statement[len(first) :].encode()) as copy:
            copy.write(b"1\t5\n")
    return connection.execute(seen.encode()).fetchone()


def begin(folder: Folder, steps: int) -> None:
    """Carry out the first steps of the plan, as if the run had been killed there and its ledger lost."""
    from reconcile.survey import reading

    plan = folder.plan(allow=("all",))
    with reading(folder.load()) as found:
        session = found.stores["app"].session
        for group in plan.groups[:steps]:
            if group[0].transactional:
                with session.transaction(group) as transaction:
                    for step in group:
                        for call in step.calls:
                            transaction.run(call, step.timeouts)
            else:
                for call in group[0].calls:
                    session.run(call, group[0].timeouts)


def test_an_online_rename_given_up_leaves_nothing(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url, rows=10)
    clean = objects(url)
    folder.declare(app=NEW)
    begin(folder, 2)
    imported = Store(url).imported()["tables.yaml"]
    assert "owner_id" not in imported and "user_id" in imported and "not modelled" not in imported
    folder.declare(app=OLD)
    plan = folder.plan()
    assert [str(c.address) for c in plan.resource_changes] == ["app.column.public.documents.owner_id"]
    assert plan.observed["extra"] == []
    folder.apply("all")
    assert differences(clean, objects(url)) == []
    assert sql(url, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]
    assert sql(url, "SELECT count(*) FROM pg_namespace WHERE nspname = 'reconcile'") == [(0,)]


TYPES = OLD.replace("title: text", "title: text\n      size: {type: integer, not_null: true, default: 3}")
WIDER = TYPES.replace("{type: integer, not_null", "{type: bigint, strategy: online, not_null")


def test_clients_write_while_a_type_changes(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url, TYPES).declare(app=WIDER)
    with Load(url, (client("size"), client("user_id"), sizes, sizes), "5s") as load:
        folder.apply("all")
    assert [e for e in load.errors if "not-null" not in e] == []  # client() writes NULL at times
    assert folder.plan().steps == ()
    assert sql(url, "SELECT count(*) FROM documents WHERE size = 3000000000") == [(0,)]
    sql(url, "INSERT INTO documents (size) VALUES (3000000000)")


def sizes(chance: random.Random) -> str:
    n = chance.randint(1, ROWS)
    return chance.choice(
        [
            f"INSERT INTO documents (size) VALUES ({n})",
            "INSERT INTO documents (title) VALUES ('default')",
            f"UPDATE documents SET size = size + 1 WHERE id = {n}",
            f"SELECT size FROM documents WHERE id = {n}",
        ]
    )


@pytest.mark.parametrize("name", ["Größe \"%s\" 'x'", "x" * 63, "ü" * 31, "a.b/c", "place"])
def test_names_of_any_kind(name: str, tmp_path: Path, postgres_database: str) -> None:
    from reconcile.yamldump import dump

    def declared(**column: object) -> str:
        table = {
            "columns": {"id": {"type": "bigint", "identity": "always"}, **column},
            "primary_key": ["id"],
            "indexes": {"t_idx": {"columns": [next(iter(column))]}},
            "checks": {"t_check": '"' + next(iter(column)).replace('"', '""') + '" > 0'},
        }
        return dump({"tables": {short: table}}, [])

    url, short = postgres_database, name[:40].replace(".", "").replace('"', "")
    folder = project(tmp_path, url, declared(**{name: "integer"}), rows=0)
    relation = '"' + short + '"'
    sql(url, f"INSERT INTO {relation} SELECT FROM generate_series(1, 50)")
    folder.declare(app=declared(**{name: {"type": "bigint", "not_null": False, "strategy": "online"}})).apply("all")
    assert folder.plan().steps == ()
    renamed = {"type": "bigint", "renamed_from": name, "strategy": "online"}
    folder.declare(app=declared(other=renamed)).apply("all")
    assert folder.plan().steps == ()
    assert sql(url, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]


def test_a_run_broken_off_in_the_backfill_goes_on(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url, TYPES).declare(app=WIDER)
    seen: list[str] = []

    def on_event(event: Event) -> None:
        if event.kind == "progress":
            seen.append(event.detail)
            if len(seen) == 5:
                raise KeyboardInterrupt

    with pytest.raises(PartialError, match="interrupted"):
        workflow.apply(folder.load(), folder.plan(), on_event)
    assert seen == sorted(seen, key=lambda s: int(s.split()[0]))
    filled = sql(url, "SELECT count(*) FROM documents WHERE size__rc_new IS NOT NULL")[0][0]
    assert isinstance(filled, int) and 0 < filled < ROWS
    workflow.resume(folder.load())
    assert folder.plan().steps == ()


def test_another_mind_in_the_middle(tmp_path: Path, postgres_database: str) -> None:
    """What was built for one type is of no use for another, and goes."""
    url = postgres_database
    before = TYPES + "    checks: {documents_size_check: size > 0}\n"
    folder = project(tmp_path, url, before, rows=100).declare(
        app=WIDER + "    checks: {documents_size_check: size > 0}\n"
    )
    for steps in range(1, len(folder.plan().groups)):
        folder.declare(app=WIDER + "    checks: {documents_size_check: size > 0}\n")
        begin(folder, steps)
        numeric = WIDER.replace("bigint, strategy", '"numeric(12,2)", strategy')
        folder.declare(app=numeric + "    checks: {documents_size_check: size > 0}\n").apply("all")
        assert folder.plan().steps == ()
        folder.declare(app=before).apply("all")
        assert folder.plan().steps == ()
    folder.declare(app=WIDER + "    checks: {documents_size_check: size > 0}\n")
    begin(folder, 5)
    folder.declare(app=before)
    assert folder.plan().observed["extra"] == []
    folder.apply("all")
    assert sql(url, "SELECT count(*) FROM pg_attribute WHERE attname ~ '__rc_' AND NOT attisdropped") == [(0,)]
    assert sql(url, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]


def test_nothing_is_cut_off(tmp_path: Path, postgres_database: str) -> None:
    """A cast would cut texts without a word: rows that do not fit stop the plan, and writes of such are refused."""
    url = postgres_database
    folder = project(tmp_path, url, rows=20).declare(
        app=OLD.replace("title: text", 'title: {type: "varchar(5)", strategy: online}')
    )
    sql(url, "UPDATE documents SET title = 'too long' WHERE id = 7; UPDATE documents SET title = 't    ' WHERE id = 8")
    with pytest.raises(ReconcileError, match=r"title of public.documents does not fit .*\(id = 7"):
        folder.apply("all")
    sql(url, "DELETE FROM documents WHERE id = 7")
    begin(folder, 1)
    with pytest.raises(psycopg.errors.StringDataRightTruncation):
        sql(url, "UPDATE documents SET title = 'too long' WHERE id = 9")
    folder.apply("all")
    assert folder.plan().steps == ()
    assert sql(url, "SELECT title FROM documents WHERE id IN (8, 9) ORDER BY id") == [("t    ",), ("t9",)]


def test_triggers_of_the_table_do_not_fire_for_the_backfill(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url, TYPES, rows=100)
    sql(
        url,
        "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.title := ''touched'';"
        " NEW.size := NEW.size + 1; RETURN NEW; END'; CREATE TRIGGER touch BEFORE UPDATE ON documents"
        " FOR EACH ROW EXECUTE FUNCTION touched()",
    )
    folder.declare(app=WIDER)
    begin(folder, 2)
    assert sql(url, "SELECT count(*) FROM documents WHERE title = 'touched'") == [(0,)]
    sql(url, "UPDATE documents SET title = 'x' WHERE id = 1")
    assert sql(url, "SELECT size, size__rc_new FROM documents WHERE id = 1") == [(4, 4)], "after the other trigger"


def test_a_role_that_cannot_keep_triggers_quiet_is_told_before(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url, TYPES, rows=100)
    sql(
        url,
        "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        " CREATE TRIGGER touch BEFORE UPDATE ON documents FOR EACH ROW EXECUTE FUNCTION touched()",
    )
    role = f"online_{postgres_database.rpartition('_')[2]}"
    sql(
        url,
        f"CREATE ROLE {role}; ALTER TABLE documents OWNER TO {role}; ALTER FUNCTION touched() OWNER TO {role};"
        f" GRANT CREATE ON DATABASE {postgres_database.rpartition('/')[2]} TO {role};"
        f" GRANT ALL ON SCHEMA public TO {role}",
    )
    try:
        folder.stores["app"]["role"] = role
        folder.declare(app=WIDER)
        with pytest.raises(ReconcileError, match="would fire touch"):
            folder.apply("all")
        sql(url, "ALTER TABLE documents DISABLE TRIGGER touch")
        folder.apply("all")
        assert folder.plan().steps == ()
    finally:
        sql(url, f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}")


def test_what_a_column_has_goes_over(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url, TYPES.replace("integer, not_null", "text, not_null"), rows=100)
    reader = f"reader_{postgres_database.rpartition('_')[2]}"
    sql(
        url,
        f"CREATE ROLE {reader}; GRANT SELECT (size), UPDATE (size) ON documents TO {reader} WITH GRANT OPTION;"
        " UPDATE documents SET size = id::text",
    )
    seen = "SELECT attacl::text, attnotnull FROM pg_attribute WHERE attname = 'size'"
    try:
        before = sql(url, seen)
        folder.declare(app=WIDER).apply("all")
        assert sql(url, seen) == before
        assert folder.plan().steps == ()
    finally:
        sql(url, f"DROP OWNED BY {reader}; DROP ROLE {reader}")


def test_declared_grants_on_columns_stay_from_the_first_step_to_the_last(
    tmp_path: Path, postgres_database: str
) -> None:
    url = postgres_database
    reader = f"online_reader_{postgres_database.rpartition('_')[2]}"
    sql(url, f"CREATE ROLE {reader}")
    grants = f"    grants: {{{reader}: [{{select: [size]}}, {{update: [size, title]}}]}}\n"
    try:
        folder = project(tmp_path, url, TYPES + grants, rows=100).declare(app=WIDER + grants)
        for groups in range(len(folder.plan().groups)):
            folder.declare(app=WIDER + grants)
            begin(folder, groups)
            assert not [c for c in folder.plan().resource_changes if c.address.kind == "grant"]
            folder.apply("all")
            assert folder.plan().steps == ()
            folder.declare(app=TYPES + grants).apply("all")
            assert folder.plan().steps == ()
    finally:
        sql(url, f"DROP OWNED BY {reader}; DROP ROLE {reader}")


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (
            "      double: {type: bigint, generated: size * 2}",
            r"documents.double is generated from it and stored: .*rewrites the table",
        ),
        (
            "      kept: text\n"
            "    exclusions: {once: {method: btree, columns: [{column: size, with: '='}], where: title is null}}",
            r"documents.once excludes by it: .*exclusive lock",
        ),
        ("      size__rc_new: text", "was not put there by a change under way"),
        (
            "      # CREATE PUBLICATION p FOR TABLE documents (id, size)",
            "it is used by publication p",
        ),
        ("      # CREATE SCHEMA o CREATE VIEW v AS SELECT size FROM public.documents", "rule _RETURN on view o.v"),
    ],
)
def test_what_cannot_be_done_online_is_said(more: str, error: str, tmp_path: Path, postgres_database: str) -> None:
    """A comment is what somebody has made that is not modelled."""

    def with_more(text: str) -> str:
        return text.replace("    primary_key", f"{more}\n    primary_key")

    folder = project(tmp_path, postgres_database, with_more(TYPES), rows=10).declare(app=with_more(WIDER))
    if "# " in more:
        sql(postgres_database, more.partition("# ")[2])
    with pytest.raises(ReconcileError, match=error) as caught:
        folder.plan()
    assert "app.yaml:" in str(caught.value)


TWO = """
tables:
  items:
    columns:
      tenant: {TENANT, not_null: true}
      id: {ID, not_null: true}
      parent: {PARENT}
      note: text
    primary_key: {name: items_pk, columns: [tenant, id], include: [note]}
    checks: {items_check: tenant + parent >= 0}
    indexes:
      items_parent: {columns: [{expression: parent + id}], where: tenant > 0, unique: true}
      items_note: {columns: [note, parent]}
    statistics: {items_both: {kinds: [dependencies], columns: [parent, tenant]}}
    foreign_keys: {items_parent_fkey: {columns: [tenant, parent], references: {table: items, columns: [tenant, id]}}}
  uses:
    columns: {tenant: integer, item: integer}
    foreign_keys: {uses_item: {columns: [tenant, item], references: {table: items, columns: [tenant, id]}}}
"""


def two(*types: str) -> str:
    """`TWO` with the types of tenant, id and parent; what is no integer comes online."""
    text = TWO
    for name, type in zip(("TENANT", "ID", "PARENT"), types, strict=True):
        text = text.replace(name, f"type: {type}" + ("" if type == "integer" else ", strategy: online"), 1)
    return text


def test_columns_of_one_key_are_swapped_together(tmp_path: Path, postgres_database: str) -> None:
    """Whatever is on several of them is built once, on all; broken off anywhere, any mind may be changed."""
    url, plain, all_three = postgres_database, two(*["integer"] * 3), two(*["bigint"] * 3)
    folder = project(tmp_path, url, plain, rows=0)
    sql(url, "INSERT INTO items SELECT n % 3 + 1, n, n, 'x' FROM generate_series(1, 60) n; INSERT INTO uses"
             " SELECT n % 3 + 1, n FROM generate_series(1, 60) n")  # fmt: skip
    before, plan = objects(url), folder.declare(app=all_three).plan(allow=("all",))
    swaps = [s.id for s in plan.steps if s.id.endswith("-swap")]
    assert [s.partition("/")[0] for s in swaps] == ["app.column.public.items.tenant"]
    assert len([s for s in plan.steps if s.id.endswith("-build")]) == 3, "one index each"
    n = len(plan.groups)
    for broken_off, then in (
        (n - 1, plain),
        (n - 1, two("bigint", "bigint", "integer")),
        (n // 2, two("integer", "numeric", "numeric")),
        (n - 2, all_three),
    ):
        folder.declare(app=all_three)
        begin(folder, broken_off)
        (folder.path / "ledger.db").unlink(missing_ok=True)
        folder.declare(app=then).apply("all")
        assert folder.plan().steps == ()
        helpers = "SELECT attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relkind = 'r'"
        assert sql(url, f"{helpers} AND attname ~ '__rc_' AND NOT attisdropped") == []
        if then != all_three:
            folder.declare(app=plain).apply("all")
            # the server prints columns of statistics in the order in which the table has got them
            assert [d for d in differences(before, objects(url)) if not d.startswith("statistics ")] == []
    assert sql(url, "SELECT count(*) FROM items WHERE parent = id") == [(60,)]


@pytest.mark.since(18)
def test_a_virtual_column_comes_along(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    more = "      double: {type: bigint, generated: size * 2, stored: false}\n    primary_key"
    before, after = TYPES.replace("    primary_key", more), WIDER.replace("    primary_key", more)
    folder = project(tmp_path, url, before, rows=10).declare(app=after)
    plan = folder.plan(allow=("all",))
    swap = next(s for s in plan.steps if s.id.endswith("-swap"))
    around = [s for s in plan.steps if ".double/" in s.id]
    assert {s.group for s in around} == {swap.group}, "nobody sees the table without it"
    folder.apply("all")
    assert folder.plan().steps == ()
    assert sql(url, "SELECT DISTINCT double - 2 * size FROM documents") == [(0,)]


ODD = """
sequences: {"s $reconcile$": {max: MOST}}
tables:
  "a $reconcile$ b":
    columns:
      id: {type: bigint, identity: always}
      "$reconcile$": {type: TYPE, not_null: true, default: 1, strategy: online}
    primary_key: [id]
    indexes: {"i $reconcile$": {columns: ["$reconcile$"]}}
"""


def test_names_that_hold_the_quotes_of_our_blocks(tmp_path: Path, postgres_database: str) -> None:
    """Retyped beside, a sequence narrowed, the column put aside and brought back."""
    folder = project(tmp_path, postgres_database, ODD.replace("TYPE", "integer").replace("MOST", "1000"), 0)
    sql(postgres_database, 'INSERT INTO "a $reconcile$ b" DEFAULT VALUES')
    wide = ODD.replace("TYPE", "bigint").replace("MOST", "100")
    folder.declare(app=wide).apply("all")
    assert not folder.plan().steps
    gone = "\n".join(line for line in wide.splitlines() if "online" not in line and "indexes" not in line)
    run = folder.declare(app=gone).apply("breaks-clients", "index-gap").run
    workflow.apply(folder.load(), workflow.rollback(folder.load(), run, allow=("all",)))
    assert sql(postgres_database, 'SELECT * FROM "a $reconcile$ b"') == [(1, 1)]
