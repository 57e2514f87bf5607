"""The least keys for plan, drift and apply. Pure. https://qdrant.tech/documentation/guides/security/"""

from __future__ import annotations

import json
from collections.abc import Iterable

from reconcile.change import Step
from reconcile.stores.qdrant.checks import Key, collection_of

READ = '{"access": "r"}'
MANAGE = '{"access": "m"}'


def of_commands(store: str, steps: Iterable[Step]) -> dict[str, str]:
    """By command the claims of a JWT, or the key of the server's configuration, that is enough."""
    reads = f"{store}: the key of `{{}}`. The server's read_only_api_key, or a JWT with these claims:"
    calls = [call for step in steps for call in step.calls]
    names = sorted(set(map(collection_of, calls)))
    enough = Key(dict.fromkeys(names, "rw"))
    text = f"# {store}: the key of `apply`. The server's api_key, or a JWT with these claims:\n{MANAGE}\n"
    if names and all(map(enough.allows, calls)):
        claims = json.dumps({"access": [{"collection": name, "access": "rw"} for name in names]})
        text += f"# For the steps of this plan alone, once the store's mark is written, these are enough:\n{claims}\n"
    return {"apply": text, **{command: f"# {reads.format(command)}\n{READ}\n" for command in ("plan", "drift")}}
