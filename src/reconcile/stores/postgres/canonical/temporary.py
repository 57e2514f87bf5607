"""The scratch build in temporary objects: for a role that may not CREATE schemas, but has TEMPORARY on the database.

All schemas become one, `pg_temp`. What the first schema holds keeps its name there, as its names go unqualified
elsewhere; the rest is called by a number, which is read back as what it stands for. Functions are found in `pg_temp`
by a qualified name alone: calls of declared ones are qualified. https://www.postgresql.org/docs/current/sql-createtable.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg

from reconcile.model import Address, Resource, State
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.canonical.closure import built_names
from reconcile.stores.postgres.canonical.scratch import SURE, Scratch
from reconcile.stores.postgres.canonical.texts import texts
from reconcile.stores.postgres.names import as_shown, join
from reconcile.stores.postgres.sqlroutines import header, parsed
from reconcile.stores.postgres.sqltext import ident
from reconcile.stores.postgres.sqltokens import called, named, renamed

_NUMBERED = "_reconcile_temp_"
_RELATIONS = ("table", "view", "materialized_view", "sequence")
_HEAD = re.compile(r"(CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|AGGREGATE) )pg_temp\.(?!_reconcile_temp_)")
_OURS = re.compile(r"(?:pg_temp\.)?_reconcile_temp_(\d+)(\.?)")
_TEMP = re.compile(r"\bpg_temp(_\d+)?\.")
_BARE = re.compile(r"\bpg_temp\.")
_QUALIFIED = re.compile(r"\bpg_temp_\d+\.")
"""Where the catalog queries put names together, in aggregates; the server's own texts have the alias."""

_OTHERS = """
select distinct p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where p.proname = any(%s) and (n.nspname = 'pg_catalog' or n.oid in (select extnamespace from pg_extension))
  and not n.nspname = any(%s)
"""
"""Functions beside which a declared one of that name stands: which one a call means depends on its arguments."""


class Temporary(Scratch):
    """See `Scratch`."""

    def __init__(self, *args: Any) -> None:
        """As `Scratch`; what cannot be temporary is left out, with the reason."""
        super().__init__(*args)
        self.first = self.schemas[0]
        self.scratch = dict.fromkeys(self.schemas, "pg_temp")
        self._numbers: dict[tuple[str, str], int] = {}
        routines = [a for a in self.needed if a.kind in (*r.ROUTINES, "range") and a in self.desired]
        self._calls = {name for a in routines for name in built_names(self.desired[a])}
        there = self.connection.execute(_OTHERS, (sorted(self._calls), self.schemas)).fetchall()
        self._ambiguous = {row[0] for row in there}
        reasons = {a: why for a in self.wanted if (why := self._reason(self.desired[a])) is not None}
        self.result.reasons.update(reasons)
        self.wanted = {a: x for a, x in self.wanted.items() if a not in reasons}

    def _reason(self, x: Resource) -> str | None:
        """Why it cannot be spelled by a temporary object."""
        if x.container is not None and x.container.kind == "materialized_view":
            return "a materialized view cannot be temporary"
        parts = (x, *(self.desired[a] for a in sorted(self.closure.needs(x)) if a in self.desired))
        return next((why for part in parts if (why := self._part_reason(part)) is not None), None)

    def _part_reason(self, x: Resource) -> str | None:
        if isinstance(x, r.Aggregate | r.Collation) and x.schema != self.first:
            return f"the {x.address.kind} {join(*x.address.parts)} is of another schema than {self.first}"
        if any(_TEMP.search(text or "") for _, text in texts(x)):
            return "it names temporary objects itself"
        other = self._misnamed(x)
        if other is not None:
            return f"a query names {join(*other.parts)}, of another schema than {self.first}"
        is_read = parsed(header(x.definition_)) if isinstance(x, r.Routine) else (text or "" for _, text in texts(x))
        calls = {name for text in is_read for _, name in called(text)}
        both = sorted(self._ambiguous & calls)
        return f"the database has another function {both[0]}, beside the declared one" if both else None

    def _misnamed(self, x: Resource) -> Address | None:
        """What a query names and is called by a number here, where that name shows in what is read back.

        Columns are called after functions and types, and a table's name stands before its columns, numbered where two
        are alike.
        """
        is_query = isinstance(x, r.AnyView | r.Policy) or (
            isinstance(x, r.Routine) and "atomic" in x.definition_.lower()
        )
        if not is_query:
            return None
        text = " ".join(text for _, text in texts(x) if text)
        words = {name for qualifier, name in named(text) if qualifier in (None, self.first)}
        others = [pair for pair in named(text) if pair[0] not in (None, self.first)]
        for a in (a for schema, name in others for a in self.closure.at(str(schema), name)):
            if a.kind not in _RELATIONS or a.parts[1] in words:
                return a
        return None

    def prepare(self) -> None:
        """Find out what `pg_temp` is; the role must have TEMPORARY."""
        self._execute(f"CREATE TEMPORARY TABLE {ident(_NUMBERED)} ()")
        row = self.connection.execute("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").fetchone()
        assert row is not None
        self.names = {row[0]: self.first}

    def extensions(self) -> None:
        """None can be temporary: what names those that are not there yet cannot be spelled."""
        there = {x.address for x in self.live.state.of_kind("extension")}
        self.lacking = any(x.address not in there for x in self.desired.of_kind("extension"))

    def home(self, schema: str, name: str) -> tuple[str, str]:
        """See `Names.home`."""
        if schema == self.first:
            return "pg_temp", name
        number = self._numbers.setdefault((schema, name), len(self._numbers))
        return "pg_temp", f"{_NUMBERED}{number}"

    def sql(self, text: str) -> str:
        """See `Names.sql`; calls qualified."""

        def move(names: Sequence[str], what: str) -> Sequence[str] | None:
            if len(names) > 1:
                return (*self.home(*names[:2]), *names[2:]) if (names[0], names[1]) in self.built else None
            ours = (self.first, names[0]) in self.built
            calls = what == "(" and names[0] in self._calls
            return ("pg_temp", names[0]) if ours and (calls or what == "collate") else None

        return renamed(text, move)

    def object(self, x: Resource) -> str:
        """A materialized view as a view, whose query is spelled alike; an aggregate with its functions qualified."""
        if isinstance(x, r.MaterializedView):
            return f"CREATE VIEW {self.name(x.address)} AS {self.sql(x.query)}"
        if isinstance(x, r.Aggregate):
            x = x.replace(definition_=renamed(x.definition_, self._option))
        return super().object(x)

    def _option(self, names: Sequence[str], what: str) -> Sequence[str] | None:
        return ("pg_temp", *names) if what == "=" and len(names) == 1 and names[0] in self._calls else None

    def read(self) -> None:
        """All but what still shows how it was called."""
        super().read()
        for address, x in list(self.result.found.items()):
            if any(_NUMBERED in text or _TEMP.search(text) for _, text in texts(x) if text):
                del self.result.found[address]
                self.result.reasons[address] = f"it names what is of another schema than {self.first}"

    def says(self, error: psycopg.Error) -> bool:
        """Only what can have no other reason than the declaration: names differ here."""
        return isinstance(error, SURE)

    def spell(self, text: str) -> str:
        """See `Scratch.spell`."""
        if "pg_temp" not in text and _NUMBERED not in text:
            return text
        objects = {n: pair for pair, n in self._numbers.items()}

        def declared(match: re.Match[str]) -> str:
            schema, name = objects[int(match[1])]
            return f"{as_shown(name)}." if match[2] else f"{as_shown(schema)}.{as_shown(name)}"

        text = _HEAD.sub(lambda m: f"{m[1]}{as_shown(self.first)}.", text, count=1)
        text = _QUALIFIED.sub(f"{as_shown(self.first)}.", text)
        return _BARE.sub("", _OURS.sub(declared, text))

    shown = spell

    def found(self, state: State, address: Address) -> Resource | None:
        """See `Scratch.found`."""
        schema, name, *rest = address.parts
        bare, parenthesis, signature = name.partition("(")
        if address.kind in r.ROUTINES:
            name = self.home(schema, bare)[1] + parenthesis + signature
        else:
            name = self.home(schema, name)[1]
        kind = "view" if address.kind == "materialized_view" else address.kind
        x = state.get(Address(address.store, kind, (self.first, name, *rest)))
        if isinstance(x, r.View) and kind != address.kind:
            wanted = self.wanted[address]
            assert isinstance(wanted, r.MaterializedView)
            return wanted.replace(query=x.query, columns=x.columns)
        return x
