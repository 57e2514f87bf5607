"""What a plan shows, before any format: numbered lines with notes and nested children."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconcile import units
from reconcile.change import REASONS, Action
from reconcile.hazards import Hazard
from reconcile.model import Address, Json
from reconcile.render import words

QUIET = frozenset({Hazard.NOT_TRANSACTIONAL})
"""Hazards left to the JSON: true of every step of two stores, so a line gains nothing by it."""

WITHOUT_DATA = frozenset({Hazard.BUILDS_INDEX, Hazard.DEPENDS_ON_DATA, Hazard.NEEDS_SPACE, Hazard.LONG_RUNNING})
"""Hazards that mean nothing where what was measured is empty."""

EACH = 8
"""Steps blocked by one hazard that get a line each."""


@dataclass(frozen=True)
class Line:
    """One change. `number` is what *Blocked* lines name; a child stands below the one whose step makes it."""

    number: int | None
    action: Action
    address: str
    label: str
    """The address; of a child, only its kind and name."""
    what: str
    source: str
    notes: tuple[str, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    children: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Aside:
    """Something seen that the plan leaves alone: unmanaged, extra, not modelled, unknown."""

    address: str
    what: str
    below: tuple[str, ...] = ()
    """Lines to paste."""


@dataclass(frozen=True)
class View:
    """A plan, ready to be laid out."""

    title: str
    lines: tuple[Line, ...]
    asides: tuple[Aside, ...]
    held: tuple[Aside, ...]
    """Changes with steps that wait for their release."""
    notes: tuple[str, ...]
    summary: str
    counts: str
    blocked: tuple[str, ...]
    back: str = ""
    """What a rollback would do, where it is more than to drop what the plan makes."""
    actions: tuple[Action, ...] = field(default=())
    """Those that occur, in the legend's order."""


def view(plan: Json) -> View:
    """The plan's JSON form as lines."""
    observed = plan["observed"]
    lines = _lines(plan)
    used = {line.action for top in lines for line in (top, *top.children)}
    return View(
        title=_title(plan),
        lines=lines,
        asides=_asides(observed),
        held=_held(plan),
        notes=_notes(plan),
        summary=summary(plan),
        counts=words.by_kind(line.address.split(".")[1] for top in lines for line in (top, *top.children)),
        blocked=_blocked(observed, lines),
        back=_back_again(plan["rollback"]) if plan.get("rollback") else _back(observed.get("reverse") or {}),
        actions=tuple(a for a in words.LEGEND if a in used),
    )


def summary(plan: Json) -> str:
    """The one line others rely on; its wording is frozen (a golden test holds it)."""
    observed = plan["observed"]
    if not plan["resource_changes"]:
        records = observed.get("records") or 0
        unseen = observed.get("partial") or observed.get("unknown")
        whole = plan["complete"] and not unseen
        where = "The stores are" if whole else "What can be seen is" if unseen else "What was looked at is"
        waits = len(_waiting(plan))
        but = [f"{words.counted(waits, 'change')} that wait{'s' * (waits == 1)}"] if waits else []
        left = len(observed.get("kept", ()))
        but += (
            [f"{words.counted(left, 'move')} in the store that {'is' if left == 1 else 'are'} left alone"]
            if left
            else []
        )
        rest = f", but for {' and '.join(but)}" if but else ""
        return f"No changes. {where} as declared{rest}" + (f"; apply records {records}." if records else ".")
    counts = observed["summary"]
    verbs = ["add", "change", "rebuild", "replace", *(["rename"] if counts.get("rename") else []), "drop"]
    named = ", ".join(f"{counts.get(verb, 0)} to {verb}" for verb in verbs)
    return f"Plan: {named}. Digest {words.digest(plan)}"


_LONG = 10
"""Seconds from which on the way back of a plan that only makes things is worth a line."""


def _back(reverse: Json) -> str:
    counts, seconds = reverse.get("counts", {}), reverse.get("seconds", 0)
    if "stops" in reverse:
        return words.printable(f"Way back: cannot be told before: {' '.join(reverse['stops'].split())}")
    if not (counts.get("make") or counts.get("change") or seconds >= _LONG):
        return ""
    said = ", ".join(text.format(counts[key]) for key, text in _BACK.items() if counts.get(key))
    length = "some seconds" if seconds < _LONG else f"about {units.duration(seconds).replace('.0 s', ' s')}"
    cannot = len(reverse.get("cannot", {}))
    lost = [f"cannot undo {words.counted(cannot, 'change')}"] if cannot else []
    return " · ".join([f"Way back: {said}", length, *reverse.get("hazards", ()), *lost])


def _back_again(rollback: Json) -> str:
    return f"Way back: reconcile release {' '.join(rollback['runs'])}, then reconcile apply"


_BACK = {"make": "makes {} again", "change": "changes {} back", "drop": "drops {}"}


def _title(plan: Json) -> str:
    stores = words.counted(len(plan["stores"]), "store")
    seconds = plan["observed"].get("read_seconds")
    read = f"{stores} read in {units.duration(float(seconds))}" if seconds is not None else stores
    return f"reconcile plan · {plan['project']} · {plan['environment']} · {read}"


def _lines(plan: Json) -> tuple[Line, ...]:
    changes = plan["resource_changes"]
    children: dict[str, list[Json]] = defaultdict(list)
    shown = {c["address"] for c in changes}
    tops = []
    for change in changes:
        parent = change.get("part_of")
        if parent in shown and parent != change["address"]:
            children[parent].append(change)
        else:
            tops.append(change)
    steps: dict[str, list[Json]] = defaultdict(list)
    first: dict[str, int] = {}
    for position, step in enumerate(plan["steps"]):
        address = step["id"].rpartition("/")[0]
        steps[address].append(step)
        first.setdefault(address, position)
    # In the order of execution; what has no step of its own stays with what stands before it.
    places, last = {}, 0
    for change in tops:
        last = places[change["address"]] = first.get(change["address"], last)
    tops.sort(key=lambda change: places[change["address"]])
    return tuple(_line(change, n, plan["observed"], steps, children) for n, change in enumerate(tops, 1))


def _line(
    change: Json,
    number: int | None,
    observed: Json,
    steps: Mapping[str, Sequence[Json]],
    children: Mapping[str, Sequence[Json]],
    parent: str | None = None,
) -> Line:
    address = change["address"]
    source = observed.get("sources", {}).get(address)
    own = steps.get(address, ())
    hazards = {Hazard(h) for step in own for h in step["hazards"]} - QUIET
    return Line(
        number=number,
        action=words.action(change["change"]["actions"]),
        address=address,
        label=words.printable(_below(address, parent) if parent else address),
        what=words.printable(words.shortened(" ".join(change["describe"].split()))),
        source=f"{source['file']}:{source['line']}" if source else "",
        notes=tuple(map(words.printable, _clauses(change, own, observed, hazards, parent))),
        hazards=tuple(h for h in Hazard if h in hazards),
        children=tuple(_line(c, None, observed, steps, children, address) for c in children.get(address, ())),
    )


def _below(address: str, parent: str) -> str:
    """The kind and the name as seen from the container: `column lang`; `grants` for those of the container."""
    child, container = Address.parse(address), Address.parse(parent)
    if child.parts == (container.kind, *container.parts):
        return words.kind(child.kind)
    depth = len(container.parts)
    parts = child.parts[depth:] if child.parts[:depth] == container.parts and child.parts[depth:] else child.parts
    return f"{words.kind(child.kind, 1)} {Address(child.store, child.kind, parts).name}"


def _clauses(
    change: Json, steps: Sequence[Json], observed: Json, hazards: set[Hazard], parent: str | None
) -> list[str]:
    """The line below: why, how, how much, what may hurt; then what the store did by itself."""
    clauses = []
    reason = change.get("action_reason")
    if reason == "replace_because_cannot_update":
        clauses.append(_forces(change["change"]))
    elif reason == "companion_of_replacement":
        other = change.get("companion_of")
        clauses.append(f"made anew with {other}" if other else REASONS[reason])
    elif reason not in (None, "rebuild_for_options") and not parent:
        clauses.append(REASONS.get(reason, reason))
    if change.get("strategy") and not parent:
        clauses.append(change["strategy"])
    after = dict.fromkeys(a for step in steps for a in step.get("asked_after", ()))
    clauses += [f"its rows are looked at after {' and '.join(after)}"] if after else []
    clauses += [f"kept with its data as {step['keeps']}" for step in steps if step.get("keeps")]
    costs = observed.get("costs", {})
    measured: dict[str, int] = {}
    for step in steps:
        for name, amount in costs.get(step["id"], {}).items():
            measured[name] = max(amount, measured.get(name, 0))
    if measured and not any(measured.values()):
        hazards = hazards - WITHOUT_DATA
    elif measured:
        clauses.append(words.cost(measured))
    clauses += [str(h) for h in Hazard if h in hazards]
    notes = [" · ".join(clauses)] if clauses else []
    return notes + _moved(change, observed)


def _moved(change: Json, observed: Json) -> list[str]:
    """What the store did by itself, with the difference; an apply undoes it."""
    if change["address"] not in observed.get("drift", ()):
        return []
    diffs = []
    for cause in observed.get("causes", {}).get(change["address"], ()):
        if cause["cause"] in ("drift", "both"):
            if not cause["path"]:
                return ["moved in the store: it is gone since the last apply"]
            live = words.at(change["change"]["before"], cause["path"])
            moved = words.shortened(f"{words.value(cause['applied'])} → {words.value(live)}")
            diffs.append(f"{words.dotted(cause['path'])} {moved}")
    return [f"moved in the store since the last apply: {', '.join(diffs)}"] if diffs else []


def _forces(change: Json) -> str:
    paths = change.get("replace_paths") or []
    before, after = change["before"] or {}, change["after"] or {}
    changed = {k for k in {*before, *after} if before.get(k) != after.get(k)}
    if not paths or len(changed) <= len({p[0] for p in paths}):
        return "forces replacement"
    return f"{words.listed([words.dotted(p) for p in paths])} force{'s' * (len(paths) == 1)} replacement"


def _asides(observed: Json) -> tuple[Aside, ...]:
    found = []
    for entry in observed.get("extra", ()):
        yaml = tuple((entry.get("yaml") or "").rstrip("\n").split("\n")) if entry.get("yaml") else ()
        found.append(Aside(entry["address"], "extra: in a managed container, not declared", yaml))
    for entry in observed.get("not_modelled", ()):
        found.append(Aside(entry["address"], f"not modelled: {entry['what']}"))
    found += [Aside(a, "unknown: the store cannot be seen whole") for a in observed.get("unknown", ())]
    for address, row in sorted(observed.get("rolled", {}).items()):
        since = datetime.fromtimestamp(row["since"], UTC).strftime("%Y-%m-%d %H:%M UTC") if row else ""
        what = f"held since the rollback of run {row['run']}, {since}" if row else "held: it needs what is held"
        found.append(Aside(address, what))
    found += [Aside(a, "moved in the store, left alone (on_drift: keep)") for a in observed.get("kept", ())]
    for entry in observed.get("unproved", ()):
        declared, live = (words.shortened(" ".join(entry[side].split()), 100) for side in ("declared", "live"))
        where = f"  ({entry['where']})" if entry.get("where") else ""
        below = (f"declared  {declared}{where}", f"live      {live}")
        what = f"cannot prove equal: {entry['path']}: {entry['how']}".replace(": : ", ": ")
        found.append(Aside(entry["address"], what, tuple(map(words.printable, below))))
    unmanaged = observed.get("unmanaged", ())
    found += [Aside(entry["address"], "unmanaged") for entry in unmanaged]
    return tuple(Aside(words.printable(a.address), words.printable(a.what), a.below) for a in found)


HELD = "Held until released (reconcile release ADDRESS or RUN):"
"""Above the changes that wait."""


def _waiting(plan: Json) -> dict[str, list[Json]]:
    """The steps that wait, by change."""
    found: dict[str, list[Json]] = defaultdict(list)
    for step in plan.get("held", {}).get("steps", ()):
        found[step["id"].rpartition("/")[0]].append(step)
    return found


def _held(plan: Json) -> tuple[Aside, ...]:
    waiting = _waiting(plan)
    changes = {c["address"]: c for c in (*plan["resource_changes"], *plan.get("held", {}).get("resource_changes", ()))}
    since = plan["observed"].get("held", {})
    found = []
    for address, steps in waiting.items():
        change = changes[address]
        symbol, described = words.action(change["change"]["actions"]).value, " ".join(change["describe"].split())
        hazards = {h for step in steps for h in step["hazards"]}
        from_ = "from this apply on"
        if address in since:
            at = datetime.fromtimestamp(since[address]["since"], UTC).strftime("%Y-%m-%d %H:%M UTC")
            from_ = f"since {at}, run {since[address]['run']}"
        below = " · ".join([from_, words.counted(len(steps), "step"), *(h for h in Hazard if h in hazards)])
        source = plan["observed"].get("sources", {}).get(address)
        place = f"  {source['file']}:{source['line']}" if source else ""
        what = f"{symbol} {words.shortened(described)}".rstrip() + place
        found.append(Aside(words.printable(address), words.printable(what), (words.printable(below),)))
    return tuple(found)


def _notes(plan: Json) -> tuple[str, ...]:
    observed = plan["observed"]
    notes = list(observed.get("notes", ()))
    for store, reasons in observed.get("partial", {}).items():
        notes += [f"store {store} cannot be seen whole: {reason}" for reason in reasons]
    for entry in observed.get("permitted", ()):
        if entry["by"] == "approval":
            what = f"{entry['hazard']} at {entry['address']} is approved until {entry['until']}"
            notes.append(f"{what} ({entry['where']}): {entry['reason']}")
    for hook in plan.get("hooks", ()):
        where = "" if hook["on_failure"] == "stop" else " (a failure is only told)"
        notes.append(f"hook {hook['at']}: {shlex.join(hook['command'])}{where}")
    cannot = (observed.get("reverse") or {}).get("cannot", {})
    for address, why in list(cannot.items())[:EACH]:
        notes.append(f"a rollback would not undo {address}: {why}")
    if len(cannot) > EACH:
        notes.append(f"… nor {len(cannot) - EACH} more (--format json has them)")
    narrowed = [f"--{name} {words.value(glob)}" for name in ("only", "exclude") for glob in plan["selection"][name]]
    if narrowed:
        notes.insert(0, f"not the whole plan: {' '.join(narrowed)}.")
    return tuple(map(words.printable, notes))


def _blocked(observed: Json, lines: Sequence[Line]) -> tuple[str, ...]:
    """What stops an apply, in the order of the lines; one line for a hazard of very many steps."""
    numbers = {line.address: top.number for top in lines for line in (top, *top.children)}
    found: dict[str, dict[str, int | None]] = defaultdict(dict)
    kept: list[tuple[int, str]] = []
    for entry in observed.get("blocked", ()):
        address = entry.get("address") or str(entry["step"]).rpartition("/")[0]
        number = numbers.get(str(entry.get("step", "")).rpartition("/")[0]) or numbers.get(address)
        who = f"step {number}" if number else address
        if entry.get("protected"):
            sentence = f"Blocked: {who}: {entry['hazard']}, protected by {entry['protected']}"
            kept.append((number or len(lines) + 1, sentence))
            continue
        allow = (entry.get("allow") or f"{entry['hazard']}={address}").removeprefix("--allow ")
        found[entry["hazard"]][f"Blocked: {who} needs --allow {allow}"] = number
    for hazard, sentences in found.items():
        each = [number or len(lines) + 1 for number in sentences.values()]
        if len(each) <= EACH:
            kept += zip(each, sentences, strict=True)
        else:
            who = f"{len(each)} steps, {min(each)} the first,"
            kept.append(
                (min(each), f"Blocked: {who} need --allow {hazard} (or {hazard}=ADDRESS-GLOB for some of them)")
            )
    for rule in observed.get("rules", ()):
        place = f" ({rule['where']})" if rule.get("where") else ""
        kept.append((len(lines) + 1, f"Blocked: policy {rule['rule']}{place}: {rule['what']}"))
    unproved = observed.get("unproved", ())
    if unproved:
        count = words.counted(len(unproved), "change")
        what = f"{count} cannot be proved to be one (`cannot prove equal` above)"
        sentence = f"Blocked: {what}: declare what is live, or see `equality:`"
        kept.append((len(lines) + 2, sentence))
    return tuple(words.printable(sentence) for _, sentence in sorted(kept, key=lambda pair: pair[0]))
