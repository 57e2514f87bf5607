"""`reconcile import`: YAML from live stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile import load
from reconcile.errors import ProjectError, ReconcileError
from reconcile.model import Address, Resource, Source, State
from reconcile.survey import reading

if TYPE_CHECKING:
    from reconcile.project import Project


@dataclass(frozen=True)
class Imported:
    """What `import_` wrote."""

    files: tuple[Path, ...]
    resources: int
    not_modelled: tuple[tuple[str, str], ...]
    """(address, what) of live objects that were left out."""
    partial: tuple[tuple[str, str], ...] = ()
    """(store, reason) where more may be there than could be seen."""
    declared: tuple[tuple[str, str], ...] = ()
    """(address, place) of what other schema files declare already."""
    left: tuple[tuple[str, str], ...] = ()
    """(address, place) of what stays where another schema file declares it."""


def import_(
    project: Project,
    addresses: Iterable[str] = (),
    store: str | None = None,
    out: Path | None = None,
    force: bool = False,
) -> Imported:
    """Write YAML that declares what is live: all of it, or the addresses (globs) asked for.

    Raises:
        ReconcileError: a file would be overwritten without `force` or cannot be written, no such store, or nothing
            matches.
    """
    globs = tuple(addresses)
    if store is not None and store not in project.stores:
        raise ReconcileError(f'no store "{store}"', hint=f"one of: {', '.join(project.stores)}")
    folder = project.directory / (out or Path("schema"))
    found = _read(project, globs, store, folder)
    if globs and not found.taken_up:
        raise ReconcileError("nothing live matches " + ", ".join(globs), hint="see: reconcile plan, its `?` lines")
    existing = [str(path) for path in found.texts if path.exists()]
    if existing and not force:
        raise ReconcileError(
            "these files are there already: " + ", ".join(existing),
            hint="choose another folder with --out, or overwrite them with --force",
        )
    before = {path for path in found.texts if path.exists()}
    declared = _declared(project, found.taken_up)
    _write(found.texts)
    twice = _twice(project, found, declared)
    left: dict[Address, str] = {}
    if twice and not globs:  # asked for by name they are written, to be moved; of all of them the rest is
        left = {a: place for a, place in twice.items() if found.taken_up[a].container is None}
        found, made = _read(project, globs, store, folder, frozenset(twice)), found.texts.keys() - before
        _write(found.texts)
        for path in made - found.texts.keys():
            path.unlink()
        twice = _twice(project, found, declared)
    shown = tuple((str(a), place) for a, place in twice.items()), tuple((str(a), place) for a, place in left.items())
    resources = sum(not r.only_declared for r in found.taken_up.values())  # what qualifies others is no object
    return Imported(tuple(found.texts), resources, tuple(found.left_out), tuple(found.partial), *shown)


@dataclass
class _Found:
    """What is to be written, and what is not."""

    texts: dict[Path, str] = field(default_factory=dict)
    taken_up: dict[Address, Resource] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    partial: list[tuple[str, str]] = field(default_factory=list)


def _twice(project: Project, found: _Found, declared: Mapping[Address, Source]) -> dict[Address, str]:
    """What was written, and is declared in a schema file that is another, with the place there."""
    ours = {path.resolve() for path in found.texts}
    if ours.isdisjoint(path.resolve() for path, _ in load.files(project, [])):
        return {}  # beside the project: to be looked at
    return {
        address: str(where)
        for address, where in declared.items()
        if address in found.taken_up and (project.directory / where.file).resolve() not in ours
    }


def _read(
    project: Project,
    globs: tuple[str, ...],
    store: str | None,
    folder: Path,
    leave: frozenset[Address] = frozenset(),
) -> _Found:
    """What is to be written of what is live.

    Args:
        leave: what is not, nor what is in it.
    """
    result = _Found()

    with reading(project, declared=False) as found:
        for name, seen in found.stores.items():
            if store is not None and name != store:
                continue
            state = seen.live.state

            def wanted(address: Address, state: State = state) -> bool:
                if globs:
                    return any(fnmatchcase(str(address), glob) for glob in globs)
                return address not in leave and not (address in state and state[address].container in leave)

            result.taken_up |= {a: r for a, r in seen.live.state.items() if wanted(a) and not r.system}
            result.left_out += [(str(n.address), n.what) for n in seen.live.not_modelled if wanted(n.address)]
            result.partial += [(name, reason) for reason in seen.live.partial]
            prefix = "" if len(found.stores) == 1 or store else f"{name}_"
            files = seen.package.dump(seen.live, seen.server, seen.spec, wanted, _place(project, folder, prefix))
            if not files and not globs:  # so that a plan finds what to compare with
                from reconcile.yamldump import dump

                files = {"schema.yaml": dump({"store": name}, ["nothing is there yet"])}
            result.texts |= {folder / _prefixed(file, prefix): text for file, text in files.items()}
    return result


def _write(texts: Mapping[Path, str]) -> None:
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ReconcileError(
            f"cannot write {error.filename}: {error.strerror}", hint="name a folder with --out"
        ) from error


def _prefixed(file: str, prefix: str) -> str:
    """`app_tables.yaml`, `sql/app_touch.sql`."""
    head, slash, name = file.rpartition("/")
    return f"{head}{slash}{prefix}{name}"


def _place(project: Project, folder: Path, prefix: str) -> Callable[[str], str]:
    """How a file of the folder is called in YAML: from the project folder, if it is in there."""

    def place(file: str) -> str:
        path = folder / _prefixed(file, prefix)
        inside = path.is_relative_to(project.directory)
        return (path.relative_to(project.directory) if inside else path.absolute()).as_posix()

    return place


def _declared(project: Project, addresses: Iterable[Address]) -> dict[Address, Source]:
    """Where schema files declare these addresses now."""
    try:
        desired = project.desired()
    except ProjectError:  # no schema file yet, or a broken one, which the next command tells
        return {}
    places = {a: desired[a].source for a in sorted(addresses, key=str) if a in desired}
    return {address: where for address, where in places.items() if where is not None}
