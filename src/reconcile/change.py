"""What a change is, and the steps it becomes. Pure: no I/O, no store knowledge.

A change is the difference of one address. It can describe itself, name the changes that have to be made
around it, become steps, be reversed, and be applied to a state in memory (which lets the laws of the planner
be tested without a server).
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

from reconcile.facts import Fact
from reconcile.hazards import Hazard
from reconcile.model import Address, Json, Resource, State

if TYPE_CHECKING:
    from reconcile.filled import Writing

_T = TypeVar("_T")


class Action(Enum):
    """What happens to an address; the value is the symbol printed for it."""

    CREATE = "+"
    UPDATE = "~"
    REBUILD = "!"
    DELETE_CREATE = "-/+"
    CREATE_DELETE = "+/-"
    DELETE = "-"
    RENAME = ">"

    @property
    def actions(self) -> list[str]:
        """The plan file's list, as in Terraform's plan representation."""
        return self.name.lower().split("_")


class Phase(StrEnum):
    """When a step runs. `expand`: nothing an application on the old schema can notice; `contract`: the rest."""

    EXPAND = "expand"
    MIGRATE = "migrate"
    CONTRACT = "contract"

    @property
    def rank(self) -> int:
        """0, 1, 2."""
        return _RANKS[self]


_RANKS = {phase: rank for rank, phase in enumerate(Phase)}


@dataclass(frozen=True)
class Sql:
    """One SQL statement, without parameters."""

    sql: str


@dataclass(frozen=True)
class Cypher:
    """One Cypher statement with its parameters."""

    cypher: str
    params: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Http:
    """One REST request: method, path with query, JSON body; and what the read-back has to show.

    `expect` is compared, key by key, with what the server answers to GET `read` afterwards.
    """

    method: str
    path: str
    body: Json = None
    read: str | None = None
    expect: Json = None


@dataclass(frozen=True)
class Op:
    """A named operation of the store's session: wait_online, wait_green, …"""

    op: str
    args: Mapping[str, Json] = field(default_factory=dict)


Call = Sql | Cypher | Http | Op


@dataclass(frozen=True)
class Timeouts:
    """As PostgreSQL writes intervals: "2s", "6h", "0" for none. `wall` is kept by the tool, the rest by the server."""

    lock: str | None = None
    statement: str | None = None
    wall: str | None = None


@dataclass(frozen=True)
class Step:
    """One thing to execute, as pure data: it stands in the plan file as it is."""

    id: str
    """`ADDRESS/N-WORD`, stable; starts with the address of its change."""
    address: Address
    """What it touches (may be a helper object)."""
    calls: tuple[Call, ...]
    phase: Phase = Phase.EXPAND
    needs: frozenset[Fact] = frozenset()
    gives: frozenset[Fact] = frozenset()
    """Also the probe: the step is done when all of these hold live (and, if journalled, the ledger agrees)."""
    debris: tuple[Address, ...] = ()
    """What a broken try may leave; removed before a retry."""
    transactional: bool = True
    commit_before: bool = False
    """Must not share a transaction with what stands before it (first use of a new enum value, VALIDATE)."""
    journalled: bool = False
    """The catalog cannot show that it is done (REINDEX, copy, backfill)."""
    after_commit: tuple[Call, ...] = ()
    """Waits that cannot be inside the transaction."""
    preconditions: tuple[Call, ...] = ()
    """Asked by `Session.preflight` before anything is changed: `Op("no_rows", {sql, what, unit, fix})` holds where
    the query finds nothing. What it finds is an error, never a hazard."""
    asked_after: tuple[Address, ...] = ()
    """Changes of data of this plan that write the rows it is about: only after them is it asked about those."""
    hazards: frozenset[Hazard] = frozenset()
    timeouts: Timeouts = Timeouts()
    retry: bool = True
    keeps: str | None = None
    """The name in its store under which what it removes is kept, with its data."""
    group: str | None = None
    """Given by the planner: the unit of transaction, retry and journal."""


@dataclass(frozen=True)
class Irreversible:
    """Why a change has no reverse."""

    reason: str
    loses: bool = True
    """Whether that is worth a word: what comes back of what was kept is there as before."""


@dataclass(frozen=True)
class Server:
    """What is known of a live store before planning.

    `identity` tells it from every other, "" where it may not be seen; `facts` is kind-specific: extension versions,
    limits, settings.
    """

    name: str
    kind: str
    version: str
    edition: str | None = None
    identity: str = ""
    facts: Mapping[str, Json] = field(default_factory=dict)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers, for comparisons: (5, 26, 12)."""
        head = self.version.split("-")[0].split("+")[0]
        return tuple(int(n) for n in head.split(".") if n.isdigit())


@dataclass(frozen=True)
class Keeping:
    """What becomes of data when what holds it goes."""

    deletes: Callable[[Address], bool] = lambda address: True
    """Whether it may be deleted; else it is kept under another name, where the store has a way."""
    taken: frozenset[str] = frozenset()
    """Names of what is kept already."""


DELETING = Keeping()
"""Data goes with what holds it."""


@dataclass(frozen=True)
class World:
    """What changes of one store may look at to decide their steps.

    `live` has the names of the desired state: objects matched by definition stand under their declared address
    (`Resource.live_name` keeps the real one). `target` is `live` with every change applied.
    """

    store: str
    server: Server
    live: State
    target: State
    settings: Mapping[str, Json] = field(default_factory=dict)
    empty: Callable[[Address], bool] = lambda address: False
    """Whether a table, label or collection holds nothing. Asked only where the strategy depends on it; what was
    asked becomes part of the plan's fingerprints."""
    raw: Mapping[Address, Address] = field(default_factory=dict)
    """Where an address of `live` stands in the store itself, if elsewhere: before the renames of this plan."""
    desired: State = field(default_factory=State)
    """What is declared; of something that stays, `target` has what is live instead: the same, in the server's words."""
    keeping: Keeping = DELETING
    fills: Callable[[Resource], bool] = lambda resource: False
    """Whether a change of data of this plan writes rows that something is about."""
    _known: dict[str, dict[Any, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, question: str, key: Hashable, answer: Callable[[], _T]) -> _T:
        """The answer to `question` about `key`, worked out when it is first asked for."""
        known = self._known.setdefault(question, {})
        if key not in known:
            known[key] = answer()
        found: _T = known[key]
        return found

    def follows(
        self,
        question: str,
        address: Address,
        below: Callable[[Address], Iterable[Address]],
        answer: Callable[[Address], bool],
    ) -> bool:
        """Whether `question` holds of an address, where that depends on whether it holds of others.

        Each is asked once, those that others depend on first: so a chain may be long. In a ring of them nothing
        follows from itself.

        Args:
            below: on which others it depends.
            answer: whether it holds, all of those being known.
        """
        known: dict[Address, bool] = self._known.setdefault(question, {})
        todo, seen = [address], set[Address]()
        while todo:
            now = todo[-1]
            if now in known:
                todo.pop()
            elif now in seen:
                known[now] = False
                known[now] = answer(now)
            else:
                seen.add(now)
                todo += [a for a in below(now) if a not in known and a not in seen]
        return known[address]

    def where(self, address: Address) -> Address:
        """Where it stands in the store now."""
        return self.raw.get(address, address)

    def creates(self, address: Address) -> bool:
        """Whether `address` is absent now and there afterwards."""
        return address not in self.live and address in self.target

    def drops(self, address: Address) -> bool:
        """Whether `address` is there now and gone afterwards."""
        return address in self.live and address not in self.target

    @cached_property
    def _dependents(self) -> Mapping[Address, tuple[Resource, ...]]:
        found: dict[Address, list[Resource]] = {}
        for resource in self.live.values():
            for address in resource.refers:
                found.setdefault(address, []).append(resource)
        return {a: tuple(r) for a, r in found.items()}

    def dependents(self, address: Address) -> tuple[Resource, ...]:
        """Live resources that refer to `address`, directly."""
        return self._dependents.get(address, ())


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class _Frozen:
    """Makes a frozen dataclass of each subclass, without a decorator.

    One that only says closer what its fields are has all it needs from the class above: to generate the same for a
    hundred kinds of change takes as long as a small plan. One that adds a field is made one here; a decorator would
    be refused.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if inspect.get_annotations(cls).keys() - getattr(cls, "__dataclass_fields__", {}).keys():
            dataclass(frozen=True)(cls)


class Change(_Frozen, ABC):
    """The difference of one address: what was, what shall be. Subclasses are named verb + noun."""

    action: ClassVar[Action]

    before: Resource | None
    after: Resource | None

    @property
    def resource(self) -> Resource:
        """`after`, or `before` where nothing comes after."""
        found = self.after or self.before
        assert found is not None, "a change has a before or an after"
        return found

    @property
    def address(self) -> Address:
        """The address in the desired state; of a drop, the live one."""
        return self.resource.address

    @property
    def reason(self) -> str | None:
        """`action_reason` of the plan file: a word of `REASONS`, or None."""
        return None

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """Which attributes force a replacement or rebuild."""
        return ()

    @property
    def strategy(self) -> str | None:
        """One clause for people on how it is done: "options set, then reindexed concurrently"."""
        return None

    @abstractmethod
    def describe(self) -> str:
        """One line for people, without address or symbol: "m 16 → 32", "text not null default 'en'"."""

    def companions(self, world: World) -> Iterable[Change]:
        """Changes to equal resources that must be re-made around this one (a view around a type change)."""
        del world
        return ()

    def takes(self, live: State) -> Iterable[Address]:
        """Live objects of other addresses that this goes on with: they are not removed, whatever they were before."""
        del live
        return ()

    @property
    def moves_dependents(self) -> bool:
        """Whether what refers to it has to go or be made again: an approved plan then covers who those are."""
        return self.after is None or type(self).companions is not Change.companions

    @abstractmethod
    def steps(self, world: World) -> Sequence[Step]:
        """The steps, in their order. Empty where another change's step does it (a column of a new table).

        Raises:
            PlanError: it cannot be done as declared; says what to do instead.
        """

    def writes(self) -> Iterable[Writing]:
        """Rows that it writes, of a change of data."""
        return ()

    def remarks(self, world: World) -> Iterable[str]:
        """Sentences for the reader of the plan: what no step does and somebody may have to."""
        del world
        return ()

    def estimate(
        self, step: Step, measured: Mapping[str, int], settings: Mapping[str, Json], server: Server
    ) -> Mapping[str, int]:
        """What a step of it takes besides, as far as its store's estimates (`Session.measure`) tell: bytes, seconds.

        Names are those of the plan's costs: `graph_bytes`, `maintenance_work_mem_bytes`, `disk_bytes`, `seconds`,
        `gap_seconds` (without an index; 0: there is no gap), `blocked_seconds` (clients wait).
        """
        del step, measured, settings, server
        return {}

    @property
    def loses(self) -> str | None:
        """What of the stored data does not come back with its reverse, if any is stored: the rest of a sentence."""
        return None

    @abstractmethod
    def reverse(self) -> Change | Irreversible:
        """The change that undoes this one exactly, or why there is none."""

    def apply_to(self, state: State) -> State:
        """The state after this change."""
        if self.after is None:
            assert self.before is not None
            return state.without(self.before.address)
        return state.add(self.after)


def applied(changes: Iterable[Change], state: State) -> State:
    """The state after all of them, in their order; additions in a row, and removals, in one go."""
    added: list[Resource] = []
    gone: list[Address] = []

    def settled() -> State:
        after = state.add(*added) if added else state.without(*gone) if gone else state
        added.clear()
        gone.clear()
        return after

    for change in changes:
        plain = type(change).apply_to is Change.apply_to
        if not plain or (gone if change.after is not None else added):
            state = settled()
        if not plain:
            state = change.apply_to(state)
        elif change.after is not None:
            added.append(change.after)
        else:
            gone.append(change.address)
    return settled()


REASONS = {
    "replace_because_cannot_update": "the store cannot change it in place",
    "rebuild_for_options": "the new options take effect when it is built again",
    "rebuild_because_invalid": "the live one is not usable",
    "companion_of_replacement": "it hangs on something that is made anew",
    "delete_because_removed": "it was applied before and is no longer declared",
    "delete_because_pruned": "it is not declared and --prune asks for its removal",
    "delete_because_leftover": "a run that was broken off left it behind",
    "delete_because_retired": "another one took over from it",
    "delete_because_rolled_back": "the run that is rolled back made it",
    "rename_declared": "renamed_from says so",
    "rename_enforced": "policy names: enforce",
}
"""The closed list of `action_reason`, each with its sentence."""
