"""Indexes: built concurrently, rebuilt for other options, replaced by one built beside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconcile.change import Change, Phase, Server, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Json, Resource
from reconcile.stores.postgres.builds import estimate
from reconcile.stores.postgres.builds import settings as build_settings
from reconcile.stores.postgres.changes.common import (
    Creation,
    PostgresChange,
    Removal,
    Replacement,
    comments,
    dependents_settled,
    requires,
    small,
)
from reconcile.stores.postgres.changes.constraint import moves
from reconcile.stores.postgres.changes.homes import equal_below, home, homes, taken_over
from reconcile.stores.postgres.changes.index_options import BUILD
from reconcile.stores.postgres.changes.index_parts import EXCLUSIVE, slow
from reconcile.stores.postgres.changes.index_parts import steps as on_parts
from reconcile.stores.postgres.changes.key import build_helper
from reconcile.stores.postgres.changes.named import columns_used, keys_to
from reconcile.stores.postgres.changes.part_names import naming_below
from reconcile.stores.postgres.changes.preconditions import duplicates, preceded
from reconcile.stores.postgres.changes.remaking import comes_again, inside_remade, retyped
from reconcile.stores.postgres.resources import ForeignKey, Index, IndexItem, Key
from reconcile.stores.postgres.sqltables import marks, without_statistics
from reconcile.stores.postgres.sqltext import (
    helper_name,
    ident,
    index_statement,
    object_name,
    options,
    relation,
)


def _needs(world: World, index: Index) -> frozenset[Fact]:
    """The table, its columns the index uses, and what its expressions refer to."""
    columns = columns_used(world, world.target, home(world, index.table), index)
    refers = [a for a in index.refers if a != index.address]
    return requires(world, [index.table, *(c.address for c in columns), *refers])


def _phase(world: World, index: Index) -> Phase:
    """A unique index may refuse what an old application writes: contract, unless its columns are new."""
    if not index.unique or world.creates(index.table):
        return Phase.EXPAND
    named = homes(world, index.table, [i.column for i in index.columns if i.column is not None])
    return Phase.EXPAND if named and all(world.creates(c) for c in named) else Phase.CONTRACT


class IndexBuild(PostgresChange):
    """What all that build an index can say of what it will take."""

    def estimate(
        self, step: Step, measured: Mapping[str, int], settings: Mapping[str, Json], server: Server
    ) -> Mapping[str, int]:
        """See `Change.estimate`."""
        del step
        if not isinstance(self.after, Index):
            return {}
        memory = str(server.facts.get("maintenance_work_mem", "64MB"))
        return estimate(self.after, measured.get("rows", 0), build_settings(settings, self.after), memory)


class CreateIndex(IndexBuild, Creation):
    """CREATE INDEX, CONCURRENTLY where the table has rows; then ANALYZE."""

    before: None
    after: Index

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_index(self.after)

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return None

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if inside_remade(world, self.after):
            return []
        index, gives = self.after, [has(self.address), ok(self.address)]
        if taken_over(world, index):
            return []
        needs, phase = {no(self.address)} | _needs(world, index), _phase(world, index)
        unique = [Hazard.DEPENDS_ON_DATA] if index.unique else []
        if small(world, index.table):
            calls = [index_statement(index, concurrently=False), *comments(index), *naming_below(world, index)]
            calls += marks(world.target.get(index.table), index.name) if world.creates(index.table) else []
            needs |= equal_below(world, index)
            return [self.step(world, 1, "create", calls, needs=needs, gives=gives, phase=phase)]
        if slow(world, index.table):
            found = on_parts(self, world, index, needs=_needs(world, index), phase=phase)
            return preceded(found, duplicates(world, index) if index.unique else ())
        calls = [index_statement(index, concurrently=True), *comments(index), analyze(index)]
        step = self.concurrent_step(
            1,
            "create",
            calls,
            needs=needs,
            gives=gives,
            phase=phase,
            hazards=[*BUILD, *unique],
            debris=[self.address],
            build=build_settings(world.settings, index),
        )
        return preceded([step], duplicates(world, index) if index.unique else ())


def analyze(index: Index) -> str:
    """ANALYZE of its table: an index on an expression has no statistics before."""
    return f"ANALYZE {relation(index.table)}"


def describe_index(index: Index) -> str:
    """`hnsw (embedding vector_cosine_ops) with (m = 16)`."""
    unique = "unique " if index.unique else ""
    text = f"{unique}{index.method} ({', '.join(map(_item, index.columns))})"
    text += f" include ({', '.join(index.include)})" if index.include else ""
    text += " nulls not distinct" if index.nulls_not_distinct else ""
    text += f" with ({options(index.with_)})" if index.with_ else ""
    return text + (f" where {index.where}" if index.where is not None else "")


def _item(item: IndexItem) -> str:
    parts = [item.column or f"({item.expression})"]
    parts += [f"collate {item.collation}"] if item.collation else []
    parts += [item.opclass] if item.opclass else []
    parts += ["desc"] if item.order == "desc" else []
    return " ".join([*parts, *([f"nulls {item.nulls}"] if item.nulls else [])])


class ReplaceIndex(IndexBuild, Replacement):
    """The new one built beside under a helper name; in contract, the old one dropped and the name taken over.

    Both happen in one transaction, so a run broken before it leaves the old index in use and the new one ready for
    the next plan. Where a column it is on changes its type in this plan, nothing can be built beside.
    """

    before: Index
    after: Index

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: foreign keys that hang on it."""
        from reconcile.stores.postgres.changes.foreign_key import RecreateForeignKey

        if carried(self.after) != carried(self.before):
            return [RecreateForeignKey(k, k) for k in moving(world, self.before)]
        return [RecreateForeignKey(k, k) for k in hanging_on(world, self.before) if world.target.get(k.address) == k]

    def describe(self) -> str:
        """See `Change.describe`."""
        if self.before.table == self.after.table:
            return super().describe()
        old, new = (".".join(i.table.parts) for i in (self.before, self.after))
        return f"on {old} → {new}: {describe_index(self.after)}"

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "built beside concurrently, then swapped"  # of a partitioned table: on each partition

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if inside_remade(world, self.after):
            return []
        old, new = self.before, self.after
        gives = [has(self.address), ok(self.address)]
        users = _key_users(world, old) | dependents_settled(world, self.address)
        if comes_again(world, old):
            return self._around_type_change(world, users)
        swap_hazards = [Hazard.BREAKS_CLIENTS] if old.unique and not new.unique else []
        if small(world, new.table):
            calls = [f"DROP INDEX {object_name(old)}", index_statement(new, concurrently=False), *comments(new)]
            calls += naming_below(world, new)
            calls += marks(world.target.get(new.table), new.name)
            needs = {has(self.address)} | _needs(world, new) | users
            return [
                self.step(world, 1, "swap", calls, needs=needs, gives=gives, phase=Phase.CONTRACT, hazards=swap_hazards)
            ]
        other = beside(new)
        helper = other.address
        phase = Phase.CONTRACT if new.unique and not old.unique else _phase(world, new)
        steps = _built_beside(self, world, other, phase)
        if slow(world, old.table):
            swap_hazards += EXCLUSIVE
        take_over = f"ALTER INDEX {ident(new.schema, helper.parts[-1])} RENAME TO {ident(new.name)}"
        steps.append(
            self.step(
                world,
                len(steps) + 1,
                "swap",
                [
                    f"DROP INDEX {object_name(old)}",
                    take_over,
                    *naming_below(world, new, all_=True),
                    *comments(new),
                    *marks(world.target.get(new.table), new.name),
                ],
                needs={has(self.address), ok(helper)} | users,
                gives=[*gives, no(helper)],
                phase=Phase.CONTRACT,
                hazards=swap_hazards,
            )
        )
        return preceded(steps, duplicates(world, new) if new.unique else ())

    def _around_type_change(self, world: World, users: frozenset[Fact]) -> list[Step]:
        old, new, gap = self.before, self.after, [Hazard.INDEX_GAP]
        steps = (
            []
            if world.drops(old.table)
            else [
                self.drop_step(
                    world,
                    [f"DROP INDEX {object_name(old)}"],
                    needs=users,
                    hazards=[] if small(world, old.table) else gap,
                )
            ]
        )
        needs = {no(self.address)} | _needs(world, new)
        gives, marked = [has(self.address), ok(self.address)], marks(world.target.get(new.table), new.name)
        if small(world, new.table):
            calls = [index_statement(new, concurrently=False), *comments(new), *naming_below(world, new), *marked]
            return [*steps, self.step(world, 2, "create", calls, needs=needs, gives=gives, phase=Phase.CONTRACT)]
        if slow(world, new.table):
            phase = Phase.CONTRACT
            return [*steps, *on_parts(self, world, new, needs=_needs(world, new), phase=phase, before=1)]
        calls = [index_statement(new, concurrently=True), *comments(new), *marked, analyze(new)]
        build = self.concurrent_step(
            2,
            "create",
            calls,
            needs=needs,
            gives=gives,
            phase=Phase.CONTRACT,
            hazards=BUILD,
            debris=[self.address],
            build=build_settings(world.settings, new),
        )
        return [*steps, build]


def _built_beside(change: PostgresChange, world: World, index: Index, phase: Phase) -> list[Step]:
    """The helper index, of a partitioned table partition by partition; what an earlier plan left is gone on with."""
    needs, there = _needs(world, index), world.live.get(index.address)
    if not slow(world, index.table):
        return build_helper(change, world, index, needs, phase)
    if not isinstance(there, Index) or world.drops(index.address):
        return on_parts(change, world, index, needs=needs, phase=phase)
    if there.replace(valid=True) == index:
        return [] if there.valid else on_parts(change, world, index, needs=needs, phase=phase, there=there)
    gone = [no(index.address)]
    clear = change.step(
        world,
        1,
        "clear",
        [f"DROP INDEX {object_name(there)}"],
        address=index.address,
        needs=[has(index.address)],
        gives=gone,
        phase=phase,
        hazards=EXCLUSIVE,
    )
    return [clear, *on_parts(change, world, index, needs=needs, phase=phase, before=1)]


def _on_retyped(world: World, index: Index) -> bool:
    return any(retyped(world, c.address) for c in columns_used(world, world.live, home(world, index.table), index))


def hanging_on(world: World, index: Index) -> list[ForeignKey]:
    """Live foreign keys that a unique index carries; where it is not known which, none if a key has its columns."""
    columns = carried(index)
    if not columns:
        return []
    key = any(isinstance(r, Key) and set(r.columns) == columns for r in world.live.children(index.table))
    found = [k for k in keys_to(world, index.table) if set(k.references_columns) == columns]
    return [k for k in found if (not key if k.index is None else k.index == index.name)]


def plainly(index: Index) -> Resource:
    """Without what can be set in place."""
    return index.replace(with_=(), valid=True, comment=None, columns=without_statistics(index.columns))


def moving(world: World, index: Index) -> list[ForeignKey]:
    """Foreign keys on the index that stay as they are and find something else to hang on."""
    if carried(world.target.get(index.address)) == carried(index):
        return []
    return [k for k in hanging_on(world, index) if moves(world, k)]


def carried(index: Resource | None) -> set[str | None]:
    """The columns a foreign key may refer to because of this index; none where it cannot carry one."""
    if not isinstance(index, Index) or not index.unique or index.where is not None:
        return set()
    columns = {item.column for item in index.columns}
    return set() if None in columns else columns


def _key_users(world: World, index: Index) -> frozenset[Fact]:
    """Foreign keys that hang on a unique index have to be gone before it; they come back where it does.

    Raises:
        PlanError: one stays and has nothing to hang on.
    """
    found, after = hanging_on(world, index), world.target.get(index.address)
    comes_back = carried(after) == carried(index)
    over = {k.address for k in moving(world, index)}
    staying = [str(k.address) for k in found if world.target.get(k.address) == k and k.address not in over]
    if staying and not comes_back:
        raise PlanError(
            f"{index.address} is what {', '.join(staying)} hangs on",
            where=index.source,
            hint="drop the foreign key in one apply, change the index, and add it again",
        )
    return frozenset(
        no(k.address) if comes_back or world.drops(k.address) or k.address in over else ok(k.address) for k in found
    )


def beside(index: Index) -> Index:
    """The same under a helper name, to be built while the old one is in use."""
    helper = Address(index.address.store, "index", (index.schema, helper_name(index.name, "new")))
    return index.replace(address=helper, live_name=None, comment=None)


class DropIndex(Removal):
    """DROP INDEX CONCURRENTLY; plain where a column it is on changes its type, or the table is empty."""

    before: Index
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_index(self.before)

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: foreign keys that go over to another index."""
        from reconcile.stores.postgres.changes.foreign_key import RecreateForeignKey

        return [RecreateForeignKey(k, k) for k in moving(world, self.before)]

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        index = self.before
        if world.drops(index.table) or inside_remade(world, index) or taken_over(world, index):
            return []
        needs = {has(self.address)} | _key_users(world, index) | dependents_settled(world, self.address)
        needs |= requires(world, [index.table])
        hazards = [Hazard.BREAKS_CLIENTS] if index.unique and index.leftover_of is None else []
        split = slow(world, index.table)
        if split or world.empty(index.table) or _on_retyped(world, index):
            hazards += EXCLUSIVE if split else ()
            calls = [f"DROP INDEX {object_name(index)}"]
            return [self.drop_step(world, calls, needs=needs, hazards=hazards)]
        return [
            self.concurrent_step(
                1,
                "drop",
                [f"DROP INDEX CONCURRENTLY {object_name(index)}"],
                needs=needs,
                gives=[no(self.address)],
                phase=Phase.CONTRACT,
                hazards=hazards,
            )
        ]
