"""`migrations:` of reconcile.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconcile.errors import Problem
from reconcile.migrations import directives
from reconcile.migrations.model import TABLE, Folder, Layout, Permit
from reconcile.stores import package
from reconcile.stores.base import StoreSpec
from reconcile.stores.migrating import Scripted
from reconcile.suggest import meant
from reconcile.yamlio import Map


def problems(declared: Map, stores: Mapping[str, Map]) -> Iterator[Problem]:
    """What is wrong with the entries, beyond their schema."""
    for name, entry in declared.items():
        store = entry["store"]
        where = entry.value_at("store")
        if store not in stores:
            yield Problem(f'migrations "{name}": there is no store "{store}"', where=where, hint=meant(store, stores))
        elif not isinstance(package(stores[store]["kind"]), Scripted):
            yield Problem(f'migrations "{name}": store "{store}" runs no migrations', where=where)
        wrong: list[Problem] = []
        list(_permits(entry, wrong))
        yield from wrong


def folders(declared: Map) -> tuple[Folder, ...]:
    """The entries, in the order of the file."""
    return tuple(
        Folder(
            name,
            entry["store"],
            str(entry["folder"]).rstrip("/"),
            Layout(entry["layout"]) if entry.get("layout") else None,
            str(entry["wrappers"]).rstrip("/") if entry.get("wrappers") else None,
            entry.get("table") or TABLE,
            dict(_permits(entry, [])),
            declared.at(name),
        )
        for name, entry in declared.items()
    )


def _permits(entry: Map, wrong: list[Problem]) -> Iterator[tuple[str, tuple[Permit, ...]]]:
    allowed = entry.get("allow") or Map()
    for number, permit in allowed.items():
        names, reason = permit["dangers"], permit["reason"]
        yield number, tuple(directives.permit(list(names), str(reason), allowed.at(number), wrong))


def ignored(found: tuple[Folder, ...], spec: StoreSpec) -> tuple[str, ...]:
    """Patterns of what the tool keeps in a store to track its migrations."""
    kind = package(spec.kind)
    if not isinstance(kind, Scripted):
        return ()
    tables = dict.fromkeys(f.table for f in found if f.store == spec.name)
    return tuple(pattern for table in tables for pattern in kind.tracking(spec, table))
