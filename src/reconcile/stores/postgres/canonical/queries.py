"""Whether the application's queries can be prepared against a schema that is not there yet.

What they name is built in scratch schemas as the plan leaves it, and they are prepared against that; all of it is
rolled back. PREPARE looks at names and types, and plans nothing: that an `ON CONFLICT` has its unique index, only a run
of the query can tell. https://www.postgresql.org/docs/current/sql-prepare.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import psycopg

from reconcile.expectations import Refused
from reconcile.model import Address, Resource, State
from reconcile.stores.asking import Ask, Foreseen, changed
from reconcile.stores.base import Live
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.asking import refused, statements
from reconcile.stores.postgres.canonical.closure import Closure
from reconcile.stores.postgres.canonical.counterparts import Counterparts
from reconcile.stores.postgres.canonical.scratch import MISSING, Scratch
from reconcile.stores.postgres.canonical.ways import NO_CREATE, possible
from reconcile.stores.postgres.sqltokens import named, tokens

if TYPE_CHECKING:
    from reconcile.stores.postgres.canonical import Connected

_NAME = "reconcile_query"


def prepare(sql: str, types: Sequence[str]) -> tuple[str, str]:
    """What prepares a query, and takes it back: prepared statements outlive a rollback."""
    given = f" ({', '.join(types)})" if types else ""
    (_, statement), *_ = statements(sql)
    return f"PREPARE {_NAME}{given} AS {statement}", f"DEALLOCATE {_NAME}"


def foreseen(
    session: Connected, asks: Sequence[Ask], now: State, target: State, alive: Callable[[Ask], Refused | None]
) -> list[Foreseen]:
    """See `stores.asking.Prepares`.

    Args:
        alive: whether a query is refused as things stand: for where nothing can be built.
    """
    moved = changed(now, target)
    with session.scratch() as connection:
        may_create, reason = possible(connection)
        if may_create and reason is None:
            return _built(session, connection, asks, now, target)
    more = any(address not in now for address in target)
    return [_alive(ask, moved, more, reason or NO_CREATE, alive) for ask in asks]


def _alive(
    ask: Ask, moved: Iterable[Address], more: bool, why: str, alive: Callable[[Ask], Refused | None]
) -> Foreseen:
    """By what there is, where the plan changes nothing that the query names: else nothing is known of it.

    Args:
        more: whether the plan makes anything, which the query may wait for.
    """
    if gone := tuple(address for address in moved if _names(ask.text, address)):
        named = ", ".join(map(str, gone[:3]))
        what = f"the plan changes {named}, and what is declared cannot be built to try it: {why}"
        return Foreseen(Refused(("unknown",), what, gone=True), gone)
    if (said := alive(ask)) is not None:
        what = f"{said.what}; what the plan makes cannot be built to try it: {why}"
        return Foreseen(Refused(said.names, what, gone=True) if more else said)
    return Foreseen(notes=("tried with what there is, of which the plan changes nothing that it names",))


def _built(
    session: Connected, connection: psycopg.Connection[Any], asks: Sequence[Ask], now: State, target: State
) -> list[Foreseen]:
    moved = changed(now, target)
    build = _Queries(session, connection, asks, now, target)
    build.run()
    found = []
    for ask, error in zip(asks, build.errors, strict=True):
        gone = tuple(address for address in moved if _names(ask.text, address))
        if isinstance(error, _Elsewhere):
            error = error.first if any(address not in target for address in gone) else None
        said = None if error is None else refused(error, 0)
        found.append(Foreseen() if said is None else Foreseen(Refused(said.names, build.shown(said.what)), gone))
    return found


def _names(sql: str, address: Address) -> bool:
    """Whether a query names it: of a column both itself and its table, but for `*`, which names all."""
    words = {name for token in tokens(sql) if (name := token.name) is not None}
    if address.kind == "column":
        return address.parts[1] in words and address.parts[2] in words
    if address.kind in ("table", "view", "materialized_view", "sequence", "enum", "domain", "composite", "range"):
        return any(name == address.parts[1] and schema in (None, address.parts[0]) for schema, name in named(sql))
    return address.kind in ("function", "procedure", "aggregate") and address.parts[1].partition("(")[0] in words


class _Elsewhere(Exception):
    """A query that is prepared only with the help of live objects: those that the plan leaves alone, or takes."""

    def __init__(self, first: psycopg.Error) -> None:
        super().__init__(str(first))
        self.first = first


class _Queries(Scratch):
    """What queries name, built as it will be; `run` prepares them."""

    def __init__(
        self, session: Connected, connection: psycopg.Connection[Any], asks: Sequence[Ask], now: State, target: State
    ) -> None:
        closure = Closure(target, Counterparts(target, now), [])
        texts = [text for ask in asks for text in (ask.text, *_types(ask))]
        wanted: list[Resource] = [target[a] for a in dict.fromkeys(b for text in texts for b in closure.named(text))]
        super().__init__(session, connection, closure, Live(now), wanted)
        self.keyed |= {a for a in self.needed if isinstance(target.get(a), r.Table)}
        self.asks = asks
        self.errors: list[psycopg.Error | _Elsewhere | None] = []

    def read(self) -> None:
        """In place of reading back what was built: prepare each query."""
        self._look_in(self.declared)
        for ask in self.asks:
            statements = prepare(self.sql(ask.text), [self.sql(type_) for type_ in _types(ask)])
            error: psycopg.Error | _Elsewhere | None = self._once(*statements)
            if isinstance(error, MISSING) and self.everywhere:
                self._look_in(self.everywhere)
                second = self._once(*statements)
                self._look_in(self.declared)
                if second is None:
                    error = _Elsewhere(error)
            self.errors.append(error)


def _types(ask: Ask) -> Sequence[str]:
    return [str(type_) for type_ in ask.options.get("types") or ()]
