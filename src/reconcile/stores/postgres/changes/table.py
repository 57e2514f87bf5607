"""Tables. A new one is made with its columns, keys and checks in one statement; foreign keys follow on their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Resource, State
from reconcile.stores.postgres.changes import keeping
from reconcile.stores.postgres.changes.circular import goes_before_table, waits_for_table
from reconcile.stores.postgres.changes.common import (
    Creation,
    Removal,
    Renaming,
    comments,
    dependents_settled,
    goes_first,
    in_schema,
    requires,
    sequences_owned,
)
from reconcile.stores.postgres.changes.remaking import dropped_with_table
from reconcile.stores.postgres.resources import (
    ROUTINES,
    Check,
    Column,
    ForeignKey,
    Key,
    Policy,
    PostgresResource,
    PrimaryKey,
    Table,
    Trigger,
)
from reconcile.stores.postgres.sqlattached import security_statements
from reconcile.stores.postgres.sqlpartitions import partition_by_clause, shown
from reconcile.stores.postgres.sqltables import (
    all_column_calls,
    identity_calls,
    identity_index,
    marks,
    table_options,
)
from reconcile.stores.postgres.sqltext import as_written, column_clause, constraint_clause, ident, relation

_FOLDED = (Column, Key, Check)
"""What CREATE TABLE makes along. A check that is declared not valid is: the new table has no rows it could miss."""


def folded(world: World, table: Address) -> list[PostgresResource]:
    """The children that CREATE TABLE makes, columns in their declared order first, then keys, then checks."""
    children = [r for r in world.target.children(table) if isinstance(r, _FOLDED) and not _apart(world, r)]
    columns = sorted((r for r in children if isinstance(r, Column)), key=lambda c: (c.position, c.address))
    rest = sorted((r for r in children if not isinstance(r, Column)), key=_rank)
    return [*columns, *rest]


def _apart(world: World, resource: PostgresResource) -> bool:
    """Added when the table is there; of a column that waits so, only the default, if it has one."""
    if isinstance(resource, Check):
        return resource.not_valid or waits_for_table(world, resource)
    return isinstance(resource, Column) and resource.default is None and waits_for_table(world, resource)


def marked(world: World, table: Table) -> list[Address]:
    """The indexes, and constraints that have one, which the table names: CLUSTER ON, replica identity."""
    names = {table.cluster_on, identity_index(table)}
    kinds = ("index", "primary_key", "unique", "exclusion")
    return [r.address for r in world.target.children(table.address) if r.address.kind in kinds and r.name in names]


def persistence_changes(world: World, table: Address) -> bool:
    """Whether the plan makes a logged table unlogged, or the other way round."""
    before, after = world.live.get(table), world.target.get(table)
    return isinstance(before, Table) and isinstance(after, Table) and before.unlogged != after.unlogged


def _rank(resource: Resource) -> tuple[int, Address]:
    kinds = 0 if isinstance(resource, PrimaryKey) else 1 if isinstance(resource, Key) else 2
    return kinds, resource.address


class CreateTable(Creation):
    """CREATE TABLE with columns, primary key, unique and check constraints, and all their comments."""

    before: None
    after: Table

    def describe(self) -> str:
        """See `Change.describe`."""
        by = self.after.partition_by
        return f"table, partitioned by {shown(by)}" if by else "table"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        children = folded(world, self.address)
        later = [c for c in children if isinstance(c, Column) and waits_for_table(world, c)]
        twice = _same_again(children)
        written = [c for c in children if c not in twice]
        clauses = [_clause(_bare(c) if isinstance(c, Column) and c in later else c) for c in written]
        body = ",\n  ".join(clauses)
        by = partition_by_clause(self.after.partition_by)
        calls = [create_statement(self.after, f"({_indented(body)}){by}"), *comments(self.after)]
        calls += security_statements("disabled", self.after)
        calls += [f"ALTER TABLE {relation(self.address)} ADD {constraint_clause(key)}" for key in twice]
        calls += all_column_calls(c for c in children if isinstance(c, Column))
        calls += [sql for child in children for sql in comments(child)]
        inside = {self.address, *(c.address for c in children)}
        refers = [a for r in (self.after, *children) for a in r.refers if a not in inside]
        calls += made_marks(world, self.after, [a for a in marked(world, self.after) if a in inside])
        called = {a for c in later for a in c.refers if a.kind in ROUTINES}
        steps = [
            self.step(
                world,
                1,
                "create",
                calls,
                needs={no(self.address)} | in_schema(world, self.after) | requires(world, set(refers) - called),
                gives=[
                    *map(has, sorted(inside)),
                    *(ok(a) for a in sorted(inside) if not any(a == c.address for c in later)),
                ],
            )
        ]
        if later:
            alter = f"ALTER TABLE {relation(self.address)} ALTER COLUMN"
            defaults = [f"{alter} {ident(c.name)} SET DEFAULT {as_written(c, 'default')}" for c in later]
            gives = [ok(c.address) for c in later]
            steps.append(self.step(world, 2, "defaults", defaults, needs=requires(world, called), gives=gives))
        return steps


def _clause(part: PostgresResource) -> str:
    return column_clause(part) if isinstance(part, Column) else constraint_clause(part)


def create_statement(table: Table, body: str) -> str:
    """CREATE TABLE around what is in it."""
    kind = "UNLOGGED TABLE" if table.unlogged else "TABLE"
    return f"CREATE {kind} {relation(table.address)} {body}{table_options(table)}"


def made_marks(world: World, table: Table, made: Sequence[Address]) -> list[str]:
    """What a new table says of itself and of what is `made` along; an index says its part when it is made."""
    said = table.replica_identity == "default" or identity_index(table) is not None
    plain = [] if said else identity_calls(None, table)
    return [*plain, *(sql for a in made for sql in marks(table, world.target[a].name))]


def _same_again(children: Sequence[PostgresResource]) -> list[PostgresResource]:
    """Keys over the columns of another: CREATE TABLE would make one of the two without a word."""
    seen, found = set[tuple[str, ...]](), list[PostgresResource]()
    for key in children:
        if isinstance(key, Key):
            found += [key] if key.columns in seen else []
            seen.add(key.columns)
    return found


def _indented(body: str) -> str:
    return f"\n  {body}\n" if body else ""


class DropTable(Removal):
    """DROP TABLE with all that is in it; refused while anything else needs it."""

    before: Table
    after: None

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: what stands on it, where something of another kind takes its name."""
        from reconcile.stores.postgres.changes.again import around_succeeded

        return around_succeeded(world, self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        children = gone_along(world, self.address)
        waits = dependents_settled(world, self.address, also=[c.address for c in children])
        apart = {c.address for c in children if dropped_apart(world, c)}
        owned = sequences_owned(world, *(c.address for c in children))
        inside = [self.address, *(c.address for c in children if c.address not in apart), *(s.address for s in owned)]
        refers = {a for c in children if c.address not in apart for a in c.refers} - set(inside)
        refers = {a for a in refers if not goes_before_table(world, a, self.address)}
        schema = Address(self.address.store, "schema", (self.before.schema,))
        kept = keeping.table_name(world, self.before)
        data = [] if kept or world.empty(self.address) else [Hazard.DELETES_DATA]
        drop = [f"DROP TABLE {relation(self.address)}"]
        waits |= {ok(s.address) for s in owned if not world.drops(s.address)}
        step = self.step(
            world,
            1,
            "keep" if kept else "drop",
            keeping.keep_table(world, self.before, kept, apart) if kept else drop,
            needs={has(self.address)} | waits | goes_first(world, [*refers, schema]) | {no(a) for a in apart},
            gives=[no(a) for a in inside],
            phase=Phase.CONTRACT,
            hazards=[Hazard.BREAKS_CLIENTS, *data],
        )
        return [replace(step, keeps=kept)]

    def remarks(self, world: World) -> Iterable[str]:
        """See `Change.remarks`."""
        return keeping.of_table(world, self.before)


def gone_along(world: World, table: Address) -> list[PostgresResource]:
    """All that DROP TABLE takes along: what is in it and its partitions, but for those that stay as tables."""
    found = []
    for part in world.live.children(table):
        if isinstance(part, Table):
            found += [part, *gone_along(world, part.address)] if part.address not in world.target else []
        elif not part.only_declared:
            found.append(cast(PostgresResource, part))
    return found


def dropped_apart(world: World, key: PostgresResource) -> bool:
    """Whether a part of a dropped table goes by its own step: two dropped tables may refer to each other."""
    if isinstance(key, Policy | Trigger):
        return not dropped_with_table(world, key)
    if not isinstance(key, ForeignKey):
        return False
    target = Address(key.address.store, "table", key.references)
    return target != key.container and world.drops(target)


class RenameTable(Renaming):
    """ALTER TABLE … RENAME TO, within its schema. What refers to it follows by itself."""

    before: Table
    after: Table
    renames: tuple[Address, ...] = ()
    """The addresses of what is in it, as they will be."""

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return [
            self.step(
                world,
                1,
                "rename",
                [
                    f"ALTER TABLE {relation(self.before.address)} RENAME TO {ident(self.after.address.parts[-1])}",
                    *_renamed_indexes(self.before, self.after.address.parts[-1]),
                ],
                gives=[*_renamed_facts(self.address, self.renames), no(self.before.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        from reconcile.stores.postgres.changes.renaming import readdressed

        back = tuple(readdressed(a, self.after.address, self.before.address) for a in self.renames)
        return RenameTable(self.after, self.before, back)

    def apply_to(self, state: State) -> State:
        """Everything in it and all that refers to it under the new name; a state that has it stays as it is."""
        from reconcile.stores.postgres.changes.renaming import rename_table

        return rename_table(state, self.before.address, self.after.address)


def _bare(column: Column) -> Column:
    """Without its default, which comes later."""
    return replace(column, default=None)


def _renamed_indexes(partition: Table, name: str) -> list[str]:
    """Indexes that a partition has from its table are called after it, and go on being so."""
    old = partition.address.parts[-1]
    found = [n for n, _ in partition.inherited if n.startswith(f"{old}_")]
    pairs = [(n, f"{name}{n.removeprefix(old)}") for n in found if len(f"{name}{n.removeprefix(old)}".encode()) <= 63]
    return [f"ALTER INDEX {ident(partition.schema, n)} RENAME TO {ident(new)}" for n, new in pairs]


def _renamed_facts(address: Address, children: Sequence[Address]) -> list[Fact]:
    return [has(address), ok(address), *map(has, children)]
