"""Live -> resources. Pure: `session.py` asks, this reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconcile.model import Address, State
from reconcile.stores.base import Live, NotModelled
from reconcile.stores.redis import search
from reconcile.stores.redis.proposing import proposals
from reconcile.stores.redis.resources import Keys, Parameter, config_address
from reconcile.stores.redis.sampling import Sample
from reconcile.stores.redis.values import SECRETS
from reconcile.stores.redis.wire import Answer


def introspect(
    store: str, config: Mapping[str, str], sample: Sample, indexes: Mapping[str, Answer], unseen: Sequence[str] = ()
) -> Live:
    """All parameters but secrets, all indexes, and what the keys look like.

    Parameters and keys are no difference where they are not declared: those are the server's own, these are content.

    Args:
        indexes: by name what `FT.INFO` says.
        unseen: why there may be more of them.
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
    found = [search.read(store, name, info) for name, info in sorted(indexes.items())]
    known = [index for index in found if not isinstance(index, NotModelled)]
    unknown = tuple(index for index in found if isinstance(index, NotModelled))
    return Live(State.of([*parameters, *known, *keys]), unknown, tuple(unseen))
