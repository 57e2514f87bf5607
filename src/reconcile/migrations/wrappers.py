"""Python wrappers around migrations, read without importing the application: by `ast` alone.

A wrapper is a class that says number, sql_file, dependencies and description, as attributes of the class, in
`__init__`, in properties, or as arguments of `super().__init__`, and has a `verify(conn)`.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconcile.errors import Problem
from reconcile.model import Source

_NUMBER = ("number", "migration_number", "version", "migration_id")
_FILE = ("sql_file", "sql_path", "file", "filename", "script")
_DEPENDS = ("dependencies", "depends_on", "requires")
_METHODS = ("fetch", "fetchrow", "fetchval")


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
    loggers = frozenset(_loggers(tree))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            said = dict(_said(node))
            number = _text(next((said[k] for k in _NUMBER if k in said), None))
            file = _last(next((said[k] for k in _FILE if k in said), None))
            if number is not None or file is not None:
                yield _wrapper(node, said, number, file, shown, loggers)


def _wrapper(
    node: ast.ClassDef,
    said: dict[str, ast.expr],
    number: str | None,
    file: str | None,
    shown: str,
    loggers: frozenset[str],
) -> Wrapper:
    depends = next((said[k] for k in _DEPENDS if k in said), None)
    elements = depends.elts if isinstance(depends, ast.List | ast.Tuple | ast.Set) else []
    description = _text(said.get("description")) or (ast.get_docstring(node) or "").split("\n")[0]
    code, why = None, None
    method = next(
        (n for n in node.body if isinstance(n, ast.AsyncFunctionDef | ast.FunctionDef) and n.name == "verify"), None
    )
    if method is not None:
        why = _needs_more(method, node, loggers)
        if why is None:
            code = _compiled(node, method, shown, loggers)
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


class _Silent:
    """In place of a logger: what it is told, the application would have seen."""

    def __getattr__(self, name: str) -> _Silent:
        return self

    def __call__(self, *_: object, **__: object) -> _Silent:
        return self


def _loggers(tree: ast.Module) -> Iterator[str]:
    """Names of a module that are loggers: `logging`, and what it or its like has made."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (a.asname or a.name for a in node.names if a.name == "logging")
        elif isinstance(node, ast.ImportFrom) and node.module == "loguru":
            yield from (a.asname or a.name for a in node.names)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = ast.unparse(node.value.func).rpartition(".")[2].lower().replace("_", "")
            yield from (t.id for t in node.targets if isinstance(t, ast.Name) and made == "getlogger")


def _needs_more(
    method: ast.AsyncFunctionDef | ast.FunctionDef, node: ast.ClassDef, loggers: frozenset[str]
) -> str | None:
    """Why `verify` cannot be run by itself: it uses what only the application has. None where it can."""
    arguments = [a.arg for a in (*method.args.posonlyargs, *method.args.args)]
    if method.decorator_list or len(arguments) != 2 or not isinstance(method, ast.AsyncFunctionDef):
        return "it is no `async def verify(self, conn)`"
    own, connection = arguments
    constants = {
        name for name, value in _said(node) if isinstance(value, ast.Constant | ast.List | ast.Tuple | ast.Dict)
    }
    known = {connection, own, *loggers, *dir(builtins)} - {"__import__", "open", "exec", "eval", "compile", "input"}
    known |= {n.id for n in ast.walk(method) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    known |= {a.arg for n in ast.walk(method) if isinstance(n, ast.Lambda) for a in n.args.args}
    known |= {n.name for n in ast.walk(method) if isinstance(n, ast.ExceptHandler) and n.name}
    hints = [*(a.annotation for a in method.args.args), method.returns]
    hints += [n.annotation for n in ast.walk(method) if isinstance(n, ast.AnnAssign)]
    annotations = {id(n) for hint in hints if hint is not None for n in ast.walk(hint)}
    for inner in ast.walk(method):
        if isinstance(inner, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal):
            return "it imports modules"
        if isinstance(inner, ast.Name) and inner.id not in known and id(inner) not in annotations:
            return f"it uses `{inner.id}`, which is not its own"
        if isinstance(inner, ast.Attribute) and inner.attr.startswith("__"):
            return f"it uses `{inner.attr}`"
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            if inner.value.id == own and inner.attr not in constants:
                return f"it uses `{own}.{inner.attr}`, which is not written out in the class"
            if inner.value.id == connection and inner.attr not in _METHODS:
                return f"it uses `{connection}.{inner.attr}`; what it is given has {', '.join(_METHODS)}"
        if isinstance(inner, ast.Name) and inner.id == connection and isinstance(inner.ctx, ast.Store):
            return f"it sets `{connection}`"
    handed = [
        n
        for n in ast.walk(method)
        if isinstance(n, ast.Call)
        and any(
            isinstance(a, ast.Name) and a.id in (connection, own) for a in (*n.args, *(k.value for k in n.keywords))
        )
    ]
    return f"it hands `{connection}` on" if handed else None


def _compiled(
    node: ast.ClassDef, method: ast.AsyncFunctionDef | ast.FunctionDef, shown: str, loggers: frozenset[str]
) -> Any:
    """The method alone, in a class with the constants of its own: nothing of the module around it is run."""
    assert isinstance(method, ast.AsyncFunctionDef)
    alone = ast.AsyncFunctionDef(
        name="verify",
        args=ast.arguments(
            posonlyargs=[],
            args=[ast.arg(arg=a.arg) for a in method.args.args],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        ),
        body=method.body,
        decorator_list=[],
        returns=None,
    )
    assigned: list[ast.stmt] = [
        ast.Assign(targets=[ast.Name(id=name, ctx=ast.Store())], value=value)
        for name, value in _said(node)
        if _is_literal(value)
    ]
    made = ast.ClassDef(name="Alone", bases=[], keywords=[], body=[*assigned, alone], decorator_list=[])
    for node_ in (made, alone):
        if "type_params" in node_._fields:  # from Python 3.12 on
            setattr(node_, "type_params", [])  # noqa: B010 - unknown to the types of 3.11
    module = ast.fix_missing_locations(ast.Module(body=[made], type_ignores=[]))
    safe = {n: getattr(builtins, n) for n in dir(builtins) if n not in ("open", "exec", "eval", "compile", "input")}
    space: dict[str, Any] = {"__builtins__": safe, "__name__": "verify", **dict.fromkeys(loggers, _Silent())}
    exec(compile(module, shown, "exec"), space)
    verify = space["Alone"]().verify
    verify.__func__.answers = any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(method))
    return verify


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True
