"""The identity of a column, and the sequence of a default whose place it takes."""

from __future__ import annotations

from collections.abc import Sequence as Steps
from dataclasses import replace

from reconcile.change import Op, Phase, Step, World
from reconcile.facts import no
from reconcile.hazards import Hazard
from reconcile.stores.postgres.changes.sequence import (
    follows_default,
    goes_into_identity,
    identity_name,
    out_of_bounds,
    reset,
    taken_name,
)
from reconcile.stores.postgres.resources import Column
from reconcile.stores.postgres.sequencetext import bounds, changed_settings
from reconcile.stores.postgres.sqltext import (
    helper_name,
    ident,
    identity_clause,
    identity_word,
    literal,
    object_name,
    relation,
)


def alter_statement(column: Column, what: str) -> str:
    """`ALTER TABLE … ALTER COLUMN … ` and `what`, by the column's live name."""
    return f"ALTER TABLE {relation(column.address)} ALTER COLUMN {ident(column.name)} {what}"


def identity_calls(world: World, before: Column, after: Column, changed: set[str]) -> list[str]:
    """ADD, SET or DROP of an identity, where that differs; the sequence of a default hands its value on."""
    if not changed & {"identity", "identity_options"}:
        return []
    if after.identity is None:
        return _dropped(world, before, after)
    if before.identity is None:
        return _added(world, before, after)
    calls, old, new = [], dict(before.identity_options), dict(after.identity_options)
    sequence, name = _sequence(world, before), new.pop("sequence_name", None)
    if before.identity != after.identity:
        calls.append(alter_statement(before, f"SET GENERATED {identity_word(after.identity)}"))
    if {k: v for k, v in old.items() if k != "sequence_name"} != new:
        changed_to = changed_settings((before.type, old), (after.type, new))
        settings = " ".join(f"SET {s}" for s in changed_to)
        calls += reset(alter_statement(before, settings), sequence, bounds(before.type, old), bounds(after.type, new))
    if name is not None and old.get("sequence_name") != name:
        calls.append(f"ALTER SEQUENCE {sequence} RENAME TO {ident(name)}")
    return calls


def fits_first(before: Column, after: Column) -> bool:
    """Whether an identity gets its new bounds before its column the new type, which would not take the old ones."""
    if before.identity is None or after.identity is None:
        return False
    low, high = bounds(before.type, dict(before.identity_options))
    least, most = bounds(after.type, {})
    return low < least or high > most


def _sequence(world: World, column: Column) -> str:
    """The quoted name of the sequence of an identity column by then: another that is to have the name puts it aside."""
    name = identity_name(world, column)
    return ident(column.schema, name if taken_name(world, column) is None else helper_name(name, "old"))


def _dropped(world: World, before: Column, after: Column) -> list[str]:
    """DROP IDENTITY. A new sequence of the default goes on where that of the identity was."""
    drop, made = alter_statement(before, "DROP IDENTITY"), [a for a in after.refers if a.kind == "sequence"]
    if not (after.default or "").startswith("nextval(") or len(made) != 1 or not world.creates(made[0]):
        return [drop]
    new = ident(*made[0].parts)
    return [f"SELECT setval({literal(new)}, last_value, is_called) FROM {_sequence(world, before)}", drop]


def identity_rows(world: World, before: Column, after: Column) -> list[Op]:
    """What of a sequence's values would break its new bounds."""
    if not (before.identity and after.identity) or before.identity_options == after.identity_options:
        return []
    wide = bounds(before.type, dict(before.identity_options))
    sequence = ident(before.schema, identity_name(world, before))  # asked before anything is changed
    return out_of_bounds(sequence, wide, bounds(after.type, dict(after.identity_options)))


def _added(world: World, before: Column, after: Column) -> list[str]:
    """ADD … AS IDENTITY. The new sequence goes on where the one of the default was, and takes its name if that goes.

    It would begin at 1 otherwise, and the next row meet one that is there; and be called `…_seq1`.
    """
    add, old = alter_statement(before, f"ADD {identity_clause(after)}"), follows_default(world, before, after)
    if old is None:
        return [add]
    goes = goes_into_identity(world, old)
    aside = ident(old.schema, helper_name(old.name, "old")) if goes else object_name(old)
    column = f"{literal(relation(before.address))}, {literal(before.name)}"
    carry = f"SELECT setval(pg_get_serial_sequence({column}), last_value, is_called) FROM {aside}"
    if not goes:
        return [add, carry]
    rename = f"ALTER SEQUENCE {object_name(old)} RENAME TO {ident(helper_name(old.name, 'old'))}"
    return [rename, add, carry, f"DROP SEQUENCE {aside}"]


def with_sequence_gone(world: World, before: Column, after: Column, steps: Steps[Step]) -> list[Step]:
    """The last step, which makes the identity, says that the sequence of the default is gone after it."""
    old = follows_default(world, before, after)
    if old is None or not steps or not goes_into_identity(world, old):
        return list(steps)
    last = steps[-1]
    gone = replace(
        last,
        phase=Phase.CONTRACT,
        gives=last.gives | {no(old.address)},
        hazards=last.hazards | {Hazard.BREAKS_CLIENTS},
    )
    return [*steps[:-1], gone]
