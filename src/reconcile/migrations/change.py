"""Pending migrations as changes of a plan: a source of steps beside the difference of what is declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from reconcile.change import Action, Change, Irreversible, Op, Step, World
from reconcile.facts import ok
from reconcile.filled import Writing, run_once, words
from reconcile.hazards import Hazard
from reconcile.migrations import KIND
from reconcile.migrations.looked import Looked, chosen, looked
from reconcile.migrations.model import Migration
from reconcile.model import Address, Json, Resource
from reconcile.references import without_secrets
from reconcile.stores.migrating import groups

if TYPE_CHECKING:
    from reconcile.project import Project

OP = "run_migration"
"""The operation that the core carries out itself, over `stores.migrating`."""
_SHOWN = 2000
"""Characters of a statement that a plan shows, without passwords; the checksum covers all of it."""


class Pending(Resource):
    """A migration that is to run."""

    checksum: str = ""
    file: str = ""
    allowed: tuple[str, ...] = ()
    """Dangers, each with its line and its reason."""
    title: str = field(default="", compare=False, repr=False)
    call: Json = field(default=None, compare=False, repr=False)
    transactions: int = field(default=1, compare=False, repr=False)


@dataclass(frozen=True)
class RunMigration(Change):
    """A migration that its store does not know as applied."""

    action: ClassVar[Action] = Action.CREATE

    @property
    def pending(self) -> Pending:
        """The migration."""
        assert isinstance(self.after, Pending)
        return self.after

    def describe(self) -> str:
        """What it is for, and what it is allowed."""
        allowed = f"; allowed {'; '.join(self.pending.allowed)}" if self.pending.allowed else ""
        return f"{self.pending.title}{allowed}"

    def steps(self, world: World) -> Sequence[Step]:
        """One, journalled: the store's table of migrations knows that it is done."""
        del world
        return [self.step]

    @property
    def step(self) -> Step:
        """What is journalled."""
        hazards = {Hazard.NOT_TRANSACTIONAL} if self.pending.transactions > 1 else set()
        needs = [ok(address) for address in self.pending.refers]
        return run_once(self.address, Op(OP, self.pending.call), hazards, needs)

    def writes(self) -> Iterable[Writing]:
        """Whatever its statements name."""
        yield Writing(self.address.store, words(self.pending.call), None)

    def reverse(self) -> Irreversible:
        """None within a plan."""
        return Irreversible("what a migration did is taken back by its way back: reconcile migrate redo, or by hand")


def step_id(address: Address) -> str:
    """Of the step that runs the migration of this address."""
    return f"{address}/1-run"


def address(migration: Migration) -> Address:
    """STORE.migration.FOLDER.NUMBER."""
    return Address(migration.folder.store, KIND, (migration.folder.name, migration.number))


def waiting(project: Project) -> Mapping[str, tuple[RunMigration, ...]]:
    """By store the migrations that are to run; nothing is asked of anybody where there are no folders.

    Raises:
        ProjectError: something is wrong with the files, one has changed since it ran, or is refused.
        StoreError: a store cannot be asked.
    """
    if not project.migrations:
        return {}
    found: dict[str, list[RunMigration]] = {}
    with looked(project) as seen:
        for change in changes(seen, chosen(seen, None)):
            found.setdefault(change.address.store, []).append(change)
    return {store: tuple(own) for store, own in found.items()}


def changes(seen: Looked, wanted: Sequence[Migration]) -> Iterator[RunMigration]:
    """Migrations as changes, each after the one before it in its folder and after what it depends on."""
    before: dict[str, Address] = {}
    for migration in wanted:
        change = RunMigration(None, _resource(migration, seen, before.get(migration.folder.name)))
        before[migration.folder.name] = change.address
        yield change


def _resource(migration: Migration, seen: Looked, before: Address | None) -> Pending:
    from reconcile.migrations.order import find

    needs = [
        address(other)
        for name, _ in migration.depends_on
        for other in find(name, seen.migrations, migration.folder.name)
        if seen.of(other).pending
    ]
    parts = groups(migration.up)
    allowed = [
        f"{danger.danger.value} (line {danger.line}): {permit.reason}"
        for danger in migration.dangers
        if (permit := migration.permit(danger)) is not None
    ]
    call: dict[str, Json] = {
        "id": migration.id,
        "file": migration.file,
        "checksum": migration.checksum,
        "table": migration.folder.table,
        "statements": [
            {"line": s.line, "text": without_secrets(s.text[:_SHOWN]), "alone": g.alone}
            for g in parts
            for s in g.statements
        ],
        "verify": [v.query or v.label for v in migration.verify],
        "back": migration.down_file if migration.down is not None or migration.down_code is not None else None,
        "breaks": list(migration.up.breaks),
    }
    return Pending(
        address=address(migration),
        source=migration.source,
        refers=tuple(dict.fromkeys([*needs, *([before] if before is not None else [])])),
        checksum=migration.checksum,
        file=migration.file,
        allowed=tuple(allowed),
        title=migration.description or migration.title,
        call=call,
        transactions=max(1, len(parts)),
    )
