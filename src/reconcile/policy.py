"""What an environment allows: the policy of `reconcile.yaml`, approvals, protection, and a command's `--allow`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fnmatch import fnmatchcase
from shlex import quote

from reconcile.errors import ReconcileError
from reconcile.hazards import Hazard
from reconcile.model import Json, Source
from reconcile.rules import Limit, Promotion, Window


@dataclass(frozen=True)
class Policy:
    """`policy:` of reconcile.yaml, the environment's entries merged over the project's."""

    names: str = "accept"
    """`accept`: an object of the declared definition keeps its live name; `enforce`: it is renamed."""
    on_drift: str = "refuse"
    """`refuse` stops an apply that would undo a change made in the store, `keep` leaves it, `revert` undoes it."""
    contract: str = "together"
    """`together`: all phases in one apply; `held`: contract steps wait for their release."""
    after: str | None = None
    """How long contract steps are held at most; None: until they are released."""
    require_backup: bool = False
    backup_within: str = "24h"
    """How old a backup of the tool's own may be."""
    backup_command: tuple[str, ...] = ()
    """Finds a backup and prints the evidence; empty: who applies gives it."""
    backup_timeout: str = "1min"
    allow: tuple[str, ...] = ()
    """Hazards allowed always: `HAZARD` or `HAZARD=ADDRESS-GLOB`."""
    block: tuple[str, ...] = ()
    """Hazards that need an allowance though they only inform."""
    window: Window | None = None
    largest_rewrite: Limit | None = None
    promoted_from: Promotion | None = None
    run_from: tuple[str, ...] = ("ci", "local")
    confirm: str = "yes"
    """What has to be typed before an apply: `yes`, or the name of the `environment`."""
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False)
    """Where each key is written."""

    def at(self, key: str) -> Source | None:
        """Where a key is written."""
        return self.sources.get(key)


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
        return matches(address, self.glob) and self.hazard in (None, hazard)

    def __str__(self) -> str:
        word = self.hazard or "all"
        return word if self.glob == "*" else f"{word}={self.glob}"


GLOB = frozenset("*?[")
"""Characters of a pattern."""


def matches(address: str, glob: str) -> bool:
    """Whether the glob covers the address, or is the address."""
    return address == glob or fnmatchcase(address, glob)  # a name may hold a glob's [


@dataclass(frozen=True)
class Approval:
    """One of `approvals:`: somebody agreed to a hazard, for a reason and a time."""

    change: str
    hazard: Hazard
    reason: str
    until: date
    source: Source

    def permits(self, hazard: Hazard, address: str) -> bool:
        """Whether it covers `hazard` at `address`, expired or not."""
        return self.hazard is hazard and matches(address, self.change)


@dataclass(frozen=True)
class Protection:
    """One of `protect:`."""

    glob: str
    source: Source


@dataclass(frozen=True)
class Permits:
    """All that decides about the hazards of a plan."""

    asked: tuple[Allowance, ...] = ()
    """`--allow`."""
    allow: tuple[Allowance, ...] = ()
    block: tuple[Allowance, ...] = ()
    approvals: tuple[Approval, ...] = ()
    protect: tuple[Protection, ...] = ()
    on_drift: str = "refuse"
    today: date = date.min
    """UTC; an approval counts through its last day."""
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False)
    """Where the keys of the policy are written."""

    def needed(self, hazard: Hazard, address: str) -> bool:
        """Whether somebody has to allow it."""
        return hazard.blocking or any(b.permits(hazard, address) for b in self.block)

    def by(self, hazard: Hazard, address: str) -> Json | None:
        """What allows it, as the plan has it; None where nothing does."""
        for asked in self.asked:
            if asked.permits(hazard, address):
                return {"by": f"--allow {asked}"}
        for allowed in self.allow:
            if allowed.permits(hazard, address):
                return {"by": f"policy allow {allowed}", **self._place("allow")}
        if hazard is Hazard.REVERTS_DRIFT and self.on_drift == "revert":
            return {"by": "policy on_drift: revert", **self._place("on_drift")}
        for a in self.approvals:
            if a.permits(hazard, address) and self.today <= a.until:
                return {"by": "approval", "where": str(a.source), "reason": a.reason, "until": a.until.isoformat()}
        return None

    def _place(self, key: str) -> Json:
        return {"where": str(self.sources[key])} if key in self.sources else {}


@dataclass(frozen=True)
class Judgement:
    """What was decided about the hazards of a plan, each as JSON for the plan and the ledger."""

    blocked: tuple[Json, ...]
    permitted: tuple[Json, ...]


def judge(document: Json, permits: Permits) -> Judgement:
    """Set the hazards of a plan against what is allowed.

    Args:
        document: the plan's JSON form: `steps` (`id`, `hazards`), `observed.drift`, and `touched`: by address of a
            change what else its steps change or remove.

    Returns:
        Entries in plan order. Undone drift counts as the hazard `reverts-drift` of the address; the ledger's labels are
        not part of steps, so that an empty ledger changes no step.
    """
    blocked: dict[tuple[str, Hazard], Json] = {}
    permitted: dict[tuple[str, Hazard], Json] = {}
    for step, address, hazard in _hazards(document):
        if not permits.needed(hazard, address):
            continue
        found = {"step": step, "address": address, "hazard": hazard.value}
        guard = _protected((address, *document.get("touched", {}).get(address, ())), permits.protect)
        if guard is not None:
            why = {"allow": None, "protected": f"{guard.glob} at {guard.source}"}
            blocked.setdefault((address, hazard), {**found, **why})
        elif (by := permits.by(hazard, address)) is not None:
            permitted.setdefault((address, hazard), {"address": address, "hazard": hazard.value, **by})
        else:
            allow = f"--allow {quote(f'{hazard}={address}')}"
            blocked.setdefault((address, hazard), {**found, "allow": allow, **_why(hazard, address, permits)})
    return Judgement(tuple(blocked.values()), tuple(permitted.values()))


def _hazards(document: Json) -> Iterable[tuple[str | None, str, Hazard]]:
    for step in document["steps"]:
        address = step["id"].rpartition("/")[0]
        yield from ((step["id"], address, Hazard(hazard)) for hazard in step["hazards"])
    yield from ((None, address, Hazard.REVERTS_DRIFT) for address in document["observed"]["drift"])


def _protected(addresses: Iterable[str], protect: Sequence[Protection]) -> Protection | None:
    return next((p for a in addresses for p in protect if matches(a, p.glob)), None)


def _why(hazard: Hazard, address: str, permits: Permits) -> Json:
    """What a reader does not expect: that a hazard blocks that only informs, or that an approval is over."""
    why = {}
    rule = next((b for b in permits.block if b.permits(hazard, address)), None)
    if not hazard.blocking and rule is not None:
        why["rule"] = f"{rule} at {permits.sources['block']}" if "block" in permits.sources else str(rule)
    over = [a for a in permits.approvals if a.permits(hazard, address)]
    if over:
        latest = max(over, key=lambda a: a.until)
        why["expired"] = f"{latest.source}, until {latest.until.isoformat()}"
    return why


def blocked(document: Json, allowances: Iterable[Allowance], on_drift: str) -> list[Json]:
    """What in a plan (its JSON form) nobody allowed, where there are no other rules; see `judge`."""
    return list(judge(document, Permits(tuple(allowances), on_drift=on_drift)).blocked)


MANY = 8
"""Up to how many addresses of one hazard are named one by one."""
WEEKS = timedelta(days=14)
"""How long an approval counts that is printed to be pasted."""


def refusal(entries: Sequence[Json], today: date) -> tuple[str, str]:
    """What `judge` blocked as text: the reasons, and what to paste; many of one hazard are told together."""
    lines, options, approvals = [], [], []
    for hazard in dict.fromkeys(Hazard(e["hazard"]) for e in entries):
        found = [e for e in entries if e["hazard"] == hazard]
        lines += [f"  {e['address']}: {hazard}: {hazard.sentence}{_reason(e)}" for e in found[:MANY]]
        if len(found) > MANY:
            lines.append(f"  … and {len(found) - MANY} more: {hazard}")
        free = [e for e in found if e["allow"] is not None]
        if len(free) > MANY:
            options.append(f"--allow {hazard}")
            approvals.append(_approval("*", hazard, today))
        else:
            options += [str(e["allow"]) for e in free]
            approvals += [_approval(e["address"], hazard, today) for e in free]
    hints = []
    if options:
        pasted = "\n".join(f"    - {line}" for line in approvals)
        hints.append(
            f"to allow them, add:  {' '.join(options)}\n"
            f"  or have them approved with the change, in reconcile.yaml:\n  approvals:\n{pasted}"
        )
    if any(e.get("protected") for e in entries):
        hints.append(
            "nothing passes `protect:`: take the entry out in a change of its own, or leave this out with --exclude"
        )
    return "\n".join(lines), "\n  ".join(hints)


def _reason(entry: Json) -> str:
    if entry.get("protected"):
        return f" Protected by {entry['protected']}."
    rule = f" Blocked by policy {entry['rule']}." if entry.get("rule") else ""
    return rule + (f" Its approval is over: {entry['expired']}." if entry.get("expired") else "")


def _approval(address: str, hazard: Hazard, today: date) -> str:
    """One approval, to be pasted: YAML of the flow style, where a reason has to be filled in."""
    change = "'" + address.replace("'", "''") + "'"
    return f"{{change: {change}, hazard: {hazard}, reason: WHY, until: {today + WEEKS}}}"
