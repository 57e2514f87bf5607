"""A project over the three stores, with an old state that is applied and a new one to go to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.projects import Folder

OLD = """
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, path: text, size: {type: integer, not_null: true, default: 0}}
    primary_key: [id]
  notes:
    columns: {id: integer}
"""
NEW = """
enums: {job_state: [queued, done]}
tables:
  users:
    columns: {id: {type: bigint, not_null: true}}
    primary_key: [id]
  documents:
    columns:
      id: {type: bigint, not_null: true}
      path: {type: text, not_null: true}
      size: {type: bigint, not_null: true, default: 0}
      owner_id: bigint
    primary_key: [id]
    checks: {documents_size_check: size >= 0}
    foreign_keys: {documents_owner_fkey: {columns: [owner_id], references: users}}
    indexes: {documents_path_idx: {columns: [path]}}
  notes:
    columns: {id: bigint}
views:
  big: {query: "select id from documents where size > 10"}
"""
GRAPH = """
constraints: {person_id: {label: Person, unique: [id]}}
indexes: {person_name: {label: Person, properties: [name]}}
"""
VECTORS = """
collections:
  passages: {vector: {embedding: passages}, payload_indexes: {tenant: keyword}}
"""


def begun(path: Path, database: str, neo4j: Any, qdrant: str, through: Callable[[str], str] = str) -> Folder:
    """The old state applied and the new one declared; the stores are empty before.

    Args:
        through: the URL by which each store is reached, for its own.
    """
    graph = {"url": through(neo4j.url), "user": neo4j.user, "password": neo4j.password or "none"}
    folder = Folder(
        path,
        {
            "app": {"kind": "postgres", "url": through(database)},
            "graph": {"kind": "neo4j", **graph},
            "vectors": {"kind": "qdrant", "url": through(qdrant)},
        },
    )
    folder.declare(app=OLD).apply()
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO documents SELECT n, 'p' || n, n FROM generate_series(1, 50) n")
    return folder.declare(app=NEW, graph=GRAPH, vectors=VECTORS)
