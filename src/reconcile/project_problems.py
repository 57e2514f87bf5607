"""What is wrong in a project file that its JSON Schema cannot tell, in any of its environments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reconcile import policies, references, wording
from reconcile.environment import ASSERTIONS, environments_of, holding, laid_over
from reconcile.errors import Problem
from reconcile.model import Source
from reconcile.suggest import meant
from reconcile.yamlio import Map

SCHEMA = "project.schema.json"
WITH_REFERENCES = ("stores", "notify")
"""Parts of reconcile.yaml, and of an environment, whose texts may refer to what is outside."""


def problems_of(document: Map, directory: Path) -> Iterator[Problem]:
    """What is wrong in any environment, each thing once."""
    seen = set()
    for environment in environments_of(document):
        for problem in _environment_problems(document, environment, directory):
            if (problem.where, problem.what) not in seen:
                seen.add((problem.where, problem.what))
                yield problem
    outside = Map(source=document.at())
    for key, value in document.items():
        if key == "environments" and value:
            inner = Map(source=value.at())
            for name, entry in value.items():
                inner.take(name, value, _without_references(entry or Map()))
            value = inner
        outside.take(key, document, value)
    for text, where in _texts(_without_references(outside)):
        if any(not found[0].startswith("$$") for found in references.REFERENCE.finditer(text)):
            what = "references are read under stores: and notify:, and in http: and headers: of checks, only"
            yield Problem(what, where=where, hint="write the value out")


def _without_references(value: Map) -> Map:
    result = Map(source=value.at())
    for key, inner in value.items():
        if key == "checks" and inner:
            from reconcile import assertions

            inner = assertions.without_requests(inner)
        if key not in WITH_REFERENCES:
            result.take(key, value, inner)
    return result


def _texts(value: Any) -> Iterator[tuple[str, Source]]:
    """Every text in it, with its place."""
    if isinstance(value, Map):
        for key, inner in value.items():
            if isinstance(inner, str):
                yield inner, value.value_at(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, str):
                yield inner, value.at(index)  # type: ignore[attr-defined]  # a Seq, as the reader makes them
            yield from _texts(inner)


def _environment_problems(document: Map, environment: str, directory: Path) -> Iterator[Problem]:
    over: Map = environments_of(document)[environment] or Map()
    unknown = [name for name in over.get("stores") or () if name not in document["stores"]]
    for name in unknown:
        yield Problem(f'environment "{environment}": there is no store "{name}"', where=over["stores"].at(name),
                      hint=meant(name, document["stores"]))  # fmt: skip
    merged = laid_over(document, environment)
    stores: Map = merged["stores"]
    misfits = [problem for name in stores if name not in unknown for problem in _store_problems(name, stores)]
    yield from misfits
    for part in (merged.get(key) or Map() for key in WITH_REFERENCES):
        for text, where in _texts(part):
            yield from references.check(text, where)
    if any(merged.get(key) for key in ASSERTIONS):
        from reconcile import assertions

        yield from assertions.check_references(merged)
        if not (unknown or misfits):
            wrong: list[Problem] = []
            assertions.read(merged, directory, wrong)
            yield from wrong
    for part in (document, over):
        yield from policies.problems(part, environment, merged.get("policy") or Map(), environments_of(document))
    if not misfits:
        known = {k: v for k, v in stores.items() if k not in unknown}
        for part in (document, over):
            yield from policies.addresses(part, known)
        if merged.get("migrations"):
            from reconcile.migrations import declared

            yield from declared.problems(merged["migrations"], known)
        yield from _ledger_problems(merged, known)
    if over.get("shared") and "file" in (merged.get("ledger") or Map()):
        holders = holding(stores) if not misfits else []
        yield Problem(
            f'environment "{environment}" is shared, and a ledger in a file is not',
            where=merged["ledger"].value_at("file"),
            hint=f"write `ledger: {{store: {holders[0]}}}`" if holders else "add a postgres store to hold it",
        )


def _store_problems(name: str, stores: Map) -> list[Problem]:
    """What does not fit the kind of the store."""
    only = Map(source=stores.at(name))
    only.take(name, stores, stores[name])
    return wording.problems(Map({"stores": only}, source=stores.at(name)), SCHEMA, "stores_of_environment")


def _ledger_problems(document: Map, stores: Mapping[str, Map]) -> Iterator[Problem]:
    ledger: Map = document.get("ledger") or Map()
    if "file" in ledger:
        return
    holders = holding(stores)
    if (store := ledger.get("store")) is not None:
        where = ledger.value_at("store")
        if store not in stores:
            yield Problem(f'ledger: there is no store "{store}"', where=where, hint=meant(store, holders))
        elif store not in holders:
            yield Problem(f'ledger: store "{store}" cannot hold it', where=where, hint=_ledger_hint(holders))
    elif len(holders) != 1:
        what = "several stores can hold the ledger" if holders else "no store can hold the ledger"
        where = document.at("ledger") if "ledger" in document else document.at("stores")
        yield Problem(what, where=where, hint=_ledger_hint(holders))


def _ledger_hint(holders: list[str]) -> str:
    ways = [f"ledger: {{store: {name}}}" for name in holders] or ["ledger: {file: .reconcile/ledger.db}"]
    return f"write `{ways[0]}`" if len(ways) == 1 else f"write one of: {', '.join(f'`{way}`' for way in ways)}"
