"""What a column hands over to the one that takes its place, as statements that read the catalog when they run."""

from __future__ import annotations

from reconcile.change import World
from reconcile.stores.postgres.changes.sequence import identity_name
from reconcile.stores.postgres.names import generated, identity_sequence
from reconcile.stores.postgres.resources import Column
from reconcile.stores.postgres.sqltext import do_block, helper_name, ident, identity_clause, literal, relation

_NOT_NULL_NAMES = (18,)
"""NOT NULL constraints have names of their own from PostgreSQL 18 on."""


def add_identity(world: World, old: Column, new: Column, beside: str) -> list[str]:
    """Make the column `beside` the identity that `new` is; the numbers go on where those of `old` stand."""
    if new.identity is None:
        return []
    table, name = relation(new.table), literal(relation(new.table))
    options = dict(new.identity_options)
    wanted = options.pop("sequence_name", None) or identity_sequence(new.table.parts[1], new.address.parts[-1])
    clause = identity_clause(new.replace(identity_options=tuple(options.items())))
    add = f"ALTER TABLE {table} ALTER COLUMN {ident(beside)} ADD {clause}"
    carry = ""
    if old.identity is not None:
        carry = (
            f" was := pg_get_serial_sequence({name}, {literal(old.name)});"
            " EXECUTE format('SELECT last_value, is_called FROM %s', was) INTO last, called;"
            " PERFORM setval(new, last, called);"
            f" EXECUTE format('ALTER SEQUENCE %s RENAME TO %I', was, {literal(helper_name(old.name, 'seq'))});"
        )
        wanted = identity_name(world, old) if wanted == identity_sequence(*new.address.parts[1:3]) else wanted
    return [
        add,
        do_block(
            " DECLARE was regclass; new regclass; last bigint; called boolean; BEGIN"
            f" new := pg_get_serial_sequence({name}, {literal(beside)});{carry}"
            f" EXECUTE format('ALTER SEQUENCE %s RENAME TO %I', new, {literal(wanted)}); END "
        ),
    ]


def named_not_null(world: World, column: Column) -> list[str]:
    """Give the NOT NULL constraint of a column that took another's place the name that one had."""
    if not column.not_null or world.server.numbers < _NOT_NULL_NAMES:
        return []
    name = literal(relation(column.table))
    wanted = column.not_null_name or generated(column.table.parts[1], column.address.parts[-1], "not_null")
    found = do_block(
        " DECLARE found text; BEGIN"
        " SELECT k.conname INTO found FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid"
        f" AND a.attnum = k.conkey[1] WHERE k.contype = 'n' AND k.conrelid = {name}::regclass"
        f" AND a.attname = {literal(column.address.parts[-1])};"
        f" IF found <> {literal(wanted)} THEN EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', {name},"
        f" found, {literal(wanted)}); END IF; END "
    )
    return [found]
