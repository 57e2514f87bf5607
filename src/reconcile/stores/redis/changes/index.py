"""Search indexes: made, given further fields, made anew, dropped. The keys they are over stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from reconcile.change import Action, Change, Op, Phase, Step, Timeouts, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Json
from reconcile.stores.redis import search
from reconcile.stores.redis.resources import Index

_WALL = Timeouts(wall="6h")
_BUILDS = frozenset({Hazard.BUILDS_INDEX, Hazard.NOT_TRANSACTIONAL})
_VECTOR = ("dimensions", "element", "distance")
"""What of a vector field the stored vectors have to fit."""


@dataclass(frozen=True)
class IndexChange(Change):
    """What the changes of an index share."""

    @property
    def index(self) -> Index:
        """`after`, or `before` of a drop."""
        return cast(Index, self.resource)

    def _step(
        self, word: str, calls: Sequence[Op], needs: Fact, gives: Fact, hazards: frozenset[Hazard], phase: Phase
    ) -> list[Step]:
        waits = () if self.after is None else (Op("wait_indexed", {"index": self.index.name}),)
        return [
            Step(
                id=f"{self.address}/1-{word}",
                address=self.address,
                calls=tuple(calls),
                phase=phase,
                needs=frozenset({needs}),
                gives=frozenset({gives}),
                transactional=False,
                after_commit=waits,
                hazards=hazards,
                timeouts=_WALL,
            )
        ]


class CreateIndex(IndexChange):
    """A new index: the server fills it from the keys that are there."""

    action: ClassVar[Action] = Action.CREATE

    def describe(self) -> str:
        """What it is over, and its fields."""
        return f"on {_over(self.index)}: {', '.join(_said(n, f) for n, f in self.index.fields.items())}"

    def steps(self, world: World) -> Sequence[Step]:
        """One command."""
        del world
        calls = [Op("command", {"words": search.create(self.index)})]
        return self._step("create", calls, no(self.address), ok(self.address), _BUILDS, Phase.EXPAND)

    def reverse(self) -> Change:
        """Drop it."""
        return DropIndex(self.after, None)


class AddFields(IndexChange):
    """Further fields, and nothing else: the server goes through the keys again."""

    action: ClassVar[Action] = Action.UPDATE

    @property
    def _new(self) -> list[str]:
        return [name for name in self.index.fields if name not in cast(Index, self.before).fields]

    def describe(self) -> str:
        """Which."""
        return f"adds {', '.join(_said(n, self.index.fields[n]) for n in self._new)}"

    def steps(self, world: World) -> Sequence[Step]:
        """One command a field that is not there: a try that was broken off may have added some."""
        del world
        calls = [
            Op("add_field", {"index": self.index.name, "field": name, "words": words})
            for name, words in zip(self._new, search.add(self.index, self._new), strict=True)
        ]
        return self._step("add", calls, has(self.address), ok(self.address), _BUILDS, Phase.EXPAND)

    def reverse(self) -> Change:
        """Without them it is another index."""
        return RebuildIndex(self.after, self.before)


class RebuildIndex(IndexChange):
    """Dropped and made anew: RediSearch changes nothing of an index but by adding fields, and renames none."""

    action: ClassVar[Action] = Action.REBUILD

    @property
    def reason(self) -> str | None:
        """It cannot be changed in place."""
        return "replace_because_cannot_update"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """What differs."""
        return tuple(path for path, _, _ in self._differences())

    def _differences(self) -> Iterator[tuple[tuple[str, ...], Json, Json]]:
        before, after = self.before, self.after
        assert isinstance(before, Index) and isinstance(after, Index)
        for key in ("on", "prefixes", "filter", "language", "stopwords"):
            if getattr(before, key) != getattr(after, key):
                yield (key,), getattr(before, key), getattr(after, key)
        for name in dict.fromkeys((*before.fields, *after.fields)):
            old, new = before.fields.get(name), after.fields.get(name)
            if old is None or new is None or old["type"] != new["type"]:
                if old != new:
                    yield ("fields", name), old, new
                continue
            for key in sorted({*old, *new}):
                if (was := _shown(old, key)) != (now := _shown(new, key)):
                    yield ("fields", name, key), was, now

    def describe(self) -> str:
        """Old and new of what differs."""
        return ", ".join(f"{'.'.join(path)} {_value(old)} → {_value(new)}" for path, old, new in self._differences())

    def steps(self, world: World) -> Sequence[Step]:
        """Two commands in one step: between them there is no index."""
        calls = [
            Op("drop_index", {"index": self.index.name}),
            Op("command", {"words": search.create(self.index)}),
        ]
        hazards = _BUILDS | {Hazard.INDEX_GAP}
        if self._misfits() and not world.empty(self.address):
            hazards |= {Hazard.NEEDS_REEMBEDDING}
        return self._step("rebuild", calls, has(self.address), ok(self.address), hazards, Phase.CONTRACT)

    def _misfits(self) -> bool:
        """Whether stored vectors are others than the index takes afterwards."""
        before, after = cast(Index, self.before).fields, self.index.fields
        return any(
            field["type"] == search.VECTOR
            and name in before
            and any(field.get(key) != before[name].get(key) for key in _VECTOR)
            for name, field in after.items()
        )

    def reverse(self) -> Change:
        """Make the old one again."""
        return RebuildIndex(self.after, self.before)


class DropIndex(IndexChange):
    """The keys stay."""

    action: ClassVar[Action] = Action.DELETE

    def describe(self) -> str:
        """What it was over."""
        return f"on {_over(self.index)}; the keys stay"

    def steps(self, world: World) -> Sequence[Step]:
        """One command."""
        del world
        hazards = frozenset({Hazard.BREAKS_CLIENTS, Hazard.NOT_TRANSACTIONAL})
        calls = [Op("drop_index", {"index": self.index.name})]
        return self._step("drop", calls, has(self.address), no(self.address), hazards, Phase.CONTRACT)

    def reverse(self) -> Change:
        """Make it again."""
        return CreateIndex(None, self.before)


def change_index(before: Index, after: Index) -> Change:
    """How an index that is there becomes another."""
    kept = {name: after.fields.get(name) for name in before.fields}
    if after.replace(fields=before.fields) == before and kept == dict(before.fields):
        return AddFields(before, after)
    return RebuildIndex(before, after)


def _shown(field: Mapping[str, Json], key: str) -> Json:
    return field.get(key, False if key in search.FLAGS else search.DEFAULTS.get(key))


def _over(index: Index) -> str:
    prefixes = ", ".join(f"{p}*" if p else "all keys" for p in index.prefixes)
    return f"{index.on} {prefixes}"


def _said(name: str, field: Mapping[str, Json]) -> str:
    if field["type"] != search.VECTOR:
        return f"{name} {field['type']}"
    return f"{name} {field['algorithm']}({field['dimensions']}) {field['distance']}"


def _value(value: Json) -> str:
    if value is None:
        return "unset"
    if isinstance(value, Mapping):
        return " ".join(str(v) if k == "type" else f"{k} {_value(v)}" for k, v in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or '""'
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
