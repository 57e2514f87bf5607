"""What `reconcile verify` finds: content that does not agree with what is declared. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconcile.model import Address, Json, Source


class Rule(StrEnum):
    """What a finding is about."""

    CONSTRAINT = "constraint"
    """Content breaks a constraint that is declared but not enforced by the server."""
    VECTOR = "vector"
    """Stored vectors do not have the declared size."""
    PAYLOAD = "payload"
    """Values of a payload field are of another type than its index."""
    VOCABULARY = "vocabulary"
    """Names in use that no vocabulary lists."""
    MIRROR = "mirror"
    """An id is in one store and not in another."""


@dataclass(frozen=True)
class Finding:
    """One disagreement between content and declaration."""

    address: Address
    rule: Rule
    what: str
    """In the store's own words, without the count: "nodes without the property name"."""
    count: int
    sample: tuple[str, ...] = ()
    """A few keys of what disagrees, as they are written in the store's own queries."""
    query: str | None = None
    """What shows all of them, to be pasted."""
    source: Source | None = None
    """Where it is declared."""
    hint: str | None = None
    bounded: bool = False
    """Whether counting stopped at a bound, or only a sample was looked at: there may be more than `count`."""
    looked: int | None = None
    """Of a sample: how many were looked at, of which `count` disagree."""


@dataclass(frozen=True)
class Sample:
    """What was looked at in part only, whether or not anything was found there."""

    address: Address
    what: str
    """In the plural: "nodes with (:Chunk).embedding"."""
    looked: int
    of: int
    source: Source | None = None


@dataclass(frozen=True)
class NotRun:
    """What could not be looked at: a query was stopped by its limit."""

    address: Address
    what: str
    """What it would have told: "whether nodes break unique Person.id"."""
    why: str
    source: Source | None = None


@dataclass(frozen=True)
class Verified:
    """All that one store answered."""

    findings: tuple[Finding, ...] = ()
    samples: tuple[Sample, ...] = ()
    not_run: tuple[NotRun, ...] = ()

    @classmethod
    def of(cls, found: Iterable[Finding | Sample | NotRun]) -> Verified:
        """Each to its kind, in their order."""
        every = list(found)
        return cls(
            tuple(f for f in every if isinstance(f, Finding)),
            tuple(f for f in every if isinstance(f, Sample)),
            tuple(f for f in every if isinstance(f, NotRun)),
        )


class Ending(StrEnum):
    """How a declared check, query or probe ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
    """It could not be asked: the server is away, the statement is wrong, the time was over. Never taken for passed."""


@dataclass(frozen=True)
class Result:
    """What became of one declared check, query or probe."""

    name: str
    kind: str
    """`check`, `query` or `probe`."""
    when: str
    """`before` or `after` the steps of a run; `now`, where `verify` or `check` asked apart from one."""
    outcome: Ending
    what: str
    """What was found, and what was expected; secrets are masked."""
    seconds: float
    stops: bool = True
    """Whether a failure stops an apply (`on_failure: stop`); else it is a warning."""
    figures: Mapping[str, Json] = field(default_factory=dict)
    """What was measured: `p50_ms`, `p95_ms`, `runs`, `before_p95_ms`, `ratio`, `scans`."""
    source: Source | None = None
    hint: str | None = None

    @property
    def bad(self) -> bool:
        """Whether it did not pass."""
        return self.outcome is not Ending.PASSED

    def to_json(self) -> dict[str, Json]:
        """For reports, and for the ledger."""
        return {
            "name": self.name,
            "kind": self.kind,
            "when": self.when,
            "outcome": str(self.outcome),
            "what": self.what,
            "seconds": round(self.seconds, 3),
            "on_failure": "stop" if self.stops else "warn",
            "figures": dict(self.figures),
            "source": None if self.source is None else self.source.to_json(),
            "hint": self.hint,
        }
