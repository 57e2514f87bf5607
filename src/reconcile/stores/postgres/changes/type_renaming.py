"""Types under another name, and values of an enum: the changes, and states as they look afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from reconcile.change import Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Resource, State
from reconcile.stores.postgres.changes.common import (
    Renaming,
    in_schema,
)
from reconcile.stores.postgres.changes.custom_type import type_word
from reconcile.stores.postgres.changes.renaming import rename_simple, renamed_in, spelled
from reconcile.stores.postgres.changes.type_remaking import Type, range_makers
from reconcile.stores.postgres.names import generated_multirange
from reconcile.stores.postgres.resources import (
    Check,
    Column,
    Composite,
    Domain,
    Enum,
    Exclusion,
    Index,
    MaterializedView,
    Policy,
    Range,
    Trigger,
    View,
)
from reconcile.stores.postgres.sqltext import ident, literal, object_name
from reconcile.stores.postgres.sqltokens import Token, tokens


class RenameType(Renaming):
    """ALTER TYPE … RENAME TO, within its schema. Columns, views and functions follow by themselves."""

    before: Type
    after: Type

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        old, new = self.before, self.after
        calls = [f"ALTER {type_word(old)} {object_name(old)} RENAME TO {ident(new.name)}"]
        if isinstance(old, Range):
            calls = _range_calls(world, old, new.name)
        return [
            self.step(
                world,
                1,
                "rename",
                calls,
                needs=in_schema(world, new),
                gives=[has(self.address), ok(self.address), no(old.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RenameType(self.after, self.before)

    def apply_to(self, state: State) -> State:
        """The type and all that names it under the new name; a state that has it stays as it is."""
        return rename_type(state, self.before.address, self.after.address)


def _range_calls(world: World, x: Range, name: str) -> list[str]:
    """Also the functions that make its values and, where their names follow from its own, those of the multirange."""
    names = {x.name: name, generated_multirange(x.name): generated_multirange(name)}
    calls = [
        f"ALTER FUNCTION {ident(x.schema, called)}({types}) RENAME TO {ident(names[called])}"
        for called, types in range_makers(world, x)
        if called in names
    ]
    calls.append(f"ALTER TYPE {object_name(x)} RENAME TO {ident(name)}")
    if x.multirange is None and any(called != x.name for called, _ in range_makers(world, x)):
        was, now = generated_multirange(x.name), generated_multirange(name)
        calls.append(f"ALTER TYPE {ident(x.schema, was)} RENAME TO {ident(now)}")
    return calls


class RenameEnumValues(Renaming):
    """ALTER TYPE … RENAME VALUE: rows, defaults and conditions have the new name at once."""

    before: Enum
    after: Enum

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        return [(old, new) for old, new in zip(self.before.values, self.after.values, strict=True) if old != new]

    def describe(self) -> str:
        """See `Change.describe`."""
        return ", ".join(f"value {old} renamed {new}" for old, new in self._pairs)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        name, where = object_name(self.after), world.where(self.address)
        return [
            self.step(
                world,
                1,
                "rename-values",
                [f"ALTER TYPE {name} RENAME VALUE {literal(old)} TO {literal(new)}" for old, new in self._pairs],
                needs=[no(where)] if where != self.address else [has(self.address)],
                gives=[has(self.address), ok(self.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RenameEnumValues(self.after, self.before)

    def apply_to(self, state: State) -> State:
        """The enum and all constants of it with the new values."""
        return rename_values(state, self.address, dict(self._pairs))


def renamed(live: State, old: Address, wanted: Resource) -> tuple[Change, State]:
    """The rename of a type, or of values of an enum where the address is the same; and the state after it.

    Raises:
        PlanError: the enum has both the old value and the new one.
    """
    before = live[old]
    if old == wanted.address:
        assert isinstance(before, Enum) and isinstance(wanted, Enum)
        pairs = {o: n for n, o in wanted.renamed_values if o in before.values}
        both = [f"{o} and {n}" for o, n in pairs.items() if n in before.values]
        if both:
            raise PlanError(
                f"{wanted.source}: renamed_values: {old} has both {', '.join(both)}",
                hint="remove them from renamed_values: what holds the old value has to be changed by hand",
            )
        state = rename_values(live, old, pairs)
        return RenameEnumValues(before, state[old].replace(source=wanted.source)), state  # type: ignore[arg-type]
    state = rename_type(live, old, wanted.address)
    return RenameType(before, state[wanted.address].replace(source=wanted.source)), state  # type: ignore[arg-type]


def rename_type(state: State, old: Address, new: Address) -> State:
    """`state` after ALTER TYPE old RENAME TO new; unchanged where `old` is not in it."""
    if old not in state:
        return state
    names = {old.parts[-1]: new.parts[-1]}
    kind = state[old]
    if isinstance(kind, Range) and kind.multirange is None:
        names[generated_multirange(old.parts[-1])] = generated_multirange(new.parts[-1])
    moved = rename_simple(state, old, new)
    return State.of(_named_anew(r, names) if new in r.refers else r for r in moved.values())


def rename_values(state: State, enum: Address, values: Mapping[str, str]) -> State:
    """`state` after ALTER TYPE … RENAME VALUE, old to new; unchanged where the enum is not in it."""
    found = state.get(enum)
    if not isinstance(found, Enum):
        return state
    name = enum.parts[-1]

    def text(sql: str) -> str:
        return _constants(sql, name, values)

    after = replace(found, values=tuple(values.get(v, v) for v in found.values))
    return State.of(
        after if r.address == enum else _with_sql(r, text) if enum in r.refers else r for r in state.values()
    )


def _named_anew(x: Resource, names: Mapping[str, str]) -> Resource:
    """`x` where it names a type: as the type of something, or in a cast."""

    def type_(sql: str) -> str:
        for old, new in names.items():
            sql = renamed_in(sql, old, new)
        return sql

    x = _with_sql(x, lambda sql: _casts(sql, names))
    match x:
        case Column() | Domain():
            return x.replace(type=type_(x.type))
        case Range():
            return replace(x, subtype=type_(x.subtype))
        case Composite():
            return replace(x, fields=tuple(replace(a, type=type_(a.type)) for a in x.fields))
    return x


def _with_sql(x: Resource, text: Callable[[str], str]) -> Resource:
    """`x` with all its SQL passed through `text`."""

    def maybe(sql: str | None) -> str | None:
        return None if sql is None else text(sql)

    match x:
        case Column():
            return replace(x, default=maybe(x.default), generated=maybe(x.generated))
        case Domain():
            checks = tuple(replace(c, expression=text(c.expression)) for c in x.checks)
            return replace(x, default=maybe(x.default), checks=checks)
        case Check():
            return replace(x, expression=text(x.expression))
        case Index() | Exclusion():
            items = tuple(replace(i, expression=maybe(i.expression)) for i in x.columns)
            return x.replace(columns=items, where=maybe(x.where))
        case View() | MaterializedView():
            return x.replace(query=text(x.query))
        case Policy():
            return replace(x, using=maybe(x.using), check=maybe(x.check))
        case Trigger():
            return replace(x, condition=maybe(x.condition))
    return x


def _casts(sql: str, names: Mapping[str, str]) -> str:
    """`'a'::old` with the type's new name: only there, since a column may be called like its type."""
    found = list(tokens(sql))
    return "".join(
        spelled(names[str(t.name)]) if t.name in names and _is_cast_to(found, n) else t.text
        for n, t in enumerate(found)
    )


def _is_cast_to(found: Sequence[Token], at: int) -> bool:
    """Whether the name at `at` follows `::`, perhaps after its schema."""
    before = [t.text for t in found[max(0, at - 3) : at] if t.kind != "space"]
    return before[-1:] == ["::"] or (before[-1:] == ["."] and before[:1] == ["::"])


def _constants(sql: str, type_: str, values: Mapping[str, str]) -> str:
    """`'old'::type` and `'{old,other}'::type[]` with the new value."""
    found = list(tokens(sql))
    texts = [t.text for t in found]
    for n, token in enumerate(found):
        if token.kind != "string" or not token.text.startswith("'") or [t.text for t in found[n + 1 : n + 2]] != ["::"]:
            continue
        after = found[n + 2 : n + 6]
        named = after[2:] if [t.text for t in after[1:2]] == ["."] else after
        if named and named[0].name == type_:
            value = token.text[1:-1].replace("''", "'")
            array = [t.text for t in named[1:2]] == ["["]
            texts[n] = literal(_elements(value, values) if array else values.get(value, value))
    return "".join(texts)


def _elements(array: str, values: Mapping[str, str]) -> str:
    """An array constant with the new values, as far as none of its elements is quoted."""
    if '"' in array or "\\" in array:
        return array
    return "{" + ",".join(values.get(v, v) for v in array.strip("{}").split(",")) + "}"
