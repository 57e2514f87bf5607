"""Hand-written SQL and Cypher: how it is split, and what is found dangerous in it whatever it is dressed in."""

from __future__ import annotations

import pytest

from reconcile.migrations.checksums import algorithm, checksums
from reconcile.stores.neo4j.scripts import script as cypher
from reconcile.stores.postgres.scripts import script as sql


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TRUNCATE a", ["truncate"]),
        ("truncate/* x */only a, b", ["truncate"]),
        ("/* /* nested */ ; */ tRuNcAtE a", ["truncate"]),
        ("SELECT 1 --\n; TRUNCATE a", ["truncate"]),
        ("SELECT 1+--\n2; TRUNCATE a", ["truncate"]),
        ("DROP--x\nSCHEMA a", ["drop-schema"]),
        ("DROP DATABASE a", ["drop-database"]),
        ("DROP OWNED BY a", ["drop-schema"]),
        ("DELETE FROM a", ["delete-all"]),
        ("DELETE/**/FROM ONLY a USING b", ["delete-all"]),
        ("DELETE FROM a WHERE true", ["delete-all"]),
        ("DELETE FROM a WHERE (1 = 1) OR false RETURNING id", ["delete-all"]),
        ("WITH x AS (DELETE FROM a RETURNING id) SELECT * FROM x WHERE id = 1", ["delete-all"]),
        ("DELETE FROM a WHERE id = 1", []),
        ("UPDATE a SET b = (SELECT c FROM d WHERE e = 1)", ["update-all"]),
        ("UPDATE a SET b = 1 WHERE b IS NULL", []),
        ("INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET b = 1", []),
        ("MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN UPDATE SET c = 1", []),
        ("COPY a FROM '/etc/passwd'", ["server-file"]),
        ("COPY (SELECT 1) TO PROGRAM 'sh'", ["server-file"]),
        ("COPY a (id) FROM program $$curl$$", ["server-file"]),
        ("SELECT pg_catalog.pg_read_file('x')", ["server-file"]),
        ("SELECT \"pg_read_file\"('x')", ["server-file"]),
        ("SELECT U&\"pg\\005fread\\005ffile\"('x')", ["server-file"]),
        ("SELECT lo_import('/x')", ["server-file"]),
        ("SELECT query_to_xml('DELETE FROM a', true, true, '')", ["dynamic"]),
        ("DO $$ BEGIN TRUNCATE a; END $$", ["truncate"]),
        ("DO $x$ BEGIN IF true THEN DELETE FROM a; END IF; END $x$", ["delete-all"]),
        ("DO 'BEGIN DELETE FROM a; END'", ["delete-all"]),
        ("DO E'BEGIN \\x54RUNCATE a; END'", ["truncate"]),
        ("DO $$ BEGIN EXECUTE 'TRUNC' || 'ATE a'; END $$", ["dynamic"]),
        ("DO $$ BEGIN EXECUTE 'TRUNCATE a'; END $$", ["truncate"]),
        ("DO $$ BEGIN EXECUTE format('TRUNCATE %I', 'a'); END $$", ["truncate"]),
        ("DO $$ BEGIN EXECUTE format('%s', x); END $$", ["dynamic"]),
        ("DO $$ BEGIN EXECUTE format('ALTER TABLE %I ADD b int', 'a'); END $$", []),
        ("DO $$ BEGIN EXECUTE $x$ DO 'BEGIN TRUNCATE a; END' $x$; END $$", ["truncate"]),
        ("DO LANGUAGE plpython3u $$ pass $$", ["unparsed"]),
        ("PREPARE p AS DELETE FROM a; EXECUTE p", ["delete-all"]),
        ("EXPLAIN ANALYZE DELETE FROM a", ["delete-all"]),
        ("FROBNICATE a", ["unparsed"]),
        ("CREATE TABLE t (truncate int, deleted bool DEFAULT false)", []),
        ("CREATE TRIGGER t BEFORE UPDATE OR DELETE OR TRUNCATE ON a EXECUTE FUNCTION f()", []),
        ("GRANT DELETE, TRUNCATE ON a TO b", []),
        ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c ON DELETE CASCADE ON UPDATE SET NULL", []),
        ("SELECT 'TRUNCATE a; DROP SCHEMA b', $$DELETE FROM a$$", []),
        ("SELECT a FROM b ORDER BY e <-> '[1]' FOR UPDATE", []),
        ("DELETE FROM a WHERE (true OR id = 3)", ["delete-all"]),
        ('DELETE FROM a x WHERE x.id = "x".ID', ["delete-all"]),
        ("DELETE FROM a WHERE EXISTS (SELECT 1) AND length('a') = 1 AND now() > date '2000-01-01'", ["delete-all"]),
        ("DELETE FROM a WHERE id = 1 OR (id = 2 AND true)", []),
        ("DELETE FROM a WHERE lower(id) = 'x' RETURNING true", []),
        ("MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", ["delete-all"]),
        ("MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE", []),
        ("ALTER SYSTEM SET archive_command = 'x'", ["server-call"]),
        ("GRANT pg_read_server_files TO x", ["server-call"]),
        ("ALTER ROLE x SUPERUSER", ["server-call"]),
        ("CREATE FOREIGN TABLE x (filename text) SERVER f OPTIONS (format 'csv', filename '/etc/x')", ["server-file"]),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/tmp/x.so', 'f'", ["server-file"]),
        ("SELECT cron.schedule('* * * * *', 'DELETE FROM a')", ["dynamic"]),
        ("UPDATE pg_authid SET rolsuper = true WHERE rolname = 'x'", ["server-call"]),
        ('INSERT INTO "pg_catalog" . pg_auth_members VALUES (1)', ["server-call"]),
        ("DO $$ BEGIN DELETE FROM ONLY pg_class WHERE oid = 1; END $$", ["server-call"]),
        ("UPDATE pg_search_documents SET a = 1 WHERE id = 1", []),
        ("SELECT 1 FROM pg_class", []),
        ("CREATE/**/database a", ["server-call"]),
        ("ALTER DATABASE a RENAME TO b", ["server-call"]),
        ("ALTER DATABASE a SET search_path = b", []),
        ("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", ["server-call"]),
        ("CREATE FUNCTION f() RETURNS int AS 'f' LANGUAGE \"c\"", ["server-file"]),
        ("CREATE FUNCTION f() RETURNS int AS 'f' LANGUAGE E'\\x63'", ["server-file"]),
    ],
)
def test_dangers_of_sql(text: str, found: list[str]) -> None:
    assert [d.danger.value for d in sql(text).dangers] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MATCH (n) DETACH DELETE n", ["delete-all"]),
        ("match (n) /* WHERE n.x = 1 */ detach // y\n delete n", ["delete-all"]),
        ("MATCH (n) WHERE true DELETE n", ["delete-all"]),
        ("MATCH (n) WHERE n IS NOT NULL DELETE n", ["delete-all"]),
        ("MATCH (n) \\u0044ETACH \\u0044ELETE n", ["delete-all"]),
        ("MATCH ()-[r]->() DELETE r", ["delete-all"]),
        ("MATCH (a:X) WITH a MATCH (m) DETACH DELETE m", ["delete-all"]),
        ("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS", ["delete-all"]),
        ("MATCH (n) FOREACH (x IN [n] | DETACH DELETE x)", ["delete-all"]),
        ("CALL apoc.periodic.iterate('MATCH (n) RETURN n', 'DETACH DELETE n', {})", ["delete-all"]),
        ("CALL apoc.cypher.run('MATCH (n) ' + $x, {})", ["dynamic"]),
        ("CALL dbms.setConfigValue('a', 'b')", ["server-call"]),
        ("CALL `dbms`.`setConfigValue`('a', 'b')", ["server-call"]),
        ("CALL apoc.export.csv.all('x', {})", ["server-call"]),
        ("LOAD CSV FROM 'file:///x' AS l CREATE (:X)", ["server-file"]),
        ("LOAD CSV FROM $url AS l CREATE (:X)", ["server-file"]),
        ("LOAD CSV FROM 'https://h/x' AS l CREATE (:X)", []),
        ("DROP DATABASE a", ["drop-database"]),
        ("CREATE OR REPLACE DATABASE a", ["drop-database"]),
        ("MATCH (n:X) DETACH DELETE n", []),
        ("MATCH (n:%) DETACH DELETE n", ["delete-all"]),
        ("MATCH (n {}) DETACH DELETE n", ["delete-all"]),
        ("MATCH (n) WHERE true OR n.x = 1 DETACH DELETE n", ["delete-all"]),
        ("MATCH (a:X), (b) DETACH DELETE b", ["delete-all"]),
        ("MATCH (a), (b) WHERE a.x = 1 DETACH DELETE b", ["delete-all"]),
        ("MATCH (a:X) MATCH (a)-->(b) DETACH DELETE b", []),
        ("MATCH (b)<--(a), (a:X) DETACH DELETE b", []),
        ("MATCH (n) SET n = {}", ["update-all"]),
        ("MATCH (n) REMOVE n:Old", ["update-all"]),
        ("MATCH (n) WHERE n:Old REMOVE n:Old", []),
        ("MERGE (n:X {id: 1}) ON MATCH SET n.x = 1", []),
        ("CALL apoc.cypher.runFile('x.cypher')", ["server-call"]),
        ("CALL n10s.rdf.stream.fetch('file:///x', 'Turtle')", ["server-file"]),
        ("FROBNICATE (n)", ["unparsed"]),
        ("MATCH (n) WHERE n.x = 1 DELETE n", []),
        ("MATCH (n) WHERE NOT (n)--() DELETE n", []),
        ("MATCH (a:A)-[r]->(b) DELETE r", []),
        ("MERGE (a:Delete) SET a.delete = 'MATCH (n) DELETE n'", []),
    ],
)
def test_dangers_of_cypher(text: str, found: list[str]) -> None:
    assert [d.danger.value for d in cypher(text).dangers] == found


def test_whatever_deletes_or_may_do_anything_is_seen() -> None:
    """For backfills, which have to say so where they delete, all or some."""
    for text in ("DELETE/**/FROM a WHERE b = 1", "WITH x AS (delete from a) SELECT 1", "DO ''", "DROP TABLE a"):
        assert sql(text).deletes, text
    for text in ("UPDATE a SET b = 'DELETE' -- DROP", "INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING"):
        assert not sql(text).deletes, text
    for text in ("MATCH (n:X) \\u0044ELETE n", "DROP INDEX a", "CALL apoc.cypher.run($x, {})"):
        assert cypher(text).deletes, text
    for text in ("MATCH (n:X) SET n.delete = 'DELETE' // DROP", "MERGE (n:Delete) SET n.x = 1"):
        assert not cypher(text).deletes, text


def test_what_clients_of_the_old_schema_notice_is_seen() -> None:
    """For indexes and pages of runs, which note it."""
    for text in (
        "DROP TABLE a",
        "ALTER TABLE a DROP b",
        "ALTER TABLE a RENAME b TO c",
        "ALTER TABLE a ALTER b TYPE int",
    ):
        assert sql(f"SELECT 1;\n{text}").breaks == (f"{text} (line 2)",)
    for text in (
        "DROP INDEX a",
        "ALTER TABLE a ADD b int",
        "ALTER TABLE a ALTER b DROP DEFAULT",
        "SELECT 'DROP TABLE a'",
    ):
        assert sql(text).breaks == (), text


def test_a_routine_is_dangerous_where_it_is_called() -> None:
    made = sql("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN TRUNCATE a; END $$;\nSELECT public.F()")
    assert made.dangers == () and [d.line for d in made.defines["f"]] == [1]
    assert ("f", 2, 15) in made.calls


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("BEGIN; SELECT 1; COMMIT;", [("SELECT 1", False)]),
        ("SELECT ';', $$;$$, \";\" /* ; */ -- ;\n; SELECT 2", [("SELECT ';', $$;$$", False), ("SELECT 2", False)]),
        ("CREATE INDEX CONCURRENTLY a ON b (c)", [("CREATE INDEX CONCURRENTLY a ON b (c)", True)]),
        ("REINDEX TABLE CONCURRENTLY a; VACUUM a", [("REINDEX", True), ("VACUUM", True)]),
        ("ALTER SYSTEM RESET ALL", [("ALTER SYSTEM", True)]),
        ("ALTER TYPE a ADD VALUE 'x'", [("ALTER TYPE", False)]),
        ("ALTER TYPE a ADD VALUE 'x'; UPDATE b SET c = 'x' WHERE d", [("ALTER TYPE", True), ("UPDATE", False)]),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
         [("CREATE FUNCTION", False), ("SELECT 3", False)]),
    ],
)  # fmt: skip
def test_sql_is_split(text: str, split: list[tuple[str, bool]]) -> None:
    found = sql(text)
    assert [s.alone for s in found.statements] == [alone for _, alone in split]
    assert all(s.text.startswith(begin) for s, (begin, _) in zip(found.statements, split, strict=True))


def test_cypher_is_split_by_kind() -> None:
    text = (
        "CREATE INDEX a FOR (n:X) ON (n.y); CREATE (n:Index {t: ';'}); // ;\n"
        ":auto MATCH (n:X) CALL (n) { SET n.a = 1 } IN TRANSACTIONS;\n:param x => 1\nRETURN `;`"
    )
    found = cypher(text)
    assert [(s.kind, s.alone) for s in found.statements] == [
        ("schema", False),
        ("data", False),
        ("data", True),
        ("data", False),
    ]
    assert [(f.what, f.line) for f in found.faults] == [(":param is a command of cypher-shell", 3)]


@pytest.mark.parametrize("text", ["SELECT 'a", "SELECT $x$ a", "SELECT 1 /* a /* b */", 'SELECT "a'])
def test_what_is_not_closed(text: str) -> None:
    assert [f.line for f in sql(text).faults] == [1] and sql(text).statements == ()


@pytest.mark.parametrize("how", ["sha256 of the text", "md5 of the bytes", "sha1 of the bytes", "sha256 of the bytes"])
def test_the_algorithm_of_a_checksum_is_found(how: str) -> None:
    known = checksums(b"SELECT 1;\r\n")
    assert algorithm(known[how].upper(), known) == how and algorithm("sha256:" + known[how][:16], known) == how
    assert algorithm("0" * 64, known) is None
