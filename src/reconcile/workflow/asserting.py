"""Ask what `checks:`, `queries:` and `probes:` declare, before and after a run or apart from one. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from reconcile.apply import Event, OnEvent
from reconcile.assertions import Assertion, When, chosen
from reconcile.errors import PartialError, Problem, ReconcileError
from reconcile.expectations import Judged
from reconcile.findings import Ending, Result
from reconcile.hidden import secrets_of
from reconcile.stores.asking import Answers
from reconcile.workflow import outside, queries

if TYPE_CHECKING:
    from reconcile.model import Json
    from reconcile.plan import Plan
    from reconcile.project import Project
    from reconcile.stores.base import Session
    from reconcile.survey import Reading

NOW = "now"
"""`Result.when` of what is asked apart from a run."""


def asked(
    project: Project,
    assertions: Iterable[Assertion],
    sessions: Mapping[str, Session],
    when: str = NOW,
    earlier: Sequence[Json] = (),
) -> list[Result]:
    """Ask them one after the other, in their order; an error of one is its result.

    Args:
        sessions: of the stores that they are about, by name.
        earlier: what they came to before the run, as `Result.to_json`.
    """
    masks = secrets_of(project)
    return [
        queries.now(assertion, sessions[assertion.store or ""], when, earlier)
        if assertion.kind == "query"
        else _asked(assertion, sessions, when, masks)
        for assertion in assertions
    ]


def before(found: Reading, made: Plan | None) -> list[Result]:
    """What is to hold before the first step, and whether the application's queries will work after the last.

    Raises:
        ProjectError, PlanError: there are queries, and the stores cannot be compared with what is declared.
    """
    own = [a for a in chosen(found.project.assertions, When.BEFORE) if a.kind != "query"]
    results = asked(found.project, own, sessions(found), When.BEFORE)
    return results if made is None else [*results, *queries.before(found, made)]


def after(found: Reading, earlier: Sequence[Json]) -> list[Result]:
    """What is to hold when all steps are done.

    Args:
        earlier: see `asked`.
    """
    own = chosen(found.project.assertions, When.AFTER)
    return asked(found.project, own, sessions(found), When.AFTER, earlier)


def sessions(found: Reading) -> dict[str, Session]:
    """By store."""
    return {name: store.session for name, store in found.stores.items()}


def _asked(assertion: Assertion, sessions: Mapping[str, Session], when: str, masks: Sequence[str]) -> Result:
    began, hint = time.monotonic(), None
    try:
        judged = _judged(assertion, sessions, masks)
    except ReconcileError as error:
        judged, hint = Judged(False, error.what, unknown=True), error.hint
    ending = Ending.PASSED if judged.met else Ending.NOT_RUN if judged.unknown else Ending.FAILED
    return Result(
        assertion.name,
        assertion.kind,
        when,
        ending,
        judged.what,
        time.monotonic() - began,
        assertion.stops,
        source=assertion.source,
        hint=hint,
    )


def _judged(assertion: Assertion, sessions: Mapping[str, Session], masks: Sequence[str]) -> Judged:
    """
    Raises:
        ReconcileError: the store, or a reference, cannot be read.
    """
    if assertion.request is not None:
        return outside.requested(assertion, assertion.request)
    if assertion.command:
        return outside.ran(assertion, masks)
    session = sessions[assertion.store or ""]
    if not isinstance(session, Answers):
        return Judged(False, f"this version cannot ask store {assertion.store}", unknown=True)
    if assertion.kind == "probe":
        return _of_probe(assertion, session)
    return assertion.expect.judge(session.answer(assertion.asks[0], assertion.seconds))


def _of_probe(assertion: Assertion, session: Answers) -> Judged:
    """A probe of several statements: an error counts as expected in the last of them only."""
    answer = session.tried(assertion.asks, assertion.seconds)
    count = len(assertion.asks)
    if answer.refused is not None and answer.at < count:
        return Judged(False, f"statement {answer.at} of {count} was refused: {answer.refused.what}", unknown=True)
    return assertion.expect.judge(answer)


# -- within an apply -------------------------------------------------------------------------------------------


def stopping(results: Iterable[Result]) -> list[Result]:
    """Those that stop an apply."""
    return [result for result in results if result.bad and result.stops]


def told(result: Result) -> str:
    """One line: which it is, how it ended, why."""
    if not result.bad:
        return f"{result.kind} {result.name}{': ' if result.kind != 'query' else ' '}{result.what}"
    ended = "" if result.outcome is Ending.FAILED else f" was {result.outcome}"
    return str(Problem(f"{result.kind} {result.name}{ended}: {result.what}", where=result.source, hint=result.hint))


def tell(results: Iterable[Result], on_event: OnEvent) -> None:
    """Show each; what stops is shown with the error."""
    for result in results:
        if not result.bad:
            on_event(Event("verified", detail=told(result)))
        elif not result.stops:
            on_event(Event("warning", detail=told(result)))


def refuse(results: Iterable[Result]) -> None:
    """
    Raises:
        ReconcileError: some that are asked before the steps did not pass, and are to stop the apply.
    """
    if wrong := stopping(results):
        raise ReconcileError(
            "\n".join(map(told, wrong)),
            hint="nothing was changed; ask again with: reconcile verify " + " ".join(result.name for result in wrong),
        )


def unmet(run: str, results: Iterable[Result]) -> PartialError | None:
    """What an apply says whose steps are done, and after which not all holds; None where it does."""
    wrong = stopping(results)
    if not wrong:
        return None
    lines = "\n".join(f"  {told(result)}" for result in wrong)
    return PartialError(
        f"run {run} carried out every step and is recorded, but afterwards this did not hold:\n{lines}",
        hint=f"mend what they are about, then ask again: reconcile verify {' '.join(r.name for r in wrong)}"
        "\n  or take the change back: declare the old state, and plan"
        "\n  or, where it may be so: `on_failure: warn`",
    )
