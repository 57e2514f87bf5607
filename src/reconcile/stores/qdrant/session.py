"""The connection to a live Qdrant: the only file that sends requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconcile.change import Call, Http, Op, Server, Step, Timeouts
from reconcile.checkup import Check
from reconcile.errors import Problem, StoreError
from reconcile.findings import Verified
from reconcile.model import Address, Json, State
from reconcile.stores.base import Canonical, Live, Side, Transaction
from reconcile.stores.figures import SECONDS, Count
from reconcile.stores.qdrant import checks, health, mirrored, options, requests, wire
from reconcile.stores.qdrant.asking import Answering
from reconcile.stores.qdrant.canonical import canonical
from reconcile.stores.qdrant.introspect import introspect
from reconcile.stores.qdrant.points import Points
from reconcile.stores.qdrant.replacing import ASKED, NAMES, Replacing
from reconcile.stores.qdrant.resources import Collection, PayloadIndex
from reconcile.stores.qdrant.saving import Saving
from reconcile.stores.qdrant.transport import QdrantError, Transport

if TYPE_CHECKING:
    from reconcile.stores.base import StoreSpec
    from reconcile.stores.filling import Filling, KeyNames, Receiving, Wanted
    from reconcile.stores.truncating import Truncating

CONTACT_SECONDS = 15.0
"""The first question has a cheap answer: a server that is there gives it at once."""
WAIT_SECONDS = 6 * 3600.0
"""How long `wait_green` waits where the step sets no limit."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(text: str | None) -> float | None:
    """ "2m" -> 120.0; None and "0" mean no limit.

    >>> seconds_of("2m"), seconds_of("500ms"), seconds_of("0"), seconds_of(None)
    (120.0, 0.5, None, None)
    """
    if not text:
        return None
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    return float(number) * _UNITS.get(text[len(number) :].strip(), 1.0) or None


class QdrantSession(Saving, Answering):
    """See `stores.base.Session`."""

    def __init__(self, spec: StoreSpec, project: str, environment: str) -> None:
        self.spec, self.project, self.environment = spec, project, environment
        self.http = Transport(spec)
        self._version: str | None = None
        self._mark: Mapping[str, str] | None = None
        self._mark_hidden = False
        """The key does not show it."""
        self._infos: dict[str, Any] = {}
        self._aliases: dict[str, str] = {}
        self._physical: dict[Address, str] = {}
        self.tell: Callable[[str], None] = lambda detail: None
        self.report: Callable[[str], None] = lambda line: None
        self._replacing = Replacing(self.http, lambda detail: self.tell(detail), lambda line: self.report(line))

    def server(self) -> Server:
        """Version from GET /, identity from our mark; remembered.

        Raises:
            StoreError: unreachable, wrong key, or no Qdrant.
        """
        if self._version is None:
            found = self.http.send("GET", "/", seconds=CONTACT_SECONDS)
            version = found.get("version") if isinstance(found, Mapping) else None
            if not isinstance(version, str):
                raise StoreError(
                    f"{self.http.shown} answers, but is no Qdrant server",
                    where=f"store {self.spec.name}",
                    hint="check host and port: Qdrant's REST port is 6333 by default (6334 is gRPC)",
                )
            self._version = version
        mark = self.mark(None)
        identity = f"mark:{mark.get('project')}/{mark.get('environment')}" if mark else "unmarked"
        if self._mark_hidden:
            identity = ""
        return Server(self.spec.name, "qdrant", self._version, identity=identity)

    def introspect(self) -> Live:
        """All collections: one request for the names, one for the aliases, one for each collection."""
        partial = [unseen] if (unseen := self._key().unseen) else []
        names = [c["name"] for c in self.http.send("GET", "/collections")["collections"]]
        hidden: list[str] = []
        infos = {}
        for name in sorted(names):
            if name == options.MARK:
                continue
            info = self._info(name, hidden)
            if info is not None:
                infos[name] = info | self._shard_keys(name, info)
        if hidden:
            partial.append(f"the API key does not show the collections {', '.join(hidden)}")
        self._infos, self._aliases = infos, self._alias_list(partial)
        live = introspect(self.spec.name, infos, self._aliases, partial, self.server().numbers)
        self._physical = {a: r.name for a, r in live.state.items() if isinstance(r, Collection)}
        return live

    def canonical(self, desired: State, live: Live, known: Mapping[str, Json]) -> Canonical:
        """Unset keys filled, physical names decided; nothing is asked of the server."""
        del known
        found = canonical(desired, live, frozenset(self._infos))
        return replace(found, notes=(*found.notes, *health.notes(desired, live.state, self._infos)))

    def unsupported(self, desired: State) -> Sequence[Problem]:
        """Options that this version lacks."""
        return checks.unsupported(desired, self.server().numbers, frozenset(self._infos))

    def is_empty(self, address: Address) -> bool:
        """Whether a collection holds no point, counted exactly; one that is absent is empty.

        Of the name of one that is absent there may be an alias: the server would count what that points at.
        """
        name = self._name(address)
        return name in self._aliases or self._count(name) == 0

    def measure(self, addresses: Iterable[Address]) -> Mapping[Address, Mapping[str, int]]:
        """The server's own running count of points, and of vectors where a point has several."""
        found = {}
        for address in addresses:
            if address.kind == "collection" and (info := self._info(self._name(address), [])) is not None:
                points = int(info.get("points_count") or 0)
                params = info["config"]["params"]
                dense = params.get("vectors") or {}
                names = (1 if "size" in dense else len(dense)) + len(params.get("sparse_vectors") or {})
                found[address] = {"points": points, **({"vectors": points * names} if names > 1 else {})}
        return found

    def filling(self, wanted: Wanted) -> Filling:
        """See `stores.filling.Fills`."""
        from reconcile.stores.qdrant.backfills import QdrantFilling

        return QdrantFilling(self.http, wanted)

    def truncating(self, place: Address) -> Truncating:
        """See `stores.truncating.Truncates`."""
        from reconcile.stores.qdrant.truncating import QdrantTruncating

        return QdrantTruncating(self.http, self._name(place), place)

    def receiving(self, into: Address, key: KeyNames | None) -> Receiving:
        """See `stores.filling.Receives`."""
        from reconcile.stores.qdrant.backfills import QdrantReceiving

        del key
        return QdrantReceiving(self.http, into)

    def size(self) -> Mapping[str, int]:
        """See `stores.figures.Sized`: points of all collections that may be seen, as the server keeps count."""
        return {"points": sum(int(info.get("points_count") or 0) for info in self._infos.values())}

    def counts(self, addresses: Iterable[Address], seconds: float = SECONDS) -> Mapping[str, Count]:
        """See `stores.figures.Sized`; counted exactly."""
        del seconds
        wanted = {a for a in addresses if a.kind == "collection" and a in self._physical}
        return {str(a): Count(self._count(self._physical[a]), True) for a in wanted}

    def progress(self, steps: Sequence[Step]) -> Mapping[str, str]:
        """See `stores.base.Watches`: points that were copied, vectors that are indexed."""
        from reconcile.stores.qdrant import health

        calls = [(step.id, call) for step in steps for call in step.calls if isinstance(call, Op)]
        infos = {name: self._info(name, []) for _, call in calls for name in health.watched(call)}
        found: dict[str, str] = {}
        for step, call in calls:
            if (text := health.progress(call, infos)) is not None:
                found.setdefault(step, text)
        return found

    def preflight(self, steps: Sequence[Step]) -> Sequence[Problem]:
        """A red collection, strict mode's limit, an alias in the way."""
        if not steps:
            return []
        if not self._infos:
            self.introspect()
        found = checks.preflight(steps, self._infos, self._aliases)
        calls = [call for step in steps for call in step.calls if isinstance(call, Op) and call.op in ASKED]
        problems = [problem for call in calls for problem in self._replacing.problems(call.op, call.args)]
        return found or list({problem.what: problem for problem in problems}.values())

    def check(self, steps: Sequence[Step]) -> Sequence[Check]:
        """See `Session.check`: three requests, two where there is no key."""
        from reconcile.stores.qdrant import condition

        ours = {"project": self.project, "environment": self.environment}
        manages = self._may_manage()
        lacking = checks.may_not(self._key(), steps, self._read_mark() == ours) if steps and not manages else []
        if not self._infos:
            self.introspect()
        seen = condition.Seen(
            version=self.server().version,
            url=self.http.shown,
            key=self._key() if self._key_given() else None,
            manages=manages,
            infos=self._infos,
            telemetry=self._told("/telemetry?details_level=1"),
            cluster=self._told("/cluster"),
        )
        return condition.checks(seen, self.spec.settings, steps, lacking)

    def grants(self, steps: Sequence[Step], prefix: str, ledger: str | None) -> Mapping[str, str]:
        """See `Session.grants`: keys have no names."""
        from reconcile.stores.qdrant.grants import of_commands

        del prefix, ledger
        return of_commands(self.spec.name, steps)

    def _told(self, path: str) -> Any | None:
        """What the server says of itself; None where the key or the service does not show it."""
        try:
            return self.http.send("GET", path)
        except QdrantError as error:
            if error.status in (401, 403, 404, 405):
                return None
            raise

    def verify(self, chosen: State, sample: int, declared: State) -> Verified:
        """See `stores.base.Verifies`: the size of stored vectors, the type of indexed payload values."""
        del declared
        collections = [(r, self._name(r.address)) for r in chosen.values() if isinstance(r, Collection)]
        indexes = [(r, self._name(r.container)) for r in chosen.values() if isinstance(r, PayloadIndex) and r.container]
        return mirrored.verify(self.http, collections, sample, indexes)

    def ids(self, side: Side) -> Iterator[str | None]:
        """See `stores.base.Verifies`: of points, or the values of one payload field."""
        return mirrored.ids(self.http, self._name(side.address), side)

    @contextmanager
    def transaction(self, steps: Sequence[Step]) -> Iterator[Transaction]:
        """Qdrant has none: calls simply run."""
        del steps
        yield self

    def run(self, call: Call, timeouts: Timeouts) -> None:
        """Execute one call and read back what it was to bring about.

        Raises:
            StoreError: refused, or accepted and not done (unknown and unchangeable options are dropped with 200).
        """
        limit = seconds_of(timeouts.wall)
        match call:
            case Http():
                requests.carry_out(self.http, self.server().version, call, limit)
            case Op("wait_green", args):
                requests.wait_green(self.http, args["collection"], limit or WAIT_SECONDS)
            case Op(op, args) if op in NAMES:
                self._replacing.run(op, args, limit or WAIT_SECONDS)
            case Op("drop_if_empty", args):
                self._drop_if_empty(args["collection"])
            case _:
                raise StoreError(f"Qdrant cannot run {call!r}", where=f"store {self.spec.name}")

    def clean(self, debris: Sequence[Address]) -> None:
        """Delete generations a broken try made: only what its metadata says is one, without points and aliases.

        A plain collection is left: nothing in it says whose it is. If it is the one that was asked for, the PUT that
        follows takes it for its own.
        """
        for address in debris:
            name = address.parts[-1]
            info = self._info(name, []) if address.kind == "collection" else None
            mark = wire.ours(info["config"]) if info is not None else None
            if mark is None or name != f"{mark[0]}__v{mark[1]}":
                continue
            if name not in self._alias_list([]).values() and self._count(name) == 0:
                self.http.send("DELETE", wire.collection_path(name))

    def note(self, steps: Sequence[Step]) -> str:
        """See `Session.note`: the server shows all there is to know."""
        del steps
        return ""

    def ended(self, step: Step, noted: str) -> bool:
        """See `Session.ended`."""
        del step, noted
        return False

    def transient(self, error: BaseException) -> bool:
        """429, 503 and the like, or a connection that broke."""
        return isinstance(error, QdrantError) and error.passing

    def mark(self, content: Mapping[str, str] | None) -> Mapping[str, str]:
        """The metadata of our own empty collection; {} where there is none (or the server is before 1.16)."""
        path = wire.collection_path(options.MARK)
        if content is not None and dict(content) != self._read_mark():
            metadata = {options.OURS: dict(content)}
            if self._exists(options.MARK):
                self.http.send("PATCH", path, {"metadata": metadata})
            else:
                self.http.send("PUT", path, {"vectors": {}, "metadata": metadata})
            self._mark = None
        return self._read_mark()

    def close(self) -> None:
        """End the connection; safe to call twice."""
        self.http.close()

    # --- helpers -----------------------------------------------------------------------------------------

    def _key(self) -> checks.Key:
        self.http.client()
        return checks.Key.read(self.http.api_key)

    def _may_manage(self) -> bool:
        """Whether the key may make and change collections, asked by a list of no actions: a key does not say it."""
        if not self._key_given():
            return True
        try:
            self.http.send("POST", "/collections/aliases", {"actions": []})
        except QdrantError as error:
            return error.status != 403
        return True

    def _key_given(self) -> bool:
        self.http.client()
        return self.http.api_key is not None

    def _name(self, address: Address) -> str:
        return self._physical.get(address, address.parts[0])

    def _info(self, name: str, hidden: list[str]) -> Any | None:
        """GET of a collection; None where it went meanwhile or may not be seen."""
        try:
            return self.http.get(wire.collection_path(name))
        except QdrantError as error:
            if error.status == 403:
                hidden.append(name)
            if error.status in (403, 404):
                return None
            raise

    def _shard_keys(self, name: str, info: Mapping[str, Json]) -> dict[str, Json]:
        """The shard keys of a collection that has custom sharding; None where they are not shown."""
        if info["config"]["params"].get("sharding_method") != "custom":
            return {}
        found = self._told(wire.collection_path(name, "/shards"))
        return {"shard_keys": None if found is None else [entry["key"] for entry in found["shard_keys"]]}

    def _alias_list(self, partial: list[str]) -> dict[str, str]:
        try:
            found = self.http.send("GET", "/aliases")["aliases"]
        except QdrantError as error:
            if error.status != 403:
                raise
            partial.append("the API key does not show the aliases")
            return {}
        return {a["alias_name"]: a["collection_name"] for a in found}

    def _read_mark(self) -> Mapping[str, str]:
        if self._mark is None:
            hidden: list[str] = []
            info = self._info(options.MARK, hidden)
            self._mark_hidden = bool(hidden)
            content = ((info or {}).get("config", {}).get("metadata") or {}).get(options.OURS)
            self._mark = {str(k): str(v) for k, v in content.items()} if isinstance(content, dict) else {}
        return self._mark

    def _exists(self, name: str) -> bool:
        return bool(self.http.send("GET", wire.collection_path(name, "/exists"))["exists"])

    def _count(self, name: str) -> int:
        """How many points there are; at least whether any, where strict mode does not let them be counted."""
        points = Points(self.http, name, self.tell)
        try:
            return max(points.count(), 1) if not points.empty() else 0
        except QdrantError as error:
            if error.status == 404:
                return 0
            raise

    def _drop_if_empty(self, name: str) -> None:
        count = self._count(name)
        if count:
            raise StoreError(
                f"collection {name} was empty when planned and holds points now ({count})",
                where=f"store {self.spec.name}",
                hint="nothing was deleted; plan again",
            )
        self.http.send("DELETE", wire.collection_path(name))
