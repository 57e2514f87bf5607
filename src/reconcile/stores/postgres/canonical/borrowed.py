"""The scratch build in a database of the sandbox's: empty, of the same major version, with the live extensions.

What is not declared is not there. An object that needs it, or that this server cannot make, cannot be spelled here:
that says nothing of what is declared.
"""

from __future__ import annotations

import psycopg

from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.canonical.scratch import SURE, Scratch
from reconcile.stores.postgres.canonical.texts import texts
from reconcile.stores.postgres.lent import MONEY
from reconcile.stores.postgres.sqltext import ident


class Borrowed(Scratch):
    """See `Scratch`."""

    elsewhere = "the sandbox's PostgreSQL says: "

    def extensions(self) -> None:
        """All that are live or declared, where they are live; those that the sandbox lacks are left out."""
        found = {x.name: x for state in (self.desired, self.live.state) for x in state.of_kind("extension")}
        for x in found.values():
            assert isinstance(x, r.Extension)
            schema = x.in_schema or self.scratch[self.schemas[0]]
            make = [f"CREATE EXTENSION IF NOT EXISTS {ident(x.name)} SCHEMA {ident(schema)} CASCADE"]
            if schema not in self.names:
                make.insert(0, f"CREATE SCHEMA IF NOT EXISTS {ident(schema)}")
            if self.attempt(*make) is not None and self.attempt(f"CREATE EXTENSION {ident(x.name)} CASCADE"):
                self.lacking = True

    def says(self, error: psycopg.Error) -> bool:
        """Only what can have no other reason than the declaration."""
        return isinstance(error, SURE)

    def read(self) -> None:
        """All but constants of type money where the live database's locale is not installed here."""
        super().read()
        row = self.connection.execute("SELECT current_setting('lc_monetary'), current_setting(%s)", (MONEY,)).fetchone()
        if row is not None and row[0] == row[1]:
            return
        for address, x in list(self.result.found.items()):
            if any("::money" in (text or "") for _, text in texts(x)):
                del self.result.found[address]
                self.result.reasons[address] = (
                    f"{self.elsewhere}how money is written depends on a locale that is not installed here"
                )
