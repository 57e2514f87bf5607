"""YAML documents -> resources. What the JSON Schema cannot say is checked here, each problem with its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reconcile.model import Resource
from reconcile.stores.base import Context
from reconcile.stores.redis.resources import Parameter, config_address
from reconcile.stores.redis.values import SECRETS, written

if TYPE_CHECKING:
    from reconcile.yamlio import Map


def parse(documents: Sequence[Map], context: Context) -> list[Resource]:
    """Parameters, families and indexes, in this order; problems go to `context`."""
    return [resource for document in documents for resource in _parameters(document, context)]


def _parameters(document: Map, context: Context) -> Iterator[Resource]:
    block: Map | None = document.get("config")
    for name, value in (block or {}).items():
        assert block is not None
        where = block.at(name)
        if name != name.lower():
            context.problem(where, f'"{name}": parameters are in lower case', f"write {name.lower()}")
        elif name in SECRETS:
            hint = "set it in the server's own configuration, or give users passwords with ACL"
            context.problem(where, f'"{name}" is a secret, which no schema file declares', hint)
        else:
            yield Parameter(
                address=config_address(context.spec.name, name),
                source=where,
                value=written(value),
                rewrite=document.get("config_file") == "rewrite",
            )
