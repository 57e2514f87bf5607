"""Changes of indexes. The server has no ALTER: everything is made, dropped, or both.

Steps that make an index are journalled: whether the wait for ONLINE was over cannot be seen from what it is. A
resumed create finds the index there and waits again; a resumed replacement begins anew.

Manual: https://neo4j.com/docs/cypher-manual/5/indexes/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from reconcile.change import Action, Change, Irreversible, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Json, Resource
from reconcile.stores.neo4j import cypher, options
from reconcile.stores.neo4j.changes.common import (
    makes_way,
    own,
    phrase,
    place_differences,
    shown,
    step,
    wait,
    wanted_by_another,
)
from reconcile.stores.neo4j.dump import as_yaml, notable
from reconcile.stores.neo4j.resources import (
    BY_NAME,
    FAILED,
    LOOKUP,
    ONLINE,
    RANGE,
    VECTOR,
    Constraint,
    Index,
)


def _index(resource: Resource | None) -> Index:
    assert isinstance(resource, Index)
    return resource


def _said(index: Index) -> str:
    """`vector (:Chunk).embedding dimensions 384 similarity cosine`: options at their default are left out."""
    chosen = [f"{'.'.join(option.path)} {shown(value)}" for option, value in notable(index)]
    return phrase(("" if index.kind == RANGE else index.kind, index.says(), *chosen))


@dataclass(frozen=True)
class CreateIndex(Change):
    """A new index, built in the background after the commit."""

    action: ClassVar[Action] = Action.CREATE

    def describe(self) -> str:
        """Kind, place and options."""
        return _said(_index(self.after))

    def steps(self, world: World) -> Sequence[Step]:
        """One statement, then the wait until it is ONLINE."""
        after = _index(self.after)
        needs, _ = makes_way(after, after.name, world)
        demoted = any(
            isinstance(r, Constraint) and r.has_index and r.schema == after.schema and world.drops(r.address)
            for need in needs
            if (r := world.live.get(_subject(need))) is not None
        )
        gap = {Hazard.INDEX_GAP} if demoted and after.kind == RANGE and not world.empty(self.address) else set()
        return [
            step(
                self,
                "1-create",
                calls=(cypher.create(after, after.name, world.server),),
                needs=needs,
                gives=frozenset({ok(self.address)}),
                debris=(self.address,),
                journalled=True,
                after_commit=(wait(after.name),),
                hazards=frozenset({Hazard.BUILDS_INDEX} | gap),
            )
        ]

    def reverse(self) -> Change:
        """Drop it."""
        return DropIndex(self.after, None)


def _subject(need: Fact) -> Address:
    return Address.parse(need.subject.rpartition("/")[0] or need.subject)


@dataclass(frozen=True)
class DropIndex(Change):
    """The index goes. Queries name full-text and vector indexes, so these break; others get slower."""

    action: ClassVar[Action] = Action.DELETE

    def describe(self) -> str:
        """What it was."""
        return _said(_index(self.before))

    def steps(self, world: World) -> Sequence[Step]:
        """One statement.

        Raises:
            PlanError: the server's own lookup index.
        """
        before = _index(self.before)
        _refuse_lookup(before)
        return [
            step(
                self,
                "1-drop",
                calls=(cypher.drop(before, before.name, world.server),),
                phase=Phase.CONTRACT,
                needs=frozenset({has(self.address)}),
                gives=frozenset({no(self.address)}),
                hazards=frozenset({Hazard.BREAKS_CLIENTS} if before.kind in BY_NAME else ()),
            )
        ]

    def reverse(self) -> Change:
        """Make it again, with the options it had."""
        return CreateIndex(None, _usable(_index(self.before)))


@dataclass(frozen=True)
class ReplaceIndex(Change):
    """Another definition or other options under the same name."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    @property
    def reason(self) -> str:
        """There is no ALTER."""
        return "replace_because_cannot_update"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """Fields and options that differ."""
        before, after = _index(self.before), _index(self.after)
        paths: list[tuple[str, ...]] = [("kind",)] if before.kind != after.kind else []
        paths += [(name,) for name, _ in place_differences(before, after)]
        return (*paths, *(option.path for option, _, _ in options.differing(before, after)))

    @property
    def strategy(self) -> str:
        """One clause."""
        return "dropped and created in one transaction, then built in the background"

    def describe(self) -> str:
        """`analyzer english → standard`."""
        before, after = _index(self.before), _index(self.after)
        parts = [f"{before.kind} → {after.kind}"] if before.kind != after.kind else []
        parts += [text for _, text in place_differences(before, after)]
        parts += [f"{'.'.join(o.path)} {shown(b)} → {shown(a)}" for o, b, a in options.differing(before, after)]
        parts += ["the live one failed"] if before.state == FAILED else []
        return ", ".join(parts)

    def steps(self, world: World) -> Sequence[Step]:
        """Drop and create in one step, or in two where another object takes the place in between.

        Raises:
            PlanError: stored vectors would no longer fit; prints the next generation's YAML.
        """
        before, after = _index(self.before), _index(self.after)
        _refuse_lookup(before)
        _refuse_over_vectors(before, after, world)
        needs, _ = makes_way(after, after.name, world)
        gap = set() if before.state == FAILED or world.empty(self.address) else {Hazard.INDEX_GAP}
        return _drop_and_create(self, world, needs, gap, "1-replace", in_two=wanted_by_another(before, world))

    def reverse(self) -> Change | Irreversible:
        """The same the other way."""
        return ReplaceIndex(self.after, _usable(_index(self.before)))


@dataclass(frozen=True)
class RebuildIndex(Change):
    """A live index that failed while it was built: it answers nothing and blocks its own repair until dropped."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    @property
    def reason(self) -> str:
        """It is not usable."""
        return "rebuild_because_invalid"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """What forces it."""
        return (("state",),)

    @property
    def strategy(self) -> str:
        """One clause."""
        return "dropped and created in one transaction, then built in the background"

    def describe(self) -> str:
        """What the server says of it."""
        failure = _index(self.before).failure
        return phrase(("failed → online", f"({failure})" if failure else ""))

    def steps(self, world: World) -> Sequence[Step]:
        """Drop and create; no gap is opened that is not there."""
        needs, _ = makes_way(own(self.after), own(self.after).name, world)
        return _drop_and_create(self, world, needs, set(), "1-rebuild", in_two=False)

    def reverse(self) -> Irreversible:
        """There is nothing to go back to."""
        return Irreversible("the old index was not usable")


@dataclass(frozen=True)
class RenameIndex(Change):
    """Policy `names: enforce`: dropped under the live name, made under the declared one."""

    action: ClassVar[Action] = Action.RENAME

    @property
    def reason(self) -> str:
        """Nobody asked for it but the policy."""
        return "rename_enforced"

    @property
    def strategy(self) -> str:
        """One clause."""
        return "dropped and created in one transaction: the server has no RENAME"

    def describe(self) -> str:
        """`index_1a2b → person_name`."""
        return f"{own(self.before).name} → {own(self.after).name}"

    def steps(self, world: World) -> Sequence[Step]:
        """One step. Queries that name the index break."""
        before, after = _index(self.before), _index(self.after)
        needs, _ = makes_way(after, after.name, world)
        hazards = set() if world.empty(self.address) else {Hazard.INDEX_GAP}
        hazards |= {Hazard.BREAKS_CLIENTS} if before.kind in BY_NAME else set()
        return _drop_and_create(self, world, needs, hazards, "1-rename", in_two=False)

    def reverse(self) -> Change:
        """Back to the old name."""
        before, after = own(self.before), own(self.after)
        address = Address(before.address.store, before.address.kind, (before.name,))
        return RenameIndex(
            after.replace(address=address, live_name=after.name), before.replace(address=address, live_name=None)
        )


def _usable(index: Index) -> Resource:
    return index.replace(state=ONLINE, failure=None)


def _drop_and_create(
    change: Change, world: World, needs: frozenset[Fact], hazards: set[Hazard], word: str, *, in_two: bool
) -> list[Step]:
    before, after = _index(change.before), _index(change.after)
    drop = cypher.drop(before, before.name, world.server)
    create = cypher.create(after, after.name, world.server)
    made = {
        "gives": frozenset({ok(change.address)}),
        "after_commit": (wait(after.name),),
        "journalled": True,
        "phase": Phase.CONTRACT,
    }
    there = frozenset({has(change.address)})
    if not in_two:
        risks = frozenset(hazards | {Hazard.BUILDS_INDEX})
        return [step(change, word, calls=(drop, create), needs=needs | there, hazards=risks, **made)]
    first = f"{change.address}/1-drop"
    return [
        step(
            change,
            "1-drop",
            calls=(drop,),
            phase=Phase.CONTRACT,
            needs=there,
            gives=frozenset({done(first)}),
            journalled=True,
            hazards=frozenset(hazards),
        ),
        step(
            change,
            "2-create",
            calls=(create,),
            needs=needs | {done(first)},
            hazards=frozenset({Hazard.BUILDS_INDEX}),
            **made,
        ),
    ]


def _refuse_lookup(before: Index) -> None:
    if before.kind == LOOKUP:
        raise PlanError(
            f"{before.address} is the server's own token lookup index: without it every scan by label or type is slow",
            hint="choose another name in the YAML",
        )


def _refuse_over_vectors(before: Index, after: Index, world: World) -> None:
    """A changed contract over stored vectors is never carried out in place."""
    if before.kind != VECTOR or after.kind != VECTOR or before.schema != after.schema:
        return
    moved = [
        (name, getattr(before, name), getattr(after, name))
        for name in ("dimensions", "similarity")
        if getattr(before, name) is not None and getattr(before, name) != getattr(after, name)
    ]
    if not moved or world.empty(after.address):
        return
    what = ", ".join(f"{name} {shown(old)} → {shown(new)}" for name, old, new in moved)
    raise PlanError(
        f"{after.address}: {what}, but {after.says()} holds vectors made for the old contract",
        where=after.source,
        hint="\n  ".join(_next_generation(before, after)),
    )


def _next_generation(before: Index, after: Index) -> list[str]:
    """The YAML that leads over without a gap."""
    name, property_ = after.address.parts[0], after.properties[0]
    old = as_yaml(before)
    new = as_yaml(_index(after.replace(properties=(_generation(property_),))))
    if after.embedding:
        for key in ("dimensions", "similarity"):
            new.pop(key, None)
        new = {key: value for word in new for key, value in _with_contract(word, new, after.embedding)}
    width = max(len(name), len(_generation(name))) + 1
    return [
        "keep the old index as it is, put the new vectors into a second property with an index of its own:",
        "indexes:",
        f"  {name + ':':<{width}} {_flow(old)}",
        f"  {_generation(name) + ':':<{width}} {_flow(new)}",
        f"then fill {_generation(property_)}, let readers use {_generation(name)}, and remove {name}",
    ]


def _with_contract(key: str, entry: Mapping[str, Json], embedding: str) -> list[tuple[str, Json]]:
    """The entry's item, and after `properties` the contract."""
    return [(key, entry[key]), *([("embedding", embedding)] if key == "properties" else [])]


def _generation(name: str) -> str:
    """`embedding` → `embedding_v2` → `embedding_v3`."""
    found = re.fullmatch(r"(.*_v)(\d+)", name, re.S)
    return f"{found[1]}{int(found[2]) + 1}" if found else f"{name}_v2"


def _flow(entry: Json) -> str:
    from reconcile.yamldump import dump

    if isinstance(entry, dict):
        return "{" + ", ".join(f"{dump({k: 0}).partition(':')[0]}: {_flow(v)}" for k, v in entry.items()) + "}"
    if isinstance(entry, list | tuple):
        return f"[{', '.join(map(_flow, entry))}]"
    return dump({"k": entry}).removeprefix("k: ").rstrip("\n")
