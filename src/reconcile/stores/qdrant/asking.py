"""Answers to declared checks and probes: how many points there are, and whether a search finds any. Reads only.

https://api.qdrant.tech/api-reference/points/count-points
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconcile.expectations import Answer, Refused
from reconcile.model import State
from reconcile.stores.asking import Ask, Foreseen, Timed
from reconcile.stores.qdrant.queries import foreseen
from reconcile.stores.qdrant.transport import QdrantError

if TYPE_CHECKING:
    from reconcile.stores.base import Live
    from reconcile.stores.qdrant.transport import Transport

FOUND = 10
"""How many points a search asks for."""


class Answering:
    """The part of a session that answers; see `stores.asking.Answers`."""

    http: Transport

    if TYPE_CHECKING:

        def introspect(self) -> Live:
            """The session's."""

    def answer(self, ask: Ask, seconds: float) -> Answer:
        """The number of points that pass the filter, counted exactly."""
        return _tried(lambda: ((int(self._points(ask, "count", seconds, exact=True)["count"]),),))

    def tried(self, asks: Sequence[Ask], seconds: float) -> Answer:
        """A search for what is near a stored vector, within the filter: the ids it finds, a row each."""

        def search() -> tuple[tuple[Any, ...], ...]:
            using = str(asks[-1].options.get("using") or "")
            first = self._points(asks[-1], "scroll", seconds, limit=1, with_vector=[using] if using else True)["points"]
            if not first:
                return ()
            vector = first[0]["vector"]
            vector = vector[using] if using else vector
            body = {"query": vector, "limit": FOUND, **({"using": using} if using else {})}
            found = self._points(asks[-1], "query", seconds, **body)["points"]
            return tuple((point["id"],) for point in found)

        return _tried(search)

    def prepared(self, ask: Ask, seconds: float) -> Refused | None:
        """See `stores.asking.Prepares`: by the names that it uses."""
        del seconds
        live = self.introspect().state
        return foreseen(ask, live, live).refused

    def foreseen(self, asks: Sequence[Ask], now: State, target: State, declared: State) -> Sequence[Foreseen]:
        """See `stores.asking.Prepares`: by the names that they use."""
        del declared
        return [foreseen(ask, now, target) for ask in asks]

    def timed(self, ask: Ask, runs: int, seconds: float) -> Timed:
        """See `stores.asking.Times`: a search for what is near a stored vector."""
        took = []
        for _ in range(runs):
            began = monotonic()
            answer = self.tried([ask], seconds)
            if answer.refused is not None:
                return Timed(refused=answer.refused)
            took.append(monotonic() - began)
        return Timed(tuple(took))

    def _points(self, ask: Ask, what: str, seconds: float, **body: Any) -> Any:
        filter_ = ask.options.get("filter")
        path = f"/collections/{quote(ask.text, safe='')}/points/{what}"
        return self.http.send("POST", path, {**body, **({"filter": filter_} if filter_ else {})}, seconds)


def _tried(ask: Callable[[], tuple[tuple[Any, ...], ...]]) -> Answer:
    """
    Raises:
        StoreError: the server does not answer.
    """
    try:
        return Answer(ask())
    except QdrantError as error:
        if error.status is None:
            raise
        return Answer(refused=Refused((str(error.status),), error.what, gone=error.passing), at=1)
