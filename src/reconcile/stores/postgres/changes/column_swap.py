"""A second column swapped in for the first: what is built on it before, and the one transaction that does it.

Columns of one table that share an index or a constraint are swapped together, in a step of the last of them: what they
share is built once, on all the new ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

from reconcile.change import Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Resource
from reconcile.stores.postgres.changes.column import used
from reconcile.stores.postgres.changes.column_identity import alter_statement
from reconcile.stores.postgres.changes.column_online_parts import (
    Part,
    parts_of,
    refuse,
    renames,
    virtual_readers,
)
from reconcile.stores.postgres.changes.column_rename import backfill_step, beside_step, build_steps
from reconcile.stores.postgres.changes.column_second import Second
from reconcile.stores.postgres.changes.column_type import rules_broken, users_away
from reconcile.stores.postgres.changes.common import (
    PostgresChange,
    comments,
    requires,
    sequences_owned,
)
from reconcile.stores.postgres.changes.constraint import (
    add_statement,
    drop_statement,
    rename_statement,
    unchecked,
    validate_statement,
)
from reconcile.stores.postgres.changes.named import keys_to
from reconcile.stores.postgres.changes.preconditions import misfits, nulls, preceded, rewritable
from reconcile.stores.postgres.changes.remaking import standing_on
from reconcile.stores.postgres.changes.swap import add_identity, named_not_null
from reconcile.stores.postgres.changes.sync import TIDY, copy_grants, nothing_hangs_on
from reconcile.stores.postgres.resources import Check, ForeignKey, Index, Key, Statistics
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


class Swap(Second):
    """The steps of one column, and those that are swapped with it."""

    def __init__(self, change: PostgresChange, world: World) -> None:
        """`change` is of a live column."""
        super().__init__(change, world)
        self.made: list[Step] = []
        self.ready: set[Fact] = set()
        self.helpers: list[Address] = []
        self.away: list[str] = []
        self.keys: list[str] = []
        self.rest: list[str] = []
        """Statements that put in place what was built: foreign keys to the column, keys, everything else."""

    def steps(self) -> list[Step]:
        """All of them; of columns that are swapped together, the last one's do it."""
        self._prepare()
        if self.members[-1] == self.address:
            self._take_over([self._other(a) for a in self.members])
        rows = () if not self.narrows else misfits(self.world, self.old, self.new)
        rules = () if self.judged.wider and self.new.using is None else rules_broken(self.world, self.old)
        more = nulls(self.world, [self.address]) if self.new.not_null and self.new.using is None else []
        return preceded(self.made, [*rows, *rules, *more, *rewritable(self.world, self.table)])

    def _other(self, address: Address) -> Swap:
        """Another of them, with what it is to put in place."""
        if address == self.address:
            return self
        other = Swap(self.seconds[address].change, self.world)
        other._prepare()
        return other

    def _prepare(self) -> None:
        parts = parts_of(self.world, self.old)
        refuse(self.change, self.world, self.old)
        far = [p for p in parts if isinstance(p, ForeignKey) and self.is_far(p)]
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
        self.made = [replace(s, needs=s.needs | self.start()) for s in steps]
        self._not_null()
        own = [p for p in parts if self.columns(p)[-1] == self.address]
        for index in (p for p in own if isinstance(p, Index)):
            self.rest += self._index(index)
        self.keys = [call for key in own if isinstance(key, Key) for call in self._key(key)]
        for statistics in (p for p in own if isinstance(p, Statistics)):
            self.rest += self._statistics(statistics)
        for key in (p for p in own if isinstance(p, Check | ForeignKey) and p not in far):
            self.rest += self._constraint(key, "col")
        self.ready |= {ok(p.address) for p in parts if renames(self.world, self.world.live[p.address])}
        self.away = [call for key in far if key in own for call in self._constraint(key, "ref", self.unique())]

    def _given_up(self, far: Iterable[ForeignKey]) -> list[str]:
        """Foreign keys of other tables to a second column that is to go again; of several, that goes once."""
        helpers = (self.world.live.get(self.helper(key, "ref")) for key in far)
        return [
            f"ALTER TABLE {relation(h.address)} DROP CONSTRAINT IF EXISTS {ident(h.name)}"
            for h in helpers
            if isinstance(h, ForeignKey)
        ]

    # -- steps ----------------------------------------------------------------------------------------------------

    def _add(self, word: str, calls: Iterable[str], **more: object) -> None:
        step = self.change.step(self.world, self._number(), word, calls, phase=self.phase, **more)  # type: ignore[arg-type]
        self.made.append(step)

    def _number(self) -> int:
        return int(self.made[-1].id.rpartition("/")[2].partition("-")[0]) + 1

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
        self._constrain(check, "not-null", [self.filled], anew=self.fresh)
        self.ready.discard(ok(check.address))
        name = ident(check.name)
        calls = [
            f"ALTER TABLE {table} ALTER COLUMN {ident(new)} SET NOT NULL",
            f"ALTER TABLE {table} DROP CONSTRAINT {name}",
        ]
        needs, gives = [ok(check.address)], [no(check.address)]
        self._add("not-null", calls, address=check.address, needs=needs, gives=gives, commit_before=True)

    def _constrain(self, helper: Check | ForeignKey, word: str, needs: Iterable[Fact], *, anew: bool) -> None:
        """Add a helper constraint NOT VALID, and validate it in a transaction of its own."""
        there = None if anew else self.world.live.get(helper.address)
        there = None if self._unhung(there) else there
        if there != helper:
            table, name = relation(helper.address), ident(helper.name)
            calls = [] if there is None else [f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"]
            calls.append(add_statement(helper, not_valid=True))
            self._add(word, calls, address=helper.address, needs=needs, gives=[has(helper.address)])
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

    def _index(self, index: Index) -> list[str]:
        """Build it on the second column; the statements that put it in place."""
        helper = cast(Index, self.moved(index, "col"))
        self._build(helper, index)
        calls = [
            f"DROP INDEX {object_name(index)}",
            f"ALTER INDEX {object_name(helper)} RENAME TO {ident(index.name)}",
            *comments(index),
        ]
        calls += marks(self.world.target.get(self.table), index.name)
        return calls

    def _build(self, helper: Index, part: Part) -> None:
        if self._is_other(helper) and not self.anew(part):
            self._unhang(helper)
        number = self._number() - 1
        steps = build_steps(self.change, self.world, helper, number, self.phase, anew=self.anew(part))
        if steps:
            steps[0] = replace(steps[0], needs=steps[0].needs | self.all_filled(part) | self.others(part))
        self.made += steps
        self.ready.add(ok(helper.address))
        self.helpers.append(helper.address)

    def _is_other(self, helper: Index) -> bool:
        """Whether an earlier run built something else under its name."""
        there = self.world.live.get(helper.address)
        return there is not None and there != helper

    def _unhang(self, helper: Index) -> None:
        """Foreign keys that an earlier run added to what it built go before that; then they hang on the new one."""
        hung = [k for k in keys_to(self.world, self.table) if k.helper_of is not None and k.index == helper.name]
        if hung:
            calls = [f"ALTER TABLE {relation(k.address)} DROP CONSTRAINT IF EXISTS {ident(k.name)}" for k in hung]
            self._add("away", calls, gives=[], journalled=True)

    def _unhung(self, key: Resource | None) -> bool:
        """Whether what a helper of an earlier run hangs on is built again, so that it is gone by then."""
        if not isinstance(key, ForeignKey):
            return False
        return any(h.name == key.index and self._is_other(h) for h in self.built())

    def _key(self, key: Key) -> list[str]:
        helper = self.key_helper(key)
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
        helper = cast(Statistics, self.moved(statistics, "col"))
        there = None if self.anew(statistics) else self.world.live.get(helper.address)
        if there != helper:
            calls = [] if there is None else [f"DROP STATISTICS IF EXISTS {object_name(helper)}"]
            calls += [statistics_statement(helper), *target_calls(helper, None), f"ANALYZE {relation(self.table)}"]
            needs = {*self.all_filled(statistics), *self.others(statistics)}
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
        helper = cast("Check | ForeignKey", self.moved(part, suffix))
        waits = {*needs, *self.all_filled(part), *self.others(part)}
        self._constrain(helper, "add", waits, anew=self.anew(part))
        self.helpers.append(helper.address)
        return [drop_statement(part), rename_statement(part, helper.name, part.name), *comments(part)]

    # -- the transaction ------------------------------------------------------------------------------------------

    def _take_over(self, members: Sequence[Swap]) -> None:
        """One short transaction: nothing in it reads the table."""
        calls = [call for m in members for call in m.pair.remove()]
        calls += [call for which in ("away", "keys", "rest") for m in members for call in getattr(m, which)]
        calls += [call for m in members for call in m._renamed()]
        hazards = [Hazard.BREAKS_CLIENTS, Hazard.DEPENDS_ON_DATA] if any(m.narrows for m in members) else []
        if any(m.judged.loses and m.new.using is None for m in members):
            hazards.append(Hazard.DELETES_DATA)
        needs, gives = {*requires(self.world, [self.table])}, set[Fact]()
        for m in members:
            needs |= {m.filled, has(m.address), *m.ready, *users_away(self.world, m.old)}
            needs |= requires(self.world, used(m.new))
            gives |= {has(m.address), ok(m.address), no(m.beside)}
        gives |= {no(a) for a in self.helpers}  # who builds one needs that it is not there: of the others nothing said
        step = self.change.step(
            self.world,
            self._number(),
            "swap",
            [*calls, TIDY],
            needs=needs,
            gives=gives,
            phase=Phase.CONTRACT,
            hazards=hazards,
            # those go in the same transaction
            commit_before=not any(m._has_above() for m in members),
        )
        self.made.append(step)

    def _has_above(self) -> bool:
        return bool(standing_on(self.world, [self.address], dropped=True) or virtual_readers(self.world, self.old))

    def _renamed(self) -> list[str]:
        """What the old column has goes over, and so does its name."""
        old, new, table, world = ident(self.name), self.beside.parts[-1], relation(self.table), self.world
        beside = replace(self.new, address=self.beside, live_name=None)
        owned = [
            f"ALTER SEQUENCE {relation(s.address)} OWNED BY {table}.{ident(new)}"
            for s in sequences_owned(world, self.address)
        ]
        default = as_written(self.new, "default")
        return [
            *owned,
            *([] if self.new.default is None else [alter_statement(beside, f"SET DEFAULT {default}")]),
            *add_identity(world, self.old, self.new, new),
            *([comment_statement(beside)] if self.new.comment is not None else []),
            copy_grants(self.table, self.name, new),
            nothing_hangs_on(self.table, self.name),
            f"ALTER TABLE {table} DROP COLUMN {old}",
            f"ALTER TABLE {table} RENAME COLUMN {ident(new)} TO {old}",
            *named_not_null(world, self.new),
        ]
