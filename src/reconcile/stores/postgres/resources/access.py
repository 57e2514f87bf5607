"""Who owns what and may do what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from reconcile.stores.postgres.resources.base import PostgresResource


@dataclass(frozen=True)
class Privilege:
    """One privilege of one role."""

    grantee: str
    """A role, or "public"."""
    privilege: str
    """In lower case: "select", "usage", …"""
    columns: tuple[str, ...] = ()
    """Sorted; empty for the whole object."""
    grantable: bool = False


@dataclass(frozen=True, kw_only=True)
class Grant(PostgresResource):
    """Owner and privileges of one object; address (kind, *its parts), e.g. `app.grant.table.public.invoices`.

    Only what is declared is managed: an object without `owner` and `grants` keeps what it has.
    """

    only_declared: ClassVar[bool] = True

    owner: str | None = None
    """None: left alone."""
    grants: tuple[Privilege, ...] | None = None
    """Sorted; None: left alone; (): nobody but the owner. The owner's own privileges are not among them."""


@dataclass(frozen=True, kw_only=True)
class DefaultPrivileges(PostgresResource):
    """ALTER DEFAULT PRIVILEGES; address (role, schema or "", kind of object in the plural)."""

    only_declared: ClassVar[bool] = True

    grants: tuple[Privilege, ...] = ()
