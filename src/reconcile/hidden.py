"""What is secret in a project, to be kept out of all that is printed, written and kept: see `references.masked`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconcile.errors import ReconcileError
from reconcile.references import referred, secrets

if TYPE_CHECKING:
    from reconcile.project import Project


def secrets_of(project: Project) -> tuple[str, ...]:
    """All secrets of a project that can be read now; never raises.

    Passwords and keys of its stores, and what references in webhooks and in the URLs and headers of checks stand for.
    What equals something public (a kind, a store's name, a user: `postgres`) would only garble messages.
    """
    public = set[str]()
    for spec in project.stores.values():
        public |= {spec.kind, spec.name}
        with contextlib.suppress(ReconcileError, ValueError):
            public |= {spec.resolve("user") or "", urlsplit(spec.resolve("url") or "").username or ""}
    return tuple(value for value in dict.fromkeys(_found(project)) if value not in public)


def _found(project: Project) -> Iterator[str]:
    for spec in project.stores.values():
        yield from secrets(spec)
    for receiver in project.notices:
        yield from referred(receiver.webhook or "", receiver.source, project.directory)
    for assertion in project.assertions:
        if (request := assertion.request) is not None:
            for text in (request.url, *request.headers.values()):
                yield from referred(text, assertion.source, assertion.directory)
