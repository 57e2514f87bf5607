"""Schemas that are themselves declared."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.change import Change, Step, World
from reconcile.errors import PlanError
from reconcile.facts import has, no, ok
from reconcile.hazards import Hazard
from reconcile.stores.postgres.changes.common import ChangeComment, Creation, Removal, comments
from reconcile.stores.postgres.resources import Schema
from reconcile.stores.postgres.sqltext import ident


class CreateSchema(Creation):
    """CREATE SCHEMA."""

    before: None
    after: Schema

    def describe(self) -> str:
        """See `Change.describe`."""
        return "schema"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        calls = [f"CREATE SCHEMA {ident(self.after.name)}", *comments(self.after)]
        gives = [has(self.address), ok(self.address)]
        return [self.step(world, 1, "create", calls, needs=[no(self.address)], gives=gives)]


class DropSchema(Removal):
    """DROP SCHEMA, of an empty one only."""

    before: Schema
    after: None

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        inside = [r for r in world.live.values() if r.container is None and r.address.parts[:1] == self.address.parts]
        inside = [r for r in inside if len(r.address.parts) > 1 and not r.only_declared]
        staying = [str(r.address) for r in inside if not world.drops(r.address)]
        if staying:
            raise PlanError(
                f"{self.address} cannot be dropped: it holds {', '.join(staying)}",
                hint="drop or move what it holds first; nothing is dropped by CASCADE",
            )
        return [
            self.drop_step(
                world,
                [f"DROP SCHEMA {ident(self.before.name)}"],
                needs=[*(no(r.address) for r in inside)],
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


def alter(before: Schema, after: Schema) -> Change | None:
    """Only the comment can differ."""
    return ChangeComment(before, after)
