"""Collations: the server alters nothing of one but its name, so another definition makes it anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.common import (
    ChangeComment,
    Creation,
    Removal,
    Replacement,
    comments,
    dependents_settled,
    goes_first,
    in_schema,
)
from reconcile.stores.postgres.changes.describing import only_comment_differs
from reconcile.stores.postgres.resources import Collation
from reconcile.stores.postgres.sqltext import object_name
from reconcile.stores.postgres.typetext import collation_statement


class CreateCollation(Creation):
    """CREATE COLLATION."""

    before: None
    after: Collation

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"{self.after.provider} {self.after.locale}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        calls = [collation_statement(self.after), *comments(self.after)]
        needs = {no(self.address)} | in_schema(world, self.after)
        return [self.step(world, 1, "create", calls, needs=needs, gives=[has(self.address), ok(self.address)])]


class DropCollation(Removal):
    """DROP COLLATION; refused while something that stays sorts by it."""

    before: Collation
    after: None

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return [
            self.drop_step(
                world,
                [f"DROP COLLATION {object_name(self.before)}"],
                needs=_drop_needs(world, self.before),
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


def _drop_needs(world: World, x: Collation) -> set[Fact]:
    schema = Address(x.address.store, "schema", (x.schema,))
    return {has(x.address)} | dependents_settled(world, x.address) | goes_first(world, [schema])


class ReplaceCollation(Replacement):
    """DROP and CREATE COLLATION; only where nothing that stays sorts by it."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: Collation
    after: Collation

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: a column, type or index that stays sorts by it.
        """
        try:
            needs = _drop_needs(world, self.before)
        except PlanError as error:
            raise PlanError(
                f"{self.address} is in use and the server cannot change it: {error}",
                where=self.after.source,
                hint="declare the new collation under another name, let what uses it name that, then drop this one",
            ) from None
        calls = [f"DROP COLLATION {object_name(self.before)}", collation_statement(self.after), *comments(self.after)]
        return [
            self.step(
                world,
                1,
                "replace",
                calls,
                needs=needs,
                gives=[has(self.address), ok(self.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


def alter(before: Collation, after: Collation) -> Change | None:
    """The change of a collation that stays."""
    return (ChangeComment if only_comment_differs(before, after) else ReplaceCollation)(before, after)
