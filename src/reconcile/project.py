"""`reconcile.yaml` as a `Project`: stores, ledger, embeddings, policy and variables of one environment.

Reads files only; no variable of the environment is read before a store connects. What a part of the file is made of is
imported where the file has that part: no store is asked before this is through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconcile import moments, policies, wording
from reconcile.embeddings import Distance, Element, Embedding
from reconcile.environment import ASSERTIONS, choose, environments_of, holding, laid_over
from reconcile.errors import Problem, ProjectError
from reconcile.model import Source
from reconcile.policy import Allowance, Approval, Policy, Protection
from reconcile.project_problems import SCHEMA, problems_of
from reconcile.selection import Selection
from reconcile.stores.base import StoreSpec
from reconcile.yamlio import Map, Seq, read_documents

if TYPE_CHECKING:
    from reconcile.assertions import Assertion
    from reconcile.migrations.model import Folder
    from reconcile.model import State
    from reconcile.notices import Receiver

__all__ = ["FILE", "LedgerSpec", "Project", "Selection", "environments"]

FILE = "reconcile.yaml"
DEFAULT_INCLUDE = ("schema/**/*.yaml",)
BACKUPS = ".reconcile/backups"


@dataclass(frozen=True)
class LedgerSpec:
    """Where the ledger is: in a schema of a store, or in a file. Exactly one of `store` and `file` is set."""

    store: str | None = None
    file: Path | None = None
    schema: str = "reconcile"


@dataclass(frozen=True)
class BackupSpec:
    """`backup:`, as one environment has it."""

    to: Path
    keep: str = "7d"
    points: tuple[str, ...] = ()
    """When every apply makes one: `before`, `expand`, `migrate`."""
    paths: tuple[str, ...] = ()
    """Files and folders beside the stores, relative to the project folder."""


@dataclass(frozen=True)
class Project:
    """A project as one environment sees it."""

    name: str
    directory: Path
    environment: str
    stores: Mapping[str, StoreSpec]
    embeddings: Mapping[str, Embedding]
    policy: Policy
    ledger: LedgerSpec
    selections: Mapping[str, Selection]
    """By store."""
    shared: bool = False
    """Whether others use its stores too."""
    approvals: tuple[Approval, ...] = ()
    protect: tuple[Protection, ...] = ()
    backup: BackupSpec = field(default_factory=lambda: BackupSpec(Path(BACKUPS)))
    variables: Mapping[str, Any] | None = None
    include: tuple[str, ...] = DEFAULT_INCLUDE
    includes: bool = False
    """Whether `include:` is written out."""
    hooks: tuple[moments.Hook, ...] = ()
    notices: tuple[Receiver, ...] = ()
    """Who is told of runs."""
    contacts: tuple[str, ...] = ()
    """Whom to ask, printed where a run fails."""
    break_glass: Path | None = None
    """Where each run's scripts to run by hand are written, before its first step."""
    assertions: tuple[Assertion, ...] = ()
    """Its checks, queries and probes."""
    mirrors: Map = field(default_factory=Map)
    """By name, as written; `mirrors.resolved` sets them against what is declared."""
    migrations: tuple[Folder, ...] = ()
    """Folders of hand-written migrations."""
    source: Source = field(default_factory=lambda: Source(FILE, 1))

    @classmethod
    def load(cls, directory: Path, environment: str | None = None) -> Project:
        """Read `directory/reconcile.yaml`; resolves no environment variable, connects to nothing.

        Raises:
            ProjectError: no such file or environment, or what is wrong in it, all at once.
        """
        document = _read(directory)
        problems = list(problems_of(document, directory))
        chosen = choose(document, environment, problems)
        if problems:
            raise ProjectError(problems)
        return _build(document, chosen, directory)

    def desired(self) -> State:
        """What the schema files declare, of all stores.

        Raises:
            ProjectError: all problems of all files.
        """
        from reconcile.load import desired

        return desired(self)

    def allowances(self) -> tuple[Allowance, ...]:
        """The hazards the policy allows."""
        return tuple(map(Allowance.parse, self.policy.allow))


def environments(directory: Path) -> tuple[str, ...]:
    """The names of a project's environments, in file order.

    Raises:
        ProjectError: the file is absent, or cannot be read.
    """
    return tuple(environments_of(_read(directory)))


def _read(directory: Path) -> Map:
    """The one document of the project file, fitting its schema."""
    path = directory / FILE
    if not path.is_file():
        hint = "write a starter project with `reconcile init`, or name its folder with -C DIR"
        if path.with_suffix(".yml").is_file():
            hint = f"rename reconcile.yml to {FILE}"
        elif not directory.is_dir():
            hint = f"{directory} is no folder" if directory.exists() else f"there is no folder {directory}"
        raise ProjectError([Problem(f"there is no {FILE} in {_shown(directory)}", hint=hint)])
    documents = read_documents(path, FILE)
    if len(documents) != 1:
        what = "is empty" if not documents else "holds several documents"
        where = documents[1].at() if documents else Source(FILE, 1)
        hint = "write a starter project with `reconcile init`" if not documents else "a project is one document"
        raise ProjectError([Problem(what, where=where, hint=hint)])
    if problems := wording.problems(documents[0], SCHEMA):
        raise ProjectError(problems)
    return documents[0]


def _shown(directory: Path) -> str:
    return "this folder" if directory == Path() else str(directory)


def _build(document: Map, environment: str, directory: Path) -> Project:
    merged = laid_over(document, environment)
    over: Map = environments_of(document)[environment] or Map()
    stores = {
        name: StoreSpec(name, settings["kind"], settings, merged["stores"].at(name), directory)
        for name, settings in merged["stores"].items()
    }
    migrations = _folders(merged.get("migrations"))
    shared = bool(over.get("shared", False))
    ledger = dict(merged.get("ledger") or {})
    if "file" in ledger:
        where = LedgerSpec(file=directory / ledger["file"])
    else:
        store = ledger.get("store") or holding(merged["stores"])[0]
        where = LedgerSpec(store=store, schema=ledger.get("schema", "reconcile"))
    return Project(
        name=merged["name"],
        directory=directory,
        environment=environment,
        stores=stores,
        embeddings=_embeddings(merged.get("embeddings") or Map()),
        policy=policies.policy(merged.get("policy") or Map(), shared),
        ledger=where,
        selections={name: _selection(spec, migrations) for name, spec in stores.items()},
        shared=shared,
        approvals=policies.approvals(document.get("approvals"), over.get("approvals")),
        protect=policies.protection(document.get("protect"), over.get("protect")),
        backup=_backup(merged.get("backup") or {}, directory),
        variables=dict(merged.get("variables") or {}),
        include=tuple(merged.get("include", DEFAULT_INCLUDE)),
        includes="include" in merged,
        hooks=tuple(moments.declared(merged.get("hooks") or {})),
        notices=_receivers(merged.get("notify")),
        contacts=tuple(merged.get("contacts") or ()),
        break_glass=directory / merged["break_glass"] if merged.get("break_glass") else None,
        assertions=_assertions(merged, directory),
        mirrors=merged.get("mirrors") or Map(),
        migrations=migrations,
        source=document.at("include") if "include" in document else document.at(),
    )


def _selection(spec: StoreSpec, migrations: tuple[Folder, ...]) -> Selection:
    """As the store says; what the tool keeps in it to track migrations is ignored."""
    said = {key: tuple(spec.settings[key]) for key in _GLOBS if key in spec.settings}
    if not migrations:
        return Selection(**said)
    from reconcile.migrations.declared import ignored

    own = ignored(migrations, spec)
    return Selection(**(said | {"ignore": (*said.get("ignore", ()), *own)} if own else said))


def _folders(declared: Map | None) -> tuple[Folder, ...]:
    if not declared:
        return ()
    from reconcile.migrations.declared import folders

    return folders(declared)


def _assertions(merged: Map, directory: Path) -> tuple[Assertion, ...]:
    if not any(merged.get(key) for key in ASSERTIONS):
        return ()
    from reconcile import assertions

    return tuple(assertions.read(merged, directory, []))


def _receivers(declared: Seq | None) -> tuple[Receiver, ...]:
    if not declared:
        return ()
    from reconcile import notices

    return tuple(notices.receivers(declared, [entry.at() for entry in declared]))


_GLOBS = ("manage", "ignore", "external")


def _backup(declared: Mapping[str, Any], directory: Path) -> BackupSpec:
    points, paths = (tuple(declared.get(key, ())) for key in ("points", "paths"))
    to = directory / Path(declared.get("to", BACKUPS)).expanduser()
    return BackupSpec(to, declared.get("keep", "7d"), points, paths)


def _embeddings(declared: Map) -> dict[str, Embedding]:
    return {
        name: Embedding(
            name=name,
            model=entry["model"],
            dimensions=int(entry["dimensions"]),
            distance=Distance(entry["distance"]),
            element=Element(entry.get("element", "float32")),
            source=declared.at(name),
        )
        for name, entry in declared.items()
    }
