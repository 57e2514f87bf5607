"""Which environments a project file has, and the file with the settings of one laid over it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reconcile.errors import Problem
from reconcile.stores import holds_ledger
from reconcile.suggest import meant
from reconcile.yamlio import Map, merge

ASSERTIONS = ("checks", "queries", "probes")
ONLY_ENVIRONMENT = "default"
"""The one environment of a project that names none."""


def environments_of(document: Map) -> Map:
    """The environments of a project file by name, each with its settings or None."""
    found: Map | None = document.get("environments")
    return found or Map({ONLY_ENVIRONMENT: Map()}, source=document.at("environments"))


def choose(document: Map, wanted: str | None, problems: list[Problem]) -> str:
    """The environment that is meant: `wanted`, or the one that goes without saying. What is wrong is added."""
    known = environments_of(document)
    default = document.get("default_environment")
    if default is not None and default not in known:
        where = document.value_at("default_environment")
        problems.append(
            Problem(f'default_environment: there is no environment "{default}"', where=where,
                    hint=meant(default, known))
        )  # fmt: skip
        default = next(iter(known))  # one problem is enough
    chosen = wanted or default or (next(iter(known)) if len(known) == 1 else None)
    if chosen is None:
        where = document.at("environments")
        problems.append(
            Problem("there are several environments and no default_environment", where=where,
                    hint=f"say which: {' or '.join(f'-e {name}' for name in known)}")
        )  # fmt: skip
    elif chosen not in known:
        problems.append(
            Problem(f'there is no environment "{chosen}"', where=document.at("environments"),
                    hint=meant(chosen, known))
        )  # fmt: skip
        chosen = None
    return chosen or ONLY_ENVIRONMENT


def laid_over(document: Map, environment: str) -> Map:
    """The project file with the environment's settings laid over it."""
    over: Map = environments_of(document)[environment] or Map()
    result = Map(source=document.at())
    for key, value in document.items():
        result.take(key, document, value)
    for key in ("stores", "policy", "hooks", "variables", "backup", *ASSERTIONS):
        if over.get(key):
            base = document.get(key) or Map(source=over.at(key))
            result.take(key, document if key in document else over, merge(base, over[key]))
    for key in ("notify", "contacts", "break_glass"):  # no mappings: an environment's own in place of the project's
        if key in over:
            result.take(key, over, over[key])
    return result


def holding(stores: Mapping[str, Map]) -> list[str]:
    """The names of the stores that can hold the ledger."""
    return [name for name, settings in stores.items() if holds_ledger(settings["kind"])]
