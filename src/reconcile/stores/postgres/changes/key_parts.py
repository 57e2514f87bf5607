"""Primary keys and unique constraints of partitioned tables: USING INDEX is possible on each partition only.

The indexes are built concurrently on the partitions; then, in one transaction, the constraint is made on ONLY the
table and on each partition from its index, and all are attached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconcile.change import Phase, Step, World
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.builds import settings
from reconcile.stores.postgres.changes.common import PostgresChange
from reconcile.stores.postgres.changes.index_parts import candidate, leaving, on_part, staying
from reconcile.stores.postgres.changes.part_names import of_world
from reconcile.stores.postgres.resources import Index, Key, Table
from reconcile.stores.postgres.sqltext import deferrable_clause, ident, index_statement, key_clause, key_word, relation


@dataclass(frozen=True)
class KeyPart:
    """A partition, the constraint it gets, and what that is attached to."""

    table: Table
    above: Address
    name: str
    index: Index | None
    """What it is made from; None where the partition has partitions itself."""
    state: str
    """Of the index: "absent", "broken" or "ready"."""

    @property
    def address(self) -> Address:
        """Of the index that the constraint has."""
        return Address(self.table.address.store, "index", (self.table.address.parts[0], self.name))


def key_parts(world: World, key: Key, index: Index) -> list[KeyPart]:
    """The partitions of a key's table, each before its own."""
    whole = Address(key.address.store, "index", (key.schema, key.name))
    return list(_below(world, key, index, key.table, whole))


def _below(world: World, key: Key, index: Index, table: Address, above: Address) -> Iterator[KeyPart]:
    names = of_world(world)
    for part in staying(world, table):
        name = names.of(part, key)
        if part.partition_by is not None:
            found = KeyPart(part, above, name, None, "ready")
            yield found
            yield from _below(world, key, index, part.address, found.address)
            continue
        made, state = candidate(world, index, part) or (names.of(part, index), "absent")
        yield KeyPart(part, above, name, on_part(index, part, made), state)


def built(world: World, address: Address, key: Key, index: Index) -> Fact | None:
    """The fact that the change of `address` has built all that is missing on partitions; None where nothing is."""
    missing = any(p.state != "ready" for p in key_parts(world, key, index))
    return done(f"{address}/parts") if missing else None


def steps(
    change: PostgresChange,
    world: World,
    key: Key,
    index: Index,
    *,
    first: Sequence[str],
    last: Sequence[str],
    needs: Iterable[Fact],
    final: Iterable[Fact],
    phase: Phase,
    hazards: Sequence[Hazard],
) -> list[Step]:
    """Make `key`.

    Args:
        first: statements before it in its transaction (the old one is dropped).
        last: statements after it.
        needs: what the builds wait for; `final` is what the last step waits for besides.
    """
    found = key_parts(world, key, index)
    result = _builds(change, world, found, index, needs, phase)
    made = [p.index.address for p in found if p.index is not None]
    waits = {no(Address(t.address.store, "bound", t.address.parts)) for t in leaving(world, key.table)}
    calls = [*first, f"ALTER TABLE ONLY {relation(key.table)} ADD CONSTRAINT {ident(key.name)} {key_clause(key)}"]
    calls += [_constraint(key, p) for p in found]
    calls += [f"ALTER INDEX {relation(p.above)} ATTACH PARTITION {relation(p.address)}" for p in reversed(found)]
    result.append(
        change.step(
            world,
            len(result) + 1,
            "add",
            [*calls, *last],
            needs={*needs, *final, *waits, *map(ok, made)},
            gives=[has(key.address), ok(key.address), *map(no, made)],
            phase=phase,
            hazards=hazards,
        )
    )
    return result


def _builds(
    change: PostgresChange,
    world: World,
    found: Sequence[KeyPart],
    index: Index,
    needs: Iterable[Fact],
    phase: Phase,
) -> list[Step]:
    """The steps that build what is missing on partitions, after taking away what a broken try left."""
    result: list[Step] = []
    for part in found:
        if part.index is None or part.state == "ready":
            continue
        address = part.index.address
        if part.state == "broken":
            drop = [f"DROP INDEX CONCURRENTLY {relation(address)}"]
            gone, n = [no(address)], len(result) + 1
            result.append(
                change.concurrent_step(n, "clear", drop, address=address, needs=[has(address)], gives=gone, phase=phase)
            )
        result.append(
            change.concurrent_step(
                len(result) + 1,
                "build",
                [index_statement(part.index, concurrently=True)],
                address=address,
                needs={no(address), *needs},
                gives=[has(address), ok(address), done(f"{change.address}/parts")],
                phase=phase,
                hazards=[Hazard.BUILDS_INDEX, Hazard.NEEDS_SPACE, Hazard.DEPENDS_ON_DATA],
                debris=[address],
                build=settings(world.settings, index),
            )
        )
    return result


def _constraint(key: Key, part: KeyPart) -> str:
    table, name = relation(part.table.address), ident(part.name)
    if part.index is None:
        return f"ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {key_clause(key)}"
    using = f"USING INDEX {ident(part.index.name)}{deferrable_clause(key.deferrable)}"
    return f"ALTER TABLE {table} ADD CONSTRAINT {name} {key_word(key)} {using}"
