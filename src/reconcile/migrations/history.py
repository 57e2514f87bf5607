"""What ran, set against the files: which row is which migration's, and what each is at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconcile.migrations.checksums import algorithm, spelled, usual
from reconcile.migrations.model import Migration
from reconcile.stores.migrating import History, Progress, Row


class State(StrEnum):
    """What a migration is at."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"
    UNFINISHED = "unfinished"
    FAILED = "failed"
    """Its row says so: another tool ran it."""
    MISSING = "missing"


@dataclass(frozen=True)
class Standing:
    """A migration, or a row without one, and what it is at."""

    state: State
    migration: Migration | None
    row: Row | None = None
    algorithm: str | None = None
    """Of the row's checksum; None where it has none, or fits none."""
    progress: Progress | None = None
    late: bool = False
    """Pending, with a lower number than one of its folder that has run: it runs out of order."""

    @property
    def pending(self) -> bool:
        """Whether it is still to run, or to end."""
        return self.state in (State.PENDING, State.UNFINISHED)


def standings(found: Sequence[Migration], history: History) -> list[Standing]:
    """What each of the migrations that share a table is at, then rows that are none of theirs."""
    rows = list(history.rows)
    by_name = {m.id: row for m in found if (row := _named(m, rows)) is not None}
    taken = {id(row) for row in by_name.values()}
    for migration in found:
        if migration.id not in by_name and (row := _numbered(migration, rows, taken)) is not None:
            by_name[migration.id] = row
            taken.add(id(row))
    last: dict[str, tuple[int, ...]] = {}
    for migration in found:
        if migration.id in by_name:
            name = migration.folder.name
            last[name] = max(last.get(name, ()), migration.order)
    result = [_standing(m, by_name.get(m.id), history.progress.get(m.name), last) for m in found]
    return result + [Standing(State.MISSING, None, row) for row in rows if id(row) not in taken]


def _standing(
    migration: Migration, row: Row | None, progress: Progress | None, last: Mapping[str, tuple[int, ...]]
) -> Standing:
    if row is None:
        late = migration.order < last.get(migration.folder.name, ())
        state = State.PENDING if progress is None else State.UNFINISHED
        return Standing(state, migration, None, None, progress, late)
    how = algorithm(row.checksum, dict(migration.checksums)) if row.checksum else None
    state = State.CHANGED if row.checksum and how is None else State.APPLIED
    state = State.FAILED if row.failed else state
    return Standing(state, migration, row, how)


def _named(migration: Migration, rows: Sequence[Row]) -> Row | None:
    names = (migration.name, migration.path.name, migration.path.stem)
    return next((r for r in rows if r.name in names or (r.name is None and r.number in names)), None)


def _numbered(migration: Migration, rows: Sequence[Row], taken: set[int]) -> Row | None:
    """By the number, where the row's name is not another file's."""
    title = _plain(migration.title)
    free = [r for r in rows if id(r) not in taken and r.number is not None and _same_number(r.number, migration)]
    return next(
        (r for r in free if r.name is None or _plain(r.name) == title or _plain(r.name).endswith(title)),
        next((r for r in free if r.name is not None and title.startswith(_plain(r.name))), None),
    )


def _same_number(number: str, migration: Migration) -> bool:
    if number in migration.keys:
        return True
    digits = number.lstrip("Vv")
    return digits.isdigit() and migration.order == (int(digits),)


def _plain(name: str) -> str:
    text = name.lower()
    for ending in (".sql", ".cypher", ".cql", "-up", "_up", ".up"):
        text = text.removesuffix(ending)
    return " ".join(text.replace("-", " ").replace("_", " ").split())


def forms(standing: Sequence[Standing], migration: Migration) -> tuple[Row, Mapping[str, str]] | None:
    """A row to follow, and what `migration` is called in the ways in which the row names its own."""
    known = [s for s in standing if s.row is not None and s.migration is not None]
    if not known:
        return None
    example = known[-1]
    assert example.row is not None and example.migration is not None
    told: dict[str, str] = {}
    how = usual(s.algorithm for s in known)
    pattern = next((s.row.checksum for s in reversed(known) if s.row is not None and s.algorithm == how), None)
    told["checksum"] = spelled(dict(migration.checksums), pattern if how else None, how)
    if example.row.name is not None:
        told["name"] = _as(example.migration, example.row.name, migration)
    if example.row.number is not None:
        told["number"] = _as(example.migration, example.row.number, migration)
    return example.row, told


def _as(example: Migration, written: str, migration: Migration) -> str:
    """`migration` called as `written` calls `example`."""
    ways = (
        (example.name, migration.name),
        (example.path.name, migration.path.name),
        (example.path.stem, migration.path.stem),
        (example.number, migration.number),
        (example.title.replace(" ", "_"), migration.title.replace(" ", "_")),
        (example.title.replace(" ", "-"), migration.title.replace(" ", "-")),
        (example.title, migration.title),
        (str(example.order[-1]), str(migration.order[-1])),
        (example.number.lstrip("Vv"), migration.number.lstrip("Vv")),
    )
    return next((new for old, new in ways if old == written), migration.name)
