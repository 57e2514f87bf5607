"""The application's queries: will they work when a plan is carried out, do they work now, how long do they take?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from reconcile import held
from reconcile.assertions import Assertion, Speed
from reconcile.change import applied
from reconcile.errors import ReconcileError
from reconcile.facts import Verb
from reconcile.findings import Ending, Result
from reconcile.model import Address, Json, State
from reconcile.stores.asking import Foreseen, Prepares, Timed, Times
from reconcile.survey import survey

if TYPE_CHECKING:
    from reconcile.plan import Plan
    from reconcile.project import Project
    from reconcile.stores.base import Session
    from reconcile.survey import Reading

BEFORE = "before"
_WAYS = "go on declaring what it needs, or change the query first; where it may break: `on_failure: warn`"


def queries(project: Project) -> list[Assertion]:
    """Those that a project declares."""
    return [a for a in project.assertions if a.kind == "query"]


def before(found: Reading, made: Plan) -> list[Result]:
    """Whether they will work with what `made` leaves, and how long they take now.

    Raises:
        ProjectError, PlanError: see `survey`.
    """
    asked, results = queries(found.project), list[Result]()
    if not asked:
        return []
    targets = _targets(found, made)
    for name in dict.fromkeys(a.store or "" for a in asked):
        own = [a for a in asked if a.store == name]
        session, began = found.stores[name].session, time.monotonic()
        now, target = targets[name]
        if not isinstance(session, Prepares):
            results += [_not_run(a, BEFORE, f"this version cannot prepare queries for store {name}") for a in own]
            continue
        declared = found.desired.filter(lambda r, name=name: r.address.store == name)  # type: ignore[misc]
        try:
            answers = session.foreseen([a.asks[0] for a in own], now, target, declared)
        except ReconcileError as error:
            results += [_not_run(a, BEFORE, error.what) for a in own]
            continue
        each = (time.monotonic() - began) / len(own)
        results += [_foreseen(a, answer, made, session, each) for a, answer in zip(own, answers, strict=True)]
    return results


def _targets(found: Reading, made: Plan) -> dict[str, tuple[State, State]]:
    """By store, what there is and what the plan leaves: without what waits for its release."""
    after, waiting = survey(found, made.options), set(held.owners(made.held))
    own = {c.address for c in made.resource_changes if str(c.address) not in waiting}
    return {
        name: (d.live if d.seen is None else d.seen, applied([c for c in d.changes if c.address in own], d.live))
        for name, d in after.differences.items()
    }


def _foreseen(assertion: Assertion, answer: Foreseen, made: Plan, session: Prepares, seconds: float) -> Result:
    """One of them, set against the plan."""
    if answer.refused is None:
        works = "; ".join(["will work", *answer.notes])
        result = _measured(assertion, session, BEFORE, {}, works)
        return result if result is not None else _result(assertion, BEFORE, Ending.PASSED, works, seconds)
    if answer.refused.gone:
        return _not_run(assertion, BEFORE, answer.refused.what)
    taken = _taken(answer.gone, made)
    said = _works(assertion, session)
    head = "" if said is None else f"works neither now ({said}) nor then: "
    what = f"{head}{answer.refused.what}" + (f"; {taken}" if taken else "")
    return _result(assertion, BEFORE, Ending.FAILED, what, seconds, hint=_WAYS)


def _works(assertion: Assertion, session: Prepares) -> str | None:
    refused = session.prepared(assertion.asks[0], assertion.seconds)
    return None if refused is None else refused.what


def _taken(gone: Sequence[Address], made: Plan) -> str:
    """Which step takes or changes each: what goes with its table is not told apart."""
    whole = [a for a in gone if not any(b != a and b.parts == a.parts[: len(b.parts)] for b in gone)]
    told = []
    for address in whole:
        steps = [s.id for s in made.steps for f in s.gives if (f.verb, f.subject) == (Verb.NO, str(address))]
        steps = steps or [s.id for s in made.steps if s.id.rpartition("/")[0] == str(address)]
        owner = next((c.part_of for c in made.resource_changes if c.address == address and c.part_of), None)
        steps = steps or [s.id for s in made.steps if owner and s.id.rpartition("/")[0] == str(owner)]
        told.append(f"{address} is taken by step {steps[-1]}" if steps else f"{address} changes")
    return ", ".join(told)


def now(assertion: Assertion, session: Session, when: str, earlier: Iterable[Json] = ()) -> Result:
    """Whether it works now, and how long it takes.

    Args:
        earlier: what all came to before the run, as `Result.to_json`.
    """
    own = ((r["when"], r["kind"], r["name"], r["figures"]) for r in earlier)
    was: Mapping[str, Json] = next((f for *key, f in own if key == [BEFORE, "query", assertion.name]), {})
    began = time.monotonic()
    if not isinstance(session, Prepares):
        return _not_run(assertion, when, f"this version cannot prepare queries for store {assertion.store}")
    try:
        refused = session.prepared(assertion.asks[0], assertion.seconds)
    except ReconcileError as error:
        return _not_run(assertion, when, error.what)
    if refused is not None:
        ending = Ending.NOT_RUN if refused.gone else Ending.FAILED
        return _result(assertion, when, ending, refused.what, time.monotonic() - began)
    measured = _measured(assertion, session, when, was, "works")
    return measured or _result(assertion, when, Ending.PASSED, "works", time.monotonic() - began)


# -- how long they take ----------------------------------------------------------------------------------------


def _measured(assertion: Assertion, session: object, when: str, was: Mapping[str, Json], works: str) -> Result | None:
    """How long one takes, held against what it may; None where nothing is said of that."""
    speed = assertion.speed
    if speed is None or not isinstance(session, Times):
        return None
    began = time.monotonic()
    try:
        timed = session.timed(assertion.asks[0], speed.runs, assertion.seconds)
    except ReconcileError as error:
        return _not_run(assertion, when, error.what)
    if timed.refused is not None:  # before the steps, of one that needs what they make, there is nothing to see
        return None if when == BEFORE else _not_run(assertion, when, timed.refused.what)
    figures = _figures(timed, was)
    over = _over(speed, figures) if when != BEFORE else ""
    said = f"{works}, p95 {figures['p95_ms']:g} ms"
    if "before_p95_ms" in figures:
        said += f" (before {figures['before_p95_ms']:g} ms, {(figures['ratio'] - 1) * 100:+.0f} %)"
    what = "; ".join([said, *([over] if over else []), *timed.scans])
    ending = Ending.FAILED if over else Ending.PASSED
    return _result(assertion, when, ending, what, time.monotonic() - began, figures)


def _figures(timed: Timed, was: Mapping[str, Json]) -> dict[str, Json]:
    took = sorted(timed.seconds)
    p95 = percentile(took, 95)
    figures: dict[str, Json] = {
        "runs": len(took),
        "p50_ms": round(percentile(took, 50) * 1000, 3),
        "p95_ms": round(p95 * 1000, 3),
        "scans": list(timed.scans),
    }
    if was.get("p95_ms"):
        figures |= {"before_p50_ms": was["p50_ms"], "before_p95_ms": was["p95_ms"]}
        figures["ratio"] = round(p95 * 1000 / was["p95_ms"], 3)
    return figures


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest rank of sorted values.

    >>> percentile([1, 2, 3, 4], 50), percentile([1, 2, 3, 4], 95)
    (2, 4)
    """
    return values[max(-(-len(values) * percent // 100), 1) - 1]


def _over(speed: Speed, figures: Mapping[str, Json]) -> str:
    """What it takes too much of; "" where it does not."""
    if speed.at_most is not None and figures["p95_ms"] > speed.at_most * 1000:
        return f"more than the {speed.at_most * 1000:g} ms it may take"
    if speed.ratio is not None and figures.get("ratio", 0) > speed.ratio:
        return f"{figures['ratio']:g} times as long, where {speed.ratio:g} times is allowed"
    return ""


def _not_run(assertion: Assertion, when: str, why: str) -> Result:
    return _result(assertion, when, Ending.NOT_RUN, why, 0.0)


def _result(
    assertion: Assertion,
    when: str,
    ending: Ending,
    what: str,
    seconds: float,
    figures: Mapping[str, Json] | None = None,
    hint: str | None = None,
) -> Result:
    source, stops = assertion.source, assertion.stops
    return Result(assertion.name, "query", when, ending, what, seconds, stops, figures or {}, source, hint)
