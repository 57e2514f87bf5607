"""Who owns what and may do what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from reconcile.model import Address
from reconcile.stores.postgres.resources.base import ROUTINES, TYPES, PostgresResource

PUBLIC = "public"
"""Everybody: no role can have this name."""
NOTHING = "none"
"""Of an owner that is declared to hold none of its own privileges."""
ALL = "all"
"""Declared only: every privilege there is for the kind of object on that server."""


@dataclass(frozen=True, order=True)
class Privilege:
    """One privilege of one role."""

    grantee: str
    """A role, or "public"."""
    privilege: str
    """In lower case: "select", "usage", …"""
    columns: tuple[str, ...] = ()
    """Sorted; empty for the whole object."""
    grantable: bool = False
    grantors: tuple[str, ...] = field(default=(), compare=False)
    """Live: who granted it, where that is somebody else than the owner."""


class Grant(PostgresResource):
    """Owner and privileges of one object; address (kind, *its parts), e.g. `app.grant.table.public.invoices`.

    Only what is declared is managed: an object without `owner` and `grants` keeps what it has.
    """

    only_declared: ClassVar[bool] = True

    owner: str | None = None
    """None: left alone."""
    grants: tuple[Privilege, ...] | None = None
    """Sorted; None: left alone; (): nobody but the owner. The owner's own privileges are among them only where they
    are not all there are."""

    @property
    def object(self) -> Address:
        """What it is about."""
        return Address(self.address.store, self.address.parts[0], self.address.parts[1:])

    @property
    def name(self) -> str:
        """The object's name."""
        return self.address.parts[-1]


class DefaultPrivileges(PostgresResource):
    """ALTER DEFAULT PRIVILEGES; address (role, schema or "", kind of object in the plural)."""

    only_declared: ClassVar[bool] = True

    grants: tuple[Privilege, ...] = ()
    """Sorted. Without schema: all that new objects are given, PUBLIC's included; with one: what is given in addition.
    The role's own privileges are not among them."""

    @property
    def role(self) -> str:
        """Whose new objects it is about."""
        return self.address.parts[0]

    @property
    def in_schema(self) -> str:
        """The schema it is restricted to, or ""."""
        return self.address.parts[1]

    @property
    def on(self) -> str:
        """`tables`, `sequences`, `functions`, `types` or `schemas`."""
        return self.address.parts[2]


def plural(kind: str) -> str:
    """The word of ALTER DEFAULT PRIVILEGES … ON for a kind of object."""
    if kind in ROUTINES:
        return "functions"
    if kind in TYPES:
        return "types"
    return {"sequence": "sequences", "schema": "schemas"}.get(kind, "tables")


def default_address(object_: Address, role: str, schema: str) -> Address:
    """The address of what a role's new objects of this kind are given: in a schema, or ("") in all."""
    return Address(object_.store, "default_privileges", (role, schema, plural(object_.kind)))


def default_container(address: Address) -> Address | None:
    """The schema that default privileges are restricted to; none for `public`, which is there undeclared."""
    schema = address.parts[1]
    return None if schema in ("", "public") else Address(address.store, "schema", (schema,))


def grant_address(object_: Address) -> Address:
    """The address of owner and privileges of an object."""
    return Address(object_.store, "grant", (object_.kind, *object_.parts))


_RELATION = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
_SEQUENCE = ("select", "update", "usage")
_ROUTINE, _TYPE, _SCHEMA = ("execute",), ("usage",), ("usage", "create")
_PRIVILEGES = {
    **dict.fromkeys(("table", "view", "materialized_view", "tables"), _RELATION),
    **dict.fromkeys(("sequence", "sequences"), _SEQUENCE),
    **dict.fromkeys(("function", "procedure", "aggregate", "functions"), _ROUTINE),
    **dict.fromkeys(("domain", "enum", "composite", "range", "types"), _TYPE),
    **dict.fromkeys(("schema", "schemas"), _SCHEMA),
}
OF_COLUMNS = frozenset({"select", "insert", "update", "references"})
"""What can be granted on columns."""
_PUBLIC_HAS = {
    **dict.fromkeys(("function", "procedure", "aggregate", "functions"), "execute"),
    **dict.fromkeys(("domain", "enum", "composite", "range", "types"), "usage"),
}
_MAINTAIN = (17,)


def privileges_of(kind: str, version: tuple[int, ...]) -> tuple[str, ...]:
    """What `all` stands for, of a kind of object (in the plural: of default privileges).

    https://www.postgresql.org/docs/current/ddl-priv.html#PRIVILEGES-SUMMARY-TABLE
    """
    found = _PRIVILEGES[kind]
    return (*found, "maintain") if found is _RELATION and version >= _MAINTAIN else found


def given_by_default(kind: str) -> tuple[Privilege, ...]:
    """What everybody may do with a new object of a kind unless default privileges say otherwise."""
    word = _PUBLIC_HAS.get(kind)
    return () if word is None else (Privilege(PUBLIC, word),)


def gathered(entries: Iterable[tuple[str, str, str | None, bool]]) -> tuple[Privilege, ...]:
    """(role, privilege, column or None, grantable), one a column, as they are compared: sorted, columns together."""
    found: dict[tuple[str, str, bool, bool], list[str]] = {}
    for role, privilege, column, grantable in entries:
        columns = found.setdefault((role, privilege, column is None, grantable), [])
        columns += [] if column is None else [column]
    return tuple(
        sorted(
            Privilege(role, word, tuple(sorted(set(c))), grantable) for (role, word, _, grantable), c in found.items()
        )
    )


def columns_renamed(x: Grant, renames: Mapping[str, str]) -> Grant:
    """`x` as it is after columns have got other names (old to new)."""
    if not renames or not any(p.columns for p in x.grants or ()):
        return x
    grants = (replace(p, columns=tuple(sorted(renames.get(c, c) for c in p.columns))) for p in x.grants or ())
    return replace(x, grants=tuple(sorted(grants)))
