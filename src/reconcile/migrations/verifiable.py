"""Whether a `verify(conn)` of an application can be run without it, and the code that does so.

It may use its connection, a logger, constants that are written out in its class or module, and methods and functions
beside it of which the same holds. Nothing of the module is run but these.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_METHODS = ("fetch", "fetchrow", "fetchval")
_UNSAFE = frozenset(
    ("__import__", "open", "exec", "eval", "compile", "input", "breakpoint", "globals", "vars", "setattr")
)
_Function = ast.AsyncFunctionDef | ast.FunctionDef


class _Silent:
    """In place of a logger: what it is told, the application would have seen."""

    def __getattr__(self, name: str) -> _Silent:
        return self

    def __call__(self, *_: object, **__: object) -> _Silent:
        return self


def alone(
    method: _Function, node: ast.ClassDef, tree: ast.Module, said: Mapping[str, ast.expr], shown: str
) -> Callable[[Any], Awaitable[object]] | str:
    """The method, to be called with a connection; or why it needs more than one.

    Args:
        said: what the class says of itself, by name.
        shown: the file, for tracebacks.
    """
    arguments = [a.arg for a in (*method.args.posonlyargs, *method.args.args)]
    if method.decorator_list or len(arguments) != 2 or not isinstance(method, ast.AsyncFunctionDef):
        return "it is no `async def verify(self, conn)`"
    around = _Around(
        frozenset(_loggers(tree)),
        {name: value for name, value in _assigned(tree.body) if _is_literal(value)},
        {name: value for name, value in said.items() if _is_literal(value)},
        {n.name: n for n in tree.body if isinstance(n, _Function)},
        {n.name: n for n in node.body if isinstance(n, _Function)},
    )
    why = around.lacking(method, arguments[0], frozenset(arguments[1:]))
    return why if why is not None else around.compiled(method, shown)


@dataclass
class _Around:
    """What is around a `verify`, and what of it is used."""

    loggers: frozenset[str]
    constants: Mapping[str, ast.expr]
    own: Mapping[str, ast.expr]
    """Constants of the class."""
    functions: Mapping[str, _Function]
    methods: Mapping[str, _Function]
    used: dict[str, tuple[_Function, bool]] = field(default_factory=dict)
    """Functions and methods that are needed, by name; whether it is a method."""

    def lacking(self, method: _Function, own: str | None, connections: frozenset[str]) -> str | None:
        """What a function uses that only the application has; None where there is nothing.

        Args:
            own: what it calls the object it is a method of.
            connections: what it calls the connection.
        """
        known = {*connections, *self.loggers, *self.constants, *dir(builtins)} - _UNSAFE
        known |= {own} if own else set()
        known |= {a.arg for n in ast.walk(method) if isinstance(n, ast.arguments) for a in (*n.args, *n.kwonlyargs)}
        known |= {n.id for n in ast.walk(method) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        known |= {n.name for n in ast.walk(method) if isinstance(n, ast.ExceptHandler) and n.name}
        annotations = _annotations(method)
        given: set[int] = set()
        calls = [n for n in ast.walk(method) if isinstance(n, ast.Call)]
        handed = [why for call in calls if (why := self._called(call, own, connections, given)) is not None]
        for inner in ast.walk(method):
            if isinstance(inner, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal):
                return "it imports modules"
            if isinstance(inner, ast.Name) and inner.id not in known and id(inner) not in annotations | given:
                return f"it uses `{inner.id}`, which is not its own"
            if isinstance(inner, ast.Attribute) and inner.attr.startswith("__"):
                return f"it uses `{inner.attr}`"
            if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and id(inner) not in given:
                if inner.value.id == own and inner.attr not in self.own:
                    return f"it uses `{own}.{inner.attr}`, which is not written out in the class"
                if inner.value.id in connections and inner.attr not in _METHODS:
                    return f"it uses `{inner.value.id}.{inner.attr}`; what it is given has {', '.join(_METHODS)}"
            if isinstance(inner, ast.Name) and inner.id in connections and isinstance(inner.ctx, ast.Store):
                return f"it sets `{inner.id}`"
        return handed[0] if handed else None

    def _called(self, call: ast.Call, own: str | None, connections: frozenset[str], given: set[int]) -> str | None:
        """What a call lacks; what is called and known goes to `given`."""
        arguments = [*((n, a) for n, a in enumerate(call.args)), *((k.arg, k.value) for k in call.keywords)]
        handed = [key for key, value in arguments if isinstance(value, ast.Name) and value.id in connections]
        itself = [value for _, value in arguments if isinstance(value, ast.Name) and value.id == own]
        target, name, is_method = self._target(call.func, own)
        if itself or (handed and target is None):
            return f"it hands `{itself[0].id if itself else sorted(connections)[0]}` on"
        if target is None:
            return None
        given.add(id(call.func))
        static = any(ast.unparse(d) == "staticmethod" for d in target.decorator_list)
        names = [a.arg for a in (*target.args.posonlyargs, *target.args.args)]
        first = names.pop(0) if is_method and not static and names else None
        passed = frozenset(str(names[k]) if isinstance(k, int) and k < len(names) else str(k) for k in handed)
        if name in self.used:
            return None
        if target.decorator_list and not static:
            return f"it uses `{name}`, which is decorated"
        self.used[name] = (target, is_method)
        return self.lacking(target, first, passed)

    def _target(self, function: ast.expr, own: str | None) -> tuple[_Function | None, str, bool]:
        if isinstance(function, ast.Name) and function.id in self.functions:
            return self.functions[function.id], function.id, False
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == own:
            return self.methods.get(function.attr), function.attr, True
        return None, "", False

    def compiled(self, method: ast.AsyncFunctionDef, shown: str) -> Callable[[Any], Awaitable[object]]:
        """The method in a class with the constants of its own, beside those of the module."""
        methods = [_bare(method), *(_bare(f) for f, is_method in self.used.values() if is_method)]
        made = ast.ClassDef(
            name="Alone", bases=[], keywords=[], body=[*map(_constant, self.own.items()), *methods], decorator_list=[]
        )
        functions = [_bare(f) for f, is_method in self.used.values() if not is_method]
        module = ast.Module(body=[*map(_constant, self.constants.items()), *functions, made], type_ignores=[])
        for inner in (made, *methods, *functions):
            if "type_params" in inner._fields:  # from Python 3.12 on
                setattr(inner, "type_params", [])  # noqa: B010 - unknown to the types of 3.11
        safe = {n: getattr(builtins, n) for n in dir(builtins) if n not in _UNSAFE}
        safe["__build_class__"] = builtins.__build_class__
        space: dict[str, Any] = {"__builtins__": safe, "__name__": "verify", **dict.fromkeys(self.loggers, _Silent())}
        exec(compile(ast.fix_missing_locations(module), shown, "exec"), space)
        verify = space["Alone"]().verify
        verify.__func__.answers = any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(method))
        found: Callable[[Any], Awaitable[object]] = verify
        return found


def _constant(named: tuple[str, ast.expr]) -> ast.stmt:
    return ast.Assign(targets=[ast.Name(id=named[0], ctx=ast.Store())], value=named[1])


def _bare(method: _Function) -> _Function:
    """A function without what its signature says of types."""
    for arguments in [n for n in ast.walk(method) if isinstance(n, ast.arguments)]:
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            argument.annotation = None
    method.returns = None
    return method


def _annotations(method: _Function) -> set[int]:
    hints = [a.annotation for n in ast.walk(method) if isinstance(n, ast.arguments) for a in (*n.args, *n.kwonlyargs)]
    hints += [method.returns, *(n.annotation for n in ast.walk(method) if isinstance(n, ast.AnnAssign))]
    return {id(n) for hint in hints if hint is not None for n in ast.walk(hint)}


def _loggers(tree: ast.Module) -> Iterator[str]:
    """Names of a module that are loggers: `logging`, and what it or its like has made."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (a.asname or a.name for a in node.names if a.name == "logging")
        elif isinstance(node, ast.ImportFrom) and node.module == "loguru":
            yield from (a.asname or a.name for a in node.names)
    for name, value in _assigned(tree.body):
        if isinstance(value, ast.Call) and _plain(value.func) == "getlogger":
            yield name


def _plain(function: ast.expr) -> str:
    return ast.unparse(function).rpartition(".")[2].lower().replace("_", "")


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        if isinstance(node, ast.Assign):
            yield from ((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True
