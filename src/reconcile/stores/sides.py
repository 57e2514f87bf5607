"""What the sides of a mirror have in common, whatever their kind of store. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconcile.model import Address
from reconcile.selection import Selection
from reconcile.stores.base import Context
from reconcile.suggest import meant
from reconcile.yamlio import Map

_UUID = re.compile(r"\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?\Z", re.I)


def same_form(text: str) -> str:
    """An id kept as text in the form in which all stores are compared: of a UUID, lower case with hyphens.

    >>> same_form("6F9619FF8B86D011B42D00C04FC964FF")
    '6f9619ff-8b86-d011-b42d-00c04fc964ff'
    >>> same_form("Order-17")
    'Order-17'
    """
    if len(text) not in (32, 34, 36, 38) or (found := _UUID.match(text)) is None:
        return text
    return "-".join(found.groups()).lower()


def is_external(address: Address, context: Context) -> bool:
    """Whether the project says that somebody else makes it, so that it need not be declared."""
    globs = context.spec.settings.get("external") or ()
    return Selection(external=tuple(map(str, globs))).classify(address) == "external"


def undeclared(kind: str, entry: Map, known: Iterable[str], context: Context, hint: str | None = None) -> None:
    """Report that what a side names is not declared, with the nearest of what is."""
    what = f'no {kind.replace("_", " ")} "{entry[kind]}" is declared in store "{context.spec.name}"'
    near = meant(str(entry[kind]), known)
    context.problem(entry.value_at(kind), what, near or hint or "declare it, or list it under the store's `external:`")
