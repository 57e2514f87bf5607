"""What an environment allows: the policy of `reconcile.yaml` and the `--allow` of one command."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from shlex import quote

from reconcile.errors import ReconcileError
from reconcile.hazards import Hazard
from reconcile.model import Json


@dataclass(frozen=True)
class Policy:
    """`policy:` of reconcile.yaml, the environment's entries merged over the project's."""

    names: str = "accept"
    """`accept`: an object of the declared definition keeps its live name; `enforce`: it is renamed."""
    on_drift: str = "refuse"
    """`refuse` stops an apply that would undo a change made in the store, `keep` leaves it, `revert` undoes it."""
    contract: str = "together"
    """`together`: all phases in one apply."""
    require_backup: bool = False
    allow: tuple[str, ...] = ()
    """Hazards allowed always: `HAZARD` or `HAZARD=ADDRESS-GLOB`."""


@dataclass(frozen=True)
class Allowance:
    """One `HAZARD[=ADDRESS-GLOB]`; hazard None stands for `all`."""

    hazard: Hazard | None
    glob: str = "*"

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Read one `--allow`.

        Raises:
            ReconcileError: no such hazard; names the nearest.
        """
        word, _, glob = text.partition("=")
        if word == "all":
            return cls(None, glob or "*")
        try:
            return cls(Hazard(word), glob or "*")
        except ValueError:
            near = difflib.get_close_matches(word, [*Hazard, "all"], 1)
            hint = f'did you mean "{near[0]}"?' if near else f"one of: all, {', '.join(Hazard)}"
            raise ReconcileError(f'unknown hazard "{word}" in allow', hint=hint) from None

    def permits(self, hazard: Hazard, address: str) -> bool:
        """Whether it covers `hazard` at `address`."""
        matches = address == self.glob or fnmatchcase(address, self.glob)  # a name may hold a glob's [
        return matches and self.hazard in (None, hazard)


def permitted(allowances: Iterable[Allowance], hazard: Hazard, address: str) -> bool:
    """Whether any allowance covers it."""
    return any(a.permits(hazard, address) for a in allowances)


def blocked(document: Json, allowances: Iterable[Allowance], on_drift: str) -> list[Json]:
    """What in a plan (its JSON form) nobody allowed.

    Returns:
        Dicts of step, address, hazard, allow (the option to paste into a shell), in plan order. Undone drift counts as
        the hazard `reverts-drift` of the address; the ledger's labels are not part of steps, so that an empty
        ledger changes no step.
    """
    allowances = tuple(allowances)
    found = [
        {"step": step["id"], "address": address, "hazard": hazard}
        for step in document["steps"]
        for address in [step["id"].rpartition("/")[0]]
        for hazard in step["hazards"]
        if Hazard(hazard).blocking and not permitted(allowances, Hazard(hazard), address)
    ]
    if on_drift != "revert":
        found += [
            {"step": None, "address": address, "hazard": Hazard.REVERTS_DRIFT.value}
            for address in document["observed"]["drift"]
            if not permitted(allowances, Hazard.REVERTS_DRIFT, address)
        ]
    unique = {(f["address"], f["hazard"]): f for f in reversed(found)}
    return [{**f, "allow": f"--allow {quote(f['hazard'] + '=' + f['address'])}"} for f in reversed(unique.values())]


MANY = 8
"""Up to how many addresses of one hazard are named one by one."""


def refusal(entries: Sequence[Json]) -> tuple[str, str]:
    """What `blocked` found as text: the reasons, and the options to paste; many of one hazard are told together."""
    lines, options = [], []
    for hazard in dict.fromkeys(Hazard(e["hazard"]) for e in entries):
        found = [e for e in entries if e["hazard"] == hazard]
        lines += [f"  {e['address']}: {hazard}: {hazard.sentence}" for e in found[:MANY]]
        if len(found) > MANY:
            lines.append(f"  … and {len(found) - MANY} more: {hazard}")
            options.append(f"--allow {hazard}")
        else:
            options += [str(e["allow"]) for e in found]
    return "\n".join(lines), " ".join(options)
