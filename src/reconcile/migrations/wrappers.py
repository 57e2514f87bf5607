"""Python wrappers around migrations, read without importing the application: by `ast` alone.

A wrapper is a class that says number, sql_file, dependencies and description, as attributes of the class, in
`__init__`, in properties, or as arguments of `super().__init__`, and has a `verify(conn)`.
"""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconcile.errors import Problem
from reconcile.migrations import verifiable
from reconcile.model import Source

_NUMBER = ("number", "migration_number", "version", "migration_id")
_FILE = ("sql_file", "sql_path", "file", "filename", "script")
_DEPENDS = ("dependencies", "depends_on", "requires")


@dataclass(frozen=True)
class Wrapper:
    """What a wrapper class says."""

    label: str
    source: Source
    number: str | None
    sql_file: str | None
    """The name alone: where the folder stands is the application's business."""
    depends_on: tuple[str, ...]
    description: str
    verify: Callable[[Any], Awaitable[object]] | None
    unrunnable: str | None
    """Why its verify cannot be run by itself; None where it can, or where there is none."""

    @property
    def verifies(self) -> bool:
        """Whether it has a `verify`."""
        return self.verify is not None or self.unrunnable is not None


def read(path: Path, shown: str, problems: list[Problem]) -> Iterator[Wrapper]:
    """The wrapper classes of a file."""
    try:
        tree = ast.parse(path.read_bytes(), shown)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        problems.append(Problem(f"cannot be read as Python: {error}", where=Source(shown, line)))
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            said = dict(_said(node))
            number = _text(next((said[k] for k in _NUMBER if k in said), None))
            file = _last(next((said[k] for k in _FILE if k in said), None))
            if number is not None or file is not None:
                yield _wrapper(node, said, number, file, shown, tree)


def _wrapper(
    node: ast.ClassDef,
    said: dict[str, ast.expr],
    number: str | None,
    file: str | None,
    shown: str,
    tree: ast.Module,
) -> Wrapper:
    depends = next((said[k] for k in _DEPENDS if k in said), None)
    elements = depends.elts if isinstance(depends, ast.List | ast.Tuple | ast.Set) else []
    description = _text(said.get("description")) or (ast.get_docstring(node) or "").split("\n")[0]
    code: Callable[[Any], Awaitable[object]] | None = None
    why: str | None = None
    method = next(
        (n for n in node.body if isinstance(n, ast.AsyncFunctionDef | ast.FunctionDef) and n.name == "verify"), None
    )
    if method is not None:
        found = verifiable.alone(method, node, tree, dict(said), shown)
        code, why = (None, found) if isinstance(found, str) else (found, None)
    return Wrapper(
        f"{node.name}.verify",
        Source(shown, (method or node).lineno, (method or node).col_offset + 1),
        number,
        file,
        tuple(t for e in elements if (t := _text(e)) is not None),
        description,
        code,
        why,
    )


def _said(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """What is said under which name; the first word counts least, since `__init__` overrides the class."""
    for item in node.body:
        if isinstance(item, ast.Assign):
            yield from ((t.id, item.value) for t in item.targets if isinstance(t, ast.Name))
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.value is not None:
            yield item.target.id, item.value
        elif isinstance(item, ast.FunctionDef):
            if item.name == "__init__":
                yield from _initialised(item)
            elif any(isinstance(d, ast.Name) and d.id == "property" for d in item.decorator_list):
                returned = next((n.value for n in ast.walk(item) if isinstance(n, ast.Return) and n.value), None)
                if returned is not None:
                    yield item.name, returned


def _initialised(item: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    for inner in ast.walk(item):
        if isinstance(inner, ast.Assign):
            for target in inner.targets:
                if (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id == "self"
                ):
                    yield target.attr, inner.value
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "__init__":
            yield from ((k.arg, k.value) for k in inner.keywords if k.arg is not None)


def _text(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int) and not isinstance(node.value, bool):
        return str(node.value)
    return None


def _last(node: ast.expr | None) -> str | None:
    """The file that an expression ends with: `FOLDER / "001_init.sql"`."""
    if node is None:
        return None
    texts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    found = [t for t in texts if t.rpartition("/")[2].rpartition("\\")[2].count(".")] or texts
    return found[-1].rpartition("/")[2].rpartition("\\")[2] if found else None
