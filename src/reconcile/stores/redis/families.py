"""What keys are held against: which family a key is of, and what of it is not as declared. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from reconcile.findings import Finding, Rule
from reconcile.model import Address
from reconcile.stores.redis.patterns import Pattern
from reconcile.stores.redis.proposing import Proposal
from reconcile.stores.redis.resources import Family
from reconcile.stores.redis.sampling import Key, Sample

_UNITS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+) ?(ms|s|min|h|d)")
NO_TTL = "none"


def milliseconds(text: str) -> int:
    """
    >>> milliseconds("2min"), milliseconds("24h")
    (120000, 86400000)

    Raises:
        ValueError: no duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration such as 30s, 2min, 24h or 7d")
    return int(found[1]) * _UNITS[found[2]]


class Families:
    """The declared families; of several that a key could be of, it is of the one that says most."""

    def __init__(self, families: Iterable[Family]) -> None:
        pairs = [(Pattern(family.pattern), family) for family in families]
        self._pairs = sorted(pairs, key=lambda pair: -pair[0].literals)  # stable: the first declared wins

    def of(self, key: str) -> Family | None:
        """The family of a key."""
        return next((family for pattern, family in self._pairs if pattern.matches(key)), None)


@dataclass
class _Wrong:
    """Keys with one thing wrong."""

    count: int = 0
    sample: list[str] = field(default_factory=list)

    def add(self, key: str, most: int) -> None:
        self.count += 1
        if len(self.sample) < most:
            self.sample.append(printable(key))


def found(sample: Sample, families: Families, chosen: Sequence[Address], shown: int) -> Iterator[Finding]:
    """Every disagreement of keys with the family they are of.

    Args:
        chosen: the families that are looked at.
        shown: how many keys to name of each.
    """
    wrong: dict[tuple[Address, str], _Wrong] = {}
    by_address: dict[Address, Family] = {}
    for key in sample.keys:
        family = families.of(key.name)
        if family is not None and family.address in chosen:
            by_address[family.address] = family
            for what in _wrong(key, family):
                wrong.setdefault((family.address, what), _Wrong()).add(key.name, shown)
    for (address, what), keys in sorted(wrong.items()):
        family = by_address[address]
        yield Finding(
            address,
            Rule.CONSTRAINT,
            what,
            keys.count,
            tuple(keys.sample),
            f"SCAN 0 MATCH {Pattern(family.pattern).glob} COUNT 1000",
            family.source,
            _HINTS.get(what.split(" ", 2)[1], "mend what writes them"),
            bounded=not sample.whole,
            looked=None if sample.whole else len(sample.keys),
        )


_HINTS = {
    "without": "EXPIRE them, and mend what writes them",
    "that": "PERSIST them, and mend what writes them",
}


def _wrong(key: Key, family: Family) -> Iterator[str]:
    if family.type is not None and key.type != family.type:
        yield f"keys are of type {key.type}, not {family.type}"
    if family.ttl == NO_TTL and key.ttl >= 0:
        yield "keys that expire, where none should"
    elif family.ttl not in (None, NO_TTL):
        if key.ttl < 0:
            yield f"keys without a time to live; the rule is at most {family.ttl}"
        elif key.ttl > milliseconds(str(family.ttl)):
            yield f"keys live longer than {family.ttl}"


def strangers(sample: Sample, proposals: Iterable[Proposal], store: str, shown: int) -> Iterator[Finding]:
    """Keys of no family, by what they have in common."""
    for proposal in proposals:
        yield Finding(
            Address(store, "keys", (proposal.pattern,)),
            Rule.VOCABULARY,
            f"keys like {proposal.pattern} are of no family",
            proposal.count,
            tuple(map(printable, proposal.sample[:shown])),
            f"SCAN 0 MATCH {Pattern(proposal.pattern).glob} COUNT 1000",
            None,
            f"declare them under families: {proposal.name}: {{pattern: '{proposal.pattern}'}}, or ignore them:"
            " `ignore:` of the store",
            bounded=not sample.whole,
            looked=None if sample.whole else len(sample.keys),
        )


def printable(key: str) -> str:
    """A key as a person may read it, whatever bytes it has."""
    return key if key.isprintable() else ascii(key)[1:-1]
