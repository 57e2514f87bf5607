"""Indexes of partitioned tables, partition by partition: CONCURRENTLY is not possible on the whole.

An index ON ONLY the table, one built concurrently on each partition, then attached; the whole is valid as soon as the
last one is. What an earlier run left is gone on with: indexes that are attached, and equal ones on partitions.
See https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reconcile.change import Phase, Step, World
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.builds import settings
from reconcile.stores.postgres.changes.common import PostgresChange, comments, small
from reconcile.stores.postgres.changes.part_names import of_world
from reconcile.stores.postgres.resources import Index, Key, Table
from reconcile.stores.postgres.sqltext import helper_name, index_statement, relation

EXCLUSIVE = (Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES)
"""An index of a partitioned table is dropped under a lock on all its partitions."""


@dataclass(frozen=True)
class Part:
    """A partition and the index on it that is to belong to the one above."""

    table: Table
    above: Address
    """The index it is attached to."""
    index: Index
    state: str
    """"absent", "broken" (to be dropped first), "ready" (to be attached) or "attached"."""

    @property
    def split(self) -> bool:
        """Whether the partition has partitions itself."""
        return self.table.partition_by is not None


def is_split(world: World, table: Address) -> bool:
    """Whether a table is partitioned."""
    found = world.target.get(table) or world.live.get(table)
    return isinstance(found, Table) and found.partition_by is not None


def slow(world: World, table: Address) -> bool:
    """Whether indexes of the table have to be built partition by partition: it is partitioned, and not empty."""
    return is_split(world, table) and not small(world, table)


def staying(world: World, table: Address) -> Iterator[Table]:
    """Partitions that a table has now and keeps."""
    for part in world.live.children(table):
        after = world.target.get(part.address)
        if isinstance(part, Table) and isinstance(after, Table) and after.parent == part.parent:
            yield part


def leaving(world: World, table: Address) -> list[Table]:
    """Partitions of a tree that go in this plan: the whole would not become valid before."""
    found = []
    for part in world.live.children(table):
        if isinstance(part, Table):
            after = world.target.get(part.address)
            stays = isinstance(after, Table) and after.parent == part.parent
            found += leaving(world, part.address) if stays else [part]
    return found


def parts(world: World, index: Index, there: Index | None) -> list[Part] | None:
    """The partitions of an index's table, each before its own; None where the index has to be made anew.

    Args:
        there: what is live of it, under its name, not valid yet.
    """
    known = {(schema, table): (name, valid) for schema, table, name, valid in (there.parts if there else ())}
    return _below(world, index, index.table, index.address, known)


def _below(
    world: World,
    index: Index,
    table: Address,
    above: Address,
    known: dict[tuple[str, str], tuple[str, bool]],
) -> list[Part] | None:
    found: list[Part] = []
    for part in staying(world, table):
        schema, own = part.address.parts
        if (schema, own) in known:
            name, valid = known[schema, own]
            if valid:
                continue
            if part.partition_by is None:
                return None  # attached, but not usable: the whole does not become valid by mending it
            state = "attached"
        else:
            name, state = candidate(world, index, part) or (of_world(world).of(part, index), "absent")
        child = on_part(index, part, name)
        found.append(Part(part, above, child, state))
        if part.partition_by is not None:
            left = world.live.get(child.address)
            if isinstance(left, Index) and left.valid:
                continue
            inner = {(s, t): (n, v) for s, t, n, v in left.parts} if isinstance(left, Index) else known
            below = _below(world, index, part.address, child.address, inner)
            if below is None:
                return None
            found += below
    return found


def on_part(index: Index, part: Table, name: str) -> Index:
    """The same index on a partition."""
    address = Address(index.address.store, "index", (part.address.parts[0], name))
    return replace(
        index, address=address, container=part.address, live_name=None, comment=None, refers=(), valid=True, parts=()
    )


def candidate(world: World, index: Index, part: Table) -> tuple[str, str] | None:
    """An equal index that the partition has: left by an earlier run, or made by hand."""
    for other in world.live.children(part.address):
        if not isinstance(other, Index) or world.drops(other.address):
            continue
        alike = on_part(other, part, other.name) == on_part(index, part, other.name)
        if alike:
            usable = other.valid or part.partition_by is not None
            return other.name, "ready" if usable else "broken"
    return None


def steps(
    change: PostgresChange,
    world: World,
    index: Index,
    *,
    needs: Iterable[Fact],
    phase: Phase,
    there: Index | None = None,
    before: int = 0,
) -> list[Step]:
    """Make `index` on the whole: gives `has` with the first step, `ok` with the last.

    Args:
        there: what is live of it under its name, not valid yet.
        before: steps of the change that stand before.
    """
    found, result = parts(world, index, there), list[Step]()
    if found is None and there is not None:
        drop = [f"DROP INDEX {relation(there.address)}"]
        result.append(
            change.step(
                world,
                before + 1,
                "clear",
                drop,
                address=there.address,
                needs=[has(there.address)],
                gives=[no(there.address)],
                phase=phase,
                hazards=EXCLUSIVE,
            )
        )
        there, found = None, parts(world, index, None)
    assert found is not None, "what is not there is in no wrong state"
    whole = [has(index.address), ok(index.address)]
    waits = {no(Address(t.address.store, "bound", t.address.parts)) for t in leaving(world, index.table)}
    if there is None:
        only = [index_statement(index, concurrently=False, only=True), *comments(index)]
        result.append(
            change.step(
                world,
                before + len(result) + 1,
                "only",
                only,
                address=index.address,
                needs={no(index.address), *needs, *waits},
                gives=whole[: None if not found else 1],
                phase=phase,
            )
        )
    result += _builds(change, world, found, set(needs) | waits, phase, before + len(result), index)
    return result + _attaches(change, world, found, whole, phase, before + len(result))


def _builds(
    change: PostgresChange,
    world: World,
    found: Sequence[Part],
    needs: set[Fact],
    phase: Phase,
    before: int,
    whole: Index,
) -> list[Step]:
    """The indexes on the partitions that are not there yet."""
    result: list[Step] = []
    unique = [Hazard.DEPENDS_ON_DATA] if whole.unique else []
    for part in found:
        address, n = part.index.address, before + len(result) + 1
        gives = [has(address), ok(address)]
        if part.state == "broken":
            drop = [f"DROP INDEX CONCURRENTLY {relation(address)}"]
            gone = [no(address)]
            result.append(
                change.concurrent_step(n, "clear", drop, address=address, needs=[has(address)], gives=gone, phase=phase)
            )
            n += 1
        elif part.state != "absent":
            continue
        if part.split:
            only = [index_statement(part.index, concurrently=False, only=True)]
            absent = {no(address), *needs}
            result.append(
                change.step(world, n, "only", only, address=address, needs=absent, gives=gives[:1], phase=phase)
            )
            continue
        result.append(
            change.concurrent_step(
                n,
                "build",
                [index_statement(part.index, concurrently=True)],
                address=address,
                needs={no(address), *needs},
                gives=gives,
                phase=phase,
                hazards=[Hazard.BUILDS_INDEX, Hazard.NEEDS_SPACE, *unique],
                debris=[address],
                build=settings(world.settings, whole),
            )
        )
    built = [s for s in result if not s.transactional]
    if built:
        at = result.index(built[-1])
        more = change.concurrent_step(0, "", [f"ANALYZE {relation(whole.table)}"], gives=()).calls
        result[at] = replace(
            result[at], calls=(*result[at].calls, *more), gives=result[at].gives | {done(f"{change.address}/parts")}
        )
    return result


def _attaches(
    change: PostgresChange, world: World, found: Sequence[Part], whole: list[Fact], phase: Phase, before: int
) -> list[Step]:
    """Each by itself, so that no lock is held while another is waited for."""
    open_ = [p for p in reversed(found) if p.state != "attached"]
    result = []
    for n, part in enumerate(open_):
        address = part.index.address
        last = n == len(open_) - 1
        attach = f"ALTER INDEX {relation(part.above)} ATTACH PARTITION {relation(address)}"
        result.append(
            change.step(
                world,
                before + n + 1,
                "attach",
                [attach],
                address=address,
                needs={has(address), has(part.above)},
                gives=[no(address), *(whole if last else [])],
                phase=phase,
                commit_before=True,
            )
        )
    return result


def built(world: World, address: Address, index: Index) -> Fact | None:
    """The fact that the change of `address` has built all that is missing on partitions; None where nothing is."""
    there = world.live.get(index.address)
    found = parts(world, index, there if isinstance(there, Index) else None)
    missing = found is None or any(p.state in ("absent", "broken") and not p.split for p in found)
    return done(f"{address}/parts") if missing else None


def coming(world: World, table: Table) -> frozenset[Fact]:
    """What a new partition waits for: indexes and keys that this plan makes on tables above, which it then has too."""
    found: set[Fact] = set()
    above = table.parent
    while above is not None:
        if slow(world, above):
            for rule in world.target.children(above):
                before = world.live.get(rule.address)
                if isinstance(rule, Index) and before is None:
                    found.add(has(rule.address))
                elif isinstance(rule, Index) and isinstance(before, Index):
                    if before.replace(comment=rule.comment, valid=rule.valid) != rule:
                        beside = (rule.schema, helper_name(rule.name, "new"))
                        found.add(has(Address(rule.address.store, "index", beside)))
                elif isinstance(rule, Key) and before != rule:
                    found.add(ok(rule.address))
        parent = world.target.get(above)
        above = parent.parent if isinstance(parent, Table) else None
    return frozenset(found)
