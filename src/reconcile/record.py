"""Frozen dataclasses that are cheap to make, by the ten thousand: what resources and their like are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, dataclass_transform

_set = object.__setattr__


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Record:
    """Makes of each subclass a frozen dataclass with keyword arguments, without a decorator.

    As `dataclass(frozen=True, kw_only=True)` would, at a tenth of the cost of a class and of an instance: a plan has
    dozens of the one and tens of thousands of the other, each with a few of its twenty fields. What it is not given,
    or what equals the default, is not kept: the class has it.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    _defaults: ClassVar[Mapping[str, object]] = {}
    """By field; MISSING of those that have to be given."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(init=False, repr=False, eq=False, kw_only=True, match_args=False)(cls)
        kind: type = cls
        cls._defaults = {f.name: f.default for f in dataclasses.fields(kind)}

    def __init__(self, **fields: object) -> None:
        defaults = self._defaults
        for name, value in fields.items():
            if value is not defaults[name]:
                _set(self, name, value)  # one by one: so all of a class share the names, and take half the memory

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return False
        kind: type = type(self)
        found = values(kind)
        return found(self) == found(other)

    def __hash__(self) -> int:
        kind: type = type(self)
        return hash(values(kind)(self))

    def __repr__(self) -> str:
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"


@cache
def values(kind: type) -> Callable[[object], tuple[object, ...]]:
    """Gets the values of the fields that count."""
    names = [name for name, _, _ in comparable(kind)]
    if len(names) == 1:  # of one name `attrgetter` gives no tuple
        return lambda of: (getattr(of, names[0]),)
    return attrgetter(*names)


@cache
def comparable(kind: type) -> tuple[tuple[str, str, object], ...]:
    """(field, JSON key, default) of the fields that count."""
    return tuple(
        (
            f.name,
            f.metadata.get("json", f.name),
            f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default,
        )
        for f in dataclasses.fields(kind)
        if f.compare
    )
