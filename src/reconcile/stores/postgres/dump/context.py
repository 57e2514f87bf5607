"""What the writers of all kinds look things up in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from reconcile.model import Address, Resource, State
from reconcile.stores.postgres import resources as r


class Context:
    """The live state by what is in what."""

    def __init__(
        self,
        state: State,
        first: str,
        place: Callable[[str], str] | None = None,
        user: str = "",
        version: tuple[int, ...] = (),
    ) -> None:
        self.state, self.first, self.place = state, first, place
        self.user, self.version = user, version
        """The role that connects, and the server's version."""
        self.files: dict[str, str] = {}
        """What is written beside the YAML, by name."""
        self.parts: dict[Address, list[Resource]] = defaultdict(list)
        self.primary: dict[tuple[str, str], tuple[str, ...]] = {}
        for x in state.values():
            if x.container is not None:
                self.parts[x.container].append(x)
            if isinstance(x, r.PrimaryKey):
                self.primary[x.table.parts[0], x.table.parts[1]] = x.columns

    def beside(self, name: str, text: str) -> str | None:
        """Write `text` to a file of its own, `sql/NAME.sql` of `[a-z0-9_-]`; its path from the project folder.

        None where everything has to stand in the YAML.
        """
        if self.place is None:
            return None
        base = re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_")[:100] or "routine"
        file, n = f"sql/{base}.sql", 1
        while file in self.files:
            n += 1
            file = f"sql/{base}_{n}.sql"
        self.files[file] = text
        return self.place(file)
