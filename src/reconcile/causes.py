"""Who moved: the YAML, the store, or both. Labels only; what is planned never depends on them."""

from __future__ import annotations

from collections.abc import Iterator

from reconcile.ledger_rows import Applied
from reconcile.model import Json, declared_only

Path = tuple[str, ...]


def changed_paths(before: Json, after: Json, prefix: Path = ()) -> Iterator[tuple[Path, Json, Json]]:
    """The paths at which two JSON values differ, with both values; lists are compared whole.

    Attributes are small and of known shape, so a walk over their keys is all that is needed.

    >>> list(changed_paths({"m": 16, "on": {"a": 1}}, {"m": 32, "on": {"a": 1, "b": 2}}))
    [(('m',), 16, 32), (('on', 'b'), None, 2)]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from changed_paths(before.get(key), after.get(key), (*prefix, key))
    elif before != after:
        yield prefix, before, after


def _at(value: Json, path: Path) -> Json:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def causes(before: Json, after: Json, row: Applied | None, unset_is_unmanaged: bool) -> list[dict[str, Json]]:
    """Why each attribute of one address changes.

    Args:
        before: live attributes, None where absent.
        after: desired attributes, None for a drop.
        row: what was last applied at the address.
        unset_is_unmanaged: an attribute missing from `row` was not managed, rather than at its default.

    Returns:
        Dicts of path (list of keys; empty for the whole object), cause (`config`: the YAML moved, `drift`: the
        store moved, `both`, `first`: never applied), and applied (its value then).
    """
    if before is None:
        return [{"path": [], "cause": "first" if row is None else "drift", "applied": row and row.canonical}]
    if after is None:
        return [{"path": [], "cause": "config", "applied": row and row.canonical}]
    found: list[dict[str, Json]] = []
    for path, live, wanted in changed_paths(before, after):
        applied = None if row is None else _at(row.canonical, path)
        if row is None:
            cause = "first"
        elif applied == (declared_only(live, applied) if unset_is_unmanaged else live) or (
            applied is None and unset_is_unmanaged
        ):
            cause = "config"
        else:
            cause = "drift" if applied == wanted else "both"
        found.append({"path": list(path), "cause": cause, "applied": applied})
    return found
