"""Change a store behind the tool's back, for the demo: python scripts/by_hand.py STORE STATEMENT.

    by_hand.py postgres SQL
    by_hand.py neo4j CYPHER
    by_hand.py qdrant METHOD PATH BODY

URLs come from the variables that examples/rag-platform uses.
"""

from __future__ import annotations

import os
import sys
import urllib.request


def postgres(statement: str) -> None:
    """Run one SQL statement."""
    import psycopg

    with psycopg.connect(os.environ["APP_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(statement.encode())


def neo4j(statement: str) -> None:
    """Run one Cypher statement."""
    import neo4j as driver

    user, password = os.environ.get("NEO4J_USER", "neo4j"), os.environ.get("NEO4J_PASSWORD")
    auth = (user, password) if password else None
    with driver.GraphDatabase.driver(os.environ["NEO4J_URL"], auth=auth) as connection:
        connection.execute_query(driver.Query(statement))


def qdrant(method: str, path: str, body: str) -> None:
    """Send one request."""
    headers = {"content-type": "application/json", "api-key": os.environ.get("QDRANT_API_KEY", "")}
    url = os.environ["QDRANT_URL"].rstrip("/") + path
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers, method=method)):
        pass


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["postgres", sql]:
            postgres(sql)
        case ["neo4j", cypher]:
            neo4j(cypher)
        case ["qdrant", method, path, body]:
            qdrant(method, path, body)
        case _:
            sys.exit(__doc__)
