"""What is dangerous in migrations, over all of a store's files: routines made in one and called in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from reconcile.errors import Problem
from reconcile.migrations.model import Migration
from reconcile.model import Source
from reconcile.stores.migrating import Found, Script


def judged(found: Sequence[Migration]) -> list[Migration]:
    """The migrations with their dangers: their own, and those of routines that they call."""
    return [replace(m, dangers=dangers(m.up, m, found)) for m in found]


def dangers(script: Script, migration: Migration, found: Sequence[Migration]) -> tuple[Found, ...]:
    """The dangers of a script of a migration, calls included."""
    return (*script.dangers, *_called(script, migration, found))


def _called(script: Script, migration: Migration, found: Sequence[Migration]) -> Iterator[Found]:
    seen = set()
    for name, line, column in script.calls:
        for other in found:
            if other.folder.store != migration.folder.store:
                continue
            for danger in (*other.up.defines.get(name, ()), *(other.down.defines.get(name, ()) if other.down else ())):
                if (name, danger.danger) not in seen:
                    seen.add((name, danger.danger))
                    what = f"calls {name}(), in which {danger.what} ({other.file}:{danger.line})"
                    yield Found(danger.danger, what, line, column)


def refusals(chosen: Sequence[Migration]) -> list[Problem]:
    """What keeps migrations from running: dangers that nothing allows, each at its line, with what to write."""
    problems = []
    for migration in chosen:
        problems += faults(migration.up, migration.file)
        for danger in migration.refused:
            problems.append(refusal(migration, danger, migration.file))
    return problems


def faults(script: Script, file: str) -> list[Problem]:
    """What of a script cannot be run here: it is in nobody's way as long as the migration is not to run."""
    return [Problem(f.what, where=Source(file, f.line, f.column), hint=f.hint) for f in script.faults]


def refusal(migration: Migration, danger: Found, file: str) -> Problem:
    """A danger that nothing allows."""
    own = file.endswith((".yaml", ".yml", ".py"))
    if own:
        hint = f"if it is meant: `allow: [{danger.danger.value}]` and `reason: …` in that file"
    else:
        hint = (
            f"if it is meant, say so in a comment of the file: `reconcile: allow {danger.danger.value}: REASON`;"
            f" or in reconcile.yaml: `migrations: {{{migration.folder.name}: {{allow: {{{migration.number}:"
            f" {{dangers: [{danger.danger.value}], reason: …}}}}}}}}`"
        )
    return Problem(f"{danger.danger.value}: {danger.what}", where=Source(file, danger.line, danger.column), hint=hint)
