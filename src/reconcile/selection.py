"""What of a store is managed, ignored or external: one function for load, diff, drift, import and scratch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from reconcile.model import Address, Resource

Owner: TypeAlias = Literal["managed", "ignored", "external"]


@dataclass(frozen=True)
class Selection:
    """`manage`, `ignore` and `external` of a store: names with `*` and `?`, matched against `public.tmp_x`.

    A pattern covers what it names and everything inside that: `auth` the schema and its tables, `public.users`
    the table, its columns and its indexes. `external` wins over `ignore`, both over `manage`.
    """

    manage: tuple[str, ...] = ("*",)
    ignore: tuple[str, ...] = ()
    external: tuple[str, ...] = ()

    def classify(self, what: Resource | Address, container: Address | None = None) -> Owner:
        """Whether an object is managed, ignored, or may only be referred to.

        Args:
            container: the table or collection of an object given by address.
        """
        if self._everything:
            return "managed"
        address = what if isinstance(what, Address) else what.address
        if not isinstance(what, Address):
            container = what.container
        key = (address.parts, container.parts if container else ())
        if key not in self._known:
            self._known[key] = self._owner(*key)
        return self._known[key]

    def _owner(self, parts: tuple[str, ...], container: tuple[str, ...]) -> Owner:
        names = {*_names(parts), *_names(container)}
        if any(map(self._external, names)):
            return "external"
        if any(map(self._ignore, names)):
            return "ignored"
        return "managed" if any(map(self._manage, names)) else "ignored"

    @cached_property
    def _everything(self) -> bool:
        return "*" in self.manage and not self.ignore and not self.external

    @cached_property
    def _known(self) -> dict[tuple[tuple[str, ...], tuple[str, ...]], Owner]:
        return {}

    @cached_property
    def _external(self) -> _Match:
        return _Match(self.external)

    @cached_property
    def _ignore(self) -> _Match:
        return _Match(self.ignore)

    @cached_property
    def _manage(self) -> _Match:
        return _Match(self.manage)


def _names(parts: tuple[str, ...]) -> Iterable[str]:
    """The dotted name and those of what it is inside of."""
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


class _Match:
    """Whether a name is covered by one of the patterns; case counts, `[` is itself."""

    def __init__(self, patterns: Iterable[str]) -> None:
        texts = [
            "".join({"*": ".*", "?": "."}.get(c) or re.escape(c) for c in pattern.replace('"', ""))
            for pattern in patterns
        ]
        self._regex = re.compile("|".join(f"(?:{t})" for t in texts), re.S) if texts else None

    def __call__(self, name: str) -> bool:
        return self._regex is not None and self._regex.fullmatch(name) is not None
