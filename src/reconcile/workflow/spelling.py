"""Where a way back leads, as the stores want it written."""

from __future__ import annotations

from reconcile.model import State
from reconcile.reversal import Undone
from reconcile.stores.base import Live
from reconcile.survey import Reading


def spelled(found: Reading, name: str, undone: Undone) -> State:
    """The end as the package wants what is desired: what it decides by itself (names of generations) is in it."""
    store = found.stores[name]
    asked = State({a: r for a, r in undone.target.items() if a in undone.touched or a not in undone.state})
    if not asked:
        return undone.target
    live = Live(undone.state, store.live.not_modelled, store.live.partial)
    spelled = store.session.canonical(undone.target, live, found.known).state
    return undone.target.add(*(spelled[a] for a in asked if a in spelled))
