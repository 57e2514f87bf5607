"""A changed vector contract over stored vectors: refused, with the YAML of the next generation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconcile.change import World
from reconcile.errors import PlanError
from reconcile.model import Json
from reconcile.stores.neo4j.changes.common import own, shown
from reconcile.stores.neo4j.dump import as_yaml
from reconcile.stores.neo4j.resources import VECTOR, Index


def refuse_over_vectors(before: Index, after: Index, world: World) -> None:
    """A changed contract over stored vectors is never carried out in place."""
    if before.kind != VECTOR or after.kind != VECTOR or before.schema != after.schema:
        return
    moved = [
        (name, getattr(before, name), getattr(after, name))
        for name in ("dimensions", "similarity")
        if getattr(before, name) is not None and getattr(before, name) != getattr(after, name)
    ]
    if not moved or world.empty(after.address):
        return
    what = ", ".join(f"{name} {shown(old)} → {shown(new)}" for name, old, new in moved)
    raise PlanError(
        f"{after.address}: {what}, but {after.says()} holds vectors made for the old contract",
        where=after.source,
        hint="\n  ".join(_next_generation(before, after)),
    )


def _next_generation(before: Index, after: Index) -> list[str]:
    """The YAML that leads over without a gap."""
    name, property_ = after.address.parts[0], after.properties[0]
    old = as_yaml(before)
    new = as_yaml(own(after.replace(properties=(_generation(property_),))))
    if after.embedding:
        for key in ("dimensions", "similarity"):
            new.pop(key, None)
        new = {key: value for word in new for key, value in _with_contract(word, new, after.embedding)}
    width = max(len(name), len(_generation(name))) + 1
    return [
        "keep the old index as it is, put the new vectors into a second property with an index of its own:",
        "indexes:",
        f"  {name + ':':<{width}} {_flow(old)}",
        f"  {_generation(name) + ':':<{width}} {_flow(new)}",
        f"then fill {_generation(property_)}, let readers use {_generation(name)}, and remove {name}",
    ]


def _with_contract(key: str, entry: Mapping[str, Json], embedding: str) -> list[tuple[str, Json]]:
    """The entry's item, and after `properties` the contract."""
    return [(key, entry[key]), *([("embedding", embedding)] if key == "properties" else [])]


def _generation(name: str) -> str:
    """`embedding` → `embedding_v2` → `embedding_v3`."""
    found = re.fullmatch(r"(.*_v)(\d+)", name, re.S)
    return f"{found[1]}{int(found[2]) + 1}" if found else f"{name}_v2"


def _flow(entry: Json) -> str:
    from reconcile.yamldump import dump

    if isinstance(entry, dict):
        return "{" + ", ".join(f"{dump({k: 0}).partition(':')[0]}: {_flow(v)}" for k, v in entry.items()) + "}"
    if isinstance(entry, list | tuple):
        return f"[{', '.join(map(_flow, entry))}]"
    return dump({"k": entry}).removeprefix("k: ").rstrip("\n")
