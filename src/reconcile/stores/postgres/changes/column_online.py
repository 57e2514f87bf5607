"""Columns that get another type online: a second column kept in step and filled, everything built on it, then swapped.

A prefix of the steps leaves helpers that the catalog shows for what they are: the next plan goes on with them, or
removes them where the declaration has changed its mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from reconcile.change import Change, Irreversible, Phase, Step, World
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.again import around, companions_of
from reconcile.stores.postgres.changes.column import used
from reconcile.stores.postgres.changes.column_alter import AlterColumnType, around_retyped, refuse_stored_vectors
from reconcile.stores.postgres.changes.column_identity import alter_statement
from reconcile.stores.postgres.changes.column_online_parts import (
    Part,
    begun,
    columns_of,
    is_far,
    online,
    parts_of,
    refuse,
    renames,
    virtual_readers,
)
from reconcile.stores.postgres.changes.column_rename import (
    backfill_step,
    beside_step,
    build_steps,
)
from reconcile.stores.postgres.changes.column_type import compared_with, fitted, indexes_built, users_away
from reconcile.stores.postgres.changes.common import (
    Alteration,
    comments,
    renamed_first,
    requires,
    sequences_owned,
    small,
)
from reconcile.stores.postgres.changes.constraint import (
    add_statement,
    drop_statement,
    rename_statement,
    unchecked,
    validate_statement,
)
from reconcile.stores.postgres.changes.key import key_index
from reconcile.stores.postgres.changes.preconditions import misfits, nulls, preceded, rewritable
from reconcile.stores.postgres.changes.remaking import comes_again, standing_on
from reconcile.stores.postgres.changes.renaming import with_column
from reconcile.stores.postgres.changes.swap import add_identity, named_not_null
from reconcile.stores.postgres.changes.sync import TIDY, Pair, copy_grants, nothing_hangs_on
from reconcile.stores.postgres.changes.types import TypeChange, is_vector, stored_vectors_fit, type_change
from reconcile.stores.postgres.resources import (
    Check,
    Column,
    ForeignKey,
    Index,
    Key,
    Statistics,
)
from reconcile.stores.postgres.sqlstatistics import statistics_statement, target_calls
from reconcile.stores.postgres.sqltables import marks
from reconcile.stores.postgres.sqltext import (
    as_written,
    comment_statement,
    deferrable_clause,
    helper_name,
    ident,
    key_word,
    object_name,
    relation,
)


@dataclass(frozen=True)
class AlterColumnOnline(Alteration):
    """Another type by a second column; at once where the table has no rows, or nothing would be written anew."""

    before: Column
    after: Column

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        online = "a new column kept in step by a trigger, filled in batches, then swapped in"
        same = self.before.type == self.after.type or self.after.using is not None
        free = not (same or type_change(self.before.type, self.after.type).rewrites)
        return f"in place, unless indexes would be built again: then {online}" if free else online

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: what stands on it; keys that cannot be compared with the new type."""
        from reconcile.stores.postgres.changes.column_generated import RecreateColumn

        if self._in_place(world):
            return around_retyped(world, self.before)
        found: list[Change] = around(world, [self.address])
        readers = virtual_readers(world, self.before)
        found += [RecreateColumn(g, g) for g in readers if world.target.get(g.address) == g]
        return found + companions_of(world, (u for u in compared_with(world, self.before) if comes_again(world, u)))

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: something uses the column that cannot be built on another beside it.
        """
        if self._in_place(world):
            return AlterColumnType(self.before, self.after).steps(world)
        if is_vector(self.before.type) and not stored_vectors_fit(self.before.type, self.after.type):
            refuse_stored_vectors(world, self.before, self.after)
        return _Swap(self, world).steps()

    def _in_place(self, world: World) -> bool:
        if begun(world, self.before) is not None:
            return False
        if small(world, self.before.table):
            return True
        if self.after.using is not None or self.before.type == self.after.type:
            return False
        judged = type_change(self.before.type, self.after.type)
        return not judged.rewrites and not indexes_built(world, self.before, judged)

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        if type_change(self.before.type, self.after.type).loses:
            return Irreversible(f"values cut or rounded to {self.after.type} do not come back")
        return AlterColumnOnline(self.after, self.before)


class _Swap:
    """The steps of one change."""

    def __init__(self, change: AlterColumnOnline, world: World) -> None:
        self.change, self.world = change, world
        self.old, self.new, self.table = change.before, change.after, change.before.table
        self.name = self.old.name
        self.beside = self.table.child("column", helper_name(self.name, "new"))
        self.judged: TypeChange = type_change(self.old.type, self.new.type)
        declared = self.new.using is not None
        self.narrows = not (self.judged.wider or declared or self.old.type == self.new.type)
        value = self.new.using or fitted(self.old, self.new)
        self.pair = Pair(self.table, self.name, self.beside.parts[-1], self.new, value)
        self.begun = begun(world, self.old)
        self.phase = Phase.CONTRACT if self.narrows else Phase.MIGRATE
        self.made: list[Step] = []
        self.fresh = self.begun is None or self.begun.synced != self.pair.digest
        """Whether what an earlier run built on the second column, if it did, is of no use."""
        self.ready: set[Fact] = set()
        self.helpers: list[Address] = []

    def steps(self) -> list[Step]:
        """All of them."""
        parts = parts_of(self.world, self.old)
        refuse(self.change, self.world, self.old, parts)
        swap: list[str] = []
        far = [p for p in parts if isinstance(p, ForeignKey) and is_far(p, self.old)]
        own = [p for p in parts if p not in far]
        first = beside_step(
            self.change,
            self.world,
            self.pair,
            self.begun,
            Phase.CONTRACT if self.narrows else Phase.EXPAND,
            also=self._given_up(far),
        )
        if self.narrows:  # from now on nobody can write what does not fit
            first = [replace(s, hazards=s.hazards | {Hazard.BREAKS_CLIENTS}) for s in first]
        steps = [*first, backfill_step(self.change, self.world, self.pair, self.phase)]
        self.made = [replace(s, needs=s.needs | self._start()) for s in steps]
        self._not_null()
        for index in (p for p in own if isinstance(p, Index)):
            swap += self._index(index)
        keys = [call for key in own if isinstance(key, Key) for call in self._key(key)]
        for statistics in (p for p in own if isinstance(p, Statistics)):
            swap += self._statistics(statistics)
        for key in (p for p in own if isinstance(p, Check | ForeignKey)):
            swap += self._constraint(key, "col")
        unique = frozenset(self.ready)
        self.ready |= {ok(p.address) for p in parts if renames(self.world, self.world.live[p.address])}
        away = [call for key in far for call in self._constraint(key, "ref", unique)]
        self._take_over([*away, *keys, *swap])
        rows = () if not self.narrows else misfits(self.world, self.old, self.new)
        more = nulls(self.world, [self.change.address]) if self.new.not_null and self.new.using is None else []
        return preceded(self.made, [*rows, *more, *rewritable(self.world, self.table)])

    def _start(self) -> frozenset[Fact]:
        """What has to be as declared before: the column, where it is renamed; columns its foreign keys refer to."""
        needs = (
            {has(self.change.address)}
            | renamed_first(self.world, self.change.address)
            | requires(self.world, used(self.new))
        )
        for key in self.world.live.children(self.table):
            if isinstance(key, ForeignKey) and self.name in key.columns and key.address in self.world.target:
                there = Address(key.address.store, "table", key.references)
                far = [there.child("column", c) for c in key.references_columns]
                needs |= {ok(c) for c in far if c != self.change.address and online(self.world, c)}
        return frozenset(needs)

    def _given_up(self, far: Iterable[ForeignKey]) -> list[str]:
        """Foreign keys of other tables to a second column that is to go again."""
        helpers = (self.world.live.get(self._helper(key, "ref")) for key in far)
        return [drop_statement(helper) for helper in helpers if isinstance(helper, ForeignKey)]

    # -- steps ----------------------------------------------------------------------------------------------------

    def _add(self, word: str, calls: Iterable[str], **more: object) -> None:
        step = self.change.step(self.world, self._number(), word, calls, phase=self.phase, **more)  # type: ignore[arg-type]
        self.made.append(step)

    def _number(self) -> int:
        return int(self.made[-1].id.rpartition("/")[2].partition("-")[0]) + 1

    def _filled(self) -> Fact:
        return done(f"{self.change.address}/2-backfill")

    def _not_null(self) -> None:
        """Through a check, validated before: nothing is scanned under the exclusive lock."""
        if not self.new.not_null or (self.begun is not None and not self.fresh and self.begun.not_null):
            return
        table, new = relation(self.table), self.beside.parts[-1]
        check = Check(
            address=self.table.child("check", helper_name(new, "not_null")),
            container=self.table,
            expression=f"{ident(new)} IS NOT NULL",
        )
        self._constrain(check, "not-null")
        self.ready.discard(ok(check.address))
        name = ident(check.name)
        calls = [
            f"ALTER TABLE {table} ALTER COLUMN {ident(new)} SET NOT NULL",
            f"ALTER TABLE {table} DROP CONSTRAINT {name}",
        ]
        needs, gives = [ok(check.address)], [no(check.address)]
        self._add("not-null", calls, address=check.address, needs=needs, gives=gives, commit_before=True)

    def _constrain(self, helper: Check | ForeignKey, word: str, needs: Iterable[Fact] = ()) -> None:
        """Add a helper constraint NOT VALID, and validate it in a transaction of its own."""
        there = None if self.fresh else self.world.live.get(helper.address)
        if there != helper:
            calls = [] if there is None else [drop_statement(helper)]
            calls.append(add_statement(helper, not_valid=True))
            after = {self._filled(), *needs}
            self._add(word, calls, address=helper.address, needs=after, gives=[has(helper.address)])
            if not unchecked(helper):
                self._add(
                    "validate",
                    [validate_statement(helper)],
                    address=helper.address,
                    needs=[has(helper.address)],
                    gives=[ok(helper.address)],
                    hazards=[Hazard.DEPENDS_ON_DATA],
                    commit_before=True,
                    long=True,
                    journalled=True,
                )
        self.ready.add(has(helper.address) if unchecked(helper) else ok(helper.address))

    def _helper(self, part: Part, suffix: str) -> Address:
        kind = "index" if isinstance(part, Index | Key) else part.address.kind
        if kind in ("index", "statistics"):
            return Address(part.address.store, kind, (part.address.parts[0], helper_name(part.name, suffix)))
        return Address(part.address.store, kind, (*part.address.parts[:2], helper_name(part.name, suffix)))

    def _moved(self, part: Part, suffix: str) -> Part:
        """The part on the second column, under a helper's name."""
        moved = with_column(part, self.change.address, self.beside.parts[-1])
        return cast(
            Part, moved.replace(address=self._helper(part, suffix), live_name=None, comment=None, declared=None)
        )

    def _index(self, index: Index) -> list[str]:
        """Build it on the second column; the statements that put it in place."""
        helper = cast(Index, self._moved(index, "col"))
        self._build(helper, index)
        calls = [
            f"DROP INDEX {object_name(index)}",
            f"ALTER INDEX {object_name(helper)} RENAME TO {ident(index.name)}",
            *comments(index),
        ]
        calls += marks(self.world.target.get(self.table), index.name)
        return calls

    def _others(self, part: Part) -> frozenset[Fact]:
        """Its other columns, by the names they get and with the types they have in the end."""
        others = [part.table.child("column", n) for n in sorted(columns_of(part))]
        others = [c for c in others if c in self.world.live and c != self.change.address]
        later = [c for c in others if online(self.world, c)]  # of a foreign key to this column: it waits for this one
        names = [fact for c in later for fact in renamed_first(self.world, c)]
        return requires(self.world, (c for c in others if c not in later)) | frozenset(names)

    def _build(self, helper: Index, part: Part) -> None:
        number = self._number() - 1
        steps = build_steps(self.change, self.world, helper, number, self.phase, anew=self.fresh)
        if steps:
            steps[0] = replace(steps[0], needs=steps[0].needs | {self._filled()} | self._others(part))
        self.made += steps
        self.ready.add(ok(helper.address))
        self.helpers.append(helper.address)

    def _key(self, key: Key) -> list[str]:
        moved = cast(Key, with_column(key, self.change.address, self.beside.parts[-1]))
        helper = replace(key_index(moved), address=self._helper(key, "col"))
        self._build(helper, key)
        return [
            drop_statement(key),
            f"ALTER TABLE {relation(key.address)} ADD CONSTRAINT {ident(key.name)} {key_word(key)}"
            f" USING INDEX {ident(helper.name)}{deferrable_clause(key.deferrable)}",
            *comments(key),
            *marks(self.world.target.get(self.table), key.name),
        ]

    def _statistics(self, statistics: Statistics) -> list[str]:
        """Collect them on the second column too; the statements that put them in place."""
        helper = cast(Statistics, self._moved(statistics, "col"))
        there = None if self.fresh else self.world.live.get(helper.address)
        if there != helper:
            calls = [] if there is None else [f"DROP STATISTICS {object_name(helper)}"]
            calls += [statistics_statement(helper), *target_calls(helper, None), f"ANALYZE {relation(self.table)}"]
            needs = {self._filled(), *self._others(statistics)}
            gives = [has(helper.address), ok(helper.address)]
            self._add("statistics", calls, address=helper.address, needs=needs, gives=gives, long=True)
        self.ready.add(ok(helper.address))
        self.helpers.append(helper.address)
        return [
            f"DROP STATISTICS {object_name(statistics)}",
            f"ALTER STATISTICS {object_name(helper)} RENAME TO {ident(statistics.name)}",
            *comments(statistics),
        ]

    def _constraint(self, part: Check | ForeignKey, suffix: str, needs: Iterable[Fact] = ()) -> list[str]:
        helper = cast("Check | ForeignKey", self._moved(part, suffix))
        self._constrain(helper, "add", {*needs, *self._others(part)})
        self.helpers.append(helper.address)
        return [drop_statement(part), rename_statement(part, helper.name, part.name), *comments(part)]

    def _take_over(self, swap: Sequence[str]) -> None:
        """One short transaction: nothing in it reads the table."""
        old, new, table, world = ident(self.name), self.beside.parts[-1], relation(self.table), self.world
        beside = replace(self.new, address=self.beside, live_name=None)
        owned = [
            f"ALTER SEQUENCE {relation(s.address)} OWNED BY {table}.{ident(new)}"
            for s in sequences_owned(world, self.change.address)
        ]
        default = (
            []
            if self.new.default is None
            else [alter_statement(beside, f"SET DEFAULT {as_written(self.new, 'default')}")]
        )
        identity = add_identity(world, self.old, self.new, new)
        calls = [
            *self.pair.remove(),
            *swap,
            *owned,
            *default,
            *identity,
            *([comment_statement(beside)] if self.new.comment is not None else []),
            copy_grants(self.table, self.name, new),
            nothing_hangs_on(self.table, self.name),
            f"ALTER TABLE {table} DROP COLUMN {old}",
            f"ALTER TABLE {table} RENAME COLUMN {ident(new)} TO {old}",
            *named_not_null(world, self.new),
            TIDY,
        ]
        hazards = [Hazard.BREAKS_CLIENTS, Hazard.DEPENDS_ON_DATA] if self.narrows else []
        if self.judged.loses and self.new.using is None:
            hazards.append(Hazard.DELETES_DATA)
        step = self.change.step(
            world,
            self._number(),
            "swap",
            calls,
            needs={self._filled(), has(self.change.address), *self.ready}
            | users_away(world, self.old)
            | requires(world, [self.table, *used(self.new)]),
            gives=[
                has(self.change.address),
                ok(self.change.address),
                no(self.beside),
                *(no(a) for a in self.helpers),
            ],
            phase=Phase.CONTRACT,
            hazards=hazards,
            # those go in the same transaction
            commit_before=not (
                standing_on(world, [self.change.address], dropped=True) or virtual_readers(world, self.old)
            ),
        )
        self.made.append(step)
