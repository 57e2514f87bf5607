"""What a column hands over to the one that takes its place, as statements that read the catalog when they run."""

from __future__ import annotations

from reconcile.change import World
from reconcile.model import Address
from reconcile.stores.postgres.names import generated
from reconcile.stores.postgres.resources import Column
from reconcile.stores.postgres.sqltext import helper_name, ident, literal, relation

_NOT_NULL_NAMES = (18,)
"""NOT NULL constraints have names of their own from PostgreSQL 18 on."""


def carry_identity(table: Address, old: str, new: str) -> str:
    """Let the sequence of the new identity column go on where the old one's stands, under its name."""
    name = literal(relation(table))
    return (
        "DO $reconcile$ DECLARE was regclass; new regclass; name text; last bigint; called boolean; BEGIN"
        f" was := pg_get_serial_sequence({name}, {literal(old)});"
        f" new := pg_get_serial_sequence({name}, {literal(new)});"
        " EXECUTE format('SELECT last_value, is_called FROM %s', was) INTO last, called;"
        " PERFORM setval(new, last, called);"
        " SELECT relname INTO name FROM pg_class WHERE oid = was;"
        f" EXECUTE format('ALTER SEQUENCE %s RENAME TO %I', was, {literal(helper_name(old, 'seq'))});"
        " EXECUTE format('ALTER SEQUENCE %s RENAME TO %I', new, name); END $reconcile$"
    )


def carry_settings(table: Address, old: str, new: str) -> str:
    """Statistics target, n_distinct, compression, and storage where the type has the same choice."""
    name = relation(table)
    return (
        "DO $reconcile$ DECLARE a record; BEGIN"
        " SELECT o.attstattarget AS target, o.attoptions AS options, to_jsonb(o) ->> 'attcompression' AS compression,"
        " CASE WHEN o.attstorage <> ot.typstorage AND ot.typstorage = nt.typstorage THEN o.attstorage END AS storage"
        " INTO a FROM pg_attribute o JOIN pg_type ot ON ot.oid = o.atttypid"
        f" JOIN pg_attribute n ON n.attrelid = o.attrelid AND n.attname = {literal(new)}"
        " JOIN pg_type nt ON nt.oid = n.atttypid"
        f" WHERE o.attrelid = {literal(name)}::regclass AND o.attname = {literal(old)};"
        + _alter(name, new, "a.target >= 0", "'SET STATISTICS ' || a.target")
        + _alter(name, new, "a.options IS NOT NULL", "'SET (' || array_to_string(a.options, ', ') || ')'")
        + _alter(
            name,
            new,
            "a.compression IN ('p', 'l')",
            "'SET COMPRESSION ' || CASE a.compression WHEN 'p' THEN 'pglz' ELSE 'lz4' END",
        )
        + _alter(
            name,
            new,
            "a.storage IS NOT NULL",
            "'SET STORAGE ' || CASE a.storage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main'"
            " ELSE 'extended' END",
        )
        + " END $reconcile$"
    )


def _alter(table: str, column: str, when: str, what: str) -> str:
    head = literal(f"ALTER TABLE {table} ALTER COLUMN {ident(column)} ")
    return f" IF {when} THEN EXECUTE {head} || {what}; END IF;"


def named_not_null(world: World, column: Column) -> list[str]:
    """Give the NOT NULL constraint of a column that took another's place the name that one had."""
    if not column.not_null or world.server.numbers < _NOT_NULL_NAMES:
        return []
    name = literal(relation(column.table))
    wanted = column.not_null_name or generated(column.table.parts[1], column.address.parts[-1], "not_null")
    return [
        "DO $reconcile$ DECLARE found text; BEGIN"
        " SELECT k.conname INTO found FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid"
        f" AND a.attnum = k.conkey[1] WHERE k.contype = 'n' AND k.conrelid = {name}::regclass"
        f" AND a.attname = {literal(column.address.parts[-1])};"
        f" IF found <> {literal(wanted)} THEN EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', {name},"
        f" found, {literal(wanted)}); END IF; END $reconcile$"
    ]
