"""Sequences of their own; those of identity columns belong to the column."""

from __future__ import annotations

from collections.abc import Sequence as Steps

from reconcile.change import Change, Op, Step, World
from reconcile.facts import done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    Removal,
    comments,
    dependents_settled,
    goes_first,
    in_schema,
    requires,
)
from reconcile.stores.postgres.changes.describing import differing, only_comment_differs
from reconcile.stores.postgres.changes.preconditions import no_rows, preceded
from reconcile.stores.postgres.names import identity_sequence
from reconcile.stores.postgres.resources import Column, Sequence
from reconcile.stores.postgres.sequencetext import bounds, changed_settings, given_settings
from reconcile.stores.postgres.sqltext import comment_statement, do_block, helper_name, ident, literal, object_name


def owner(sequence: Sequence) -> Address | None:
    """The address of the column it is owned by."""
    return Address(sequence.address.store, "column", sequence.owned_by) if sequence.owned_by else None


def _owned_by(sequence: Sequence) -> str:
    column = ident(*sequence.owned_by) if sequence.owned_by else "NONE"
    return f"ALTER SEQUENCE {object_name(sequence)} OWNED BY {column}"


def goes_with_owner(world: World, sequence: Sequence) -> bool:
    """Whether the plan drops the column or table that owns it, which takes the sequence along."""
    column = owner(sequence)
    return column is not None and world.drops(column)


def follows_default(world: World, before: Column, after: Column) -> Sequence | None:
    """The live sequence that the default of a column takes its values from, where an identity takes its place."""
    if before.identity is not None or after.identity is None or not (before.default or "").startswith("nextval("):
        return None
    found = [r for a in before.refers if isinstance(r := world.live.get(a), Sequence)]
    return found[0] if len(found) == 1 else None


def goes_into_identity(world: World, sequence: Sequence) -> bool:
    """Whether the plan drops a sequence with the step that makes the identity in place of its only default."""
    users = world.dependents(sequence.address)
    if not world.drops(sequence.address) or len(users) != 1 or not isinstance(users[0], Column):
        return False
    after = world.target.get(users[0].address)
    return isinstance(after, Column) and follows_default(world, users[0], after) == sequence


def identity_name(world: World, column: Column) -> str:
    """What the sequence of an identity column is called now: renames of the table leave it alone."""
    table, name = world.where(column.address).parts[-2:]
    return dict(column.identity_options).get("sequence_name") or identity_sequence(table, name)


def identity_under(world: World, sequence: Sequence) -> Column | None:
    """The column that stays and whose identity has this name for its sequence now, and gives it up in this plan."""

    def looked_up() -> dict[tuple[str, str], Column]:
        columns = (c for c in world.live.of_kind("column") if isinstance(c, Column) and c.identity is not None)
        return {(c.schema, identity_name(world, c)): c for c in columns if c.address in world.target}

    column = world.once("identities by sequence", None, looked_up).get((sequence.schema, sequence.name))
    if column is None or not world.creates(sequence.address):
        return None
    return column if column.occupies[0] not in world.target[column.address].occupies else None


def taken_name(world: World, column: Column) -> Sequence | None:
    """The sequence that this plan makes under the name which the identity of a column has for its own."""
    address = Address(column.address.store, "sequence", (column.schema, identity_name(world, column)))
    there = world.target.get(address)
    return there if isinstance(there, Sequence) and identity_under(world, there) == column else None


class CreateSequence(Creation):
    """CREATE SEQUENCE; owned only once the column is there, whose default may need the sequence."""

    before: None
    after: Sequence

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"{self.after.type} sequence"

    def steps(self, world: World) -> Steps[Step]:
        """See `Change.steps`."""
        settings = [f"AS {self.after.type}", *given_settings(options_of(self.after))]
        word = "UNLOGGED SEQUENCE" if self.after.unlogged else "SEQUENCE"
        calls = [f"CREATE {word} {object_name(self.after)} {' '.join(settings)}", *comments(self.after)]
        if identity_under(world, self.after) is not None:
            aside = f"RENAME TO {ident(helper_name(self.after.name, 'old'))}"
            calls.insert(0, f"ALTER SEQUENCE {object_name(self.after)} {aside}")
        column = owner(self.after)
        needs = {no(self.address)} | in_schema(world, self.after)
        steps = [self.step(world, 1, "create", calls, needs=needs, gives=[has(self.address), ok(self.address)])]
        if column:  # not "ok": the column itself waits for the sequence
            own, owned = [_owned_by(self.after)], done(f"{self.address}/2-own")
            there = requires(world, [column])
            steps.append(self.step(world, 2, "own", own, needs=there, gives=[owned], journalled=True))
        return steps


class AlterSequence(Alteration):
    """ALTER SEQUENCE; the current value stays."""

    before: Sequence
    after: Sequence

    def steps(self, world: World) -> Steps[Step]:
        """See `Change.steps`."""
        calls, needs, changed = [], {has(self.address)}, set(differing(self.before, self.after))
        name, rows = object_name(self.before), list[Op]()
        if changed & {"type", *OPTIONS}:
            old, new = options_of(self.before), options_of(self.after)
            settings = [f"AS {self.after.type}"] if self.after.type != self.before.type else []
            settings += changed_settings((self.before.type, old), (self.after.type, new))
            wide, narrow = bounds(self.before.type, old), bounds(self.after.type, new)
            calls += reset(f"ALTER SEQUENCE {name} {' '.join(settings)}", name, wide, narrow)
            rows += out_of_bounds(object_name(self.before), wide, narrow)
        if "unlogged" in changed:
            calls.append(f"ALTER SEQUENCE {name} SET {'UNLOGGED' if self.after.unlogged else 'LOGGED'}")
        if "comment" in changed:
            calls.append(comment_statement(self.after))
        column = owner(self.after) if "owned_by" in changed else None
        if "owned_by" in changed and (column is None or (calls and self.before.owned_by)):
            calls.append(f"ALTER SEQUENCE {name} OWNED BY NONE")
        steps = [self.step(world, 1, "alter", calls, needs=needs, gives=[ok(self.address)])] if calls else []
        if column is not None:  # whose default may wait for the rest
            own, there = [_owned_by(self.after)], {has(self.address), *requires(world, [column])}
            gives = [done(f"{self.address}/2-own")] if steps else [ok(self.address)]
            steps.append(self.step(world, len(steps) + 1, "own", own, needs=there, gives=gives, journalled=bool(calls)))
        return preceded(steps, rows)


OPTIONS = ("start", "increment", "min", "max", "cache", "cycle")


def options_of(sequence: Sequence) -> dict[str, object]:
    """Its options by name."""
    return {key: getattr(sequence, key) for key in OPTIONS}


def reset(alter: str, sequence: str, before: tuple[int, int], after: tuple[int, int]) -> list[str]:
    """`alter`; one that narrows the bounds also restarts a sequence that no value was taken from and has to."""
    if after[0] <= before[0] and after[1] >= before[1]:
        return [alter]
    return [
        do_block(
            "\nBEGIN\n"
            f"  IF EXISTS (SELECT FROM {sequence} WHERE NOT is_called"
            f" AND last_value NOT BETWEEN {after[0]} AND {after[1]}) THEN\n    {alter} RESTART;\n"
            f"  ELSE\n    {alter};\n  END IF;\nEND\n"
        )
    ]


def out_of_bounds(sequence: str, before: tuple[int, int], after: tuple[int, int]) -> list[Op]:
    """A sequence whose values have passed the new bounds already."""
    if after[0] <= before[0] and after[1] >= before[1]:
        return []
    sql = f"SELECT last_value FROM {sequence} WHERE is_called AND last_value NOT BETWEEN {after[0]} AND {after[1]}"
    what = f"the last value of {sequence} is not between {after[0]} and {after[1]}"
    return [
        no_rows(sql, what, f"SELECT setval({literal(sequence)}, …), or declare bounds that it is within", "sequence")
    ]


class DropSequence(Removal):
    """DROP SEQUENCE; nothing where its owning column goes or becomes an identity, which takes it along."""

    before: Sequence
    after: None

    def steps(self, world: World) -> Steps[Step]:
        """See `Change.steps`."""
        if goes_with_owner(world, self.before) or goes_into_identity(world, self.before):
            return []
        column = owner(self.before)
        waits = dependents_settled(world, self.address)
        schema = Address(self.address.store, "schema", (self.before.schema,))
        return [
            self.drop_step(
                world,
                [f"DROP SEQUENCE {object_name(self.before)}"],
                needs=waits | goes_first(world, [schema, *([column] if column else [])]),
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


def alter(before: Sequence, after: Sequence) -> Change | None:
    """The change of a sequence that stays."""
    return ChangeComment(before, after) if only_comment_differs(before, after) else AlterSequence(before, after)
