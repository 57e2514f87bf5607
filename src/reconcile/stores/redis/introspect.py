"""Live -> resources. Pure: `session.py` asks, this reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconcile.model import State
from reconcile.stores.base import Live
from reconcile.stores.redis.resources import Parameter, config_address
from reconcile.stores.redis.values import SECRETS


def introspect(store: str, config: Mapping[str, str], partial: Iterable[str] = ()) -> Live:
    """All parameters but secrets, which are the server's own: never listed as unmanaged, never dropped."""
    parameters = [
        Parameter(address=config_address(store, name), value=value, system=True)
        for name, value in sorted(config.items())
        if name not in SECRETS
    ]
    return Live(State.of(parameters), (), tuple(partial))
