"""Scratch stores with the desired state of a project applied: for the tests of applications."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconcile.errors import ReconcileError
from reconcile.policy import Policy
from reconcile.project import LedgerSpec, Project
from reconcile.sandbox import scratch
from reconcile.sandbox.scratch import Scratch
from reconcile.stores.base import StoreSpec

_WHOLE_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-.*)?\}")

# Settings that say which server, which database and as whom; all of them are replaced.
_PLACE = frozenset({"url", "host", "port", "user", "password", "database", "api_key", "role"})


def import_whole(kinds: Iterable[str]) -> None:
    """Import every module of the packages of these kinds of store, here and now.

    Stores are read in threads, which import what they need. pytest parses what it imports of a plugin's package, and
    `ast.parse` of Python 3.11 fails in threads now and then: "AST constructor recursion depth mismatch"
    (https://github.com/python/cpython/issues/106905).
    """
    for kind in kinds:
        module = importlib.import_module(f"reconcile.stores.{kind}")
        for found in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
            importlib.import_module(found.name)


@dataclass(frozen=True)
class ScratchStore:
    """One store of the project, in a place of its own for the test."""

    name: str
    kind: str
    url: str
    user: str | None = None
    """None where the URL says it, or nothing has to."""
    password: str | None = field(default=None, repr=False)


class ScratchStores:
    """Makes the scratch stores of projects; what it made goes when its `stack` ends."""

    def __init__(self, servers: Scratch, folder: Path, stack: ExitStack, setenv: Callable[[str, str], None]) -> None:
        """
        Args:
            folder: where a ledger file may be written.
            setenv: sets a variable of the environment until the test ends.
        """
        self._servers, self._folder, self._stack, self._setenv = servers, folder, stack, setenv
        self._makers: Mapping[str, Callable[[str], ScratchStore]] = {
            "postgres": self._postgres,
            "neo4j": self._neo4j,
            "qdrant": self._qdrant,
            "redis": self._redis,
        }

    def __call__(self, directory: str | Path = ".", environment: str | None = None) -> Mapping[str, ScratchStore]:
        """Apply what a project declares to empty stores; the stores by their names in the project.

        A PostgreSQL store gets a database of its own, Neo4j, Qdrant and Redis are emptied first. Variables of the
        environment that the project takes a URL, user or password from (`url: "${APP_DATABASE_URL}"`) are set
        to the scratch store's until the test ends, so that an application that reads them finds it. Policy,
        ledger file and roles of the project are not used.

        Raises:
            ReconcileError: what is wrong with the project, or why it cannot be applied.
        """
        from reconcile import workflow

        project = Project.load(Path(directory), environment)
        import_whole({spec.kind for spec in project.stores.values()})
        stores = {name: self._make(spec, project) for name, spec in project.stores.items()}
        here = replace(
            project,
            stores={name: _placed(spec, stores[name]) for name, spec in project.stores.items()},
            policy=Policy(names=project.policy.names, on_drift=project.policy.on_drift, allow=("all",)),
            protect=(),
            ledger=LedgerSpec(file=self._folder / f"{project.name}.ledger.db")
            if project.ledger.file
            else project.ledger,
            shared=False,
        )
        workflow.apply(here, workflow.plan(here))
        for name, spec in project.stores.items():
            self._export(spec, stores[name])
        return stores

    def _make(self, spec: StoreSpec, project: Project) -> ScratchStore:
        same = [other.name for other in project.stores.values() if other.kind == spec.kind]
        if spec.kind not in self._makers:
            raise ReconcileError(f"there is no scratch server for stores of kind {spec.kind}", where=spec.source)
        if len(same) > 1 and spec.kind != "postgres":
            raise ReconcileError(
                f"the stores {', '.join(same)} would share one scratch {spec.kind} server",
                where=spec.source,
                hint="test them with an environment that has one store of this kind",
            )
        return self._makers[spec.kind](spec.name)

    def _postgres(self, name: str) -> ScratchStore:
        url = self._stack.enter_context(scratch.postgres_database(self._servers.postgres_url))
        return ScratchStore(name, "postgres", url)

    def _neo4j(self, name: str) -> ScratchStore:
        self._servers.wipeable("neo4j")
        servers = self._servers
        graph = scratch.Neo4jDatabase(servers.neo4j_url, servers.neo4j_user, servers.neo4j_password)
        graph.wipe()
        self._stack.callback(graph.wipe)
        return ScratchStore(name, "neo4j", graph.url, graph.user, graph.password)

    def _qdrant(self, name: str) -> ScratchStore:
        self._servers.wipeable("qdrant")
        scratch.wipe_qdrant(self._servers.qdrant_url)
        self._stack.callback(scratch.wipe_qdrant, self._servers.qdrant_url)
        return ScratchStore(name, "qdrant", self._servers.qdrant_url)

    def _redis(self, name: str) -> ScratchStore:
        self._servers.wipeable("redis")
        scratch.wipe_redis(self._servers.redis_url)
        self._stack.callback(scratch.wipe_redis, self._servers.redis_url)
        return ScratchStore(name, "redis", self._servers.redis_url)

    def _export(self, spec: StoreSpec, store: ScratchStore) -> None:
        for key, value in (("url", store.url), ("user", store.user), ("password", store.password)):
            written = spec.settings.get(key)
            reference = _WHOLE_REFERENCE.fullmatch(written) if isinstance(written, str) else None
            if reference and value is not None:
                self._setenv(reference[1], value)


def _placed(spec: StoreSpec, store: ScratchStore) -> StoreSpec:
    kept = {key: value for key, value in spec.settings.items() if key not in _PLACE}
    place = {"url": store.url, "user": store.user, "password": store.password}
    literal = {key: value.replace("${", "$${") for key, value in place.items() if value}
    return replace(spec, settings=kept | literal)
