"""Schema files to desired state: read, replace variables, check against JSON Schema, hand to the packages."""

from __future__ import annotations

import glob
import hashlib
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconcile import memo, wording
from reconcile.errors import Problem, ProjectError
from reconcile.mirrors import resolved
from reconcile.model import Address, Resource, Source, State
from reconcile.stores import package
from reconcile.stores.base import Context
from reconcile.suggest import meant, nearest
from reconcile.waits import check
from reconcile.yamlio import Map, Seq, read_documents

if TYPE_CHECKING:
    from reconcile.project import Project

_VARIABLE = re.compile(r"\$\$\{|\$\{var\.([^{}]*)\}|\$\{([^{}]*)\}?")


LARGE = 64 * 1024
"""Bytes of YAML from which on it is worth keeping what they were read as."""


def desired(project: Project) -> State:
    """What the schema files of a project declare, of all its stores, in file order within a store.

    Raises:
        ProjectError: all problems of all files.
    """
    key = _key(project)
    if key is not None and (kept := _kept(project, key)) is not None:
        return kept
    beside: set[str] = set()
    state = _read(project, beside)
    if key is not None:
        resources, forms = list(state.values()), state.form_list
        parts = (slice(start, start + _PART) for start in range(0, len(resources), _PART))
        hashes = {name: _hash(project.directory / name) for name in beside}
        memo.put(key, hashes, *((resources[part], forms[part]) for part in parts))
    return state


_PART = 1000
"""Resources that are kept together."""


def _kept(project: Project, key: str) -> State | None:
    """What `desired` kept under `key`, if the files that the YAML refers to are the same."""
    found = memo.get(key)
    if not found:
        return None
    beside, *parts = found
    if beside != {name: _hash(project.directory / name) for name in beside}:
        return None
    share = dict[str, str]().setdefault
    forms = [share(form, form) for _, those in parts for form in those]
    return State.with_forms((resource for those, _ in parts for resource in those), forms)


def _key(project: Project) -> str | None:
    """What `desired` follows from, the files beside the YAML left out; None where there is too little of it."""
    content = [(shown, path.read_bytes()) for path, shown in files(project, [])]
    if sum(len(text) for _, text in content) < LARGE:
        return None
    settings = (project.stores, project.embeddings, project.selections, project.variables, project.mirrors)
    total = hashlib.sha256(memo.code())
    for part in (pickle.dumps(settings), *(part for shown, text in content for part in (shown.encode(), text))):
        total.update(len(part).to_bytes(8) + part)
    return total.hexdigest()


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _read(project: Project, beside: set[str]) -> State:
    """What the files declare; the names of files that they refer to are added to `beside`."""
    problems: list[Problem] = []
    by_store: dict[str, list[Map]] = {name: [] for name in project.stores}
    unread = False
    for path, shown in files(project, problems):
        try:
            documents = read_documents(path, shown)
        except ProjectError as error:
            problems += error.problems
            unread = True
            continue
        for document in documents:
            if (name := _store(document, project, problems)) is not None:
                by_store[name].append(document)
    found: dict[Address, Resource] = {}
    for name, documents in by_store.items():
        before = len(problems)
        replace = _Variables(project.variables or {}, problems)
        for document in documents:
            replace.inside(document)
        if len(problems) == before:
            for document in documents:
                problems += wording.problems(document, package(project.stores[name].kind).schema)
                if document.get("backfills"):
                    from reconcile.backfills.definition import SCHEMA

                    own = Map(source=document.at())
                    own.take("backfills", document, document["backfills"])
                    problems += wording.problems(own, SCHEMA)
        if len(problems) == before and not unread:  # half a store would give false dangling references
            for resource in _parse(project, name, documents, problems, beside):
                _add(resource, found, project, problems)
    if not problems:
        resolved(project, State(found), problems)
        problems += check(State(found), project.stores, lambda a: _is_external(project, a))
    if problems:
        raise ProjectError(problems)
    return State(found)


def _is_external(project: Project, address: Address) -> bool:
    return project.selections[address.store].classify(address) == "external"


def _matches(pattern: str, project: Project) -> list[str]:
    # pathlib's own glob refuses absolute patterns and finds hidden files.
    return glob.glob(pattern, root_dir=project.directory, recursive=True)  # noqa: PTH207


def files(project: Project, problems: list[Problem]) -> list[tuple[Path, str]]:
    """The schema files, sorted, each with the path that messages show: relative to the project folder."""
    found: set[str] = set()
    for pattern in project.include:
        matched = {
            os.path.normpath(name).replace(os.sep, "/")
            for name in _matches(pattern, project)
            if (project.directory / name).is_file()
        } - {"reconcile.yaml"}
        if not matched and project.migrations and not project.includes:
            continue  # a project that has migrations alone
        if not matched:
            hint = "write one, or have `reconcile import` write it from the stores, or mend `include:`"
            if pattern.endswith(".yaml") and _matches(pattern[:-5] + ".yml", project):
                hint = f'there are .yml files: add "{pattern[:-5]}.yml" to `include:`'
            problems.append(Problem(f"no file matches {pattern}", where=project.source, hint=hint))
        found |= matched
    return [(project.directory / name, name) for name in sorted(found)]


def digest(project: Project) -> str:
    """`sha256:…` over the names and bytes of the schema files: which YAML a plan was made from."""
    total = hashlib.sha256()
    for path, shown in files(project, []):
        content = path.read_bytes()
        total.update(f"{shown}\0{len(content)}\0".encode() + content)
    return f"sha256:{total.hexdigest()}"


def _store(document: Map, project: Project, problems: list[Problem]) -> str | None:
    """The store a document names, if there is one."""
    name = document.get("store")
    if isinstance(name, str) and name in project.stores:
        return name
    if "store" not in document:
        near = nearest("store", document)
        hint = (
            f'did you mean "store" where it says "{near}"?'
            if near
            else f"begin the document with `store: {'` or `store: '.join(project.stores)}`"
        )
        problems.append(Problem('missing key "store"', where=document.at(), hint=hint))
    else:
        where = document.value_at("store")
        problems.append(Problem(f'there is no store "{name}"', where=where, hint=meant(str(name), project.stores)))
    return None


def _parse(
    project: Project, name: str, documents: list[Map], problems: list[Problem], beside: set[str]
) -> list[Resource]:
    spec = project.stores[name]
    context = Context(spec, project.embeddings)
    resources = list(package(spec.kind).parse(documents, context))
    if any(document.get("backfills") for document in documents):
        from reconcile.backfills.definition import parse

        resources = [*parse(documents, context), *resources]
    problems += context.problems
    beside |= context.beside
    return resources


def _add(resource: Resource, found: dict[Address, Resource], project: Project, problems: list[Problem]) -> None:
    """Take a resource in, unless it is there already or the project says to leave it alone."""
    address = resource.address
    first = found.setdefault(address, resource)
    if first is not resource:
        problems.append(
            Problem(f"{address} is declared twice", where=resource.source,
                    hint=f"the other is at {first.source}; keep one of the two")
        )  # fmt: skip
        return
    owner = project.selections[address.store].classify(resource)
    if owner != "managed":
        key = "external" if owner == "external" else "manage or ignore"
        problems.append(
            Problem(f"{address} is declared, but `{key}:` of store \"{address.store}\" leaves it alone",
                    where=resource.source, hint="take it out here or there")
        )  # fmt: skip


_NESTED = (Map, Seq)


class _Variables:
    """Replaces `${var.NAME}` in values, in place."""

    def __init__(self, variables: Mapping[str, Any], problems: list[Problem]) -> None:
        self.variables, self.problems = variables, problems

    def inside(self, value: Map | Seq) -> None:
        """Replace all in it."""
        if isinstance(value, Map):
            for key, inner in value.items():  # setting a key that is there does not disturb the loop
                if isinstance(inner, str):
                    if "${" in inner:
                        value[key] = self.text(inner, value.value_at(key))
                elif type(inner) in _NESTED:
                    self.inside(inner)
            return
        for index, inner in enumerate(value):
            if isinstance(inner, str):
                if "${" in inner:
                    value[index] = self.text(inner, value.at(index))
            elif type(inner) in _NESTED:
                self.inside(inner)

    def text(self, text: str, where: Source) -> Any:
        """The text with its variables; the value itself where the text is one variable and nothing else."""
        whole = _VARIABLE.fullmatch(text)
        if whole is not None and whole[1] is not None:
            return self.value(whole[1], where)

        def one(found: re.Match[str]) -> str:
            if found[0] == "$${":
                return "${"
            if found[1] is not None:
                value = self.value(found[1], where)
                return str(value).lower() if isinstance(value, bool) else str(value)
            inner = found[2]
            if not found[0].endswith("}"):
                what, hint = "${ is not closed", "write ${var.NAME}, or $${ for a literal ${"
            elif inner in self.variables:
                what, hint = f"${{{inner}}} is not replaced here", f"write ${{var.{inner}}}"
            else:
                what = f"${{{inner}}} is not replaced here: the environment is read under stores: in reconcile.yaml"
                hint = "write ${var.NAME} with `variables:` there, or $${ for a literal ${"
            self.problems.append(Problem(what, where=where, hint=hint))
            return ""

        return _VARIABLE.sub(one, text)

    def value(self, name: str, where: Source) -> Any:
        """The variable's value; reports one that is not there."""
        if name in self.variables:
            return self.variables[name]
        hint = meant(name, self.variables) or "add it under `variables:` in reconcile.yaml"
        self.problems.append(Problem(f'there is no variable "{name}"', where=where, hint=hint))
        return ""
