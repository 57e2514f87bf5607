"""`reconcile.yaml` as a `Project`: stores, ledger, embeddings, policy and variables of one environment.

Reads files only; no variable of the environment is read before a store connects. What a part of the file is made of is
imported where the file has that part: no store is asked before this is through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconcile import moments, policies, references, wording
from reconcile.embeddings import Distance, Element, Embedding
from reconcile.errors import Problem, ProjectError
from reconcile.model import Source
from reconcile.policy import Allowance, Approval, Policy, Protection
from reconcile.selection import Selection
from reconcile.stores import holds_ledger
from reconcile.stores.base import StoreSpec
from reconcile.suggest import meant
from reconcile.yamlio import Map, Seq, merge, read_documents

if TYPE_CHECKING:
    from reconcile.assertions import Assertion
    from reconcile.migrations.model import Folder
    from reconcile.model import State
    from reconcile.notices import Receiver

__all__ = ["FILE", "LedgerSpec", "Project", "Selection", "environments"]

FILE = "reconcile.yaml"
SCHEMA = "project.schema.json"
DEFAULT_INCLUDE = ("schema/**/*.yaml",)
BACKUPS = ".reconcile/backups"
ASSERTIONS = ("checks", "queries", "probes")
ONLY_ENVIRONMENT = "default"
"""The one environment of a project that names none."""


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
        problems = list(_problems(document, directory))
        chosen = _choose(document, environment, problems)
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
    return tuple(_environments(_read(directory)))


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


def _environments(document: Map) -> Map:
    found: Map | None = document.get("environments")
    return found or Map({ONLY_ENVIRONMENT: Map()}, source=document.at("environments"))


def _choose(document: Map, wanted: str | None, problems: list[Problem]) -> str:
    known = _environments(document)
    default = document.get("default_environment")
    if default is not None and default not in known:
        where = document.value_at("default_environment")
        problems.append(
            Problem(f'default_environment: there is no environment "{default}"', where=where,
                    hint=meant(default, known))
        )  # fmt: skip
        default = next(iter(known))  # one problem is enough
    chosen = wanted or default or (next(iter(known)) if len(known) == 1 else None)
    if chosen is None:
        where = document.at("environments")
        problems.append(
            Problem("there are several environments and no default_environment", where=where,
                    hint=f"say which: {' or '.join(f'-e {name}' for name in known)}")
        )  # fmt: skip
    elif chosen not in known:
        problems.append(
            Problem(f'there is no environment "{chosen}"', where=document.at("environments"),
                    hint=meant(chosen, known))
        )  # fmt: skip
        chosen = None
    return chosen or ONLY_ENVIRONMENT


def _merged(document: Map, environment: str) -> Map:
    """The project file with the environment's settings laid over it."""
    over: Map = _environments(document)[environment] or Map()
    result = Map(source=document.at())
    for key, value in document.items():
        result.take(key, document, value)
    for key in ("stores", "policy", "hooks", "variables", "backup", *ASSERTIONS):
        if over.get(key):
            base = document.get(key) or Map(source=over.at(key))
            result.take(key, document if key in document else over, merge(base, over[key]))
    for key in ("notify", "contacts", "break_glass"):  # no mappings: an environment's own in place of the project's
        if key in over:
            result.take(key, over, over[key])
    return result


def _problems(document: Map, directory: Path) -> Iterator[Problem]:
    """What is wrong in any environment, each thing once."""
    seen = set()
    for environment in _environments(document):
        for problem in _environment_problems(document, environment, directory):
            if (problem.where, problem.what) not in seen:
                seen.add((problem.where, problem.what))
                yield problem
    outside = Map(source=document.at())
    for key, value in document.items():
        if key == "environments" and value:
            inner = Map(source=value.at())
            for name, entry in value.items():
                inner.take(name, value, _without_references(entry or Map()))
            value = inner
        outside.take(key, document, value)
    for text, where in _texts(_without_references(outside)):
        if any(not found[0].startswith("$$") for found in references.REFERENCE.finditer(text)):
            what = "references are read under stores: and notify:, and in http: and headers: of checks, only"
            yield Problem(what, where=where, hint="write the value out")


WITH_REFERENCES = ("stores", "notify")
"""Parts of reconcile.yaml, and of an environment, whose texts may refer to what is outside."""


def _without_references(value: Map) -> Map:
    result = Map(source=value.at())
    for key, inner in value.items():
        if key == "checks" and inner:
            from reconcile import assertions

            inner = assertions.without_requests(inner)
        if key not in WITH_REFERENCES:
            result.take(key, value, inner)
    return result


def _texts(value: Any) -> Iterator[tuple[str, Source]]:
    """Every text in it, with its place."""
    if isinstance(value, Map):
        for key, inner in value.items():
            if isinstance(inner, str):
                yield inner, value.value_at(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, str):
                yield inner, value.at(index)  # type: ignore[attr-defined]  # a Seq, as the reader makes them
            yield from _texts(inner)


def _environment_problems(document: Map, environment: str, directory: Path) -> Iterator[Problem]:
    over: Map = _environments(document)[environment] or Map()
    unknown = [name for name in over.get("stores") or () if name not in document["stores"]]
    for name in unknown:
        yield Problem(f'environment "{environment}": there is no store "{name}"', where=over["stores"].at(name),
                      hint=meant(name, document["stores"]))  # fmt: skip
    merged = _merged(document, environment)
    stores: Map = merged["stores"]
    misfits = [problem for name in stores if name not in unknown for problem in _store_problems(name, stores)]
    yield from misfits
    for part in (merged.get(key) or Map() for key in WITH_REFERENCES):
        for text, where in _texts(part):
            yield from references.check(text, where)
    if any(merged.get(key) for key in ASSERTIONS):
        from reconcile import assertions

        yield from assertions.check_references(merged)
        if not (unknown or misfits):
            wrong: list[Problem] = []
            assertions.read(merged, directory, wrong)
            yield from wrong
    for part in (document, over):
        yield from policies.problems(part, environment, merged.get("policy") or Map(), _environments(document))
    if not misfits:
        known = {k: v for k, v in stores.items() if k not in unknown}
        for part in (document, over):
            yield from policies.addresses(part, known)
        if merged.get("migrations"):
            from reconcile.migrations import declared

            yield from declared.problems(merged["migrations"], known)
        yield from _ledger_problems(merged, known)
    if over.get("shared") and "file" in (merged.get("ledger") or Map()):
        holders = _holders(stores) if not misfits else []
        yield Problem(
            f'environment "{environment}" is shared, and a ledger in a file is not',
            where=merged["ledger"].value_at("file"),
            hint=f"write `ledger: {{store: {holders[0]}}}`" if holders else "add a postgres store to hold it",
        )


def _store_problems(name: str, stores: Map) -> list[Problem]:
    """What does not fit the kind of the store."""
    only = Map(source=stores.at(name))
    only.take(name, stores, stores[name])
    return wording.problems(Map({"stores": only}, source=stores.at(name)), SCHEMA, "stores_of_environment")


def _holders(stores: Mapping[str, Map]) -> list[str]:
    return [name for name, settings in stores.items() if holds_ledger(settings["kind"])]


def _ledger_problems(document: Map, stores: Mapping[str, Map]) -> Iterator[Problem]:
    ledger: Map = document.get("ledger") or Map()
    if "file" in ledger:
        return
    holders = _holders(stores)
    if (store := ledger.get("store")) is not None:
        where = ledger.value_at("store")
        if store not in stores:
            yield Problem(f'ledger: there is no store "{store}"', where=where, hint=meant(store, holders))
        elif store not in holders:
            yield Problem(f'ledger: store "{store}" cannot hold it', where=where, hint=_ledger_hint(holders))
    elif len(holders) != 1:
        what = "several stores can hold the ledger" if holders else "no store can hold the ledger"
        where = document.at("ledger") if "ledger" in document else document.at("stores")
        yield Problem(what, where=where, hint=_ledger_hint(holders))


def _ledger_hint(holders: list[str]) -> str:
    ways = [f"ledger: {{store: {name}}}" for name in holders] or ["ledger: {file: .reconcile/ledger.db}"]
    return f"write `{ways[0]}`" if len(ways) == 1 else f"write one of: {', '.join(f'`{way}`' for way in ways)}"


def _build(document: Map, environment: str, directory: Path) -> Project:
    merged = _merged(document, environment)
    over: Map = _environments(document)[environment] or Map()
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
        store = ledger.get("store") or _holders(merged["stores"])[0]
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
