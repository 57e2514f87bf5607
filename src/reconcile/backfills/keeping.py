"""What backfills keep in the ledger, row by row, as `reconcile kept` has it: listed, deleted by a step of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcile.backfills import progress
from reconcile.change import Op, Phase, Step
from reconcile.facts import no
from reconcile.hazards import Hazard
from reconcile.kept import Kept, purged_at
from reconcile.model import Address

if TYPE_CHECKING:
    from reconcile.ledger import Ledger

OP = "forget_rows"
"""The operation that the core carries out itself: the rows are in the ledger."""
_SAYS = {
    "old": "what rows held before, for `backfill down`",
    "archived": "rows that were deleted",
    "set_aside": "rows that failed, with their errors",
}


def kept_rows(ledger: Ledger) -> list[Kept]:
    """A line for each backfill and each kind of rows that the ledger keeps of it."""
    runs = progress.read(ledger.known())
    found = []
    for backfill, state, rows, since, size in ledger.row_totals():
        known = runs.get(Address.parse(backfill))
        run = "" if known is None else known.run
        found.append(Kept(backfill, state, run, since, _SAYS.get(state, state), rows, size, backfill))
    return found


def under_way(ledger: Ledger) -> frozenset[str]:
    """The backfills that still need theirs, for they are not done."""
    found = progress.read(ledger.known()).items()
    return frozenset(str(address) for address, known in found if known.state == progress.RUNNING)


def purged(row: Kept) -> Step:
    """The step that deletes them."""
    there = purged_at(row)
    return Step(
        id=f"{there}/1-purge",
        address=Address.parse(row.address),
        calls=(Op(OP, {"backfill": row.backfill, "state": row.name}),),
        phase=Phase.CONTRACT,
        transactional=False,
        journalled=True,
        gives=frozenset({no(there)}),
        hazards=frozenset({Hazard.DELETES_DATA, Hazard.IRREVERSIBLE, Hazard.NOT_TRANSACTIONAL}),
    )


def forget(ledger: Ledger, call: Op) -> None:
    """Carry that step out."""
    ledger.drop_rows(call.args["backfill"], state=call.args["state"])
