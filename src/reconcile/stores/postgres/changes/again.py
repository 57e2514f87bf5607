"""Equal things made again around a change: dropped before it, added after it, in the same plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.facts import has, no, ok
from reconcile.model import Address, Resource
from reconcile.stores.postgres.changes.check import check_needs
from reconcile.stores.postgres.changes.common import Replacement, comments, requires, small
from reconcile.stores.postgres.changes.constraint import (
    add_statement,
    columns_of,
    drop_statement,
    users_of,
    users_settled,
)
from reconcile.stores.postgres.changes.event_trigger import ReplaceEventTrigger
from reconcile.stores.postgres.changes.exclusion import exclusion_needs
from reconcile.stores.postgres.changes.foreign_key import RecreateForeignKey
from reconcile.stores.postgres.changes.index import ReplaceIndex
from reconcile.stores.postgres.changes.part_names import naming_below
from reconcile.stores.postgres.changes.policy import RecreatePolicy
from reconcile.stores.postgres.changes.preconditions import broken, preceded
from reconcile.stores.postgres.changes.remaking import readers_of, standing_on
from reconcile.stores.postgres.changes.routine import RecreateRoutine
from reconcile.stores.postgres.changes.statistics import RecreateStatistics
from reconcile.stores.postgres.changes.succeeding import resettled, succeeded
from reconcile.stores.postgres.changes.trigger import RecreateTrigger
from reconcile.stores.postgres.changes.view import RecreateView
from reconcile.stores.postgres.resources import (
    Aggregate,
    Check,
    EventTrigger,
    Exclusion,
    ForeignKey,
    Function,
    Index,
    Key,
    MaterializedView,
    Policy,
    PostgresResource,
    PrimaryKey,
    Procedure,
    Statistics,
    Trigger,
    Unique,
    View,
)
from reconcile.stores.postgres.sqltables import marks


class RecreateConstraint(Replacement):
    """A key, check or exclusion constraint dropped before what it stands on is made again, and added after."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: Key | Check | Exclusion
    after: Key | Check | Exclusion

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: foreign keys on it."""
        return [RecreateForeignKey(u, u) for u in users_of(world, self.before) if u.address in world.target]

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        key, gives = self.after, [has(self.address), ok(self.address)]
        if isinstance(key, Check):
            needs, not_valid = check_needs(world, key), key.not_valid
        elif isinstance(key, Exclusion):
            needs, not_valid = exclusion_needs(world, key), False
        else:
            needs, not_valid = (
                requires(world, [key.table, *columns_of(world, key, (*key.columns, *key.include))]),
                False,
            )
        rows = broken(world, key) if isinstance(key, Check) and self.before != key else ()
        drop = self.drop_step(world, [drop_statement(self.before)], needs=users_settled(world, self.before))
        add = self.step(
            world,
            2,
            "add",
            [
                add_statement(key, not_valid=not_valid),
                *comments(key),
                *(naming_below(world, key) if isinstance(key, Key | Exclusion) else []),
                *(marks(world.target.get(key.table), key.name) if isinstance(key, Key | Exclusion) else []),
            ],
            needs={no(self.address)} | needs,
            gives=gives,
            phase=Phase.CONTRACT,
            long=not small(world, key.table),
        )
        return preceded([drop, add], rows)

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RecreateConstraint(self.after, self.before)


class RecreateIndex(ReplaceIndex):
    """An index dropped before what it stands on is made again, and built after."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return None


AGAIN: Mapping[type[Resource], Callable[[Any, Any], Change]] = {
    View: RecreateView,
    MaterializedView: RecreateView,
    Index: RecreateIndex,
    ForeignKey: RecreateForeignKey,
    PrimaryKey: RecreateConstraint,
    Unique: RecreateConstraint,
    Check: RecreateConstraint,
    Statistics: RecreateStatistics,
    Exclusion: RecreateConstraint,
    Policy: RecreatePolicy,
    Trigger: RecreateTrigger,
    **dict.fromkeys((Function, Procedure, Aggregate), RecreateRoutine),
    EventTrigger: ReplaceEventTrigger,
}
"""(before, after) -> the change that drops something and makes it again, by class. For each class that `standing` has
there is one."""


def recreated(before: PostgresResource, after: PostgresResource) -> Change:
    """The change that drops something and makes it again."""
    return AGAIN[type(before)](before, after)


def around(world: World, addresses: Iterable[Address]) -> list[Change]:
    """What stands on any of `addresses`, made again as it is."""
    return [recreated(x, as_declared(world, x)) for x in standing_on(world, addresses)]


def as_declared(world: World, x: PostgresResource) -> PostgresResource:
    """Something that is made again as it is, in the words of the YAML.

    The server's own words would not do: `x in ('p', 'q')` of a varchar is shown with a cast of the array, and that,
    read again, with a cast of each element (seen in 15 to 18). Standing on what takes the names of what it stood on.
    """
    after, wanted = resettled(world, x), world.desired.get(x.address)
    if wanted is not None and wanted == x:
        after = after.replace(declared=wanted.declared)
    return cast(PostgresResource, after)


def around_succeeded(world: World, gone: PostgresResource) -> list[Change]:
    """What stands on a relation that goes, where another takes its name."""
    columns = [c.address for c in world.live.children(gone.address) if c.address.kind == "column"]
    return around(world, [gone.address, *columns]) if succeeded(world, gone.address) else []


def above(world: World, change: Change) -> list[Change]:
    """What stands on something dropped and made again; of a companion only the next, since it has come with all."""
    if change.before == change.after:
        return [recreated(x, as_declared(world, x)) for x in readers_of(world, change.address)]
    return around(world, [change.address])


def companions_of(world: World, resources: Iterable[PostgresResource]) -> list[Change]:
    """Those of `resources` that have to be made again, as companions."""
    found: dict[Address, Change] = {}
    for resource in resources:
        after = world.target.get(resource.address)
        if after is not None and resource == after:
            found[resource.address] = recreated(resource, as_declared(world, resource))
    return list(found.values())
