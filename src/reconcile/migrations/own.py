"""Migrations of our own: YAML, and Python with `up(connection)`."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from reconcile import wording
from reconcile.errors import Problem, ProjectError
from reconcile.migrations import directives
from reconcile.migrations.model import Migration, Permit, Verification
from reconcile.migrations.neighbours import of_python
from reconcile.model import Source
from reconcile.stores.migrating import Danger, Found, Script, Scripted
from reconcile.yamlio import Map, parse

SCHEMA = "migration.schema.json"


def from_yaml(base: Migration, text: str, package: Scripted, problems: list[Problem]) -> Migration | None:
    """A migration in YAML; None where it does not fit its schema."""
    try:
        documents = parse(text, base.file)
    except ProjectError as error:
        problems += error.problems
        return None
    if len(documents) != 1:
        problems.append(Problem("a migration is one document", where=base.source))
        return None
    document = documents[0]
    if wrong := wording.problems(document, SCHEMA):
        problems += wrong
        return None
    if "number" in document and str(document["number"]) not in base.keys:
        what = f"says number {document['number']}, but is called {base.path.name}"
        problems.append(Problem(what, where=document.value_at("number")))
    if document.get("store", base.folder.store) != base.folder.store:
        what = f'is for store "{document["store"]}", but its folder is for "{base.folder.store}"'
        hint = f"see {base.folder.source}; give each store a folder"
        problems.append(Problem(what, where=document.value_at("store"), hint=hint))
    permits: list[Permit] = []
    if document.get("allow"):
        where = document.at("allow")
        permits += directives.permit(list(document["allow"]), str(document.get("reason") or ""), where, problems)
    return replace(
        base,
        up=_script(document, "up", text, package, problems) or Script(()),
        down=_script(document, "down", text, package, problems),
        down_file=base.file,
        description=str(document.get("description") or ""),
        depends_on=tuple(
            (str(d), document["depends_on"].at(n)) for n, d in enumerate(document.get("depends_on") or ())
        ),
        permits=tuple(permits),
        verify=tuple(_verification(n, entry) for n, entry in enumerate(document.get("verify") or ())),
    )


def _script(document: Map, key: str, file: str, package: Scripted, problems: list[Problem]) -> Script | None:
    """The script under a key, at the lines and columns of the YAML file."""
    if document.get(key) is None:
        return None
    where, text = document.value_at(key), str(document[key])
    first, column = where.line, where.column
    lines = file.split("\n")
    if lines[first - 1].rstrip().endswith(("|", "|-", "|+", ">", ">-")):  # a block, which begins in the next line
        first += 1
        column = len(lines[first - 1]) - len(lines[first - 1].lstrip(" ")) + 1
    script = package.script("\n" * (first - 1) + text)
    script = replace(script, dangers=tuple(replace(d, column=d.column + column - 1) for d in script.dangers))
    problems += [
        Problem(f.what, where=Source(where.file, f.line, f.column + column - 1), hint=f.hint) for f in script.faults
    ]
    return script


def _verification(number: int, entry: Map) -> Verification:
    return Verification(f"verify {number + 1}", entry.at(), str(entry["query"]), entry.get("expect"), "expect" in entry)


def from_python(base: Migration, text: str, problems: list[Problem]) -> Migration | None:
    """A migration in Python: read by `ast`, run when its time comes. None for what has no `up`."""
    try:
        tree = ast.parse(text, base.file)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        problems.append(Problem(f"cannot be read as Python: {error}", where=Source(base.file, line)))
        return None
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    if "up" not in functions:
        what, hint = of_python(text) or ("has no function up(connection)", "def up(connection): …")
        problems.append(Problem(what, where=base.source, hint=hint))
        return None
    said = dict(_constants(tree))
    permits: list[Permit] = []
    if said.get("allow"):
        permits += directives.permit(list(said["allow"]), str(said.get("reason") or ""), base.source, problems)
    verify: tuple[Verification, ...] = ()
    if "verify" in functions:
        where = Source(base.file, functions["verify"].lineno)
        verify = (Verification("verify(conn)", where, code=_later(base, "verify")),)
    line = functions["up"].lineno
    return replace(
        base,
        up=Script((), (Found(Danger.DYNAMIC, "Python decides at run time what it sends", line, 1),)),
        description=str(said.get("description") or (ast.get_docstring(tree) or "").split("\n")[0]),
        depends_on=tuple((str(d), base.source) for d in said.get("depends_on") or ()),
        permits=tuple(permits),
        verify=verify,
        up_code=_later(base, "up"),
        down_code=_later(base, "down") if "down" in functions else None,
        down_file=base.file,
    )


def _constants(tree: ast.Module) -> list[tuple[str, Any]]:
    found = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found.append((node.targets[0].id.lower(), ast.literal_eval(node.value)))
            except ValueError:
                continue
    return found


def _later(base: Migration, function: str) -> Callable[[Any], object]:
    """A function of the file, imported when it is called."""

    def call(connection: Any) -> object:
        spec = importlib.util.spec_from_file_location(f"migration_{base.name}", base.path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, function)(connection)

    return call
