"""What a run does at its moments: the hooks of its plan, and telling people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconcile import commands, notices
from reconcile.apply import Event, OnEvent
from reconcile.errors import HookError
from reconcile.hidden import secrets_of
from reconcile.model import Json
from reconcile.moments import Hook, Moment, of_run
from reconcile.plan import Plan, digest_of
from reconcile.references import masked
from reconcile.workflow import points

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.project import Project

JOURNAL = "moment/"
"""Before a moment, in the journal: no step's id begins so."""
_TOLD = {
    Moment.BEFORE: "start",
    Moment.BEFORE_ROLLBACK: "start",
    Moment.AFTER: "success",
    Moment.AFTER_ROLLBACK: "rollback",
    Moment.FAILURE: "failure",
}
"""What people are told of, by moment."""


@dataclass
class Moments:
    """One run, seen from its moments."""

    project: Project
    plan: Plan
    digest: str
    run: str
    ledger: Ledger
    on_event: OnEvent
    journal: Mapping[str, str]
    """What an earlier try wrote."""
    results: list[Json] = field(default_factory=list)
    """Of each hook: when, what, seconds, how it ended."""
    issues: list[str] = field(default_factory=list)
    """What went wrong and did not stop the run."""

    @property
    def _back(self) -> bool:
        return self.plan.rollback is not None

    def begin(self) -> None:
        """Before anything is changed.

        Raises:
            HookError: a hook failed that stops the run.
        """
        self.reach(Moment.BEFORE_ROLLBACK if self._back else Moment.BEFORE)

    def end(self) -> None:
        """After all is done and recorded.

        Raises:
            HookError: a hook failed that stops the run.
        """
        self.reach(Moment.AFTER_ROLLBACK if self._back else Moment.AFTER)

    def failed(self, outcome: str, message: str) -> None:
        """The run ends here; what its own hooks meet is told and changes nothing of that.

        Args:
            outcome: as in the ledger.
        """
        try:
            self.reach(Moment.FAILURE, outcome, message)
        except HookError as error:
            self.issues.append(str(error))
            self.on_event(Event("warning", detail=str(error)))

    def reach(self, moment: Moment, outcome: str = "running", message: str = "") -> None:
        """Make the recovery point of a moment, run its hooks, tell people; nothing where an earlier try came through.

        Raises:
            HookError: a hook failed that stops the run; those after it were not run.
            ReconcileError: the recovery point could not be made.
        """
        if self.journal.get(f"{JOURNAL}{moment}") == "done":
            return
        own = [hook for hook in self.plan.hooks if hook.at is moment]
        if moment in (Moment.BEFORE, Moment.BEFORE_ROLLBACK):
            self._tell(moment, message)
        point = points.asked(self.project, self.plan, moment, self.journal)
        if point is not None and point != "before":  # hooks after a phase may let writers in again
            points.make(self.project, self.run, point, self.ledger, self.on_event)
        for hook in own:
            self._call(hook, outcome, message)
        if point == "before":
            points.make(self.project, self.run, point, self.ledger, self.on_event)
        if own and moment.startswith("after_"):
            self.ledger.write(self.run, [f"{JOURNAL}{moment}"], "done")
        if moment not in (Moment.BEFORE, Moment.BEFORE_ROLLBACK):
            self._tell(moment, message)

    def _call(self, hook: Hook, outcome: str, message: str) -> None:
        told = {
            "PROJECT": self.project.name,
            "ENVIRONMENT": self.project.environment,
            "RUN": self.run,
            "DIGEST": self.digest,
            "MOMENT": hook.at.value,
            "OUTCOME": outcome,
            "MESSAGE": masked(message, self._secrets()),
        }
        environment = {f"RECONCILE_{k}": v for k, v in told.items()}
        directory = self.project.directory
        ran = commands.run(hook.command, directory, hook.timeout, environment, secrets=self._secrets())
        failure = ran.failure
        self.results.append(
            {"at": hook.at.value, "command": list(hook.command), "seconds": round(ran.seconds, 3), "failure": failure}
        )
        if ran.ok:
            self.on_event(Event("hook", detail=f"{hook.at}: {hook.shown}" + (f": {ran.last}" if ran.last else "")))
            return
        what = f"hook {hook.at}: {hook.shown}: {failure}"
        if hook.stops:
            again = "this try changed nothing; go on with: reconcile apply --resume"
            raise HookError(what, hint=again if self.journal else "nothing was changed in any store")
        self.issues.append(what)
        self.on_event(Event("warning", detail=what))

    def _tell(self, moment: Moment, message: str) -> None:
        word = _TOLD.get(moment)
        if word is None:
            return
        notice = notices.Notice(
            word,
            self.project.name,
            self.project.environment,
            self.run,
            self.digest,
            masked(message, self._secrets()),
            self.project.contacts,
        )
        for problem in notices.send(self.project.notices, notice, self.project.directory, self._secrets()):
            self.issues.append(problem)
            self.on_event(Event("warning", detail=problem))

    def _secrets(self) -> tuple[str, ...]:
        return secrets_of(self.project)


def moved(plan: Plan, project: Project) -> bool:
    """Whether the hooks a plan shows are not those that the project has now for its steps."""
    now = of_run(project.hooks, (step.phase for step in plan.steps), rollback=plan.rollback is not None)
    return digest_of([h.to_json() for h in now]) != digest_of([h.to_json() for h in plan.hooks])
