"""`reconcile verify`: does what the stores hold agree with what is declared? Reads only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from reconcile import assertions, idsets
from reconcile.assertions import Assertion, When
from reconcile.change import Server
from reconcile.errors import ReconcileError, StoreError
from reconcile.findings import Finding, NotRun, Result, Rule, Sample, Verified
from reconcile.idsets import NONE, IdSet, Part
from reconcile.mirrors import Mirror, resolved
from reconcile.model import Address, Json, Source, State
from reconcile.restoring import refuse_half
from reconcile.stores import package
from reconcile.stores.base import Listing, Session, Side, Verifies
from reconcile.suggest import meant
from reconcile.workflow import asserting

if TYPE_CHECKING:
    from reconcile.project import Project

SAMPLE = 10
"""Keys shown of each finding, unless asked otherwise."""

_What = tuple[Address, str | None]
"""What a side is, wherever it is written: two mirrors may share one, which is then read once."""


@dataclass
class _Looked:
    """What one store answered."""

    server: Server
    verified: Verified = field(default_factory=Verified)
    sides: dict[_What, IdSet | str] = field(default_factory=dict)
    """The ids of each side, or why they could not be read."""
    skipped: str | None = None
    """Why it was not looked at."""


def verify(
    project: Project, names: Sequence[str] = (), sample: int = SAMPLE, phase: str | None = None
) -> dict[str, Json]:
    """Compare content with what is declared, in all stores at once, and ask all checks. Changes nothing anywhere.

    Args:
        names: globs of what to look at: addresses of declared objects with all that is in them, and of sides of
            mirrors; names of checks, queries and probes; everything where there are none.
        sample: how many keys of each finding to name.
        phase: `schema` for what the schema should do: queries, probes, and checks that say so; `data` for content and
            the other checks.

    Returns:
        `at`, `seconds`, `project`, `environment`, `stores`, `findings` (as `findings.Finding`, those of mirrors
        included), `mirrors` (`name`, `agrees`, `source`, and `sides` with their number of `ids`, how many are
        `without` one, and `missing`, `extra` and `repeated`, each with `count` and `sample`), `sampled` (as
        `findings.Sample`: what was looked at in part), `not_looked_at` ([{store, address, what, why, source}], the
        last three and the address null of a whole store), `checks` (as `findings.Result`), `clean`: nothing was
        found, and every query was run.

    Raises:
        ProjectError: all that is wrong with the YAML.
        StoreError: a store cannot be reached or read; all of them are named.
        ReconcileError: a name matches nothing.
    """
    began = time.monotonic()
    desired = project.desired()
    chosen, mirrors, asserted = _chosen(names, desired, resolved(project, desired, []), project.assertions)
    if phase is not None:
        asserted = assertions.chosen(asserted, phase=phase)
    if phase == "schema":
        chosen, mirrors = State(), ()
    sides = {_what(side): side for mirror in mirrors for side in mirror.sides}
    looked_at = {a.store for a in chosen} | {side.address.store for side in sides.values()}
    named = looked_at | {a.store for a in asserted}
    sessions: dict[str, Session] = {}
    with TemporaryDirectory(prefix="reconcile-") as folder, ExitStack() as opened:
        with ThreadPoolExecutor(max_workers=max(len(project.stores), 1)) as pool:
            futures = {}
            for spec in project.stores.values():
                if (names or phase == "schema") and spec.name not in named:
                    continue
                session = package(spec.kind).connect(spec, project.name, project.environment)
                opened.callback(session.close)
                sessions[spec.name] = session
                if (names or phase == "schema") and spec.name not in looked_at:
                    continue
                own = chosen.filter(lambda r, name=spec.name: r.address.store == name)  # type: ignore[misc]
                declared = desired.filter(lambda r, name=spec.name: r.address.store == name)  # type: ignore[misc]
                files = {
                    side: Path(folder, f"{n}.db")
                    for n, side in enumerate(sides.values())
                    if side.address.store == spec.name
                }
                futures[spec.name] = pool.submit(_look, spec.kind, session, (own, declared), files, sample)
        _raise([error for future in futures.values() if (error := future.exception()) is not None])
        looked = {name: future.result() for name, future in futures.items()}
        compared = [_compared(mirror, looked, sample) for mirror in mirrors]
        results = asserting.asked(project, asserted, sessions)
    return _report(project, looked, compared, results, time.monotonic() - began)


def _what(side: Side) -> _What:
    return side.address, side.key


def _chosen(
    globs: Sequence[str], desired: State, mirrors: Sequence[Mirror], asserted: Sequence[Assertion]
) -> tuple[State, Sequence[Mirror], Sequence[Assertion]]:
    """What the globs name, what is in it, the mirrors with such a side, and the checks, queries and probes."""
    if not globs:
        return desired, mirrors, assertions.chosen(asserted, When.AFTER)
    sides = [side.address for mirror in mirrors for side in mirror.sides]
    names = list(dict.fromkeys([*map(str, (*desired, *sides)), *(a.name for a in asserted)]))
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise ReconcileError(
                f"{glob} matches nothing that is declared",
                hint=meant(glob, names) or "addresses are STORE.KIND.NAME, as the plan prints them",
            )

    def named(name: Address | str) -> bool:
        return any(fnmatchcase(str(name), glob) for glob in globs)

    found = {address for address in desired if named(address)}
    found |= {r.address for address in list(found) for r in desired.inside(address)}
    return (
        desired.filter(lambda r: r.address in found),
        [mirror for mirror in mirrors if any(named(side.address) for side in mirror.sides)],
        [assertion for assertion in asserted if named(assertion.name)],
    )


def _raise(errors: Sequence[BaseException]) -> None:
    """All errors as one; a bug of ours as it is."""
    for error in errors:
        if len(errors) == 1 or not isinstance(error, ReconcileError):
            raise error
    if errors:
        raise StoreError("\n".join(map(str, errors)))


def _look(kind: str, session: Session, states: tuple[State, State], files: Mapping[Side, Path], sample: int) -> _Looked:
    """Everything about one store, over its one connection: of (what was chosen, all that is declared)."""
    looked = _Looked(session.server())
    refuse_half(looked.server.name, session.mark(None))
    chosen, declared = states
    if isinstance(session, Verifies):
        looked.verified = session.verify(chosen, sample, declared)
    else:
        looked.skipped = f"this version cannot verify a store of kind {kind}"
    for side, path in files.items():
        if not isinstance(session, Listing):
            looked.sides[_what(side)] = f"this version cannot list the ids of a store of kind {kind}"
            continue
        try:
            looked.sides[_what(side)] = idsets.fill(path, session.ids(side), sample)
        except StoreError as error:
            looked.sides[_what(side)] = error.what
    return looked


@dataclass(frozen=True)
class _Side:
    """One side of a mirror, compared."""

    side: Side
    ids: IdSet | str
    missing: Part = NONE
    """What the first side has and this one has not."""
    extra: Part = NONE
    """The other way round."""


@dataclass(frozen=True)
class _Compared:
    mirror: Mirror
    sides: tuple[_Side, ...]

    def findings(self) -> Iterator[Finding]:
        """Each disagreement of its sides."""
        original = self.sides[0].side.address
        for found in self.sides:
            address, source = found.side.address, found.side.source
            if isinstance(found.ids, str):
                what = f"mirror {self.mirror.name} was not compared: {found.ids}"
                yield Finding(address, Rule.MIRROR, what, 0, source=source, bounded=True)
                continue
            parts = (
                (f"elements without {found.side.key}", Part(found.ids.without)),
                ("ids that occur more than once", found.ids.repeated),
                (f"ids missing that {original} has", found.missing),
                (f"ids that {original} does not have", found.extra),
            )
            for what, part in parts:
                if part.count:
                    yield Finding(address, Rule.MIRROR, what, part.count, part.sample, source=source)

    def to_json(self) -> Json:
        return {
            "name": self.mirror.name,
            "source": self.mirror.source.to_json(),
            "agrees": not any(self.findings()),
            "sides": [_side(found, first=found is self.sides[0]) for found in self.sides],
        }


def _side(found: _Side, *, first: bool) -> Json:
    side, ids = found.side, found.ids
    entry: dict[str, Json] = {
        "address": str(side.address),
        "key": side.key,
        "source": _source(side.source),
        "ids": ids.count if isinstance(ids, IdSet) else None,
    }
    if isinstance(ids, str):
        return {**entry, "problem": ids}
    entry |= {"without": ids.without, "repeated": asdict(ids.repeated)}
    return entry if first else {**entry, "missing": asdict(found.missing), "extra": asdict(found.extra)}


def _compared(mirror: Mirror, looked: Mapping[str, _Looked], sample: int) -> _Compared:
    """The sides of a mirror, each but the first compared with the first."""
    read = [(side, looked[side.address.store].sides[_what(side)]) for side in mirror.sides]
    original = read[0][1]
    found = [_Side(*read[0])]
    for side, ids in read[1:]:
        if isinstance(ids, str) or isinstance(original, str):
            found.append(_Side(side, ids))
            continue
        with ThreadPoolExecutor(2) as pool:
            lacking = pool.submit(idsets.missing, original, ids, sample)
            found.append(_Side(side, ids, extra=idsets.missing(ids, original, sample), missing=lacking.result()))
    return _Compared(mirror, tuple(found))


def _report(
    project: Project,
    looked: Mapping[str, _Looked],
    compared: Sequence[_Compared],
    results: Sequence[Result],
    seconds: float,
) -> dict[str, Json]:
    findings = [f for store in looked.values() for f in store.verified.findings]
    findings += [f for mirror in compared for f in mirror.findings()]
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": f"{seconds:.1f}",
        "project": project.name,
        "environment": project.environment,
        "stores": [
            {"name": name, "kind": found.server.kind, "version": found.server.version} for name, found in looked.items()
        ],
        "findings": [_finding(f) for f in findings],
        "mirrors": [mirror.to_json() for mirror in compared],
        "sampled": [_sample(s) for store in looked.values() for s in store.verified.samples],
        "not_looked_at": list(_not_looked_at(looked)),
        "checks": [result.to_json() for result in results],
        "clean": not findings
        and not any(store.verified.not_run for store in looked.values())
        and not any(result.bad for result in results),
    }


def _sample(sample: Sample) -> Json:
    return {**vars(sample), "address": str(sample.address), "source": _source(sample.source)}


def _not_looked_at(looked: Mapping[str, _Looked]) -> Iterator[Json]:
    nothing: dict[str, Json] = {"address": None, "what": None, "source": None}
    for name, found in looked.items():
        if found.skipped is not None:
            yield {"store": name, "why": found.skipped, **nothing}
        for query in found.verified.not_run:
            yield {"store": name, **_not_run(query)}


def _not_run(query: NotRun) -> dict[str, Json]:
    return {**vars(query), "address": str(query.address), "source": _source(query.source)}


def _finding(finding: Finding) -> Json:
    return {
        "address": str(finding.address),
        "rule": str(finding.rule),
        "what": finding.what,
        "count": finding.count,
        "bounded": finding.bounded,
        "looked": finding.looked,
        "sample": list(finding.sample),
        "query": finding.query,
        "hint": finding.hint,
        "source": _source(finding.source),
    }


def _source(source: Source | None) -> Json:
    return None if source is None else source.to_json()
