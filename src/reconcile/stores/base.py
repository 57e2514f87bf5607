"""What a store package provides: the protocol, in one page.

A package is a folder `stores/KIND/` whose `__init__.py` holds `PACKAGE`, an object satisfying `Package`. It
imports its driver only inside `connect` (and what that imports), never at import time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from reconcile.change import Call, Change, Op, Server, Step, Timeouts
from reconcile.errors import Problem
from reconcile.model import Address, Json, Resource, Source, State, Wait

if TYPE_CHECKING:
    from reconcile.checkup import Check
    from reconcile.embeddings import Embedding
    from reconcile.findings import Verified
    from reconcile.ledger import Ledger
    from reconcile.yamlio import Map


@dataclass(frozen=True)
class StoreSpec:
    """A store as the project declares it. Settings keep their `${…}` references; `resolve` reads them."""

    name: str
    kind: str
    settings: Mapping[str, Json]
    source: Source
    directory: Path
    """The project folder, which `${file:…}` is relative to."""

    def resolve(self, key: str) -> str | None:
        """The value of a setting with its references read now; None where it is absent or empty.

        Raises:
            ReconcileError: a variable is not set or a file cannot be read: names it, the store and the line,
                never a value.
        """
        from reconcile.references import resolve  # reads the environment: kept out of the pure part

        return resolve(self, key)


class Context:
    """What `Package.parse` may ask for and report to while it turns YAML into resources."""

    def __init__(self, spec: StoreSpec, embeddings: Mapping[str, Embedding]) -> None:
        self.spec, self.embeddings = spec, embeddings
        self.problems: list[Problem] = []
        self.beside: set[str] = set()
        """The files that were read beside the YAML, relative to the project folder."""

    def read(self, name: str) -> bytes:
        """The content of a file that the YAML refers to.

        Raises:
            OSError: it cannot be read.
        """
        self.beside.add(name)
        return (self.spec.directory / name).read_bytes()

    def problem(self, where: Source | None, what: str, hint: str | None = None) -> None:
        """Report something wrong; go on."""
        self.problems.append(Problem(what, where=where, hint=hint))

    def after(self, entry: Map) -> tuple[Wait, ...]:
        """`after: [ADDRESS]` of an entry; what is no address is reported. Whether it is declared, `load` looks at."""
        found = []
        for index, text in enumerate(entry.get("after") or ()):
            where = entry["after"].at(index)
            try:
                found.append(Wait(Address.parse(text), where))
            except ValueError:
                self.problem(where, f'after: "{text}" is no address', "write STORE.KIND.NAME, as plans print it")
        return tuple(found)


@dataclass(frozen=True)
class NotModelled:
    """A live object, or a part of one, that this version cannot describe."""

    address: Address
    what: str
    """In PostgreSQL's, Neo4j's or Qdrant's own words: "partitioned table", "trigger"."""
    of: Address | None = None
    """The modelled object that this is a detail of, and goes with; None for one that stands by itself."""


@dataclass(frozen=True)
class Live:
    """What introspection saw.

    A declared address found in `not_modelled` is an error. Where `partial` says why the store cannot be seen
    whole, absent objects are unknown: neither created nor dropped.
    """

    state: State
    not_modelled: tuple[NotModelled, ...] = ()
    partial: tuple[str, ...] = ()
    homes: Mapping[Address, Address] = field(default_factory=dict)
    """Where declared addresses stood under another name when they were last applied: of several live objects that
    are like a declared one, this is it."""


@dataclass(frozen=True)
class Receipt:
    """Two spellings judged equal: shown by `plan --explain-equal`."""

    address: Address
    path: str
    declared: str
    live: str
    how: str
    """"text", "known" (ledger), "server" (scratch build), "temp" (one in pg_temp), "sandbox", "default", "unset"."""
    where: Source | None = None
    """Where it is declared, told of what could not be proved."""


@dataclass(frozen=True)
class Canonical:
    """The desired state in the server's own spelling."""

    state: State
    """Every resource; `declared` set where spelling changed. Unset keys of kinds with `unset_is_unmanaged` are
    filled from the live resource of the same address."""
    problems: tuple[Problem, ...] = ()
    """Expressions the server rejects, each with its YAML line."""
    receipts: tuple[Receipt, ...] = ()
    learned: Mapping[str, Json] = field(default_factory=dict)
    """New entries for `known`, kept in the ledger by the next apply."""
    unproved: tuple[Receipt, ...] = ()
    """Pairs that may be equal but cannot be proved so here; `how` says why."""
    notes: tuple[str, ...] = ()
    """What a reader of the plan should know of how spellings were compared."""
    same: Set[Address] = frozenset()
    """Those that equal the live resource of their address, container included: nobody has to compare them again."""


class Transaction(Protocol):
    """An open group of steps in one store."""

    def run(self, call: Call, timeouts: Timeouts) -> None:
        """Execute one call.

        Raises:
            StoreError: the server refused it.
        """


class Session(Protocol):
    """One connection to a live store. Only sessions send statements."""

    def server(self) -> Server:
        """Version, edition, identity; one round trip, remembered.

        Raises:
            StoreError: unreachable, wrong password, wrong database: what it means and what to do.
        """

    def introspect(self) -> Live:
        """All resources in scope, whatever is declared; reads only; a fixed number of round trips."""

    def canonical(self, desired: State, live: Live, known: Mapping[str, Json]) -> Canonical:
        """`desired` as the server would spell it; leaves no trace. `known` is what earlier runs learned."""

    def unsupported(self, desired: State) -> Sequence[Problem]:
        """What this server's edition, version or extensions cannot do, each with its YAML line."""

    def is_empty(self, address: Address) -> bool:
        """Whether a table, label or collection holds nothing."""

    def measure(self, addresses: Iterable[Address]) -> Mapping[Address, Mapping[str, int]]:
        """Cheap estimates, without scans: {"rows": …, "bytes": …, "points": …} for those that have any."""

    def preflight(self, steps: Sequence[Step]) -> Sequence[Problem]:
        """What would stop these steps: data that breaks a constraint (`Step.preconditions`), names taken. Reads only.

        An `Unchecked` among them says what could not be looked at; it stops nothing.
        """

    def check(self, steps: Sequence[Step]) -> Sequence[Check]:
        """The server with regard to these steps: privileges, health, load, blockers, space. Reads only.

        A few round trips however many steps there are, for every apply asks this. Limits are in the store's settings.
        """

    def grants(self, steps: Sequence[Step], prefix: str, ledger: str | None) -> Mapping[str, str]:
        """By command (apply, plan, drift) the least that a role of it needs, as text to paste in that order.

        Args:
            steps: what the apply is to be able to do.
            prefix: roles are named PREFIX_plan, PREFIX_drift and PREFIX_apply.
            ledger: the schema of the ledger, where this store holds it.
        """

    def transaction(self, steps: Sequence[Step]) -> AbstractContextManager[Transaction]:
        """Begin; commit on leaving, roll back on an exception. Where the store has none, calls simply run."""

    def run(self, call: Call, timeouts: Timeouts) -> None:
        """Execute one call outside any transaction (CONCURRENTLY, waits)."""

    def clean(self, debris: Sequence[Address]) -> None:
        """Remove what a broken try left, if it is there; never anything usable."""

    def note(self, steps: Sequence[Step]) -> str:
        """What to journal before non-transactional steps, for `ended`: who works on them, how things stand; or ""."""

    def ended(self, step: Step, noted: str) -> bool:
        """Whether what an earlier try began goes on or has come to its end without us: waits, then looks.

        `noted` is what `note` gave before that try. False where it has to be run (again).
        """

    def transient(self, error: BaseException) -> bool:
        """Whether trying again may help: deadlock, serialization, lock timeout, dropped connection, 429/503."""

    def mark(self, content: Mapping[str, str] | None) -> Mapping[str, str]:
        """The tool's own mark in the store (project, environment, ledger): write it if given; what is there now.

        The store that holds the ledger needs none and answers {}.
        """

    def close(self) -> None:
        """End the connection; safe to call twice."""


@runtime_checkable
class Telling(Protocol):
    """A session that tells how far a long call has come, where somebody listens."""

    tell: Callable[[str], None]


@runtime_checkable
class Watches(Protocol):
    """A session that can tell, beside the one that carries steps out, how far those have come."""

    def progress(self, steps: Sequence[Step]) -> Mapping[str, str]:
        """By step id what the server shows of it right now; nothing of steps of which it shows nothing. Reads only.

        Raises:
            StoreError: the server does not answer.
        """


@runtime_checkable
class Reporting(Protocol):
    """A session that has something to say for the report of the run: the name of a snapshot it made."""

    report: Callable[[str], None]


@dataclass(frozen=True)
class Side:
    """One store's part of a mirror: what carries the ids."""

    address: Address
    """A table, a label (`graph.label.Person`) or a collection."""
    key: str | None
    """The column, property or payload field that is the id; None for a point's own id."""
    source: Source | None = None


@runtime_checkable
class Keeps(Protocol):
    """A package whose stores can keep what holds data under another name (`Step.keeps`)."""

    def restored(self, live: State, parts: Sequence[Resource], name: str) -> tuple[Change, State]:
        """What brings something kept back, and `live` as it is then.

        Args:
            parts: it, and what was in it, as they were.
        """

    def kept_at(self, address: Address, name: str) -> Address:
        """Where something stands while it is kept under a name."""

    def purged(self, address: Address, name: str) -> Step:
        """The step that deletes it.

        Args:
            address: what it was.
        """


@runtime_checkable
class Guards(Protocol):
    """A package that can say how to look whether something holds data before it is dropped by hand."""

    def guards(self, address: Address) -> Sequence[Op]:
        """Preconditions (`Step.preconditions`) that hold where there is nothing in it; none of what holds no data."""


@runtime_checkable
class Shared(Protocol):
    """A session whose server holds objects that are out of the store's scope and may stand on those that are in it."""

    def dependents(self, steps: Sequence[Step]) -> Sequence[Problem]:
        """What out of the scope keeps `steps` from dropping something, or would be gone with it. Reads only."""


@runtime_checkable
class Ends(Protocol):
    """A session that can end others which hold what steps need and do nothing."""

    def end_idle(self, steps: Sequence[Step]) -> Iterator[str]:
        """End them, each told: who it was, since when it did nothing, its last query.

        Raises:
            StoreError: the role may not.
        """


@runtime_checkable
class Listing(Protocol):
    """A session that can give the ids of a mirror's side. Reads only."""

    def ids(self, side: Side) -> Iterator[str | None]:
        """Every id of a mirror's side as text (integers in decimal, UUIDs in lower case with hyphens), in any order.

        Streamed: memory does not grow with their number. None for each row, node or point that has no id.

        Raises:
            StoreError: the table, label, collection or key is not there.
        """


@runtime_checkable
class Verifies(Listing, Protocol):
    """A session that can say whether content agrees with what is declared. Reads only."""

    def verify(self, chosen: State, sample: int, declared: State) -> Verified:
        """Every disagreement within this store, counted by bounded queries, with at most `sample` keys of each.

        What is looked at in part, and queries that their limits stopped, are told as such.

        Args:
            chosen: what to look at.
            sample: how many keys to show, and how many stored vectors to look at where all would be too many (×100).
            declared: all that is declared for this store: what the meaning of `chosen` may depend on.
        """


@runtime_checkable
class Mirroring(Protocol):
    """A package whose stores can be a side of a mirror."""

    sides: Sequence[str]
    """What carries ids, as the keys of a mirror's side and as kinds of address: table, label, collection."""

    def side(self, kind: str, entry: Map, desired: State, context: Context) -> Side | None:
        """The side that `entry` of `mirrors:` names; None, reported to `context`, where it is not declared.

        Args:
            kind: the one of `sides` that `entry` has as a key.
            desired: what is declared for this store.
        """


class Package(Protocol):
    """A kind of store."""

    kind: str
    schema: str
    """File name of its JSON Schema under `schema/`."""
    ranks: Mapping[str, int]
    """Resource kinds in the order in which they are made; also the order of plan lines. Those below zero (schemas,
    extensions) are what others stand on without a word about it: removed after all else."""
    containers: frozenset[str]
    """Kinds that contain others: table, collection."""
    holds_ledger: bool
    """Whether `ledger` can give one: the only such store of a project holds its ledger by default."""

    def parse(self, documents: Sequence[Map], context: Context) -> list[Resource]:
        """The YAML documents of one store as resources, sources set; problems go to `context`.

        The documents have passed the JSON Schema, variables replaced.
        """

    def dump(
        self,
        live: Live,
        server: Server,
        spec: StoreSpec,
        only: Callable[[Address], bool],
        place: Callable[[str], str] | None = None,
    ) -> Mapping[str, str]:
        """YAML files by name that declare `live` (those addresses for which `only` is true).

        With `place` there may be others beside them, which the YAML refers to: it says how a file of the result is
        called from the project folder.
        """

    def connect(self, spec: StoreSpec, project: str, environment: str) -> Session:
        """A session; imports the driver. Nothing is sent before the first call."""

    def change(self, before: Resource | None, after: Resource | None) -> Change | None:
        """The change between two resources of one address; None where they are equal."""

    def renamed(self, live: State, old: Address, wanted: Resource) -> tuple[Change, State]:
        """The rename of `old` to what is `wanted`, and `live` as it will look afterwards (what refers to it included).

        Where `live` has the new address too, it is that of a helper: a rename under way. Where the two are the same,
        parts of it get other names (`Resource.renames_parts_of`).
        """

    def rename(self, before: Resource, after: Resource) -> Change:
        """Give a live object matched by definition its declared name (`policy.names: enforce`)."""

    def ledger(self, spec: StoreSpec, schema: str) -> Ledger | None:
        """A ledger in this store, where its kind can hold one."""
