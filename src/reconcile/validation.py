"""The offline check of a whole project, in every environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconcile.errors import Problem, ProjectError
from reconcile.model import Json, Source
from reconcile.project import Project, environments
from reconcile.stores import package


@dataclass(frozen=True)
class Validated:
    """A project without problems, and what it declares."""

    name: str
    environments: tuple[str, ...]
    """Those that were checked."""
    counts: Mapping[str, Mapping[str, int]]
    """Number of resources by store and kind, kinds in the order in which they are made."""

    def to_json(self) -> Json:
        """For machines."""
        return {
            "valid": True,
            "project": self.name,
            "environments": list(self.environments),
            "resources": {store: dict(kinds) for store, kinds in self.counts.items()},
            "problems": [],
        }


def validate(directory: Path, environment: str | None = None) -> Validated:
    """Check the project for one environment, or for each; no server, no environment variable.

    Raises:
        ProjectError: all problems of all environments, each once.
    """
    names = (environment,) if environment else environments(directory)
    problems: dict[str, Problem] = {}
    for name in names:
        project = Project.load(directory, name)
        try:
            state = project.desired()
        except ProjectError as error:
            for problem in error.problems:
                problems.setdefault(str(problem), problem)
    if problems:
        raise ProjectError(problems.values())
    found = {store: Counter(a.kind for a in state if a.store == store) for store in project.stores}
    counts = {}
    for store, spec in project.stores.items():
        ranks = package(spec.kind).ranks
        kinds = sorted(found[store], key=lambda kind: ranks.get(kind, len(ranks)))  # backfills are the core's
        counts[store] = {kind: found[store][kind] for kind in kinds}
    return Validated(project.name, tuple(names), counts)


def problem_to_json(problem: Problem) -> Json:
    """One problem for machines: file, line, column, what, hint."""
    where = problem.where
    at = where.to_json() if isinstance(where, Source) else {"file": None, "line": None, "column": None}
    return {**at, "what": problem.what, "hint": problem.hint}
