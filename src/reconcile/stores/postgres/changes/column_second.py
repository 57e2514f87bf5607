"""A column and the second one beside it: what is on both, and what has to be there before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

from reconcile.change import Phase, World
from reconcile.facts import Fact, done, has, ok
from reconcile.model import Address
from reconcile.stores.postgres.changes.casting import fitted
from reconcile.stores.postgres.changes.column import used
from reconcile.stores.postgres.changes.column_online_parts import (
    Part,
    begun,
    columns_of,
    parts_of,
    swapped,
    together,
)
from reconcile.stores.postgres.changes.common import (
    PostgresChange,
    renamed_first,
    requires,
)
from reconcile.stores.postgres.changes.key import key_index
from reconcile.stores.postgres.changes.renaming import with_column
from reconcile.stores.postgres.changes.sync import Pair
from reconcile.stores.postgres.changes.types import type_change
from reconcile.stores.postgres.resources import Column, ForeignKey, Index, Key
from reconcile.stores.postgres.sqltext import (
    helper_name,
)


class Second:
    """One column and the second one beside it."""

    def __init__(self, change: PostgresChange, world: World) -> None:
        """`change` is of a live column."""
        self.change, self.world = change, world
        self.old, self.new = cast(Column, change.before), cast(Column, change.after)
        self.address, self.table, self.name = change.address, self.old.table, self.old.name
        self.beside = self.table.child("column", helper_name(self.name, "new"))
        self.judged = type_change(self.old.type, self.new.type)
        declared = self.new.using is not None
        self.narrows = not (self.judged.wider or declared or self.old.type == self.new.type)
        value = self.new.using or fitted(world.server, self.old, self.new)
        self.pair = Pair(self.table, self.name, self.beside.parts[-1], self.new, value)
        self.begun = begun(world, self.old)
        self.phase = Phase.CONTRACT if self.narrows else Phase.MIGRATE
        self.fresh = self.begun is None or self.begun.synced != self.pair.digest
        """Whether what an earlier run built on the second column, if it did, is of no use."""
        self.filled = done(f"{self.address}/2-backfill")

    @cached_property
    def members(self) -> Sequence[Address]:
        """The columns that are swapped together, itself among them."""
        return together(self.world, self.address)

    @cached_property
    def seconds(self) -> Mapping[Address, Second]:
        """Of all its members."""

        def second(address: Address) -> Second:
            live, target = self.world.live[address], self.world.target[address]
            return Second(type(self.change)(live, target), self.world)

        return {a: self if a == self.address else second(a) for a in self.members}

    def is_far(self, key: ForeignKey) -> bool:
        """Whether it refers to any of the columns."""
        names = {a.parts[-1] for a in self.members}
        return key.references == self.table.parts and bool(names & set(key.references_columns))

    def columns(self, part: Part) -> list[Address]:
        """Those of the columns that a part is on, or refers to."""
        names = columns_of(part) if part.container == self.table else set()
        if isinstance(part, ForeignKey) and part.references == self.table.parts:
            names = names | set(part.references_columns)
        return [a for a in self.members if a.parts[-1] in names] or [self.address]

    def start(self) -> frozenset[Fact]:
        """What has to be as declared before: the column, where it is renamed; columns its foreign keys refer to."""
        needs = renamed_first(self.world, self.address) | requires(self.world, used(self.new))
        if len(self.members) == 1:  # else another's step gives that, at the end
            needs |= {has(self.address)}
        for key in self.world.live.children(self.table):
            if isinstance(key, ForeignKey) and self.name in key.columns and key.address in self.world.target:
                there = Address(key.address.store, "table", key.references)
                far = [there.child("column", c) for c in key.references_columns]
                needs |= {ok(c) for c in far if c not in self.members and swapped(self.world, c)}
        return frozenset(needs)

    def all_filled(self, part: Part) -> set[Fact]:
        """What building a part waits for: every row has its values."""
        return {self.seconds[a].filled for a in self.columns(part)}

    def anew(self, part: Part) -> bool:
        """Whether what an earlier run built in its place is gone with one of the second columns."""
        return any(self.seconds[a].fresh for a in self.columns(part))

    def helper(self, part: Part, suffix: str) -> Address:
        """What a part is called until it is in place."""
        kind = "index" if isinstance(part, Index | Key) else part.address.kind
        if kind in ("index", "statistics"):
            return Address(part.address.store, kind, (part.address.parts[0], helper_name(part.name, suffix)))
        return Address(part.address.store, kind, (*part.address.parts[:2], helper_name(part.name, suffix)))

    def on_second(self, part: Part) -> Part:
        """The part on the second columns."""
        for address in self.columns(part):
            part = cast(Part, with_column(part, address, self.seconds[address].beside.parts[-1]))
        return part

    def moved(self, part: Part, suffix: str) -> Part:
        """The same under a helper's name."""
        moved = self.on_second(part)
        return moved.replace(address=self.helper(part, suffix), live_name=None, comment=None, declared=None)

    def key_helper(self, key: Key) -> Index:
        """The unique index that a key is to be made from."""
        return replace(key_index(cast(Key, self.on_second(key))), address=self.helper(key, "col"))

    def built(self) -> list[Index]:
        """The indexes that are built on the second columns, for keys too."""
        parts = {p.address: p for m in self.seconds.values() for p in parts_of(self.world, m.old)}
        found = (p for p in parts.values() if isinstance(p, Index | Key))
        return [self.key_helper(p) if isinstance(p, Key) else cast(Index, self.moved(p, "col")) for p in found]

    def unique(self) -> set[Fact]:
        """What foreign keys to the columns wait for: that what they hang on is there."""
        return {ok(index.address) for index in self.built() if index.unique}

    def others(self, part: Part) -> frozenset[Fact]:
        """Its other columns, by the names they get and with the types they have in the end."""
        others = [part.table.child("column", n) for n in sorted(columns_of(part))]
        others = [c for c in others if c in self.world.live and c not in self.members]
        later = [c for c in others if swapped(self.world, c)]  # of a foreign key to this column: it waits for this one
        names = [fact for c in later for fact in renamed_first(self.world, c)]
        return requires(self.world, (c for c in others if c not in later)) | frozenset(names)
