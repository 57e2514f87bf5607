"""`reconcile drift`: what moved in the stores since the last apply."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconcile.causes import changed_paths
from reconcile.model import Json, declared_only
from reconcile.survey import reading

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
        desired = found.desired
        moved: list[Json] = []
        for row in found.applied.values():
            if row.address.store not in found.stores or found.stores[row.address.store].live.partial:
                continue
            live = found.stores[row.address.store].live.state.get(row.live)
            seen = None if live is None else live.attributes()
            if live is not None and live.unset_is_unmanaged:
                seen = declared_only(seen, row.canonical)
            if seen != row.canonical:
                source = desired[row.address].source if row.address in desired else None
                moved.append(
                    {
                        "address": str(row.address),
                        "action": "missing" if live is None else "changed",
                        "paths": []
                        if live is None
                        else [
                            {"path": list(p), "applied": was, "live": now}
                            for p, was, now in changed_paths(row.canonical, seen)
                        ],
                        "applied": row.canonical,
                        "live": seen,
                        "source": source and source.to_json(),
                    }
                )
        places = {row.live for row in found.applied.values()}
        known = {*found.applied, *desired, *places}
        extra: list[Json] = []
        unmanaged: list[Json] = []
        for name, store in found.stores.items():
            classify = project.selections[name].classify
            for address, resource in store.live.state.items():
                if address in known or resource.system or classify(address, resource.container) != "managed":
                    continue
                if resource.container in places or resource.container in desired:
                    adopt = store.package.dump(store.live, store.server, store.spec, lambda a, x=address: a == x)  # type: ignore[misc]
                    extra.append({"address": str(address), "yaml": "".join(adopt.values())})
                elif resource.container is None:
                    unmanaged.append({"address": str(address)})
        return {
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "project": project.name,
            "environment": project.environment,
            "stores": [
                {"name": s.server.name, "kind": s.server.kind, "version": s.server.version}
                for s in found.stores.values()
            ],
            "drift": moved,
            "extra": extra,
            "unmanaged": unmanaged,
            "not_modelled": found.not_modelled(),
            "partial": {n: list(s.live.partial) for n, s in found.stores.items() if s.live.partial},
            "applied": len(found.applied),
        }
