"""Labels as sides of mirrors: which property is the id, and all ids in a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from reconcile.errors import StoreError
from reconcile.model import Address, State
from reconcile.stores.base import Context, Side
from reconcile.stores.neo4j import cypher
from reconcile.stores.sides import is_external, same_form, undeclared

if TYPE_CHECKING:
    import neo4j

    from reconcile.yamlio import Map

AT_ONCE = 10_000
"""Rows a round trip."""


def side(kind: str, entry: Map, desired: State, context: Context) -> Side | None:
    """See `stores.base.Mirroring.side`. A label is known where a constraint, an index or the vocabulary names it."""
    label, where = entry[kind], entry.value_at(kind)
    address = Address(context.spec.name, kind, (label,))
    known = dict.fromkeys(name for r in desired.values() for name in getattr(r, "labels", ()))
    if label not in known and not is_external(address, context):
        hint = "name it in a constraint, an index or under vocabulary: labels"
        undeclared(kind, entry, known, context, hint)
        return None
    if "key" not in entry:
        hint = "say which property is the id: key: NAME (a node's own id does not last)"
        context.problem(where, f'label "{label}" needs a key', hint)
        return None
    return Side(address, entry["key"], where)


def ids(session: neo4j.Session, side: Side, head: str, place: str) -> Iterator[str | None]:
    """See `stores.base.Verifies.ids`: one query, its rows fetched as they are read.

    Args:
        head: what begins a statement for this server.

    Raises:
        StoreError: no node has the label, and none ever had.
    """
    label = side.address.parts[0]
    if not session.run(f"{head}CALL db.labels() YIELD label WHERE label = $label RETURN label", label=label).data():
        hint = "nothing was stored under it yet, or it is spelled otherwise"
        raise StoreError(f"label {label} is not in the graph", where=place, hint=hint)
    key = f"n.{cypher.quote(side.key or '')}"
    for row in session.run(f"{head}MATCH (n:{cypher.quote(label)}) RETURN {key} AS id"):
        yield from _text(row["id"]) or (None,)


def _text(value: Any) -> Sequence[str]:
    """The id as text; of a list each of its items; nothing where there is none."""
    if value is None:
        return []
    if isinstance(value, str):
        return [same_form(value)]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    if isinstance(value, list):
        return [text for item in value for text in _text(item)]
    return [str(value)]
