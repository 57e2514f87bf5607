"""Which change classes a store package has: the laws must have been tried on each."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from reconcile.change import Change


def concrete(kind: str) -> set[str]:
    """The names of the change classes of a kind that can be made."""
    root = importlib.import_module(f"reconcile.stores.{kind}.changes")
    for module in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
        importlib.import_module(module.name)
    found: set[str] = set()
    todo: list[type[Any]] = [Change]
    while todo:
        for child in todo.pop().__subclasses__():
            todo.append(child)
            if child.__module__.startswith(root.__name__) and not inspect.isabstract(child):
                found.add(child.__name__)
    return found
