"""The connection to a live Redis: the only file that decides what is sent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconcile import pacing
from reconcile.change import Call, Op, Server, Step, Timeouts
from reconcile.checkup import Check
from reconcile.errors import Problem, StoreError
from reconcile.findings import Verified
from reconcile.machine import seconds_of
from reconcile.model import Address, Json, State
from reconcile.stores.base import Canonical, Live, Side, Transaction
from reconcile.stores.redis import checks, condition, grants, renaming, sampling, search, values, verify
from reconcile.stores.redis.canonical import canonical
from reconcile.stores.redis.introspect import introspect
from reconcile.stores.redis.saving import Saving
from reconcile.stores.redis.wire import Answer, RedisError, Wire, pairs, sections, text

if TYPE_CHECKING:
    from reconcile.stores.base import StoreSpec


WAIT_SECONDS = 6 * 3600.0
"""How long the filling of an index is waited for where the step sets no limit."""


class RedisSession(Saving):
    """See `stores.base.Session`."""

    def __init__(self, spec: StoreSpec) -> None:
        self.spec = spec
        self.wire = Wire(spec)
        self._info: dict[str, str] | None = None
        self._config: dict[str, str] | None = None
        """None where it may not be read."""
        self._sample: sampling.Sample | None = None
        self._listed = False
        """Whether the server told which indexes there are."""
        self.tell: Callable[[str], None] = lambda detail: None
        self.report: Callable[[str], None] = lambda line: None

    def server(self) -> Server:
        """Version and mode from INFO, identity from our mark; remembered.

        Raises:
            StoreError: unreachable, wrong password, or no Redis.
        """
        if self._info is None:
            self._info = sections(self.wire.ask("INFO"))
            if "redis_version" not in self._info:
                raise StoreError(f"{self.wire.shown} answers, but is no Redis", where=self.wire.place)
        mark = self.mark(None)
        # a key may be evicted: without one nothing is known, rather than that it is another server
        identity = f"mark:{mark.get('project')}/{mark.get('environment')}" if mark else ""
        facts = {"mode": self._info.get("redis_mode", "standalone"), "role": self._info.get("role", "master")}
        return Server(self.spec.name, "redis", self._info["redis_version"], identity=identity, facts=facts)

    def introspect(self) -> Live:
        """The configuration in one round trip; of the keys a bounded sample, which `import` and notes are made from."""
        found = self.wire.tried("CONFIG", "GET", "*")
        self._config = None if found is None else {name: text(v) for name, v in pairs(found).items()}
        self._sample = self._some_keys()
        indexes = self._indexes()
        unseen = () if self._listed or "search" not in self._modules() else ("FT._LIST is not allowed to the user",)
        return introspect(self.spec.name, self._config or {}, self._sample, indexes, unseen)

    def canonical(self, desired: State, live: Live, known: Mapping[str, Json]) -> Canonical:
        """Values in the server's spelling; families of which there are keys under old names as such."""
        del known
        _, seconds = sampling.bounds(self.spec.settings)
        left = lambda pattern: renaming.any_left(self.wire, pattern, seconds)  # noqa: E731
        return canonical(desired, live, left, self._sample)

    def unsupported(self, desired: State) -> Sequence[Problem]:
        """Parameters that this server does not have, or reads only when it starts."""
        return checks.unsupported(desired, self._told(), self._config, self._why_fixed, self._modules(), self._listed)

    def is_empty(self, address: Address) -> bool:
        """Whether an index holds no document."""
        return self._documents(address.parts[0]) == 0

    def measure(self, addresses: Iterable[Address]) -> Mapping[Address, Mapping[str, int]]:
        """How many documents indexes hold."""
        return {a: {"rows": self._documents(a.parts[0])} for a in addresses if a.kind == "index"}

    def preflight(self, steps: Sequence[Step]) -> Sequence[Problem]:
        """New names of keys that are in use."""
        calls = [(s, c) for s in steps for c in s.calls if isinstance(c, Op) and c.op == "rename_keys"]
        return [p for step, call in calls for p in checks.taken(step, *renaming.collisions(self.wire, call.args))]

    def verify(self, chosen: State, sample: int, declared: State) -> Verified:
        """See `stores.base.Verifies`: keys and their families."""
        return verify.verified(self.wire, self.spec.name, self.spec.settings, chosen, declared, sample)

    def ids(self, side: Side) -> Iterator[str | None]:
        """No key is a side of a mirror.

        Raises:
            StoreError: always.
        """
        raise StoreError(f"{side.address} has no ids", where=self.wire.place)

    def check(self, steps: Sequence[Step]) -> Sequence[Check]:
        """See `Session.check`: a few round trips, one more for each kind of command that steps send."""
        self._info = None
        self.server()
        user = self.wire.tried("ACL", "WHOAMI")
        seen = condition.Seen(
            shown=self.wire.shown,
            host=self.wire.host,
            tls=self.wire.tls,
            user=None if user is None else text(user),
            info=self._told(),
            config=self._config,
            modules=self._modules(),
            refused=self._refused(text(user), steps) if user is not None else None,
        )
        return condition.checks(seen, self.spec.settings, steps)

    def grants(self, steps: Sequence[Step], prefix: str, ledger: str | None) -> Mapping[str, str]:
        """See `Session.grants`: lines for the server's ACL."""
        del ledger
        return grants.of_commands(self.spec.name, steps, prefix, search="search" in self._modules())

    @contextmanager
    def transaction(self, steps: Sequence[Step]) -> Iterator[Transaction]:
        """No step here is one: MULTI has no rollback. Calls simply run."""
        del steps
        yield self

    def run(self, call: Call, timeouts: Timeouts) -> None:
        """Execute one call and read back what it was to bring about.

        Raises:
            StoreError: refused, or taken and not as asked for.
        """
        match call:
            case Op("config_set", args):
                self._set(args["name"], args["value"])
            case Op("config_rewrite"):
                self.wire.ask("CONFIG", "REWRITE")
            case Op("command", args):
                self.wire.ask(*args["words"])
            case Op("add_field", args):
                self.wire.pipe([args["words"]], passing="Duplicate field")
            case Op("drop_index", args):
                self.wire.pipe([("FT.DROPINDEX", args["index"])], passing=search.UNKNOWN)
            case Op("wait_indexed", args):
                self._wait(args["index"], timeouts)
            case Op("rename_keys", args):
                limited = bool(self.spec.settings.get("limits"))
                near = (lambda: pacing.load(self.check(()))) if limited else pacing.Load
                renamed = renaming.rename(self.wire, args, self.tell, near)
                self.report(f"{renamed} keys of {args['from']} renamed to {args['to']}")
            case _:
                raise StoreError(f"Redis cannot run {call!r}", where=self.wire.place)

    def clean(self, debris: Sequence[Address]) -> None:
        """Nothing here leaves any."""
        del debris

    def note(self, steps: Sequence[Step]) -> str:
        """See `Session.note`: the server shows all there is to know."""
        del steps
        return ""

    def ended(self, step: Step, noted: str) -> bool:
        """See `Session.ended`."""
        del step, noted
        return False

    def transient(self, error: BaseException) -> bool:
        """A connection that broke, a server that loads its data."""
        return isinstance(error, RedisError) and error.passing

    def mark(self, content: Mapping[str, str] | None) -> Mapping[str, str]:
        """JSON under our own key, a string, which no index is over; {} where there is none."""
        if content is not None and dict(content) != self._mark():
            self.wire.ask("SET", sampling.MARK, json.dumps(dict(content), sort_keys=True))
        return self._mark()

    def close(self) -> None:
        """End the connection; safe to call twice."""
        self.wire.close()

    # --- helpers -----------------------------------------------------------------------------------------

    def _told(self) -> dict[str, str]:
        """What INFO says."""
        self.server()
        assert self._info is not None
        return self._info

    def _modules(self) -> dict[str, str]:
        """By name their versions; none where they are not shown."""
        found = [pairs(module) for module in self.wire.tried("MODULE", "LIST") or ()]
        return {text(m["name"]): values.version(int(m["ver"])) for m in found}

    def _some_keys(self) -> sampling.Sample:
        """The sample that plans note something of; none where the user may not look at keys: they need none."""
        try:
            found = sampling.look(self.wire, *sampling.bounds(self.spec.settings))
        except RedisError as error:
            if error.code != "NOPERM":
                raise
            found = sampling.Sample((), 0, False)
        return verify.visible(found, self.spec.name, self.spec.settings)

    def _indexes(self) -> dict[str, Answer]:
        """By name what FT.INFO says of each index; two round trips, one where there are none."""
        names = self.wire.tried("FT._LIST")
        self._listed = names is not None
        if not names:
            return {}
        answers = self.wire.pipe([("FT.INFO", name) for name in names], passing=search.UNKNOWN)
        return {text(n): info for n, info in zip(names, answers, strict=True) if info is not None}

    def _documents(self, index: str) -> int:
        answer = self.wire.pipe([("FT.INFO", index)], passing=search.UNKNOWN)[0]
        return 0 if answer is None else int(pairs(answer)["num_docs"])

    def _wait(self, index: str, timeouts: Timeouts) -> None:
        """Until the server has gone through all keys."""
        until = time.monotonic() + (seconds_of(timeouts.wall) if timeouts.wall else WAIT_SECONDS)
        while True:
            told = pairs(self.wire.ask("FT.INFO", index))
            if not int(told["indexing"]):
                return
            self.tell(f"{float(told['percent_indexed']):.0%} of the keys indexed")
            if time.monotonic() > until:
                raise StoreError(
                    f"index {index} is not filled after {timeouts.wall}",
                    where=self.wire.place,
                    hint="the server goes on by itself; when it has: reconcile apply --resume",
                )
            time.sleep(0.05)

    def _refused(self, user: str, steps: Sequence[Step]) -> dict[str, str] | None:
        """By command that steps send what the server says against it; None before 7.0, or where it does not tell."""
        found = {}
        for words in grants.needs(steps) if steps else ():
            answer = self.wire.tried("ACL", "DRYRUN", user, *words)
            if answer is None:
                return None
            if text(answer) != "OK":
                found[" ".join(words[:2]) if words[0] == "CONFIG" else words[0]] = text(answer)
        return found

    def _mark(self) -> dict[str, str]:
        found = self.wire.tried("GET", sampling.MARK)
        return {} if found is None else dict(json.loads(found))

    def _set(self, name: str, value: str) -> None:
        self.wire.ask("CONFIG", "SET", name, value)
        found = text(pairs(self.wire.ask("CONFIG", "GET", name)).get(name, b""))
        if not values.same(name, value, found):
            raise StoreError(
                f"{name} was set to {value}, and the server made {found} of it",
                where=self.wire.place,
                hint=f"declare that: `{name}: {found}`",
            )

    def _why_fixed(self, name: str, value: str) -> str | None:
        """What the server says against setting a parameter; None where it would take it, or does not tell.

        From 7.0 on all names are looked at before anything is set: beside one that no server knows, nothing ever is.
        """
        if self.server().numbers < (7,):
            return None
        try:
            self.wire.ask("CONFIG", "SET", name, value, "reconcile-asks-only", "1")
        except RedisError as error:
            return error.what if "can't set" in error.what else None
        return None
