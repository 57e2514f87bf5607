"""`reconcile drift`: what moved in the stores since the last apply."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconcile import held
from reconcile.causes import changed_paths
from reconcile.ledger_rows import Applied
from reconcile.model import Json, declared_only
from reconcile.survey import Reading, reading

if TYPE_CHECKING:
    from reconcile.project import Project


def drift(project: Project) -> dict[str, Json]:
    """What moved in the stores since the last apply. Reads only, and does not look at the YAML's wishes.

    Returns:
        `at`, `project`, `environment`, `stores`, `drift`: per applied address that changed or went
        (`address`, `action` "changed" or "missing", `paths`: [{path, applied, live}], `applied`, `live`,
        `source` where still declared), `extra`: undeclared objects inside managed ones (`address`, `yaml`),
        `not_modelled`, `unmanaged`, `applied`: how many addresses are recorded.
    """
    with reading(project) as found:
        waiting = held.read(found.known)
        extra, unmanaged = _undeclared(found, bool(waiting))
        moved = (_moved(row, found) for row in found.applied.values() if not _as_held(row, found, waiting))
        return {
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "project": project.name,
            "environment": project.environment,
            "stores": [
                {"name": s.server.name, "kind": s.server.kind, "version": s.server.version}
                for s in found.stores.values()
            ],
            "drift": [entry for entry in moved if entry is not None],
            "extra": extra,
            "unmanaged": unmanaged,
            "not_modelled": found.not_modelled(),
            "partial": {n: list(s.live.partial) for n, s in found.stores.items() if s.live.partial},
            "applied": len(found.applied),
        }


def _moved(row: Applied, found: Reading) -> Json:
    """The entry of one applied address that is not as it was, or None."""
    store = found.stores.get(row.address.store)
    if store is None or store.live.partial:
        return None
    live = store.live.state.get(row.live)
    seen = None if live is None else live.attributes()
    if live is not None and live.unset_is_unmanaged:
        seen = declared_only(seen, row.canonical)
    if seen == row.canonical:
        return None
    paths = [] if live is None else changed_paths(row.canonical, seen)
    source = found.desired[row.address].source if row.address in found.desired else None
    return {
        "address": str(row.address),
        "action": "missing" if live is None else "changed",
        "paths": [{"path": list(p), "applied": was, "live": now} for p, was, now in paths],
        "applied": row.canonical,
        "live": seen,
        "source": source and source.to_json(),
    }


def _as_held(row: Applied, found: Reading, waiting: Mapping[str, held.Held]) -> bool:
    """Whether it is as an apply left it that holds the rest of its change back."""
    store = found.stores.get(row.address.store)
    return bool(waiting) and store is not None and held.as_held(store.live.state, row.live, waiting.values())


def _undeclared(found: Reading, waiting: bool) -> tuple[list[Json], list[Json]]:
    """Live objects that nobody declared: those inside managed ones, with the YAML that adopts them; and the rest.

    Args:
        waiting: whether contract steps wait: what was built beside others for them is no surprise then.
    """
    places = {row.live for row in found.applied.values()}
    managed = {*found.applied, *found.desired, *places}
    extra: list[Json] = []
    unmanaged: list[Json] = []
    for name, store in found.stores.items():
        classify = found.project.selections[name].classify
        for address, resource in store.live.state.items():
            if address in managed or resource.system or resource.only_declared:
                continue
            if classify(address, resource.container) != "managed" or (waiting and resource.leftover_of is not None):
                continue
            if resource.container in managed:
                files = store.package.dump(store.live, store.server, store.spec, address.__eq__)
                extra.append({"address": str(address), "yaml": "".join(files.values())})
            elif resource.container is None:
                unmanaged.append({"address": str(address)})
    return extra, unmanaged
