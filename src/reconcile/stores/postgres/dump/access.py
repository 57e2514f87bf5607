"""Owners and grants, where they are not what an object made by the connecting role would have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.dump.context import Context
from reconcile.stores.postgres.resources.access import NOTHING, Privilege

_PUBLIC_SCHEMA_OWNER = "pg_database_owner"


def with_access(context: Context, x: Resource, value: Any) -> Any:
    """`value`, what is written of `x`, with `owner:` and `grants:`; a short form becomes the long one for that."""
    grant = context.state.get(r.grant_address(x.address))
    if not isinstance(grant, r.Grant):
        return value
    found: dict[str, Any] = {}
    if grant.owner is not None and not _is_given(context, x, grant.owner):
        found["owner"] = grant.owner
    if grant.grants is not None and (grant.grants != _at_first(context, x) or _given_otherwise(context, x, grant)):
        found["grants"] = grants(context, x.address.kind, grant.grants)
    if not found:
        return value
    if isinstance(value, list | str):
        value = {"values" if isinstance(value, list) else "type": value}  # the short forms of enums and domains
    return {**(value or {}), **found}


def identity_grants(context: Context, x: r.Column) -> dict[str, Any] | None:
    """`grants:` of the sequence that an identity column has, where they are not what it would have anyway."""
    sequence = Address(x.address.store, "sequence", x.occupies[0][1:])
    schema, table, column = x.address.parts
    said = with_access(context, r.Sequence(address=sequence, owned_by=(schema, table, column)), None)
    found: dict[str, Any] | None = (said or {}).get("grants")
    return found


def _is_given(context: Context, x: Resource, owner: str) -> bool:
    """An owner that nobody chose: the role that connects; a sequence that belongs to a column has its table's."""
    if isinstance(x, r.Schema) and x.system:
        return context.version < (15,) or owner == _PUBLIC_SCHEMA_OWNER
    return owner == context.user or (isinstance(x, r.Sequence) and x.owned_by is not None)


def _at_first(context: Context, x: Resource) -> tuple[Privilege, ...]:
    if isinstance(x, r.Schema) and x.system:
        words = ("usage",) if context.version >= (15,) else ("create", "usage")
        return tuple(Privilege("public", word) for word in words)
    return r.given_by_default(x.address.kind)


def _given_otherwise(context: Context, x: Resource, grant: r.Grant) -> bool:
    """Whether default privileges give something else to a new object: what is not declared would be that."""
    if isinstance(x, r.Schema) and x.system:
        return False
    schemas = ("",) if isinstance(x, r.Schema) else ("", x.address.parts[0])
    found = [context.state.get(r.default_address(x.address, context.user, schema)) for schema in schemas]
    everywhere, *here = (d.grants if isinstance(d, r.DefaultPrivileges) else None for d in found)
    given = {*(_at_first(context, x) if everywhere is None else everywhere), *(p for d in here for p in d or ())}
    return {p for p in grant.grants or () if p.grantee != grant.owner} != given


def grants(context: Context, kind: str, privileges: Iterable[Privilege]) -> dict[str, Any]:
    """`{reader: [select], writer: [insert, {update: [net]}]}`."""
    found: dict[str, list[Any]] = {}
    passed: dict[str, list[Any]] = {}
    for p in privileges:
        mine = (passed if p.grantable else found).setdefault(p.grantee, [])
        if p.privilege != NOTHING:
            mine.append({p.privilege: list(p.columns)} if p.columns else p.privilege)
    everything = r.privileges_of(kind, context.version)
    for each in (found, passed):
        for role, items in each.items():
            whole = [i for i in items if isinstance(i, str)]
            if len(everything) > 1 and set(whole) >= set(everything):
                each[role] = ["all", *(i for i in items if not isinstance(i, str))]
    for role, items in passed.items():
        found.setdefault(role, []).append({"with_grant_option": items})
    return dict(sorted(found.items()))


def default_privileges(context: Context, only: Callable[[Address], bool]) -> list[dict[str, Any]]:
    """The list of `default_privileges:`."""
    result = []
    for x in context.state.of_kind("default_privileges"):
        if isinstance(x, r.DefaultPrivileges) and only(x.address):
            where = {"schema": x.in_schema} if x.in_schema else {}
            result.append({"role": x.role, **where, "on": x.on, "grants": grants(context, x.on, x.grants)})
    return result
