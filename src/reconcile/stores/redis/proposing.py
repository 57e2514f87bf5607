"""Families that keys seem to be of: parts that vary become `{…}`. Pure: a proposal, to be read by somebody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconcile.stores.redis.patterns import quoted
from reconcile.stores.redis.sampling import Key

MANY = 8
"""From how many different texts on a part of keys is taken for one that varies."""
_VARIES = re.compile(r"\d+|[0-9a-fA-F-]*\d[0-9a-fA-F-]{7,}|.*[@.].*|.{24,}|.*\d{3,}.*", re.S)
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))


@dataclass(frozen=True)
class Proposal:
    """Keys that look alike."""

    pattern: str
    name: str
    type: str | None
    """None: they are of several."""
    lasting: int
    """How many have no time to live."""
    longest: int
    """The longest time to live of the others, ms; 0 where there is none."""
    count: int
    sample: tuple[str, ...]

    @property
    def ttl(self) -> str | None:
        """The rule that all of them keep; None where some expire and some do not."""
        if self.lasting == self.count:
            return "none"
        return None if self.lasting else rounded(self.longest)


def rounded(milliseconds: int) -> str:
    """The next whole number of a unit.

    >>> rounded(86_390_000), rounded(95_000), rounded(3_600_000), rounded(10)
    ('24h', '2min', '1h', '1s')
    """
    size, unit = next((u for u in _UNITS if milliseconds >= u[0]), _UNITS[-1])
    return f"{-(-milliseconds // size)}{unit}"


def proposals(keys: Iterable[Key]) -> list[Proposal]:
    """By pattern; every key is of one."""
    rows = [(key.name.split(":"), key) for key in keys]
    by_length: dict[int, list[tuple[list[str], Key]]] = {}
    for row in rows:
        by_length.setdefault(len(row[0]), []).append(row)
    found, names = [], set[str]()
    for length in sorted(by_length):
        for parts, members in _grouped(by_length[length], 0):
            proposal = _proposal(parts, members, names)
            names.add(proposal.name)
            found.append(proposal)
    return sorted(found, key=lambda p: p.pattern)


def _grouped(
    rows: Sequence[tuple[list[str], Key]], at: int
) -> Iterator[tuple[list[str | None], Sequence[tuple[list[str], Key]]]]:
    """Rows of one pattern together; None for a part that varies."""
    if at == len(rows[0][0]):
        yield [], rows
        return
    texts = Counter(parts[at] for parts, _ in rows)
    many = len(texts) >= MANY and (at > 0 or len(texts) * 2 > len(rows))
    groups: dict[str | None, list[tuple[list[str], Key]]] = {}
    for row in rows:
        text = row[0][at]
        varies = bool(text) and (many or _VARIES.fullmatch(text) is not None)
        groups.setdefault(None if varies else text, []).append(row)
    for part, members in sorted(groups.items(), key=lambda g: (g[0] is None, g[0] or "")):
        for rest, same in _grouped(members, at + 1):
            yield [part, *rest], same


def _proposal(parts: Sequence[str | None], members: Sequence[tuple[list[str], Key]], taken: set[str]) -> Proposal:
    keys = [key for _, key in members]
    varying = sum(part is None for part in parts)
    number = 0
    texts = []
    for part in parts:
        if part is None:
            number += 1
            texts.append("{id}" if varying == 1 else f"{{id{number}}}")
        else:
            texts.append(quoted(part))
    base = "_".join(filter(None, (re.sub(r"\W+", "_", p or "").strip("_") for p in parts))) or "keys"
    name = next(n for n in (base, *(f"{base}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)
    types = {key.type for key in keys}
    return Proposal(
        ":".join(texts),
        name,
        types.pop() if len(types) == 1 else None,
        sum(key.ttl < 0 for key in keys),
        max((key.ttl for key in keys if key.ttl >= 0), default=0),
        len(keys),
        tuple(key.name for key in keys[:100]),
    )
