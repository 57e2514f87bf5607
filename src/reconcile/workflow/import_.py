"""`reconcile import`: YAML from live stores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile.errors import ReconcileError
from reconcile.model import Address
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


def import_(
    project: Project,
    addresses: Iterable[str] = (),
    store: str | None = None,
    out: Path | None = None,
    force: bool = False,
) -> Imported:
    """Write YAML that declares what is live: all of it, or the addresses (globs) asked for.

    Raises:
        ReconcileError: a file would be overwritten without `force`, no such store, or nothing matches.
    """
    globs = tuple(addresses)
    if store is not None and store not in project.stores:
        raise ReconcileError(f'no store "{store}"', hint=f"one of: {', '.join(project.stores)}")
    folder = project.directory / (out or Path("schema"))
    written: dict[Path, str] = {}
    left_out: list[tuple[str, str]] = []
    count = 0

    def wanted(address: Address) -> bool:
        return not globs or any(fnmatchcase(str(address), glob) for glob in globs)

    with reading(project) as found:
        for name, seen in found.stores.items():
            if store is not None and name != store:
                continue
            count += sum(1 for a, r in seen.live.state.items() if wanted(a) and not r.system)
            left_out += [(str(n.address), n.what) for n in seen.live.not_modelled if wanted(n.address)]
            left_out += [(name, reason) for reason in seen.live.partial]
            for file, text in seen.package.dump(seen.live, seen.server, seen.spec, wanted).items():
                written[folder / (file if len(found.stores) == 1 or store else f"{name}_{file}")] = text
    if globs and not count:
        raise ReconcileError("nothing live matches " + ", ".join(globs), hint="see: reconcile plan, its `?` lines")
    taken = [str(path) for path in written if path.exists()]
    if taken and not force:
        raise ReconcileError(
            "these files are there already: " + ", ".join(taken),
            hint="choose another folder with --out, or overwrite them with --force",
        )
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Imported(tuple(written), count, tuple(left_out))
