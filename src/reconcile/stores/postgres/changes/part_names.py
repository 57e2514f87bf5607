"""Names of the indexes that partitions have from a table above: declared ones, and such that nobody else needs.

The server names them when a partition or an index is made, by what is free at that moment; something that is made
later and declared under that name would find it taken. So what may meet is named at once, in the same step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from reconcile.change import Change, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.model import Address, Resource, State
from reconcile.stores.postgres.changes.common import Alteration, Creation, PostgresChange, Removal, requires
from reconcile.stores.postgres.changes.homes import taken_over
from reconcile.stores.postgres.names import generated
from reconcile.stores.postgres.partnames import RULES, Rule, usual
from reconcile.stores.postgres.resources import Index, InheritedIndex, Table
from reconcile.stores.postgres.sqltext import do_block, ident, literal, relation

Pair = tuple[Table, Rule]
"""A partition, and what it has from a table above."""


def declared(part: Address, rule: str) -> Address:
    """The address of a partition's index by the name it has above."""
    return part.child("inherited_index", rule)


def rules_above(state: State, part: Table) -> Iterator[Rule]:
    """What a partition has from all tables above, but for what is only built beside and takes another's place."""
    above = part.parent
    while above is not None:
        yield from (r for r in state.children(above) if isinstance(r, RULES) and r.leftover_of is None)
        parent = state.get(above)
        above = parent.parent if isinstance(parent, Table) else None


@dataclass
class PartNames:
    """The names in the indexes of partitions of one plan; ask `of_world`."""

    world: World
    there: frozenset[tuple[str, str]]
    """(schema, name) of every relation there is."""
    later: set[tuple[str, str]]
    """Of those that shall be."""
    leaving: Mapping[tuple[str, str], Address]
    """What has a name now and is dropped in this plan."""
    usual: Counter[tuple[str, str]]
    """What the server would call the new ones."""
    _chosen: dict[tuple[Address, str], str] = field(default_factory=dict)

    def of(self, part: Table, rule: Rule) -> str:
        """Its name: as declared, else the server's, with a number where that is another's.

        What is built beside has its last name at once where nobody has that yet.
        """
        key = part.address, rule.address.parts[-1]
        if key not in self._chosen:
            self._chosen[key] = self._beside(part, rule) or self._given(part, rule) or self._free_of(part, rule)
        return self._chosen[key]

    def _beside(self, part: Table, rule: Rule) -> str | None:
        if rule.leftover_of is None:
            return None
        address = Address(rule.address.store, rule.address.kind, (*rule.address.parts[:-1], rule.leftover_of))
        last = self.of(part, replace(rule, address=address))
        return None if (part.schema, last) in self.there else last

    def _free_of(self, part: Table, rule: Rule) -> str:
        name = usual(part, rule)
        return name if self._is_own(part, rule, name) else self.free(part, name)

    def _is_own(self, part: Table, rule: Rule, name: str) -> bool:
        """Whether a name that is taken is its own: of what it is now, or of what the partition brings with it."""
        there = self.world.live.get(declared(part.address, rule.address.parts[-1]))
        if isinstance(there, InheritedIndex) and there.called == name:
            return True
        own = (x for x in self.world.live.children(part.address) if isinstance(x, RULES) and x.name == name)
        return any(taken_over(self.world, x) for x in own)

    def _given(self, part: Table, rule: Rule) -> str | None:
        """The declared name; one that was the server's choice for what the rule was before is none."""
        address = declared(part.address, rule.address.parts[-1])
        there, old = self.world.target.get(address), self.world.live.get(rule.address)
        if not isinstance(there, InheritedIndex):
            return None
        chosen = isinstance(old, RULES) and there == self.world.live.get(address) and there.called == usual(part, old)
        return None if chosen else there.called

    def free(self, part: Table, name: str, left: Set[str] = frozenset()) -> str:
        """`name`, with a number where that is taken; it is taken from then on.

        Args:
            left: names that those who have them now give up.
        """
        schema, number, found = part.schema, 0, name
        while self._has(schema, found, left):
            number += 1
            base, _, end = name.rpartition("_")
            found = generated(base, None, f"{end}{number}")
        self.later.add((schema, found))
        return found

    def _has(self, schema: str, name: str, left: Set[str] = frozenset()) -> bool:
        if (schema, name) in self.later:
            return True
        return (schema, name) in self.there and name not in left and (not left or (schema, name) not in self.leaving)

    def troubled(self, part: Table, rule: Rule) -> bool:
        """Whether a new one is not left to the server: it is declared, or its name is another's."""
        if self._given(part, rule) is not None:
            return True
        name = usual(part, rule)
        met = self._has(part.schema, name) or self.usual[part.schema, name] > 1
        return met and not self._is_own(part, rule, name)


def of_world(world: World) -> PartNames:
    """The names of this plan."""

    def looked_up() -> PartNames:
        states = (world.live, world.target)
        there, later = ({n[1:] for x in s.values() for n in x.occupies if n[0] == "relation"} for s in states)
        parts = [t for t in world.target.of_kind("table") if isinstance(t, Table) and t.partition_of is not None]
        pairs = [(p, r) for p in parts for r in rules_above(world.target, p) if _is_new(world, p, r)]
        names = Counter((p.schema, usual(p, r)) for p, r in pairs)
        gone = (x for x in world.live.values() if x.address not in world.target and not x.only_declared)
        leaving = {(n[1], n[2]): x.address for x in gone for n in x.occupies if n[0] == "relation"}
        return PartNames(world, frozenset((s, n) for s, n in there), {(s, n) for s, n in later}, leaving, names)

    return world.once("names of parts", None, looked_up)


def _is_new(world: World, part: Table, rule: Rule) -> bool:
    before, after = world.live.get(rule.address), world.live.get(part.address)
    return before is None or not isinstance(after, Table) or after.partition_of != part.partition_of


def rules_named(world: World, part: Table) -> frozenset[Fact]:
    """What `naming` waits for: rules above that get their declared name in this plan."""
    above = rules_above(world.target, part)
    return frozenset(ok(r.address) for r in above if r.address in world.live and world.where(r.address) != r.address)


def naming(world: World, part: Table) -> list[str]:
    """The statement after which what a new partition has from above is called as it is to be, if one is needed."""
    names = of_world(world)
    return _statement(world, [(part, r) for r in rules_above(world.target, part) if names.troubled(part, r)])


def naming_below(world: World, rule: Rule, *, all_: bool = False) -> list[str]:
    """The same for what all partitions of a table have from a new rule of it; those not made yet are passed over.

    Args:
        all_: also what would be left to the server, since it was made under other names.
    """
    inside = world.target.inside
    parts = world.once("parts of", rule.table, lambda: [t for t in inside(rule.table) if isinstance(t, Table)])
    return _statement(world, [(p, rule) for p in parts if all_ or of_world(world).troubled(p, rule)])


def _statement(world: World, pairs: Sequence[Pair]) -> list[str]:
    if not pairs:
        return []
    names = of_world(world)
    return renaming({(_above(rule), relation(part.address)): names.of(part, rule) for part, rule in pairs})


def _above(rule: Rule) -> str:
    return ident(rule.address.parts[0], rule.name)


def renaming(wanted: Mapping[tuple[str, str], str]) -> list[str]:
    """One statement that gives indexes of partitions their names, in two rounds, since one may have another's.

    Args:
        wanted: names by (index on top, partition), quoted. What is not there is passed over.
    """
    if not wanted:
        return []
    rows = ",\n      ".join(f"({literal(a)}, {literal(p)}, {literal(name)})" for (a, p), name in wanted.items())
    return [
        do_block(f"""
DECLARE x record;
BEGIN
  FOR round IN 1..2 LOOP
    FOR x IN
      SELECT c.oid::regclass AS now, CASE round WHEN 1 THEN '__rc_' || c.oid ELSE w.name END AS name
      FROM (VALUES
      {rows}) w(above, part, name)
      JOIN pg_index i ON i.indrelid = to_regclass(w.part)
      JOIN pg_class c ON c.oid = i.indexrelid AND c.relname <> w.name
      WHERE to_regclass(w.above) IN (SELECT a.relid FROM pg_partition_ancestors(c.oid) a)
    LOOP
      EXECUTE format('ALTER INDEX %s RENAME TO %I', x.now, x.name);
    END LOOP;
  END LOOP;
END
""")
    ]


class NameIndex(Creation):
    """A declared name of what this plan makes: given by the step that makes it."""

    before: None
    after: InheritedIndex

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"called {self.after.called}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`: none."""
        del world
        return []


def _renames(world: World, part: Address) -> Mapping[tuple[str, str], str]:
    """Names by (index on top, partition) of all in a partition that stay and get others, and of who has one of these.

    What is made anew gets its name from who makes it.
    """
    table, names = world.target.get(part), of_world(world)
    live = world.live.of_kind("inherited_index")
    there = sorted((x for x in live if isinstance(x, InheritedIndex)), key=lambda x: x.address)
    mine = [x for x in there if x.table == part and world.target.get(x.address) != x and _stays(world, x)]
    if not isinstance(table, Table):
        return {}
    left, found = {x.called for x in mine}, dict[tuple[str, str], str]()
    for x in mine:
        after = world.target.get(x.address)
        name = after.called if isinstance(after, InheritedIndex) else names.free(table, x.usual, left)
        found |= _wanted(world, x, name)
    for x in there:
        if x.schema == part.parts[0] and x.called in found.values() and world.target.get(x.address) == x:
            other = world.target.get(x.table)
            found |= _wanted(world, x, names.free(other, x.usual, left)) if isinstance(other, Table) else {}
    return found


def _rule(state: State, x: InheritedIndex) -> Rule | None:
    part = state.get(x.table)
    rules = rules_above(state, part) if isinstance(part, Table) else ()
    return next((r for r in rules if r.address.parts[-1] == x.name), None)


def _stays(world: World, x: InheritedIndex) -> bool:
    """Whether the index is not made anew."""
    before, after = _rule(world.live, x), _rule(world.target, x)
    return before is not None and after is not None and _plain(before) == _plain(after)


def _plain(rule: Rule) -> Resource:
    more = {"valid": True} if isinstance(rule, Index) else {"index_comment": None}
    return rule.replace(with_=(), comment=None, **more)


def _wanted(world: World, x: InheritedIndex, name: str) -> dict[tuple[str, str], str]:
    rule = _rule(world.target, x)
    return {} if rule is None else {(_above(rule), relation(x.table)): name}


def _rename_steps(change: PostgresChange, world: World, x: InheritedIndex, gives: Iterable[Fact]) -> list[Step]:
    if not _stays(world, x):
        return []
    wanted = world.once("renamed indexes", x.table, lambda: _renames(world, x.table))
    calls, leaving = renaming(wanted), of_world(world).leaving
    needs = {has(x.address)} | requires(world, [x.table])
    needs |= {no(a) for (_, _), name in wanted.items() if (a := leaving.get((x.schema, name))) is not None}
    return [change.step(world, 1, "rename", calls, needs=needs, gives=gives)]


class RenameInheritedIndex(Alteration):
    """ALTER INDEX … RENAME TO of what a partition has from its table, with all of the partition that are renamed."""

    before: InheritedIndex
    after: InheritedIndex

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"called {self.before.called} → {self.after.called}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return _rename_steps(self, world, self.before, [has(self.address), ok(self.address)])


class ForgetIndexName(Removal):
    """A name that nobody declares given up for what the server would choose."""

    before: InheritedIndex
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"called {self.before.called} → {self.before.usual}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`: none where the index goes."""
        return _rename_steps(self, world, self.before, [no(self.address)])

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return NameIndex(None, self.before)


def drop(before: InheritedIndex, after: None) -> Change | None:
    """Nothing where it is called as the server would, or with the index."""
    return None if before.chosen else ForgetIndexName(before, after)
