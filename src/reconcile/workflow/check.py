"""`reconcile check`: what would stop an apply, asked of every store; every apply begins with the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconcile import planfile
from reconcile.backfills.change import asked_besides
from reconcile.change import Step
from reconcile.checkup import Check, Topic, Verdict, of_problem, stopping
from reconcile.diff import Options
from reconcile.errors import Problem, ProjectError, ReconcileError, StoreError
from reconcile.filled import now_asked
from reconcile.findings import Result
from reconcile.plan import Plan
from reconcile.stores import package
from reconcile.stores.base import StoreSpec
from reconcile.survey import Reading, open_ledger, reading
from reconcile.workflow import asserting
from reconcile.workflow.admission import no_unfinished, objections
from reconcile.workflow.plan import planned

if TYPE_CHECKING:
    from reconcile.model import Json
    from reconcile.project import Project


def examined(found: Reading, steps: Iterable[Step]) -> dict[str, list[Check]]:
    """By store what it says about the steps that are to run there."""
    by_store: dict[str, list[Step]] = {name: [] for name in found.stores}
    for step in _told(steps):
        by_store[step.address.store].append(step)
    return {name: _examined(found, name, own) for name, own in by_store.items()}


def _told(steps: Iterable[Step]) -> Iterator[Step]:
    """Each step for its store, and what a backfill puts into another or empties for that."""
    for step in now_asked(steps):
        yield step
        yield from asked_besides(step)


def _examined(found: Reading, name: str, steps: Sequence[Step]) -> list[Check]:
    store = found.stores[name]
    checks = [Check(Topic.SIGHT, Verdict.WARNING, reason) for reason in store.live.partial]
    checks += store.session.check(steps)
    if not any(check.topic is Topic.PRIVILEGES for check in stopping(checks)):  # else what it asks is refused too
        checks += map(of_problem, store.session.preflight(steps))
    return checks


def check(project: Project, options: Options | None = None, made: Plan | None = None) -> dict[str, Json]:
    """All that would stop an apply, and what else a reader of a ticket asks for. Changes nothing anywhere.

    Args:
        options: shape the plan whose steps are asked about.
        made: a saved plan to ask about instead.

    Returns:
        `at`, `project`, `environment`, `stores` (`name`, `kind`, `version`, `edition`, `checks`), `ledger`
        (`placement`, `checks`), `plan` (`steps`, null where none could be made; `digest`; `checks`), `checks`: what the
        project declares to be asked before a run (as `findings.Result`), `stops`: how many of all would. Those of a
        part have `topic`, `verdict`, `what`, `hint`, `where`.

    Raises:
        ProjectError: the files are wrong.
    """
    try:
        with reading(project) as found:
            return _report(found, options or Options(), made)
    except ProjectError:
        raise
    except ReconcileError as error:
        return _apart(project, error)


def grants(project: Project, prefix: str, options: Options | None = None, made: Plan | None = None) -> dict[str, Json]:
    """The least privileges of a role for each command, as text to paste; see `Session.grants`. Changes nothing.

    Returns:
        By store, by command (apply, plan, drift: in the order in which they are to be pasted) the statements.

    Raises:
        ReconcileError: see `workflow.plan`.
    """
    with reading(project) as found:
        steps = list(_told((made or planned(found, options or Options(), 0.0)).steps))
        ledger = {project.ledger.store: project.ledger.schema} if project.ledger.file is None else {}
        return {
            name: dict(store.session.grants([s for s in steps if s.address.store == name], prefix, ledger.get(name)))
            for name, store in found.stores.items()
        }


def _report(found: Reading, options: Options, made: Plan | None) -> dict[str, Json]:
    project, about = found.project, list[Check]()
    if made is None:
        try:
            made = planned(found, options, 0.0)
        except ProjectError as error:
            about += map(of_problem, error.problems)
        except ReconcileError as error:
            about.append(_stop(error))
    steps = made.steps if made is not None else ()
    if made is not None:
        about += map(_stop, objections(project, made))
    ledger = found.ledger.check()
    ledger += _tried(lambda: no_unfinished(found.ledger.unfinished()))
    stores = [
        _store(name, found.stores[name].spec, found.stores[name].server.version, found.stores[name].server.edition, own)
        for name, own in examined(found, steps).items()
    ]
    plan: Json = {"steps": None, "digest": None, "checks": _json(about)}
    if made is not None:
        plan |= {"steps": len(steps), "digest": planfile.to_json(made)["digest"]}
    results = asserting.before(found, made)
    return _whole(project, stores, {"placement": found.ledger.placement, "checks": _json(ledger)}, plan, results)


def _apart(project: Project, failed: ReconcileError) -> dict[str, Json]:
    """Each store by itself, where not all can be read, or the ledger: what the others say is told all the same."""
    with ThreadPoolExecutor(max_workers=max(len(project.stores), 1)) as pool:
        stores = list(pool.map(lambda spec: _alone(project, spec), project.stores.values()))
    ledger = open_ledger(project)
    try:
        said = ledger.check()
    except ReconcileError as error:
        said = [_stop(error, Topic.LEDGER)]
    finally:
        ledger.close()
    why = [Check(Topic.STEPS, Verdict.UNKNOWN, "no plan was made, for not everything can be read")]
    if not isinstance(failed, StoreError):  # else a store says it
        why.append(_stop(failed))
    plan: Json = {"steps": None, "digest": None, "checks": _json(why)}
    return _whole(project, stores, {"placement": ledger.placement, "checks": _json(said)}, plan)


def _alone(project: Project, spec: StoreSpec) -> Json:
    session = package(spec.kind).connect(spec, project.name, project.environment)
    version = edition = None
    try:
        server = session.server()
        version, edition = server.version, server.edition
        reasons = session.introspect().partial
        checks = [*(Check(Topic.SIGHT, Verdict.WARNING, r) for r in reasons), *session.check(())]
    except ReconcileError as error:
        checks = [_stop(error, Topic.CONNECTION)]
    finally:
        session.close()
    return _store(spec.name, spec, version, edition, checks)


def _tried(ask: Callable[[], None]) -> list[Check]:
    """What it is refused with, as a check."""
    try:
        ask()
    except ReconcileError as error:
        return [_stop(error)]
    return []


def _stop(error: ReconcileError, topic: Topic = Topic.STEPS) -> Check:
    return Check(topic, Verdict.STOPS, error.what, error.hint, str(error.where) if error.where else None)


def _store(name: str, spec: StoreSpec, version: str | None, edition: str | None, checks: Iterable[Check]) -> Json:
    return {"name": name, "kind": spec.kind, "version": version, "edition": edition, "checks": _json(checks)}


def _json(checks: Iterable[Check]) -> list[Json]:
    order = list(Topic)
    return [
        {"topic": str(c.topic), "verdict": str(c.verdict), "what": c.what, "hint": c.hint, "where": c.where}
        for c in sorted(checks, key=lambda c: order.index(c.topic))
    ]


def _whole(
    project: Project, stores: Sequence[Json], ledger: Json, plan: Json, results: Sequence[Result] = ()
) -> dict[str, Json]:
    parts = [*stores, ledger, plan]
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "project": project.name,
        "environment": project.environment,
        "stores": list(stores),
        "ledger": ledger,
        "plan": plan,
        "checks": [result.to_json() for result in results],
        "stops": sum(c["verdict"] == Verdict.STOPS for part in parts for c in part["checks"])
        + len(asserting.stopping(results)),
    }


def told(checks: Mapping[str, Sequence[Check]], ledger: Sequence[Check]) -> list[Problem]:
    """What stops, as an apply says it."""
    stops = [(f"store {name}", c) for name, own in checks.items() for c in stopping(own)]
    stops += [(c.where or "ledger", c) for c in stopping(ledger)]
    return [
        Problem(c.what, where=c.where if c.where and c.topic is Topic.STEPS else place, hint=c.hint)
        for place, c in stops
    ]


def told_before_steps(check: Check) -> bool:
    """Whether an apply says it too, though it stops nothing: what was not looked at, and who may hold it up."""
    return (check.topic, check.verdict) in (
        (Topic.STEPS, Verdict.UNKNOWN),
        (Topic.BLOCKERS, Verdict.WARNING),
    )
