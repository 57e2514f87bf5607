"""Conditions that are true for every row are seen through in any guise, and no others."""

from __future__ import annotations

import pytest

from reconcile.stores.neo4j.scripts import script as cypher
from reconcile.stores.postgres.scripts import script as sql

EVERY_ROW = """
x IS NULL OR x IS NOT NULL
NOT (x IS NULL AND x IS NOT NULL)
NOT false AND NOT 1 = 2
length(x) >= 0
char_length(x) > -1
coalesce(length(x), 0) >= 0
length(x) >= 0 OR length(x) < 10000
length(x) = length(x) AND 10000 > 1
id > -1 OR true
id > 0
id IS NOT NULL
id BETWEEN 0 AND 9223372036854775807
x > 3 OR x <= 3
x IN (1, 2) OR NOT x IN (1, 2)
x IS TRUE OR x IS NOT TRUE
x <> ALL ('{}')
(x, y) = (x, y)
md5(x) = md5(x)
id * 0 = 0
id % 1 = 0
x || '' = x
x LIKE '%'
x NOT LIKE '' OR x LIKE ''
position('' in x) >= 0
x SIMILAR TO '%'
x ~ '^' OR x IS NULL
created_at > '-infinity'
created_at <= '9999-12-31'
CASE WHEN x = 1 THEN true ELSE true END
t IS NOT NULL
tableoid = 't'::regclass
now() > '2000-01-01'
EXISTS (SELECT 1 FROM other)
NOT EXISTS (SELECT 1 FROM other WHERE false)
EXISTS (SELECT 1 FROM t b WHERE b.id = t.id)
id IN (SELECT id FROM t)
id IN (SELECT id FROM (SELECT id FROM t WHERE length(x) >= 0) inner_one)
id IN (SELECT id FROM other UNION ALL SELECT id FROM t)
ctid = ANY (ARRAY (SELECT ctid FROM t ORDER BY id))
id = (SELECT b.id FROM t b WHERE b.id = t.id)
id >= (SELECT min(id) FROM t)
id NOT IN (SELECT id FROM other LIMIT 0)
""".strip().splitlines()
SOME_ROWS = """
x = 1
x <> 'a'
x IS NOT NULL
NOT x
x > 0
x >= 0
id > 1000
id <> 0 AND x = 1
false
x = 1 OR y = 2
NOT (x = 1 AND y = 2)
x IS DISTINCT FROM y
x * 10 <> 50
x % 7 <> 3
length(x) < 100
length(x) <> 36
length(x) < 10000
char_length(x) <= 5000000 AND true
octet_length(x) < 1000000
length(trim(x)) < 8192 OR y = 1
x < 3000000000
x + y < 50000000
x NOT LIKE '%a%'
x NOT LIKE '%'
x NOT BETWEEN 1 AND 5
NOT x ILIKE 'a%'
x !~ '^a'
x NOT IN ('a', 'b')
x <> ALL ('{1,2}')
coalesce(x, '') <> ''
lower(x) <> x
created_at < now() - interval '30 days'
valid_to <> 'infinity'
milliseconds < 1700000000000
x->>'kind' <> 'a'
x @> '["a"]'
uid <> '00000000-0000-0000-0000-000000000000'
array_length(x, 1) = 0
date_part('year', created_at) < 2020
CASE WHEN x THEN y ELSE false END
EXISTS (SELECT 1 FROM other WHERE other.t_id = t.id)
NOT EXISTS (SELECT FROM t b WHERE b.k = t.k AND b.id < t.id)
id IN (SELECT id FROM t ORDER BY id LIMIT 100)
ctid NOT IN (SELECT min(ctid) FROM t GROUP BY x)
x > (SELECT avg(x) FROM t)
id = (SELECT max(id) FROM t)
id NOT IN (SELECT t_id FROM other)
""".strip().splitlines()


@pytest.mark.parametrize(("conditions", "found"), [(EVERY_ROW, ["delete-all"]), (SOME_ROWS, [])])
def test_conditions_of_sql(conditions: list[str], found: list[str]) -> None:
    for condition in conditions:
        text = f"DELETE FROM t WHERE {condition}"
        assert [d.danger.value for d in sql(text).dangers] == found, condition


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("UPDATE t SET x = o.x FROM o", ["update-all"]),
        ("UPDATE t SET x = o.x FROM o WHERE o.ready", ["update-all"]),
        ("UPDATE t SET x = o.x FROM o JOIN p ON p.id = o.id WHERE p.y = 1", ["update-all"]),
        ("UPDATE t SET x = o.x FROM o WHERE o.t_id = t.id", []),
        ("UPDATE t SET x = 1 FROM t b WHERE b.id = t.id AND b.y = 1", []),
        ("DELETE FROM t USING t b WHERE b.ctid = t.ctid", ["delete-all"]),
        ("DELETE FROM t USING t b WHERE b.id < t.id AND b.x = t.x", []),
        ("WITH a AS (SELECT id AS i FROM t) DELETE FROM t USING a WHERE a.i = t.id", ["delete-all"]),
        ("WITH a AS (SELECT id FROM t WHERE x = 1) DELETE FROM t USING a WHERE a.id = t.id", []),
        ("MERGE INTO t USING o ON o.id = t.id WHEN NOT MATCHED BY SOURCE THEN DELETE", ["delete-all"]),
        ("MERGE INTO t USING o ON o.id = t.id WHEN NOT MATCHED BY SOURCE AND t.x = 1 THEN DELETE", []),
        ("DELETE FROM t USING (SELECT 1) o WHERE o IS NOT NULL", ["delete-all"]),
        ("MERGE INTO t USING t o ON o.id = t.id WHEN MATCHED THEN UPDATE SET x = 1", ["update-all"]),
        ("DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM t LOOP DELETE FROM t WHERE id = r.id; END LOOP; END $$",
         ["delete-all"]),
        ("DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM t WHERE x LOOP DELETE FROM t WHERE id = r.id;"
         " END LOOP; END $$", []),
        ("DO $$ DECLARE c CURSOR FOR SELECT * FROM t; BEGIN FOR r IN c LOOP DELETE FROM t WHERE CURRENT OF c;"
         " END LOOP; END $$", ["delete-all"]),
        ("DELETE FROM t WHERE CURRENT OF c", []),
        ("SELECT U&\"pg!005fread!005ffile\" UESCAPE '!' ('x')", ["server-file"]),
        ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity", ["server-call"]),
    ],
)  # fmt: skip
def test_statements_of_sql(text: str, found: list[str]) -> None:
    assert [d.danger.value for d in sql(text).dangers] == found


def test_long_lists_are_looked_at_in_part() -> None:
    """As people paste them: what is listed is some rows, and so is all but what is listed."""
    listed = ", ".join(f"'n{n}'" for n in range(3000))
    for condition in (f"x IN ({listed})", f"x NOT IN ({listed})", f"x <> ALL (ARRAY[{listed}])"):
        assert sql(f"DELETE FROM t WHERE {condition}").dangers == ()


EVERY_NODE = """
id(n) >= 0
elementId(n) IS NOT NULL
n = n
n.x IS NULL OR n.x IS NOT NULL
n.x > 1 OR n.x <= 1 OR n.x IS NULL
n.x = 1 XOR NOT n.x = 1
NOT n.x IN []
n.x IN [n.x]
n.name STARTS WITH '' OR n.name IS NULL
n.name =~ '.*'
n:A OR NOT n:A
size(labels(n)) >= 0
COUNT { (n)--() } >= 0
(n)--() OR NOT (n)--()
exists { MATCH (m) }
rand() >= 0
""".strip().splitlines()
SOME_NODES = """
n.x = 1
n.x IS NOT NULL
NOT n:A
id(n) IN [1, 2]
NOT n.name IN ['a', 'b']
n.name STARTS WITH 'tmp'
n.name =~ 'a.*'
n.at < datetime() - duration('P30D')
'A' IN labels(n)
size(labels(n)) = 0
NOT (n)--()
(n)-[:HAS]->(:Tag)
COUNT { (n)--() } = 0
any(l IN labels(n) WHERE l STARTS WITH 'tmp')
n.a = n.b
n['x'] = 1
n.x = 1 XOR n.y = 2
size([(n)-->(m) | m]) = 0
""".strip().splitlines()


@pytest.mark.parametrize(("conditions", "found"), [(EVERY_NODE, ["delete-all"]), (SOME_NODES, [])])
def test_conditions_of_cypher(conditions: list[str], found: list[str]) -> None:
    for condition in conditions:
        text = f"MATCH (n) WHERE {condition} DETACH DELETE n"
        assert [d.danger.value for d in cypher(text).dangers] == found, condition


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MATCH (n:A|!A) DETACH DELETE n", ["delete-all"]),
        ("MATCH (n:A&!B) DETACH DELETE n", []),
        ("MATCH (n)-[r]->(n) DELETE r", []),
        ("ALTER USER a SET PASSWORD 'b'", ["server-call"]),
        ("STOP DATABASE a", ["server-call"]),
        ("create /* x */ database a", ["server-call"]),
        ("\\u0043REATE COMPOSITE DATABASE a", ["server-call"]),
        ("CREATE OR REPLACE ALIAS a FOR DATABASE b", ["server-call"]),
        ("DROP ALIAS a FOR DATABASE", ["server-call"]),
        ("CREATE IMMUTABLE ROLE a", ["server-call"]),
        ("DRYRUN REALLOCATE DATABASES", ["server-call"]),
        ("SHOW TRANSACTIONS YIELD transactionId AS t TERMINATE TRANSACTIONS t", ["server-call"]),
        ("CYPHER 25 planner=cost USE a.b CREATE USER a SET PASSWORD 'b'", ["server-call"]),
        ("USE system STOP DATABASE a", ["server-call"]),
        ("MATCH (n:Old) DELETE n UNION MATCH (n) DELETE n", ["delete-all"]),
        ("MATCH (n:Old) CALL { RETURN 1 AS x UNION RETURN 2 AS x } DELETE n", []),
        ("MATCH (n) WHERE EXISTS { (n) } DELETE n", ["delete-all"]),
        ("MATCH (n) WHERE EXISTS { (n)-->() } DELETE n", []),
        ("MATCH (a)-->{0,}(n) DELETE n", ["delete-all"]),
        ("CALL apoc.cypher.doIt(reverse('n ETELED )n( HCTAM'), {})", ["dynamic"]),
        ("WITH 'x' AS q CALL apoc.cypher.doIt(q, {a: 'MATCH (n:A) RETURN n'}) YIELD value RETURN 1", ["dynamic"]),
        ("CALL apoc.periodic.iterate('MATCH (n:A) RETURN n', 'SET n.x = 1', {}) YIELD total RETURN total + 1", []),
        ("CREATE (:Role)", []),
        ("CREATE (database:Alias)", []),
        ("CREATE INDEX user FOR (n:User) ON (n.alias)", []),
        ("SHOW TRANSACTIONS", []),
    ],
)
def test_statements_of_cypher(text: str, found: list[str]) -> None:
    assert [d.danger.value for d in cypher(text).dangers] == found
