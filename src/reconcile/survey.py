"""Look at everything once: desired, live and applied state of all stores, and the differences. Reads only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from reconcile import kept, memo, pending, rolled
from reconcile.diff import Difference, Options, diff, left_alone
from reconcile.errors import PlanError, Problem, ProjectError, ReconcileError
from reconcile.ledger import Ledger
from reconcile.ledger_rows import Applied
from reconcile.ledger_rows import World as Stamp
from reconcile.leftovers import marked
from reconcile.looking import Look, Store, together
from reconcile.model import Address, Json, Resource, State, declared_only
from reconcile.narrow import follow
from reconcile.plan import fingerprint
from reconcile.restoring import refuse_half
from reconcile.stores import package
from reconcile.stores.base import Canonical
from reconcile.stores.rows import HoldsRows, Rows
from reconcile.waits import waits

if TYPE_CHECKING:
    from reconcile.migrations.change import RunMigration
    from reconcile.project import Project

_T = TypeVar("_T")


@dataclass(frozen=True)
class Reading:
    """All stores read once, and the ledger's view of them."""

    project: Project
    stores: Mapping[str, Store]
    ledger: Ledger
    applied: Mapping[Address, Applied]
    known: Mapping[str, Json]
    desired: State = field(default_factory=State)
    """What the YAML declares; nothing where the reading was not asked for it."""
    surveyed: dict[Options, Survey] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What it came to when it was set against the YAML: asked once of the stores, also where several ask."""

    def applied_in(self, store: str) -> Mapping[Address, Applied]:
        """The applied rows of one store."""
        if all(a.store == store for a in self.applied):
            return self.applied
        return {a: row for a, row in self.applied.items() if a.store == store}

    @cached_property
    def rows(self) -> Mapping[str, Sequence[Rows]]:
        """By store what stands there of declared reference rows; asked for when it is first needed."""
        found: dict[str, Sequence[Rows]] = {}
        for name, store in self.stores.items():
            declared = [r for r in self.desired.values() if isinstance(r, Rows) and r.address.store == name]
            if declared and isinstance(store.session, HoldsRows):
                found[name] = store.session.rows(declared, store.live.state)
        return found

    @property
    def lives(self) -> dict[str, State]:
        """Live state by store."""
        return {
            name: pending.live(self.known, name, store.live.state, self.rows.get(name, ()))
            for name, store in self.stores.items()
        }

    def not_modelled(self) -> list[Json]:
        """What was left out of the live states, in JSON form."""
        return [{"address": str(n.address), "what": n.what} for s in self.stores.values() for n in s.live.not_modelled]

    def empty(self, address: Address) -> bool:
        """Whether what stands at `address` holds nothing."""
        return self.stores[address.store].session.is_empty(address)


@dataclass(frozen=True)
class Survey:
    """A reading set against the YAML."""

    reading: Reading
    options: Options
    canonical: Mapping[str, Canonical]
    differences: Mapping[str, Difference]


@contextmanager
def reading(project: Project, *, declared: bool = True, look: Look | None = None) -> Iterator[Reading]:
    """Connect to all stores at once, read them and the ledger; close everything on leaving.

    Args:
        declared: whether to read the YAML too, while the servers answer.
        look: what has been begun already.

    Raises:
        ProjectError: all that is wrong with the YAML; told rather than what is wrong with a store.
        StoreError: one or more stores cannot be read; all of them are named.
        ReconcileError: the ledger belongs to another project, environment or set of stores.
    """
    with look or Look(project) as begun, closing(open_ledger(project)) as ledger:
        desired = project.desired() if declared else State()
        recorded = _tried(lambda: (ledger.applied(desired), ledger.known()))
        stores = begun.stores()
        _same_world(project, ledger, stores)
        applied, known = recorded.result()
        known = {**_learned_here(project), **known}
        yield Reading(project, _without_kept(stores, known), ledger, applied, known, desired)


def reread(old: Reading) -> Reading:
    """The same stores, read again over the same connections."""
    with ThreadPoolExecutor(max_workers=max(len(old.stores), 1)) as pool:
        futures = {name: pool.submit(store.again, old.project) for name, store in old.stores.items()}
    known = old.ledger.known()
    stores = _without_kept(together(futures), known)
    return replace(old, stores=stores, applied=old.ledger.applied(old.desired), known=known)


def _without_kept(stores: Mapping[str, Store], known: Mapping[str, Json]) -> dict[str, Store]:
    return {name: replace(store, live=kept.unseen(store.live, name, known)) for name, store in stores.items()}


def open_ledger(project: Project) -> Ledger:
    """The project's ledger; nothing is made or sent yet.

    Raises:
        ReconcileError: the named store's kind cannot hold one.
    """
    if project.ledger.file is not None:
        from reconcile.ledger_file import open_file

        return open_file(project.ledger.file)
    spec = project.stores[project.ledger.store or ""]
    ledger = package(spec.kind).ledger(spec, project.ledger.schema)
    if ledger is None:
        raise ReconcileError(
            f"a store of kind {spec.kind} cannot hold the ledger",
            where=spec.source,
            hint="name another store under `ledger:`, or a file: `ledger: {file: .reconcile/ledger.db}`",
        )
    return ledger


def _tried(read: Callable[[], _T]) -> Future[_T]:
    """What `read` gives, called here and now; its error comes when the result is asked for."""
    future: Future[_T] = Future()
    try:
        future.set_result(read())
    except ReconcileError as error:
        future.set_exception(error)
    return future


def same_project(project: Project, ledger: Ledger) -> Stamp | None:
    """Refuse a ledger of another project or environment; its stamp.

    Raises:
        ReconcileError: it is one.
    """
    stamp = ledger.world()
    ours = (project.name, project.environment)
    if stamp is not None and (stamp.project, stamp.environment) != ours:
        raise ReconcileError(
            f"the ledger belongs to project {stamp.project}, environment {stamp.environment};"
            f" this is {project.name}, {project.environment}",
            where=ledger.placement,
            hint="choose the environment with -e, or give this project a ledger of its own:"
            " `ledger: {store: …, schema: …}`;\n  if the stores were restored or cloned from there on purpose:"
            " reconcile restore --adopt",
        )
    return stamp


def _same_world(project: Project, ledger: Ledger, stores: Mapping[str, Store]) -> None:
    """Refuse a ledger, or a store's mark, that another project or environment left, or a restored copy; a store that
    is restored."""
    marks = {name: store.session.mark(None) for name, store in stores.items()}
    for name, mark in marks.items():
        refuse_half(name, mark)
    same_world(project, ledger, {name: store.server.identity for name, store in stores.items()})
    ours = (project.name, project.environment)
    for name, store in stores.items():
        mark = marks[name]
        theirs = (mark.get("project"), mark.get("environment"))
        if mark and theirs != ours:
            raise ReconcileError(
                f"store {name} is marked as managed by project {theirs[0]}, environment {theirs[1]}",
                where=store.spec.source,
                hint="check the URL; two projects must not share this store",
            )


def same_world(project: Project, ledger: Ledger, identities: Mapping[str, str]) -> None:
    """Refuse a ledger that another project or environment left, or that came along with a restored copy.

    Args:
        identities: of the servers, by store.

    Raises:
        ReconcileError: it is another world's.
    """
    stamp = same_project(project, ledger)
    for name, identity in identities.items():
        was = stamp.stores.get(name) if stamp is not None else None
        if was is not None and identity not in (was, ""):
            raise ReconcileError(
                f"store {name} is {identity}, but the ledger was made with {was}",
                where=ledger.placement,
                hint="check the URL; a restored or cloned database brings its ledger along: if that is what happened,"
                " make it this environment's: reconcile restore --adopt",
            )


def world_of(reading: Reading) -> Stamp:
    """The stamp that describes what is being read."""
    identities = {name: store.session.server().identity for name, store in reading.stores.items()}
    return Stamp(reading.project.name, reading.project.environment, identities)


def survey(reading: Reading, options: Options) -> Survey:
    """Compare every store with what is declared of it; once, however often one reading is asked.

    Raises:
        ProjectError: the server rejects something declared, or cannot do it; each with its YAML line.
        PlanError: see `diff.diff`.
    """
    if (found := reading.surveyed.get(options)) is None:
        found = reading.surveyed[options] = _survey(reading, options)
    return found


def _survey(reading: Reading, options: Options) -> Survey:
    canonical: dict[str, Canonical] = {}
    differences: dict[str, Difference] = {}
    problems: list[Problem] = []
    errors: list[str] = []
    waiting = _migrations(reading.project)
    for name, store in reading.stores.items():
        own = reading.desired
        if len(reading.stores) > 1:
            own = State.of(r for r in own.values() if r.address.store == name)
        own, backfills, rows = pending.parted(own)
        problems += store.session.unsupported(own)
        if problems:
            continue
        applied = reading.applied_in(name)
        homes = {a: row.live for a, row in applied.items() if row.live != a}
        live = marked(replace(store.live, homes=homes) if homes else store.live, reading.known)
        canonical[name] = store.session.canonical(own, live, reading.known)
        problems += canonical[name].problems
        if problems:
            continue
        try:
            found = diff(
                canonical[name].state,
                live,
                applied,
                store.package,
                reading.project.policy,
                reading.project.selections[name].classify,
                options,
                canonical[name].same,
            )
            found = pending.rows_planned(found, rows, reading.rows.get(name, ()), store.package, options)
            found = pending.planned(found, backfills, reading.known, options)
            differences[name] = pending.beside(
                found, waiting.get(name, ()), options, any(s in waiting for s in differences)
            )
        except PlanError as error:
            errors.append(str(error))
    if problems:
        raise ProjectError(problems)
    if errors:
        raise PlanError("\n".join(errors))
    _remember(reading, canonical.values())
    if rows_held := rolled.read(reading.known):
        held = rolled.still(rows_held, reading.desired)
        differences = {name: rolled.without(d, held) for name, d in differences.items()}
    return Survey(reading, options, canonical, _followed(differences, waits(reading.desired), options))


def _migrations(project: Project) -> Mapping[str, Sequence[RunMigration]]:
    """By store the migrations that are to run; of a project that has none nothing is even imported."""
    if not project.migrations:
        return {}
    from reconcile.migrations.change import waiting

    return waiting(project)


_MANY = 1000
"""From so many resources on, what a plan learns is kept in the user's cache folder too, not only by the next apply."""


def _learned_at(project: Project) -> str:
    place = f"{project.directory.resolve()}\0{project.environment}"
    return f"spelled-{hashlib.sha256(place.encode()).hexdigest()}"


def _learned_here(project: Project) -> Mapping[str, Json]:
    """What earlier plans of this user learned: by hashes of all that a spelling follows from, as the ledger has it."""
    found = memo.get(_learned_at(project))
    return found[0] if found else {}


def _remember(reading: Reading, found: Iterable[Canonical]) -> None:
    learned = {key: value for canonical in found for key, value in canonical.learned.items()}
    if learned and len(reading.desired) >= _MANY:
        memo.put(_learned_at(reading.project), {**_learned_here(reading.project), **learned})


def _followed(
    differences: dict[str, Difference], waiting: Mapping[Address, Sequence[Address]], options: Options
) -> dict[str, Difference]:
    """What was chosen store by store, with `after:` followed across stores."""
    if not waiting:
        return differences
    result = {}
    every = [change for d in differences.values() for change in d.found]
    chosen = [change.address for d in differences.values() for change in d.changes]
    followed = follow(every, chosen, waiting, options)
    unknown = {address for d in differences.values() for address in d.unknown}
    notes = list(followed.notes)
    for address, targets in waiting.items():
        if address in followed.chosen:
            notes += [f"{address} comes after {t}, which cannot be seen" for t in targets if t in unknown]
    for name, difference in differences.items():
        own = [note for note in notes if note.startswith(f"{name}.")]
        changes = tuple(change for change in difference.found if change.address in followed.chosen)
        result[name] = replace(difference, changes=changes, notes=(*difference.notes, *own))
    return result


def rows(found: Survey, run: str) -> tuple[list[Applied], list[Address]]:
    """What the ledger should hold now but does not: rows to write, addresses to forget."""
    new = [_applied(*entry, run) for entry in unrecorded(found)]
    gone = [
        address
        for name, difference in found.differences.items()
        if not found.reading.stores[name].live.partial
        for address in found.reading.applied_in(name)
        if address not in found.canonical[name].state
        and address not in difference.live
        and address not in found.reading.stores[name].live.state  # a rename that waits has it there still
    ]
    return new, gone


def unrecorded(found: Survey) -> Iterator[tuple[Resource, Json, Json, Address]]:
    """Declared and live alike, but not in the ledger as such: (live, its declared and canonical form, where it stands).

    Of what `on_drift: keep` leaves alone the canonical form has what was applied: it is drift the next time too.
    """
    applied, forms = found.reading.applied, found.reading.desired.forms()
    for name, difference in found.differences.items():
        canonical = found.canonical[name]
        wanted, seen, raw = canonical.state.resources, difference.live.resources, difference.raw
        now, left = None if difference.seen is difference.live else difference.seen, set(difference.kept)
        for address in difference.equal:
            where = raw.get(address, address) if raw else address
            if now is not None and now.get(where) is not seen[address] and not _alike(now.get(where), seen[address]):
                continue  # equal once a rename has been carried out, which it has not
            old = applied.get(address)
            known = old if old and old.live == where else None
            if known and address in canonical.same and known.declared_text == known.canonical_text == forms[address]:
                continue  # most there are, and no form had to be made
            forms_now = _forms(wanted[address], seen[address])
            if old and address in left:
                forms_now = (forms_now[0], _as_applied(wanted[address], seen[address], forms_now[1], old.canonical))
            if known and (known.declared, known.canonical) == forms_now:
                continue
            yield seen[address], *forms_now, where


def _alike(now: Resource | None, after: Resource) -> bool:
    return now is not None and now.attributes() == after.attributes()


def _forms(desired: Resource, live: Resource) -> tuple[Json, Json]:
    """The declared and the canonical form that the ledger keeps."""
    seen = live.attributes()
    declared = desired.declared
    if declared is None:
        declared = seen if desired == live else desired.attributes()
    return declared, declared_only(seen, declared) if live.unset_is_unmanaged else seen


def _as_applied(desired: Resource, live: Resource, canonical: Json, applied: Json) -> Json:
    """The canonical form with what was left alone as it was applied."""
    keys = left_alone(live, desired, applied)
    rest = {key: value for key, value in canonical.items() if key not in keys}
    return {**rest, **{key: applied[key] for key in keys if key in applied}}


def _applied(live: Resource, declared: Json, canonical: Json, where: Address, run: str) -> Applied:
    return Applied.of(live.address, declared, canonical, fingerprint(live), where, run)
