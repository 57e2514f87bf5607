"""Resources as JSON that they come back from whole, with what no comparison looks at: for the ledger alone.

`Resource.attributes()` is what people compare and approve; from it no resource can be made again. A run keeps what it
is about to change in this form, so that a rollback has it exactly.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from enum import Enum
from typing import Any

from reconcile.errors import ReconcileError
from reconcile.model import Address, Json, Resource

_SCALARS = frozenset({str, int, bool, float, type(None)})
_LEFT_OUT = frozenset({"source", "declared", "written"})
"""What only a file has, and no live object."""


def frozen(value: object) -> Json:
    """A resource, or what is in one, as JSON."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Address):
        return {"address": str(value)}
    if isinstance(value, Enum):
        return {"is": _name(value), "of": value.value}
    if isinstance(value, Resource) or dataclasses.is_dataclass(value):
        own = vars(value) if isinstance(value, Resource) else _fields(value)
        return {"is": _name(value), "with": {k: frozen(v) for k, v in own.items() if k not in _LEFT_OUT}}
    if isinstance(value, tuple):
        inner = [frozen(v) for v in value]
        return {"tuple": inner} if type(value) is tuple else {"is": _name(value), "list": inner}
    if isinstance(value, Mapping):
        return {"map": {str(k): frozen(v) for k, v in value.items()}}
    if isinstance(value, list):
        return [frozen(v) for v in value]
    raise TypeError(f"{value!r} has no form in the ledger")


def thawed(value: Json) -> Any:
    """What `frozen` was given.

    Raises:
        ReconcileError: it was written by another version of the tool, and this one does not know it.
    """
    if isinstance(value, list):
        return [thawed(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "address" in value:
        return Address.parse(value["address"])
    if "tuple" in value:
        return tuple(thawed(v) for v in value["tuple"])
    if "map" in value:
        return {k: thawed(v) for k, v in value["map"].items()}
    kind = _class(value["is"])
    if "of" in value:
        return kind(value["of"])
    if "list" in value:
        return kind(*(thawed(v) for v in value["list"]))
    known = {f.name for f in dataclasses.fields(kind)}
    return kind(**{k: thawed(v) for k, v in value["with"].items() if k in known})


def _name(value: object) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _fields(value: Any) -> dict[str, object]:
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}


def _class(name: str) -> Any:
    module, _, kind = name.partition(":")
    try:
        if not module.startswith("reconcile."):
            raise ImportError(module)
        return getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError) as error:
        raise ReconcileError(
            f"the ledger has a {kind} that this version of the tool does not know",
            hint="roll back with the version that carried the run out",
        ) from error
