"""What `reconcile verify` finds: content that does not agree with what is declared. Pure data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from reconcile.model import Address, Source


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
