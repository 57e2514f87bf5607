"""The stores as they are, each read by a thread of its own: begun early, while the rest of the program is imported.

A server is another process. What it does before it is waited for costs a command nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from reconcile.errors import ReconcileError, StoreError
from reconcile.model import Address
from reconcile.stores import package
from reconcile.stores.base import Live

if TYPE_CHECKING:
    from reconcile.change import Server
    from reconcile.project import Project
    from reconcile.stores.base import Package, Session, StoreSpec

Classify = Callable[[Address, Address | None], str]
"""(address, container) -> "managed", "ignored" or "external"."""


@dataclass(frozen=True)
class Store:
    """A store being looked at: what it is, how to talk to it, what it holds."""

    spec: StoreSpec
    package: Package
    session: Session
    server: Server
    live: Live
    """In scope: what the project ignores is left out."""

    def again(self, project: Project) -> Store:
        """The same store, read again over the same connection."""
        live = _scoped(project, self.spec, self.session)
        return Store(self.spec, self.package, self.session, self.session.server(), live)


class Look:
    """A look at all stores of a project, under way from the moment this is made; leaving it closes the connections.

    Making it takes as long as importing the stores' clients: threads share one interpreter, and whatever were imported
    beside them would keep the servers waiting for their questions.
    """

    def __init__(self, project: Project) -> None:
        self._sessions: dict[str, Session] = {}
        self._pool = ThreadPoolExecutor(max_workers=max(len(project.stores), 1))
        begun = {name: Event() for name in project.stores}
        self._futures = {
            name: self._pool.submit(_read, project, spec, self._sessions, begun[name])
            for name, spec in project.stores.items()
        }
        for event in begun.values():
            event.wait()

    def stores(self) -> dict[str, Store]:
        """What each of them came to.

        Raises:
            StoreError: one or more stores cannot be read; all of them are named.
        """
        self._pool.shutdown()
        return together(self._futures)

    def __enter__(self) -> Look:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for session in self._sessions.values():
            session.close()


def together(futures: Mapping[str, Future[Store]]) -> dict[str, Store]:
    """The results, or all their errors as one."""
    errors = [error for future in futures.values() if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, ReconcileError):
            raise error
    if len(errors) > 1:
        raise StoreError("\n".join(map(str, errors)))
    return {name: future.result() for name, future in futures.items()}


def scope(live: Live, classify: Classify) -> Live:
    """`live` without what the project ignores; external objects stay, to be referred to."""

    def seen(address: Address, container: Address | None) -> bool:
        return classify(address, container) != "ignored"

    return Live(
        live.state.filter(lambda r: seen(r.address, r.container)),
        tuple(n for n in live.not_modelled if seen(n.address, None)),
        live.partial,
    )


def _read(project: Project, spec: StoreSpec, sessions: dict[str, Session], begun: Event) -> Store:
    try:
        kind = package(spec.kind)
        session = sessions[spec.name] = kind.connect(spec, project.name, project.environment)
    finally:
        begun.set()
    server = session.server()
    return Store(spec, kind, session, server, _scoped(project, spec, session))


def _scoped(project: Project, spec: StoreSpec, session: Session) -> Live:
    return scope(session.introspect(), project.selections[spec.name].classify)
