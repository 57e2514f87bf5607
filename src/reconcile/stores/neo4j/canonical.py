"""The desired state as the server would show it: options left unset are those of the live index.

Everything else is spelled while it is read (`parse`, `introspect`): similarity in lower case, types in the server's
order. Names whose order is no difference, of full-text and vector indexes, take the live one's. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from reconcile.errors import Problem
from reconcile.model import Address, Resource, State
from reconcile.stores.base import Canonical, Live, Receipt
from reconcile.stores.neo4j import options
from reconcile.stores.neo4j.resources import FULLTEXT, SEVERAL, Index
from reconcile.stores.neo4j.surroundings import Surroundings


class Analyzers(Protocol):
    """Asks the server which full-text analyzers it has; called only where one is declared that is not live."""

    def __call__(self) -> Iterable[str]:
        """Their names."""


def canonical(desired: State, live: Live, analyzers: Analyzers, everything: Live | None = None) -> Canonical:
    """`desired` with what it leaves unset filled in from the live object of the same address or definition.

    Args:
        everything: what there is in the database, what the project ignores included.
    """
    partners = _partners(desired, live)
    around = Surroundings(desired, live.state, everything or live)
    state: list[Resource] = []
    receipts: list[Receipt] = []
    problems: list[Problem] = []
    for resource in desired.values():
        partner = partners.get(resource.address)
        full, taken = resource, list[tuple[options.Option, object]]()
        if isinstance(resource, Index) and isinstance(partner, Index):
            full, taken = options.filled(_in_order(resource, partner), partner)
            receipts += [_receipt(resource.address, option, value) for option, value in taken]
        problems += around.obstacles(full, partner)
        if isinstance(full, Index) and partner is not None:
            full = around.placed(full, partner)
        state.append(full if full == resource else full.replace(declared=resource.attributes()))
    problems += _unknown_analyzers(desired, partners, analyzers)
    return Canonical(State.of(state), tuple(problems), tuple(receipts))


def _receipt(address: Address, option: options.Option, value: object) -> Receipt:
    how = "default" if value == option.default else "unset"
    return Receipt(address, ".".join(option.path), "", str(value), how)


def _agree(desired: Resource, live: Resource) -> bool:
    """Whether they are equal but for the name, once what is left unset is filled in."""
    if isinstance(desired, Index) and isinstance(live, Index):
        desired, _ = options.filled(_in_order(desired, live), live)
    return live.replace(address=desired.address) == desired


def _in_order(desired: Index, live: Index) -> Index:
    if desired.kind not in SEVERAL or desired.schema != live.schema:
        return desired
    return replace(desired, labels=live.labels, relationships=live.relationships, properties=live.properties)


def _partners(desired: State, seen: Live) -> dict[Address, Resource]:
    """By address, then by definition, as the core matches them."""
    live = seen.state
    free: dict[object, list[Resource]] = {}
    for resource in sorted(live.values(), key=lambda r: r.address):
        if resource.address not in desired and resource.definition() is not None:
            free.setdefault((resource.address.kind, resource.definition()), []).append(resource)
    found: dict[Address, Resource] = {}
    for address, resource in desired.items():
        candidates = free.get((address.kind, resource.definition()))
        if address in live:
            found[address] = live[address]
        elif candidates:
            home = seen.homes.get(address)
            found[address] = min(candidates, key=lambda r: (not _agree(resource, r), r.address != home, r.address))
            candidates.remove(found[address])
    return found


def _unknown_analyzers(desired: State, partners: dict[Address, Resource], analyzers: Analyzers) -> tuple[Problem, ...]:
    """Declared analyzers that the server does not have."""
    asked = [
        index
        for index in desired.values()
        if isinstance(index, Index)
        and index.kind == FULLTEXT
        and index.analyzer is not None
        and getattr(partners.get(index.address), "analyzer", None) != index.analyzer
    ]
    if not asked:
        return ()
    known = sorted(analyzers())
    from reconcile.suggest import meant

    return tuple(
        Problem(
            f'index "{index.address.name}": the server has no full-text analyzer "{index.analyzer}"',
            where=index.source,
            hint=meant(index.analyzer or "", known) or "list them: CALL db.index.fulltext.listAvailableAnalyzers()",
        )
        for index in asked
        if index.analyzer not in known
    )
