"""The commented starter project that `reconcile init` writes.

Each store package has its share in `starter/`: `store.yaml`, its lines in the project file, and `schema.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from reconcile import stores
from reconcile.errors import ReconcileError
from reconcile.project import FILE
from reconcile.yamldump import quoted

_HEAD = """\
# The stores, and the rules for changing them. What they hold is declared in schema/*.yaml.
# `reconcile validate` checks these files, `reconcile plan` compares with the stores, `reconcile apply` changes them.
version: 1
name: {name}
"""
_TAIL = """
# Vector contracts, each declared once and named wherever such vectors are stored.
embeddings:
  passages: {model: all-MiniLM-L6-v2, dimensions: 384, distance: cosine}

# policy: {on_drift: refuse}              # refuse, keep or revert what was changed by hand

# What differs in an environment merges over the rest of this file; choose with -e.
default_environment: development
environments:
  development: {}
  production:
    shared: true
    variables: {hnsw_m: 32}

# For ${var.hnsw_m} in schema files.
variables: {hnsw_m: 16}
"""
_NOT_SHARED = "    # shared: true                      # needs a ledger that others see: a postgres store\n"
_IGNORED = ".reconcile/"


def write(directory: Path, kinds: Sequence[str] = (), *, name: str | None = None, force: bool = False) -> list[str]:
    """Write the project file, a schema file for each store, and a line in `.gitignore`.

    Args:
        kinds: kinds of store; all where empty.
        name: of the project; that of the folder by default.
        force: write over files that are there.

    Returns:
        The files written, relative to `directory`.

    Raises:
        ReconcileError: a file is there already, and nothing was written; or a file cannot be written.
    """
    chosen = [kind for kind in stores.kinds() if not kinds or kind in kinds]
    chosen.sort(key=lambda kind: not stores.holds_ledger(kind))  # the ledger's store first
    title = name or re.sub(r"[^A-Za-z0-9._-]+", "-", directory.resolve().name).strip("-._") or "project"
    files = {FILE: _project(title, chosen)}
    for kind in chosen:
        text = _share(kind, "schema.yaml")
        store = re.search(r"^store: (\S+)", text, re.M)
        files[f"schema/{store[1] if store else kind}.yaml"] = text
    there = [path for path in files if (directory / path).exists()]
    if there and not force:
        raise ReconcileError(
            f"there is already {', '.join(there)}; nothing was written",
            where=str(directory) if directory != Path() else None,
            hint="name another folder with -C DIR, or write over with --force",
        )
    ignore = directory / ".gitignore"
    try:
        before = ignore.read_text(encoding="utf-8") if ignore.is_file() else ""
        if _IGNORED not in before.split():
            files[".gitignore"] = f"{before}{'' if before.endswith(chr(10)) or not before else chr(10)}{_IGNORED}\n"
        for path, text in files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReconcileError(f"cannot write the project: {error}", hint="name another folder with -C DIR") from error
    return list(files)


def _project(name: str, kinds: Sequence[str]) -> str:
    holders = [kind for kind in kinds if stores.holds_ledger(kind)]
    lines = [_HEAD.format(name=quoted(name))]
    if len(holders) != 1:
        lines.append("# Lock, journal and applied state; not one store of this project can hold them.\n")
        lines.append("ledger: {file: .reconcile/ledger.db}\n")
    lines.append("\n# References such as ${NAME} are read when a store is connected to, and never printed.\nstores:\n")
    lines += [_share(kind, "store.yaml") for kind in kinds]
    tail = _TAIL if len(holders) == 1 else _TAIL.replace("    shared: true\n", _NOT_SHARED)
    return "".join(lines) + tail


def _share(kind: str, file: str) -> str:
    return (Path(stores.__file__).parent / kind / "starter" / file).read_text(encoding="utf-8")
