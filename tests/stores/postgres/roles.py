"""Roles for tests: they belong to the cluster, so they are made where they are missing and stay."""

from __future__ import annotations

OWNER, READER, WRITER, ODD = "case_owner", "case_reader", "case_writer", 'Odd "role'

MAKE = f"""
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['{OWNER}', '{READER}', '{WRITER}', '{ODD}'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I', name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
END
$$
"""
"""Several tests may do it at once."""
