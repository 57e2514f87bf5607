"""Store packages, found by listing this folder; the rest of the tool never names one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from reconcile.stores.base import Package


@cache
def kinds() -> tuple[str, ...]:
    """The kinds of store there are, by name."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.ispkg))


@cache
def package(kind: str) -> Package:
    """The package of a kind; its driver is imported only when it connects.

    Raises:
        KeyError: no such kind.
    """
    if kind not in kinds():
        raise KeyError(kind)
    found: Package = importlib.import_module(f"{__name__}.{kind}").PACKAGE
    return found


def holds_ledger(kind: str) -> bool:
    """Whether a store of the kind can hold the ledger; a package that does not say so cannot.

    Raises:
        KeyError: no such kind.
    """
    return bool(getattr(package(kind), "holds_ledger", False))
