"""The Python API: what the command line does, for those who call it from their own programs and tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reconcile import planfile, project, workflow
from reconcile.errors import ReconcileError
from reconcile.model import Json, State
from reconcile.plan import Plan


@dataclass(frozen=True)
class Planned:
    """A plan that can be looked at and applied."""

    project: project.Project
    plan: Plan

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.plan.steps

    @property
    def document(self) -> Json:
        """The plan file's JSON; see `schema/plan.schema.json`."""
        return planfile.to_json(self.plan)

    def __str__(self) -> str:
        from reconcile.render import text

        return text.render(self.document, colour=False)

    def write(self, path: str | Path) -> None:
        """Save the plan, for `reconcile apply FILE` or `reconcile show FILE`.

        Raises:
            ReconcileError: the path cannot be written.
        """
        planfile.write(self.plan, Path(path))

    def apply(
        self,
        on_event: workflow.OnEvent = lambda event: None,
        *,
        backup: str | None = None,
        break_glass: str | Path | None = None,
        emergency: bool = False,
    ) -> workflow.Outcome:
        """Carry it out. Asks nothing: who calls this has looked at the plan.

        Args:
            backup: evidence of a backup, where the policy requires it.
            break_glass: a folder for scripts to run by hand; None: that of `reconcile.yaml`, if it names one.
            emergency: of a rollback: of the policy only `protect:` is asked, as with `reconcile rollback --emergency`.

        Raises:
            ReconcileError: see `workflow.apply`; or an emergency is no rollback.
        """
        from reconcile.render import breakglass

        if emergency and self.plan.rollback is None:
            raise ReconcileError("only a rollback is an emergency", hint="plan it with Project.rollback(RUN)")
        folder = self.project.break_glass if break_glass is None else Path(break_glass)
        begin = None if folder is None else partial(breakglass.write, folder)
        return workflow.apply(self.project, self.plan, on_event, backup=backup, on_begin=begin, emergency=emergency)


@dataclass(frozen=True)
class Project:
    """A project folder, as one environment sees it."""

    loaded: project.Project

    @classmethod
    def load(cls, directory: str | Path = ".", environment: str | None = None) -> Project:
        """Read `DIRECTORY/reconcile.yaml`; connects to nothing.

        Raises:
            ProjectError: all that is wrong with it.
        """
        return cls(project.Project.load(Path(directory), environment))

    def desired(self) -> State:
        """What the YAML declares, of all stores.

        Raises:
            ProjectError: all that is wrong with it.
        """
        return self.loaded.desired()

    def plan(
        self,
        *,
        only: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        prune: str = "none",
        allow: tuple[str, ...] = (),
    ) -> Planned:
        """Compare with the live stores; changes nothing.

        Raises:
            ReconcileError: see `workflow.plan`.
        """
        return Planned(self.loaded, workflow.plan(self.loaded, workflow.Options(only, exclude, prune, allow)))

    def release(self, *names: str, allow: tuple[str, ...] = ()) -> Planned:
        """The plan of contract steps that policy `contract: held` keeps waiting, by address (glob) or run.

        Raises:
            ReconcileError: see `workflow.release`.
        """
        return Planned(self.loaded, workflow.release(self.loaded, names, workflow.Options(allow=allow)))

    def rollback(
        self, run: str | None = None, *, to: str | None = None, only: tuple[str, ...] = (), allow: tuple[str, ...] = ()
    ) -> Planned:
        """The plan that takes back a run, or all after the run `to`, or what `only` names (globs); changes nothing.

        Raises:
            ReconcileError: see `workflow.rollback`; or neither or both of `run` and `to` are given.
        """
        if (run is None) == (to is None):
            raise ReconcileError("name the run to take back, or with `to` the one to go back to")
        return Planned(self.loaded, workflow.rollback(self.loaded, run, to=to, only=only, allow=allow))

    def kept(self) -> list[Json]:
        """What removals have kept, the oldest first, as `reconcile kept list --format json`."""
        return workflow.kept_list(self.loaded)

    def check(self, *, allow: tuple[str, ...] = ()) -> Json:
        """What would stop an apply, asked of every store; changes nothing; see `workflow.check`.

        Raises:
            ProjectError: the files are wrong.
        """
        return workflow.check(self.loaded, workflow.Options(allow=allow))

    def drift(self) -> Json:
        """What moved in the stores since the last apply; see `workflow.drift`."""
        return workflow.drift(self.loaded)

    def verify(self, *names: str, sample: int = 10, phase: str | None = None) -> Json:
        """Whether what the stores hold agrees with what is declared, and all checks pass; see `workflow.verify`."""
        return workflow.verify(self.loaded, names, sample, phase)
