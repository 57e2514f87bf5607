"""What the writers of all kinds look things up in."""

from __future__ import annotations

from collections import defaultdict

from reconcile.model import Address, Resource, State
from reconcile.stores.postgres import resources as r


class Context:
    """The live state by what is in what."""

    def __init__(self, state: State, first: str) -> None:
        self.state, self.first = state, first
        self.parts: dict[Address, list[Resource]] = defaultdict(list)
        self.primary: dict[tuple[str, str], tuple[str, ...]] = {}
        for x in state.values():
            if x.container is not None:
                self.parts[x.container].append(x)
            if isinstance(x, r.PrimaryKey):
                self.primary[x.table.parts[0], x.table.parts[1]] = x.columns
