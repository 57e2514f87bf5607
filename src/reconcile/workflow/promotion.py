"""Whether what is declared has been applied in another environment, by what that environment's ledger says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcile import load
from reconcile.errors import ReconcileError
from reconcile.plan import Plan, digest_of
from reconcile.project import Project
from reconcile.rules import Elsewhere
from reconcile.survey import open_ledger

if TYPE_CHECKING:
    from reconcile.ledger import Ledger


def wanted(project: Project) -> str:
    """`sha256:…` over the schema files and embeddings: what is declared, the same in every environment."""
    embeddings = {
        name: [e.model, e.dimensions, str(e.distance), str(e.element)] for name, e in project.embeddings.items()
    }
    return digest_of({"files": load.digest(project), "embeddings": embeddings})


def reached(project: Project, made: Plan, ledger: Ledger) -> None:
    """Record that what is declared is applied here, as far as the plan was the whole of it."""
    if made.complete and ledger.exists():
        ledger.reach(wanted(project))


def elsewhere(project: Project) -> Elsewhere:
    """What the ledger of the environment says that the policy wants to be first."""
    rule = project.policy.promoted_from
    if rule is None:
        return Elsewhere()
    try:
        other = Project.load(project.directory, rule.environment)
        ledger = open_ledger(other)
        try:
            world = ledger.world()
            if world is not None and (world.project, world.environment) != (other.name, other.environment):
                return Elsewhere(
                    unseen=f"{ledger.placement} is the ledger of {world.project}, environment {world.environment}"
                )
            return Elsewhere(ledger.reached(wanted(project)))
        finally:
            ledger.close()
    except ReconcileError as error:
        return Elsewhere(unseen=error.what if not error.where else f"{error.where}: {error.what}")
