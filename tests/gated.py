"""A table whose index is built only while nobody holds an advisory lock: a step that waits as long as a test wants."""

from __future__ import annotations

GATED = """
functions:
  gated(integer):
    definition: >-
      CREATE FUNCTION gated(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS
      'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN n; END'
tables:
  items:
    columns: {id: {type: integer, not_null: true}, n: integer}
    primary_key: [id]
"""
