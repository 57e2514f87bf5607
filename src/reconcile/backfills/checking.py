"""Whether a backfill did what it promised: declared queries, the least share of success; and its figures for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import Progress
from reconcile.errors import ReconcileError
from reconcile.model import Address, Json
from reconcile.stores.filling import Filling

_WORDS = {"at_least": ">=", "at_most": "<="}


def metrics(definition: Definition, filling: Filling) -> dict[str, Json]:
    """The declared metrics now."""
    return {name: filling.ask(query) for name, query in definition.metrics.items()}


def verified(definition: Definition, filling: Filling) -> None:
    """
    Raises:
        ReconcileError: a query gives something else than is expected; all of them are named.
    """
    wrong = []
    for entry in definition.verify:
        found = filling.ask(entry["query"])
        if not _meets(found, entry["expect"]):
            wrong.append(f"  {' '.join(entry['query'].split())}: {found}, expected {_expected(entry['expect'])}")
    if wrong:
        raise ReconcileError(
            "every row is done, but what was to hold afterwards does not:\n" + "\n".join(wrong),
            where=str(definition.address),
            hint="it is not recorded as done; mend the rows or the query, then go on",
        )


def expected(definition: Definition, total: int) -> None:
    """
    Raises:
        ReconcileError: it deletes, and another number of rows is selected than is declared.
    """
    if definition.deletes and not _meets(total, definition.deletes["expect"]):
        raise ReconcileError(
            f"it deletes, and {total} rows are selected, expected {_expected(definition.deletes['expect'])}",
            where=str(definition.address),
            hint="nothing was changed; look at what it selects: reconcile backfill run NAME --dry-run",
        )


def held(definition: Definition, place: Address) -> Callable[[int], None]:
    """What looks whether a place that is to be emptied holds as many rows as is declared.

    It raises ReconcileError.
    """

    def check(rows: int) -> None:
        if not _meets(rows, definition.truncate["expect"]):
            raise ReconcileError(
                f"it empties {place}, which holds {rows} rows, expected {_expected(definition.truncate['expect'])}",
                where=str(definition.address),
                hint="nothing was changed; look at what is there, or declare another `expect`",
            )

    return check


def _meets(found: Json, expected: Json) -> bool:
    if isinstance(expected, Mapping):
        low, high = expected.get("at_least"), expected.get("at_most")
        return found is not None and (low is None or found >= low) and (high is None or found <= high)
    return bool(found == expected)


def _expected(expected: Json) -> str:
    if isinstance(expected, Mapping):
        return " and ".join(f"{_WORDS[k]} {v}" for k, v in expected.items())
    return str(expected)


def success(definition: Definition, progress: Progress) -> None:
    """
    Raises:
        ReconcileError: fewer rows were changed than the declared share.
    """
    share = progress.changed / progress.read if progress.read else 1.0
    if share < definition.success:
        raise ReconcileError(
            f"{progress.changed} of {progress.read} rows were changed, {share:.1%}: less than the declared"
            f" {definition.success:.1%}",
            where=str(definition.address),
            hint="what is done stays, but it is not recorded as done; see `reconcile backfill list`",
        )


def told(progress: Progress) -> Iterator[str]:
    """The figures of one that is done, line by line."""
    rate = progress.read / progress.seconds if progress.seconds else 0
    aside = f", {progress.set_aside} set aside" if progress.set_aside else ""
    left = f", {progress.skipped} left as they were" if progress.skipped else ""
    yield f"{progress.changed} rows changed of {progress.read} selected{left}{aside}; {rate:,.0f} a second"
    yield from by_rules(progress.read - progress.skipped - progress.set_aside, progress.otherwise)
    yield from shares(progress.values)
    for name, before in progress.before.items():
        yield f"{name}: {before} before, {progress.later.get(name)} after"


def by_rules(given: int, otherwise: int) -> Iterator[str]:
    """Of rows that were given a value: to how many a rule gave it, and for how many the table has but `otherwise`."""
    if otherwise:
        ruled = given - otherwise
        yield f"by rules: {ruled} ({ruled / given:.1%}); otherwise: {otherwise} ({otherwise / given:.1%})"


def shares(values: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """How many rows were given which value, the most frequent first."""
    for name, counts in values.items():
        total = sum(counts.values())
        for value, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
            if value != "…":
                yield f"{name} {value}: {count} ({count / total:.1%})"
