"""`policy:`, `approvals:` and `protect:` of reconcile.yaml, as one environment has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from reconcile.errors import Problem, ReconcileError
from reconcile.hazards import Hazard
from reconcile.model import Source
from reconcile.policy import GLOB, Allowance, Approval, Policy, Protection
from reconcile.rules import Limit, Promotion, Window
from reconcile.suggest import meant
from reconcile.yamlio import Map, Seq

_HAND = ("backfill", "migration")
"""Kinds that every store has: data that somebody changes."""


def policy(declared: Map, shared: bool) -> Policy:
    """The rules; `shared` gives the defaults of an environment that others use too."""
    plain: dict[str, Any] = {key: declared[key] for key in ("names", "on_drift", "after") if key in declared}
    plain |= {key: tuple(declared[key]) for key in ("allow", "block", "run_from") if key in declared}
    backup = declared.get("require_backup", False)
    command: Mapping[str, Any] = backup if isinstance(backup, dict) else {}
    limit = declared.get("largest_rewrite")
    return Policy(
        **plain,
        contract=declared.get("contract", "held" if shared else "together"),
        require_backup=bool(backup),
        backup_within=command.get("within", "24h"),
        backup_command=tuple(command.get("command", ())),
        backup_timeout=command.get("timeout", "1min"),
        window=_window(declared.get("window")),
        largest_rewrite=None if limit is None else Limit(limit.get("rows"), limit.get("bytes")),
        promoted_from=_promotion(declared.get("promoted_from")),
        confirm=declared.get("confirm", "environment" if shared else "yes"),
        sources={key: declared.at(key) for key in declared},
    )


def _window(declared: Map | None) -> Window | None:
    if declared is None:
        return None
    names = {"days": "days", "from": "begin", "to": "end", "timezone": "timezone"}
    found = {names[key]: value for key, value in declared.items()}
    return Window(**{**found, **({"days": tuple(found["days"])} if "days" in found else {})})


def _promotion(declared: Map | str | None) -> Promotion | None:
    if declared is None:
        return None
    if isinstance(declared, str):
        return Promotion(declared)
    return Promotion(declared["environment"], declared.get("within"))


def approvals(*parts: Seq | None) -> tuple[Approval, ...]:
    """The approvals of the project and of the environment."""
    return tuple(
        Approval(
            entry["change"], Hazard(entry["hazard"]), entry["reason"], date.fromisoformat(entry["until"]), entry.at()
        )
        for part in parts
        for entry in part or ()
    )


def protection(*parts: Seq | None) -> tuple[Protection, ...]:
    """What the project and the environment protect."""
    return tuple(Protection(glob, part.at(i)) for part in parts if part for i, glob in enumerate(part))


def addresses(part: Map, stores: Mapping[str, Map]) -> Iterator[Problem]:
    """What `protect` and `approvals` name and can be no address: it would protect, or allow, nothing.

    Args:
        part: the project's or the environment's part of the file.
        stores: by name as declared, all of which are known to be right.
    """
    for index, glob in enumerate(part.get("protect") or ()):
        yield from _unlike(glob, part["protect"].at(index), stores)
    for entry in part.get("approvals") or ():
        yield from _unlike(entry["change"], entry.value_at("change"), stores)


def _unlike(glob: str, where: Source, stores: Mapping[str, Map]) -> Iterator[Problem]:
    store, dot, rest = glob.partition(".")
    kind, _, name = rest.partition(".")
    if GLOB & set(store):
        return
    if store not in stores:
        hint = meant(store, stores) if dot else "write STORE.KIND.NAME, where * stands for anything"
        yield Problem(f'"{glob}" is of no store: there is no "{store}"', where=where, hint=hint)
    elif not GLOB & set(kind):
        from reconcile.stores import package

        declared = stores[store]["kind"]
        kinds = sorted({*package(declared).ranks, *_HAND})
        if kind not in kinds:
            yield Problem(f'"{glob}": {declared} has no "{kind}"', where=where, hint=meant(kind, kinds))
        elif not name:
            hint = f"write {store}.{kind}.NAME, or {store}.{kind}.* for all of them"
            yield Problem(f'"{glob}" is no address: the name is missing', where=where, hint=hint)


def problems(document: Map, environment: str, declared: Map, environments: Iterable[str]) -> Iterator[Problem]:
    """What is wrong in the rules of one environment.

    Args:
        document: the project's or the environment's part of the file, for approvals.
        declared: the merged policy.
        environments: the names of all.
    """
    for key in ("allow", "block"):
        for index, word in enumerate(declared.get(key, ())):
            try:
                Allowance.parse(word)
            except ReconcileError as error:
                yield Problem(
                    error.what.replace("in allow", f"in {key}"), where=declared[key].at(index), hint=error.hint
                )
    if (window := _window(declared.get("window"))) is not None:
        try:
            _ = window.zone
        except (KeyError, ValueError, OSError):  # a KeyError of zoneinfo's; a name may be a folder's too
            yield Problem(
                f'there is no time zone "{window.timezone}"',
                where=declared["window"].value_at("timezone"),
                hint="write one of the IANA database, such as Europe/Berlin; where the system has none of it,"
                " install the package tzdata",
            )
        if window.begin == window.end:
            yield Problem("the window ends when it begins", where=declared["window"].at("to"), hint="write another end")
    if (promotion := _promotion(declared.get("promoted_from"))) is not None:
        where = declared.value_at("promoted_from")
        if promotion.environment not in environments:
            hint = meant(promotion.environment, environments)
            yield Problem(f'there is no environment "{promotion.environment}"', where=where, hint=hint)
        elif promotion.environment == environment:
            hint = "write it in `environments:`, under those that come after"
            yield Problem(f"{environment} cannot be promoted from itself", where=where, hint=hint)
    for entry in document.get("approvals") or ():
        try:
            date.fromisoformat(entry["until"])
        except ValueError:
            yield Problem(f"there is no day {entry['until']}", where=entry.value_at("until"), hint="write YYYY-MM-DD")
