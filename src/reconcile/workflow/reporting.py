"""What a report of a run is made from, gathered while it goes on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile import planfile, report
from reconcile.apply import Event, OnEvent
from reconcile.errors import ReconcileError, StoreError
from reconcile.hidden import secrets_of
from reconcile.model import Address, Json
from reconcile.plan import Plan
from reconcile.references import masked
from reconcile.stores.figures import SECONDS, Count, Sized

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.ledger_rows import Run
    from reconcile.project import Project
    from reconcile.survey import Reading
    from reconcile.workflow.moments import Moments

COMMITS = ("GITHUB_SHA", "CI_COMMIT_SHA", "BUILD_SOURCEVERSION", "GIT_COMMIT")
"""Where CI systems say which commit they work on."""
_VERSION = "schema_version "
"""Before the store, in what the ledger knows."""
OnReport = Callable[[Json], None]


@dataclass
class Recorder:
    """Passes events on, and keeps what a report needs of them."""

    plan: Plan
    on_event: OnEvent
    exact: bool = False
    """Whether to count rows rather than to estimate: somebody asked for the report."""
    issues: list[str] = field(default_factory=list)
    before: report.Figures = field(default_factory=report.Figures)

    def __call__(self, event: Event) -> None:
        """Keep what is an issue, and pass it on."""
        if event.kind == "retry":
            self.issues.append(f"{event.step.id if event.step else ''}: {event.detail.splitlines()[0]}; tried again")
        elif event.kind in ("warning", "unchecked", "ended"):
            self.issues.append(event.detail)
        self.on_event(event)

    def look(self, found: Reading) -> report.Figures:
        """What the stores hold now; of one that does not answer, nothing."""
        sizes: dict[str, Mapping[str, int]] = {}
        counts: dict[str, Count] = {}
        for name, store in found.stores.items():
            session = store.session
            own = _containers(self.plan, found, name) | _counted(self.before, name)
            if not isinstance(session, Sized) or not own:
                continue
            try:
                sizes[name] = session.size()
                counts |= session.counts(own, SECONDS if self.exact else 0.0)
            except StoreError as error:
                self.issues.append(f"store {name}: {error.what}")
        return report.Figures(sizes, counts)

    def begin(self, moments: Moments, found: Reading) -> None:
        """Keep what the stores hold before the run."""
        self.before = self.look(found)
        self._made(moments, "running", "", self.before, None)

    def end(self, moments: Moments, found: Reading, outcome: str, message: str, paused: str | None = None) -> Json:
        """The report, kept in the ledger.

        Raises:
            ReconcileError: the ledger does not answer.
        """
        return self._made(moments, outcome, message, self.look(found), paused)

    def _made(self, moments: Moments, outcome: str, message: str, after: report.Figures, paused: str | None) -> Json:
        project, ledger = moments.project, moments.ledger
        run = ledger.run(moments.run)
        if run is None:
            raise ReconcileError(f"the ledger has no run {moments.run}", where=ledger.placement)
        hidden = secrets_of(project)
        told = report.Told(
            run=run.id,
            number=run.number,
            digest=run.digest,
            outcome=outcome,
            who=run.who,
            commit=commit(project.directory),
            started=run.started,
            finished=run.finished or time.time(),
            message=masked(message, hidden),
            states=ledger.journal(run.id),
            seconds=ledger.seconds(run.id),
            before=self.before,
            after=after,
            versions=versions(project),
            hooks=moments.results,
            checks=ledger.asserted(run.id),
            issues=[masked(issue, hidden) for issue in self.issues],
            contacts=project.contacts,
            paused=paused,
        )
        if moments.journal and (earlier := ledger.report(run.id)):
            told = replace(told, before=_earlier(earlier))
        document = report.report(self.plan, told)
        ledger.keep_report(run.id, document)
        return document


def plain(project: Project, ledger: Ledger, run: Run) -> dict[str, Json]:
    """The report of a run of which nothing but the ledger's own rows is known: no figures, no hooks."""
    plan = planfile.from_json(run.plan)
    hidden = secrets_of(project)
    told = report.Told(
        run=run.id,
        number=run.number,
        digest=run.digest,
        outcome=run.outcome,
        who=run.who,
        commit=plan.observed.get("commit"),
        started=run.started,
        finished=run.finished or time.time(),
        message=masked(run.message, hidden),
        states=ledger.journal(run.id),
        seconds=ledger.seconds(run.id),
        before=report.Figures(),
        after=report.Figures(),
    )
    return report.report(plan, told)


def _containers(plan: Plan, found: Reading, store: str) -> set[Address]:
    """What the changes of a plan are on."""
    live = found.lives[store]
    own: set[Address] = set()
    for address in (c.address for c in plan.resource_changes if c.address.store == store):
        resource = live.get(address) or found.desired.get(address)
        own.add((resource.container if resource else None) or address)
    return own


def _counted(before: report.Figures, store: str) -> set[Address]:
    return {a for a in map(Address.parse, before.counts) if a.store == store}


def versions(project: Project) -> dict[str, str]:
    """How the project names the versions of its stores' schemas: `schema_version:` of each that has one."""
    named = {name: spec.settings.get("schema_version") for name, spec in project.stores.items()}
    return {name: str(version) for name, version in named.items() if version}


def brought(project: Project, known: Mapping[str, Json], run: str) -> dict[str, Json]:
    """For the ledger: the versions of schemas that this run brings; nothing of those that are as they were."""
    before = stated(known)
    return {
        f"{_VERSION}{name}": {"version": version, "run": run, "at": time.time()}
        for name, version in versions(project).items()
        if before.get(name, {}).get("version") != version
    }


def stated(known: Mapping[str, Json]) -> dict[str, Json]:
    """By store: the version of its schema, the run that brought it, and when."""
    return {key.removeprefix(_VERSION): entry for key, entry in known.items() if key.startswith(_VERSION) and entry}


def _earlier(document: Json) -> report.Figures:
    """What the stores held when a run began that was resumed since."""
    counts = {c["address"]: Count(c["before"], c["exact"]) for c in document["counts"] if c["before"] is not None}
    return report.Figures({s["name"]: s["before"] for s in document["stores"] if s["before"]}, counts)


def commit(directory: Path, variables: Iterable[str] = COMMITS) -> str | None:
    """The commit that is applied: as the CI system says, or as git does; None where there is none."""
    for name in variables:
        if os.environ.get(name):
            return os.environ[name]
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
