"""Addresses that a rollback put back: left out of later plans until their YAML differs or they are released. Pure.

What is declared still asks for what was rolled back. An address is held together with what is nested in it, where the
run had made or dropped the whole: to hold a table and not its columns, or the other way round, would mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from reconcile.change import Change
from reconcile.diff import Difference
from reconcile.model import Address, Json, State
from reconcile.narrow import closure, needs_of
from reconcile.plan import digest_of

_KEY = "rolled "
"""Before the address, in what the ledger knows."""


@dataclass(frozen=True)
class Rolled:
    """An address that a rollback put back."""

    run: str
    """The run that was reversed."""
    by: str
    """The run that reversed it."""
    since: float
    """When that ended, UTC seconds since 1970."""
    whole: str
    """What it is held with: itself, or the table or collection it is in."""
    wanted: str
    """Of what was declared of the whole then: another wish ends it."""


def read(known: Mapping[str, Json]) -> dict[str, Rolled]:
    """What is held so, by address."""
    return {
        key.removeprefix(_KEY): Rolled(**entry)
        for key, entry in known.items()
        if key.startswith(_KEY) and entry is not None
    }


def wish(desired: State, whole: Address) -> str:
    """The digest of what is declared of an address and of what is in it."""
    found = [desired[whole], *desired.inside(whole)] if whole in desired else []
    return digest_of(sorted([str(r.address), r.attributes()] for r in found))


def still(rows: Mapping[str, Rolled], desired: State) -> dict[Address, Rolled]:
    """Those whose YAML is as it was."""
    wishes: dict[str, str] = {}
    for row in rows.values():
        if row.whole not in wishes:
            wishes[row.whole] = wish(desired, Address.parse(row.whole))
    return {Address.parse(a): row for a, row in rows.items() if row.wanted == wishes[row.whole]}


def without(found: Difference, rows: Mapping[Address, Rolled]) -> Difference:
    """A difference without the changes of what is held, nor of what needs those."""
    held = {c.address for c in found.found if c.address in rows}
    if not held:
        return found
    users: dict[Address, set[Address]] = {}
    for change in found.found:
        for need in needs_of(change):
            users.setdefault(need, set()).add(change.address)
    out = closure(held, lambda a: users.get(a, ()))

    def stays(changes: Iterable[Change]) -> tuple[Change, ...]:
        return tuple(c for c in changes if c.address not in out)

    chosen = {c.address for c in found.changes}
    return replace(
        found,
        changes=stays(found.changes),
        found=stays(found.found),
        complete=found.complete and not out & chosen,
        rolled=tuple(c.address for c in found.changes if c.address in out),
    )


def entries(rows: Mapping[str, Rolled]) -> dict[str, Json]:
    """For the ledger: these are held."""
    return {f"{_KEY}{address}": asdict(row) for address, row in rows.items()}


def over(addresses: Iterable[str]) -> dict[str, Json]:
    """For the ledger: these are held no more."""
    return {f"{_KEY}{address}": None for address in addresses}


def settled(known: Mapping[str, Json], desired: State) -> dict[str, Json]:
    """For the ledger: what is held no more, since another thing is declared."""
    rows = read(known)
    held = still(rows, desired)
    return over(a for a in rows if Address.parse(a) not in held)
