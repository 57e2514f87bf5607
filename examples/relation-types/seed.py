"""Fill an empty graph: relationships without a type, among others that have one. The same ones each time.

python seed.py [COUNT]        default 1021; reads NEO4J_URL, NEO4J_USER, NEO4J_PASSWORD
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import neo4j

NULLS = 1021
TYPED = 179
"""Relationships that have their type already."""
LABELS = ("Person", "Company", "Document", "Event", "Technology", "City")
PER_LABEL = 50
SAID = (
    ("Person", "works for", "Company"),
    ("Person", "co-founded", "Company"),
    ("Person", "heads the research of", "Company"),
    ("Person", "advises", "Company"),
    ("Person", "spoke at", "Event"),
    ("Company", "organised", "Event"),
    ("Document", "was written by", "Person"),
    ("Document", "cites", "Document"),
    ("Document", "describes", "Technology"),
    ("Company", "acquired", "Company"),
    ("Person", "invested in", "Company"),
    ("Company", "supplies", "Company"),
    ("Company", "is a rival of", "Company"),
    ("Company", "is a partner of", "Company"),
    ("Person", "owns", "Company"),
    ("Company", "develops", "Technology"),
    ("Technology", "supersedes", "Technology"),
    ("Technology", "depends on", "Technology"),
    ("Company", "runs on", "Technology"),
    ("Company", "is based in", "City"),
    ("Company", "is a subsidiary of", "Company"),
)
"""One sentence for each of the 21 types."""
VAGUE = ("is mentioned beside", "appears near", "comes up in the same chapter as", "has to do with")


def relationships(count: int) -> Iterator[dict[str, str | int]]:
    """Where each begins and ends and what is said of it: about a fifth in words that tell its type."""
    said = 0
    for n in range(count):
        if n * 2087 % 10_000 < 2087:
            source, words, target = SAID[said % len(SAID)]
            said += 1
        else:
            source, words, target = LABELS[n % 6], VAGUE[n % 4], LABELS[n // 6 % 6]
        a, b = n % PER_LABEL, (n * 7 + 1) % PER_LABEL
        yield {"a": f"{source} {a}", "b": f"{target} {b}", "text": f"{source} {a} {words} {target} {b}"}


def seed(driver: neo4j.Driver, count: int = NULLS, database: str | None = None) -> None:
    """Make the nodes and relationships."""
    with driver.session(database=database) as session:
        session.run("CREATE CONSTRAINT entity_name IF NOT EXISTS FOR (n:Entity) REQUIRE n.name IS UNIQUE").consume()
        session.run("CALL db.awaitIndexes()").consume()
        for label in LABELS:
            session.run(
                f"UNWIND range(0, {PER_LABEL - 1}) AS n CREATE (:Entity:{label} {{name: $label + ' ' + n}})",
                label=label,
            ).consume()
        make = (
            "UNWIND $rows AS row MATCH (a:Entity {name: row.a}) MATCH (b:Entity {name: row.b})"
            " CREATE (a)-[r:RELATES_TO {description: row.text}]->(b)"
        )
        rows = list(relationships(count))
        for start in range(0, count, 10_000):
            session.run(make, rows=rows[start : start + 10_000]).consume()
        typed = list(relationships(TYPED))
        session.run(f"{make} SET r.relation_type = 'RELATED_TO'", rows=typed).consume()


if __name__ == "__main__":
    login = (os.environ.get("NEO4J_USER", "neo4j"), os.environ.get("NEO4J_PASSWORD", ""))
    with neo4j.GraphDatabase.driver(os.environ["NEO4J_URL"], auth=login if login[1] else None) as opened:
        seed(opened, int(sys.argv[1]) if len(sys.argv) > 1 else NULLS)
