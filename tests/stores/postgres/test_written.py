"""Privileges of hand-written SQL: each that is missing is named before anything has changed."""

from __future__ import annotations

import psycopg
import pytest
from tests.catalog import objects
from tests.stores.postgres.rights import Rights

from reconcile import planfile, workflow
from reconcile.change import Op, Step
from reconcile.errors import ReconcileError
from reconcile.exits import Exit
from reconcile.model import Address
from reconcile.stores.postgres import written
from reconcile.stores.postgres.needs import Need

SETUP = """
REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE SCHEMA audit; CREATE SCHEMA ref;
CREATE TABLE notes (id bigint PRIMARY KEY, body text, lang text); INSERT INTO notes VALUES (1, 'x'), (2, 'y');
CREATE TABLE ref.languages (code text); INSERT INTO ref.languages VALUES ('en');
CREATE TABLE audit.events (id bigint, what text); CREATE TABLE old (id bigint); CREATE TABLE tall (id bigint);
ALTER TABLE old OWNER TO {owner};
GRANT CREATE ON DATABASE {database} TO {role}; GRANT CREATE, USAGE ON SCHEMA audit TO {role}
"""
DECLARED = """
tables:
  audit.fresh: {columns: {id: bigint}}
backfills:
  languages:
    select: SELECT n.id FROM notes n, ref.languages l WHERE n.lang IS NULL
    key: id
    statement: UPDATE notes SET lang = 'en' WHERE id = ANY ($keys)
"""
MIGRATION = """
INSERT INTO audit.events SELECT id, body FROM notes;
TRUNCATE tall;
CREATE TABLE audit.own (id bigint);
INSERT INTO audit.own VALUES (1);
ALTER TABLE "old" ADD COLUMN at date;
"""
NEEDED = {
    "SELECT ON notes": "GRANT SELECT ON TABLE \"public\".\"notes\" TO",
    "UPDATE (lang) ON notes": "GRANT UPDATE ON TABLE \"public\".\"notes\" TO",
    "USAGE ON SCHEMA ref": "GRANT USAGE ON SCHEMA \"ref\" TO",
    "SELECT ON ref.languages": "GRANT SELECT ON TABLE \"ref\".\"languages\" TO",
    "INSERT ON audit.events": "GRANT INSERT ON TABLE \"audit\".\"events\" TO",
    "TRUNCATE ON tall": "GRANT TRUNCATE ON TABLE \"public\".\"tall\" TO",
    "CREATE ON SCHEMA public": "GRANT CREATE ON SCHEMA \"public\" TO",
}  # fmt: skip
"""What is taken away, and what is then to be pasted."""


def test_what_backfills_and_migrations_may_not_is_named_before_anything_changes(rights: Rights) -> None:
    rights.run(SETUP)
    for privilege in NEEDED:
        rights.run(f"GRANT {privilege} TO {{role}}")
    rights.run("GRANT {owner} TO {role}")
    folder = rights.folder
    folder.settings = {"migrations": {"changes": {"store": "app", "folder": "changes"}}}
    migrations = folder.path / "changes"
    migrations.mkdir()
    (migrations / "001_first.sql").write_text(f"-- reconcile: allow truncate: nobody reads it\n{MIGRATION}")
    folder.declare(app=DECLARED)
    made = planfile.from_json(planfile.to_json(folder.plan(allow=("all",))))
    assert {step.id.rpartition("/")[2] for step in made.steps} == {"1-create", "1-run"}
    assert rights.stops(made) == []
    for privilege, paste in NEEDED.items():
        rights.run(f"REVOKE {privilege} FROM {{role}}")
        before = objects(rights.url)
        said = "\n".join(rights.stops(made))
        assert paste in said, (privilege, said)
        with pytest.raises(ReconcileError) as refused:
            workflow.apply(folder.load(), made)
        assert refused.value.exit is Exit.ERROR and paste in str(refused.value)
        assert objects(rights.url) == before, privilege
        rights.run(f"GRANT {privilege} TO {{role}}")
    rights.run("REVOKE {owner} FROM {role}")
    assert [line.partition(",")[0] for line in rights.stops(made)] == [f"{rights.role} does not own public.old"]
    rights.run("GRANT {owner} TO {role}")
    assert workflow.apply(folder.load(), made).steps_done == len(made.steps)
    assert not folder.plan().steps


RULED = """
REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE SCHEMA audit; CREATE SCHEMA ref;
GRANT CREATE ON DATABASE {database} TO {role}; GRANT CREATE ON SCHEMA public TO {role};
GRANT USAGE ON SCHEMA audit, ref TO {role};
CREATE TABLE audit.a (id bigint); ALTER TABLE audit.a OWNER TO {role};
CREATE TABLE audit.b (id bigint); ALTER TABLE audit.b OWNER TO {role};
CREATE TABLE parent (id bigint) PARTITION BY RANGE (id); ALTER TABLE parent OWNER TO {role};
CREATE TABLE part (id bigint); ALTER TABLE part OWNER TO {owner};
CREATE VIEW v AS SELECT 1 AS a; ALTER VIEW v OWNER TO {owner};
CREATE FUNCTION f(int, numeric) RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f OWNER TO {owner};
CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
REVOKE EXECUTE ON FUNCTION g() FROM PUBLIC
"""
RULES = {
    "ALTER TABLE audit.a RENAME TO a2": 'GRANT CREATE ON SCHEMA "audit" TO "{role}"',
    "ALTER TABLE audit.b SET SCHEMA ref": 'GRANT CREATE ON SCHEMA "ref" TO "{role}"',
    "ALTER TABLE parent ATTACH PARTITION part FOR VALUES FROM (1) TO (9)": 'GRANT {owner} TO "{role}"',
    "CREATE OR REPLACE VIEW v AS SELECT 2 AS a": 'GRANT {owner} TO "{role}"',
    "DROP FUNCTION f(int, numeric(3, 1))": 'GRANT {owner} TO "{role}"',
    "CREATE TRIGGER t BEFORE INSERT ON ref.b FOR EACH ROW EXECUTE FUNCTION g()":
        'GRANT EXECUTE ON ROUTINE "public"."g"() TO "{role}"',
}  # fmt: skip
"""What is lacking, by statement; with it the statement works."""


def test_each_rule_asks_for_what_the_server_wants(rights: Rights) -> None:
    """Told before anything has changed; refused by the server without it, done with it."""
    rights.run(RULED)
    folder = rights.folder
    folder.settings = {"migrations": {"changes": {"store": "app", "folder": "changes"}}}
    (folder.path / "changes").mkdir()
    folder.declare(app="tables: {}\n")
    for number, (statement, paste) in enumerate(RULES.items(), 1):
        (folder.path / "changes" / f"{number:03}_one.sql").write_text(statement)
        made, grant = folder.plan(), paste.format(role=rights.role, owner=rights.owner)
        before = objects(rights.url)
        assert [line.partition(" | ")[2].partition(";")[0] for line in rights.stops(made)] == [grant], statement
        with pytest.raises(psycopg.errors.InsufficientPrivilege), rights.admin.transaction():
            rights.run(f"SET LOCAL ROLE {{role}}; {statement}")
        with pytest.raises(ReconcileError):
            workflow.apply(folder.load(), made)
        assert objects(rights.url) == before, statement
        rights.run(grant)
        assert workflow.apply(folder.load(), made).steps_done == len(made.steps) == 1, statement
        rights.run(grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))


EMPTIED = """
REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE TABLE documents (id bigint PRIMARY KEY, body text);
CREATE TABLE chunks (id bigint PRIMARY KEY, body text); INSERT INTO documents VALUES (1, 'new');
INSERT INTO chunks VALUES (1, 'old'), (2, 'old');
GRANT CREATE ON DATABASE {database} TO {role}; GRANT SELECT ON documents TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON chunks TO {role}
"""
REFILLED = """
tables: {chunks: {columns: {id: {type: bigint, not_null: true}, body: text}, primary_key: [id]}}
backfills:
  refilled:
    truncate: {place: app.table.public.chunks, expect: 2}
    select: SELECT id, body FROM documents d WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.id = d.id)
    key: id
    into: app.table.public.chunks
    into_key: id
    copy: {body: body}
"""


def test_the_privilege_to_empty_is_asked_for(rights: Rights) -> None:
    rights.run(EMPTIED)
    made = rights.folder.declare(app=REFILLED).plan(allow=("all",))
    paste = f'GRANT TRUNCATE ON TABLE "public"."chunks" TO "{rights.role}"'
    assert [line.partition(" | ")[2] for line in rights.stops(made)] == [paste]
    with pytest.raises(ReconcileError, match=r"lacks TRUNCATE on public\.chunks"):
        workflow.apply(rights.folder.load(), made)
    assert rights.admin.execute("SELECT count(*) FROM chunks").fetchall() == [(2,)]
    rights.run(paste)
    assert workflow.apply(rights.folder.load(), made).steps_done == 1
    assert rights.admin.execute("SELECT id, body FROM chunks").fetchall() == [(1, "new")]


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("UPDATE a.t SET x = 1", {"UPDATE t"}),
        ("UPDATE only t SET x = y", {"UPDATE t", "SELECT t"}),
        ("DELETE FROM T USING s WHERE s.id = t.id", {"DELETE t", "SELECT t", "SELECT s"}),
        ("INSERT INTO t (a) SELECT a FROM s ON CONFLICT (a) DO UPDATE SET b = 1",
         {"INSERT t", "UPDATE t", "SELECT t", "SELECT s"}),
        ("WITH w AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM w", {"DELETE t", "INSERT u"}),
        ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN"
         " INSERT (id) VALUES (s.id)", {"SELECT t", "UPDATE t", "INSERT t", "SELECT s"}),
        ('SELECT 1 FROM "Odd t", generate_series(1, 2)', {"SELECT Odd t"}),
        ("CREATE TEMP TABLE t (id int); INSERT INTO t VALUES (1); SELECT * FROM t", set()),
        ("DROP TABLE t, a.u", {"DROP t", "DROP u"}),
        ("DROP TABLE t; CREATE TABLE t (id int REFERENCES other); INSERT INTO t VALUES (1)",
         {"DROP t", "CREATE ", "REFERENCES other"}),
        ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", {"OWNER t", "CREATE t"}),
        ("CREATE INDEX ON ONLY a.t (a)", {"OWNER t", "CREATE t"}),
        ("CREATE TRIGGER x BEFORE UPDATE OF a OR INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
         {"TRIGGER t", "EXECUTE f"}),
        ("COMMENT ON COLUMN a.t.c IS 'ALTER TABLE z'", {"OWNER t"}),
        ("COPY t (a, b) FROM stdin", {"INSERT t"}),
        ("DO $$ BEGIN DELETE FROM t; END $$", set()),
        ("SET ROLE somebody; DELETE FROM t", set()),
        ("GRANT somebody TO me; DELETE FROM t", set()),
        ("ALTER TABLE t OWNER TO me; DELETE FROM t", set()),
        ("this is no SQL", set()),
        ("ALTER TABLE t RENAME TO u", {"OWNER t", "CREATE t"}),
        ("ALTER TABLE t RENAME a TO u", {"OWNER t"}),
        ("ALTER TABLE t ADD UNIQUE USING INDEX i, ADD CHECK (a > 0)", {"OWNER t"}),
        ("DROP FUNCTION a.f(int, numeric(3, 1)), g", {"DROP f", "DROP g"}),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", {"OWNER v", "CREATE "}),
        ("CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING", {"OWNER t"}),
        ("COMMENT ON TABLE t IS 'see REFERENCES x'", {"OWNER t"}),
    ],
)  # fmt: skip
def test_what_hand_written_sql_needs(text: str, needs: set[str]) -> None:
    call = Op("run_migration", {"table": "tracked", "statements": [{"text": text, "alone": False}]})
    found = set(written.of_steps([Step(id="x", address=Address("app", "migration", ("m", "1")), calls=(call,))]))
    found.remove(Need(written.TRACKING, ("tracked",), "INSERT"))
    assert {f"{need.privilege} {need.name[-1] if need.name else ''}" for need in found} == needs
