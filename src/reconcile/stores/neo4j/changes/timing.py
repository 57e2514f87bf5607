"""How long clients are without an index, or wait for a constraint: guesses, from how much there is to index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from reconcile.change import Action, Change, Server, Step
from reconcile.hazards import Hazard
from reconcile.model import Address, Json
from reconcile.stores.neo4j.changes.common import own
from reconcile.stores.neo4j.resources import FULLTEXT, LOOKUP, POINT, RANGE, TEXT, Index, SchemaObject

_PER_SECOND = {RANGE: 100_000, TEXT: 50_000, POINT: 50_000, FULLTEXT: 30_000, LOOKUP: 100_000}
"""Nodes indexed in a second, by kind: the order of magnitude, from 5.26 on two cores that had other work."""
_NUMBERS_PER_SECOND = 100_000
"""Of vectors in an HNSW graph: each costs in proportion to its dimensions."""

WAITING = frozenset({Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES})
"""Of a constraint that is built after its transaction has locked the label: writers wait until the commit, and so
do readers that use any index on the label (measured on 5.26 with 300,000 nodes: 0.9 to 1.9 s, 0.1 s without)."""


class TimedChange(Change):
    """A change that makes a constraint or an index, or drops an index in whose place a constraint is made."""

    def estimate(
        self, step: Step, measured: Mapping[str, int], settings: Mapping[str, Json], server: Server
    ) -> Mapping[str, int]:
        """See `Change.estimate`: the gap, and how long clients wait, where the step's hazards say that they do."""
        del settings, server
        seconds = building(own(self.resource), measured.get("rows", 0))
        if not seconds:
            return {}
        if Hazard.INDEX_GAP in step.hazards:
            return {"gap_seconds": seconds}
        return {"gap_seconds": 0, "blocked_seconds": seconds} if step.hazards >= WAITING else {}


class EnforcedName(TimedChange):
    """Policy `names: enforce`: dropped under the live name, made under the declared one; there is no RENAME."""

    action: ClassVar[Action] = Action.RENAME

    @property
    def reason(self) -> str:
        """Nobody asked for it but the policy."""
        return "rename_enforced"

    def describe(self) -> str:
        """`index_1a2b → person_name`."""
        return f"{own(self.before).name} → {own(self.after).name}"

    def reverse(self) -> Change:
        """Back to the old name."""
        before, after = own(self.before), own(self.after)
        address = Address(before.address.store, before.address.kind, (before.name,))
        return type(self)(
            after.replace(address=address, live_name=after.name), before.replace(address=address, live_name=None)
        )


def building(resource: SchemaObject, rows: int) -> int:
    """Seconds that building the index takes, guessed from how many nodes or relationships there are.

    >>> from reconcile.stores.neo4j.resources import index_address
    >>> building(Index(address=index_address("graph", "i"), kind="fulltext"), 120_000)
    4
    """
    if not rows:
        return 0
    kind, dimensions = (resource.kind, resource.dimensions) if isinstance(resource, Index) else (RANGE, None)
    rate = _PER_SECOND.get(kind) or _NUMBERS_PER_SECOND / (dimensions or 1024)
    return max(1, round(rows / rate))
