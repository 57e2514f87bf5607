"""What was kept of removals, brought back: see `keeping`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from reconcile.change import Change, Irreversible, Op, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, ok
from reconcile.model import Address, Resource, State
from reconcile.stores.postgres.changes.common import Renaming, in_schema, requires
from reconcile.stores.postgres.changes.keeping import STAYING, part_name, renamed
from reconcile.stores.postgres.changes.partition import SCAN, default_is_scanned, freed, in_default, parent_of
from reconcile.stores.postgres.changes.preconditions import no_rows, preceded
from reconcile.stores.postgres.resources import OWN_SCHEMA, Column, PostgresResource, Table
from reconcile.stores.postgres.resources import Sequence as Sequence_
from reconcile.stores.postgres.sqlpartitions import attach_statement
from reconcile.stores.postgres.sqltext import ident, literal, relation

_TYPED = "atttypid, atttypmod, attcollation, attgenerated"


class RestoreTable(Renaming):
    """A kept table comes back with what stayed in it; what was taken off it is made again by changes of its own."""

    before: None
    after: Table
    parts: tuple[PostgresResource, ...] = ()
    name: str = ""

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"brought back with its rows, from {OWN_SCHEMA}.{self.name}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        calls, needs = self.calls(), self.needs(world)
        inside = [self.address, *(p.address for p in self.parts)]
        gives = [*map(has, inside), *map(ok, inside)]
        return [self.step(world, 1, "restore", calls, needs=needs, gives=gives)]

    def calls(self) -> list[str]:
        """The statements: everything its schema and its name."""
        calls = []
        tree = [self.after, *(p for p in self.parts if isinstance(p, Table))]
        for one in tree:
            called = self.name if one is self.after else part_name(self.name, one.schema, one.name)
            calls.append(f"ALTER TABLE {ident(OWN_SCHEMA, called)} SET SCHEMA {ident(one.schema)}")
            calls.append(f"ALTER TABLE {ident(one.schema, called)} RENAME TO {ident(one.name)}")
        return [*calls, *renamed(self.name, [*tree, *self.parts], back=True)]

    def needs(self, world: World) -> frozenset[Fact]:
        """What has to be there before."""
        tree = [self.after, *(p for p in self.parts if isinstance(p, Table))]
        return frozenset[Fact]().union(*(in_schema(world, one) for one in tree))

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        return Irreversible("it would be kept again", loses=False)

    def apply_to(self, state: State) -> State:
        """See `Change.apply_to`."""
        return state.add(*(r for r in (self.after, *self.parts) if r.address not in state))


class RestorePartition(RestoreTable):
    """A kept partition comes back into its table, which looks at its rows once more."""

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        table, parent = self.after, parent_of(self.after)
        if parent not in world.target:
            raise PlanError(
                f"{self.address} was a partition of {parent}, which is gone",
                hint="take the run that removed that back too: reconcile rollback --to RUN\n"
                "  or leave the partition kept: --only ADDRESS for all else",
            )
        inside = [self.address, *(p.address for p in self.parts)]
        scans = default_is_scanned(world, table)
        step = self.step(
            world,
            1,
            "restore",
            [*self.calls(), attach_statement(parent, table)],
            needs=self.needs(world) | requires(world, [parent]) | freed(world, table),
            gives=[*map(has, inside), *map(ok, inside)],
            hazards=SCAN if scans else [],
            long=True,
        )
        return preceded([step], [*in_default(world, table), *self.unlike(world, parent)])

    def unlike(self, world: World, parent: Address) -> Iterator[Op]:
        """The columns in which it differs from its table as that is now; nothing where this plan changes those."""
        columns = [[r for r in state.children(parent) if isinstance(r, Column)] for state in (world.live, world.target)]
        if columns[0] != columns[1]:
            return
        kept = ident(OWN_SCHEMA, self.name)
        of = "SELECT attname::text AS name, {} FROM pg_attribute WHERE attrelid = to_regclass({}) AND attnum > 0"
        places = [literal(kept), literal(relation(world.where(parent)))]
        own, wanted = (f"{of} AND NOT attisdropped".format(_TYPED, place) for place in places)
        may, must = (f"{of} AND NOT attisdropped".format("attnotnull", place) for place in places)
        sql = (
            f"SELECT name AS column FROM (({own} EXCEPT {wanted}) UNION ALL ({wanted} EXCEPT {own})) x"
            f" UNION SELECT a.name FROM ({may}) a JOIN ({must}) b USING (name) WHERE b.attnotnull AND NOT a.attnotnull"
        )
        what = f"columns of {kept} are not as in {relation(parent)}, whose partition it was"
        fix = f"ALTER TABLE {kept} so that they are, or leave the partition kept: --only ADDRESS for all else"
        yield no_rows(sql, what, fix, "column")


class RestoreColumn(Renaming):
    """A kept column has its name again, and its sequence; NOT NULL and its default follow."""

    before: None
    after: Column
    parts: tuple[PostgresResource, ...] = ()
    name: str = ""

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"brought back with its values, from {self.name}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        table = relation(self.after.table)
        calls = [
            f"ALTER TABLE {table} RENAME COLUMN {ident(self.name)} TO {ident(self.after.name)}",
            *renamed(self.name, [self.after, *self.parts], back=True),
        ]
        owned = [p.address for p in self.parts]
        gives = [has(self.address), *map(has, owned), *map(ok, owned)]
        needs = {has(self.after.table)}
        return [self.step(world, 1, "restore", calls, needs=needs, gives=gives, phase=Phase.EXPAND)]

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        return Irreversible("it would be kept again", loses=False)

    def apply_to(self, state: State) -> State:
        """See `Change.apply_to`."""
        return state.add(*(r for r in (self.after, *self.parts) if r.address not in state))


def restored(live: State, parts: Sequence[Resource], name: str) -> tuple[Change, State]:
    """What brings a kept table or column back, and `live` as it is then.

    Args:
        parts: it, and what was in it, as they were.
    """
    first, inside = parts[0], parts[1:]
    owned = tuple(p for p in inside if isinstance(p, Sequence_))
    change: Change
    if isinstance(first, Column):
        bare = first if first.identity else first.replace(
            default=None, not_null=False, not_null_name=None, not_null_comment=None, not_null_no_inherit=False,
            not_null_valid=True,
        )  # fmt: skip
        change = RestoreColumn(None, bare, owned, name)
    else:
        table = cast(Table, first)
        stays = tuple(cast(PostgresResource, p) for p in inside if isinstance(p, (*STAYING, Sequence_, Table)))
        kind = RestoreTable if table.partition_of is None else RestorePartition
        change = kind(None, table, stays, name)
    return change, change.apply_to(live)
