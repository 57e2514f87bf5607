"""How far the steps under way have come, as their servers tell, or the ledger: asked beside who carries them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from reconcile.backfills import KIND
from reconcile.backfills import progress as kept
from reconcile.change import Step
from reconcile.errors import ReconcileError
from reconcile.model import Json
from reconcile.stores import package
from reconcile.stores.base import Watches

if TYPE_CHECKING:
    from reconcile.project import Project


def backfilled(known: Mapping[str, Json], steps: Iterable[Step]) -> dict[str, str]:
    """By step id how far backfills are, as the ledger knows it, and what they wait for."""
    found = {}
    for step in steps:
        if step.address.kind == KIND and (told := kept.told(known, step.address)) is not None:
            found[step.id] = told
    return found


def progress(project: Project, steps: Iterable[Step]) -> dict[str, str]:
    """By step id what the server shows, or why it does not; nothing of steps of which there is nothing to show."""
    stores: dict[str, list[Step]] = {}
    for step in steps:
        stores.setdefault(step.address.store, []).append(step)
    found: dict[str, str] = {}
    for name, own in stores.items():
        if (spec := project.stores.get(name)) is None:
            continue
        try:
            with closing(package(spec.kind).connect(spec, project.name, project.environment)) as session:
                found |= session.progress(own) if isinstance(session, Watches) else {}
        except ReconcileError as error:  # the ledger is shown all the same
            found |= {step.id: f"how far is not known: {error.what}" for step in own}
    return found
