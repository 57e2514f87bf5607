"""Live -> resources. Pure: `session.py` asks, this reads."""

from __future__ import annotations

from collections.abc import Mapping

from reconcile.model import Address, State
from reconcile.stores.base import Live
from reconcile.stores.redis.proposing import proposals
from reconcile.stores.redis.resources import Keys, Parameter, config_address
from reconcile.stores.redis.sampling import Sample
from reconcile.stores.redis.values import SECRETS


def introspect(store: str, config: Mapping[str, str], sample: Sample) -> Live:
    """All parameters but secrets, and what the keys look like.

    Neither is a difference where it is not declared: parameters are the server's own, keys are content.
    """
    parameters = [
        Parameter(address=config_address(store, name), value=value)
        for name, value in sorted(config.items())
        if name not in SECRETS
    ]
    keys = [
        Keys(
            address=Address(store, "keys", (found.pattern,)),
            name_hint=found.name,
            type=found.type,
            ttl=found.ttl,
            count=found.count,
        )
        for found in proposals(sample.keys)
    ]
    return Live(State.of([*parameters, *keys]), ())
