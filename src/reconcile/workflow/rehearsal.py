"""`--dry-run` of migrations: what would be sent, and, if wanted, sent in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconcile.errors import ReconcileError
from reconcile.migrations.looked import Looked, chosen, looked
from reconcile.migrations.model import Migration
from reconcile.references import without_secrets
from reconcile.stores.migrating import Group, StatementError, groups
from reconcile.workflow.migrate import out_of_order

if TYPE_CHECKING:
    from reconcile.project import Project


def dry_run(project: Project, name: str | None, *, rollback: bool) -> Iterator[str]:
    """Lines that tell what an apply would do; takes no lock and records nothing.

    Raises:
        ReconcileError: what an apply would be refused for; or a statement failed while it was rehearsed.
    """
    with looked(project) as found:
        wanted = chosen(found, name)
        if not wanted:
            yield "Nothing is pending."
        yield from out_of_order(found, wanted)
        for migration in wanted:
            yield from _shown(migration, found)
        if rollback:
            for store in dict.fromkeys(m.folder.store for m in wanted):
                yield from _rehearsed(found, store, [m for m in wanted if m.folder.store == store])


def _shown(migration: Migration, found: Looked) -> Iterator[str]:
    yield f"{migration.file}  {migration.description or migration.title}"
    yield from (f"  note: {note}" for note in migration.notes)
    for danger in migration.dangers:
        permit = migration.permit(danger)
        if permit is not None:
            yield f"  allowed: {danger.danger.value} at line {danger.line}: {permit.reason}"
    progress = found.of(migration).progress
    if migration.up_code is not None:
        yield "  runs up(connection) of this file, in a transaction"
    for n, group in enumerate(groups(migration.up)):
        done = "done already; " if progress is not None and n < progress.done else ""
        yield f"  -- {done}{_how(group)}"
        for statement in group.statements:
            yield from (f"  {line}" for line in (without_secrets(statement.text) + ";").split("\n"))
    for one in migration.verify:
        yield f"  -- verify: {one.query or one.label}" + (f" (not run: {one.unrunnable})" if one.unrunnable else "")


def _how(group: Group) -> str:
    kind = f"{group.kind} statements, " if group.kind else ""
    return f"line {group.statements[0].line}: {kind}{'outside any transaction' if group.alone else 'one transaction'}"


def _rehearsed(found: Looked, store: str, wanted: list[Migration]) -> Iterator[str]:
    """Run what can be rolled back, in one transaction, up to the first statement that cannot."""
    count = 0
    with found.sessions[store].rehearsing() as run:
        for migration in wanted:
            todo = [Group(code=migration.up_code)] if migration.up_code else list(groups(migration.up))
            if any(g.alone for g in todo) or len({g.kind for g in todo}) > 1:
                yield f"store {store}: rehearsed up to {migration.file}, which cannot be one transaction"
                break
            for group in todo:
                try:
                    run(group)
                except StatementError as error:
                    raise ReconcileError(
                        f"rehearsal failed: {error.what}",
                        where=f"{migration.file}:{error.line}",
                        hint="it was rolled back: nothing was changed",
                    ) from error
            count += 1
    yield f"store {store}: {count} of {len(wanted)} ran and were rolled back"
