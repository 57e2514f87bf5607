"""The aliases of a replacement: where they point now, and that none stays behind.

https://qdrant.tech/documentation/concepts/collections/#collection-aliases
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.qdrant.transport import Transport

_ROUNDS = 20


def targets(http: Transport) -> dict[str, str]:
    """Alias -> physical name, of all there are."""
    return {a["alias_name"]: a["collection_name"] for a in http.send("GET", "/aliases")["aliases"]}


def planned(args: Mapping[str, Json]) -> Mapping[str, Json]:
    """The aliases that a replacement points at the new generation -> where they pointed when planned, or None."""
    found: Mapping[str, Json] = args.get("aliases") or {args["name"]: None}
    return found


def moved(http: Transport, args: Mapping[str, Json]) -> tuple[list[str], list[str]]:
    """(aliases of the plan that point at the new generation already, those that do not yet)."""
    now = targets(http)
    there = [alias for alias in planned(args) if now.get(alias) == args["to"]]
    return there, [alias for alias in planned(args) if alias not in there]


def unmoved_by_others(http: Transport, args: Mapping[str, Json]) -> None:
    """Raises where an alias of the plan points neither where it did when planned nor at a generation of this copy."""
    now = targets(http)
    for alias, before in planned(args).items():
        at = now.get(alias)
        if at is not None and at not in (before, args["from"], args["to"]):
            raise StoreError(
                f"alias {alias} points at {at} now, and pointed at {before or 'nothing'} when this was planned",
                where=f"store {http.spec.name}",
                hint=f"nothing was switched. Point it back at {args['from']}, then: reconcile apply --resume\n"
                "  or abandon the run and plan again: a copy that is there is gone on with",
            )


def follow(http: Transport, old: str, new: str, report: Callable[[str], None], expected: Collection[str] = ()) -> bool:
    """Re-point what still points at the old generation, also what was made while it was copied; each in one action.

    Args:
        expected: aliases that the plan names: not worth a line.

    Returns:
        Whether there were any.
    """
    for turn in range(_ROUNDS):
        behind = sorted(alias for alias, target in targets(http).items() if target == old)
        if not behind:
            return turn > 0
        for alias in behind:
            action = {"create_alias": {"collection_name": new, "alias_name": alias}}
            http.send("POST", "/collections/aliases", {"actions": [action]})
            if alias not in expected:
                report(f"alias {alias}, made for {old} after the plan, follows to {new}")
    raise StoreError(
        f"alias {', '.join(behind)} is pointed at {old} again and again",
        where=f"store {http.spec.name}",
        hint=f"find who does it, and let it point at {new}; then: reconcile apply --resume",
    )
