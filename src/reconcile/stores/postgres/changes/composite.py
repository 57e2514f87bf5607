"""Composite types altered in place; made anew where a field gets another type while tables hold values.

https://www.postgresql.org/docs/current/sql-altertype.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.again import around
from reconcile.stores.postgres.changes.common import Alteration, in_schema, requires, small
from reconcile.stores.postgres.changes.remaking import standing_on
from reconcile.stores.postgres.changes.standing import STANDING
from reconcile.stores.postgres.changes.type_remaking import columns_holding, is_type, reshaped, there, type_remade
from reconcile.stores.postgres.changes.type_replace import ReplaceType, around_type, field_actions, replace_steps
from reconcile.stores.postgres.resources import Attribute, Column, Composite
from reconcile.stores.postgres.sqltext import comment_statement, dotted, ident, object_name
from reconcile.stores.postgres.typetext import attribute_comment, attribute_type


class AlterComposite(Alteration):
    """ALTER TYPE … ADD, DROP and ALTER ATTRIBUTE; what stands on the type is made again around a field that goes."""

    before: Composite
    after: Composite

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_composite(self.before, self.after)

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        if type_remade(world, self.address):
            return around_type(world, self.address)
        return around(world, [self.address]) if reshaped(world, self.address) else []

    def _actions(self) -> list[str]:
        """What changes what a value holds."""
        found = field_actions(self.before, self.after)
        old = {a.name: a for a in self.before.fields}
        for field in self.after.fields:
            there = old.get(field.name)
            if there is not None and (there.type, there.collation) != (field.type, field.collation):
                collation = f" COLLATE {dotted(field.collation)}" if field.collation else ""
                written = attribute_type(self.after, field)
                found.append(f"ALTER ATTRIBUTE {ident(field.name)} TYPE {written}{collation}")
        return found

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if type_remade(world, self.address):
            return replace_steps(ReplaceType(self.before, self.after), world, self.before, self.after)
        added = [a for a in self._actions() if not a.startswith("DROP ")]
        dropped = [a for a in self._actions() if a.startswith("DROP ")]
        alter, said = f"ALTER TYPE {object_name(self.before)}", self._comments()
        now, given = there(world, self.address), [has(self.address), ok(self.address)]
        if not added and not dropped:
            return [self.step(world, 1, "comment", said, needs=now, gives=given)]
        away = {no(x.address) for x in standing_on(world, [self.address], dropped=True)}
        away = away if reshaped(world, self.address) else set()
        steps = []
        if added:
            waits = requires(world, self.after.refers) | in_schema(world, self.after)
            calls = [f"{alter} {', '.join(added)}", *said]
            steps.append(
                self.step(
                    world,
                    1,
                    "add",
                    calls,
                    needs=now | away | waits,
                    gives=given,
                    phase=Phase.CONTRACT,
                    hazards=[Hazard.BREAKS_CLIENTS],
                )
            )
        if dropped:
            loses = any(not small(world, c.table) for c in columns_holding(world, self.address))
            steps.append(
                self.step(
                    world,
                    len(steps) + 1,
                    "drop",
                    [f"{alter} {', '.join(dropped)}", *([] if added else said)],
                    needs=now | away | _settled(world, self.address),
                    gives=[done(f"{self.address}/{len(steps) + 1}-drop")],  # who uses the type need not wait for it
                    phase=Phase.CONTRACT,
                    journalled=True,
                    hazards=[Hazard.BREAKS_CLIENTS, *([Hazard.DELETES_DATA] if loses else [])],
                )
            )
        return steps

    def _comments(self) -> list[str]:
        old = {a.name: a for a in self.before.fields}
        found = [
            attribute_comment(self.before, a)
            for a in self.after.fields
            if a.comment != (old[a.name].comment if a.name in old else None)
        ]
        same = self.before.comment == self.after.comment
        return found if same else [*found, comment_statement(self.after, self.before.name)]


def _settled(world: World, address: Address) -> frozenset[Fact]:
    """Checks, indexes and the like that named a field which goes, and no longer do or are dropped."""
    found = set()
    for user in world.dependents(address):
        after = world.target.get(user.address)
        if isinstance(user, Column) or is_type(user) or type(user) in STANDING or user == after:
            continue
        found.add(no(user.address) if after is None else ok(user.address))
    return frozenset(found)


def describe_composite(before: Composite, after: Composite) -> str:
    """`+ city text, - zip, street text → varchar(10)`."""
    old, new = {a.name: a for a in before.fields}, {a.name: a for a in after.fields}
    parts = [f"+ {a.name} {_described(a)}" for a in after.fields if a.name not in old]
    parts += [f"- {a.name}" for a in before.fields if a.name not in new]
    for name, field in new.items():
        there = old.get(name)
        if there is not None and _described(there) != _described(field):
            parts.append(f"{name} {_described(there)} → {_described(field)}")
        elif there is not None and there.comment != field.comment:
            parts.append(f"comment of {name}")
    return ", ".join([*parts, *(["comment"] if before.comment != after.comment else [])]) or "unchanged, made again"


def _described(x: Attribute) -> str:
    return x.type + (f' collate "{x.collation}"' if x.collation else "")


def alter(before: Composite, after: Composite) -> Change | None:
    """The change of a composite type that stays."""
    return AlterComposite(before, after)
