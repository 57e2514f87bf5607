"""SQL text around access: GRANT, REVOKE, OWNER TO; what keeps them for something that is dropped and made again."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from reconcile.model import Address
from reconcile.stores.postgres.resources import (
    ROUTINES,
    TYPES,
    DefaultPrivileges,
    Grant,
    PostgresResource,
    Privilege,
)
from reconcile.stores.postgres.resources.access import NOTHING, PUBLIC
from reconcile.stores.postgres.sqltext import do_block, ident, idents, literal, object_name, routine_name

_ASTERISK = re.compile(r"\(\*\)\Z")
_RELATIONS = frozenset({"table", "view", "materialized_view", "sequence"})


def owned_as(kind: str) -> str:
    """The word of ALTER … OWNER TO."""
    if kind == "domain":
        return "DOMAIN"
    return "TYPE" if kind in TYPES else kind.upper().replace("_", " ")


def granted_as(kind: str) -> str:
    """The word of GRANT … ON: views are granted as tables, aggregates as functions."""
    if kind in ("view", "materialized_view"):
        return "TABLE"
    return "FUNCTION" if kind == "aggregate" else owned_as(kind)


def granted_name(resource: PostgresResource) -> str:
    """The quoted name in GRANT and REVOKE, and for regprocedure, where an aggregate without arguments has none."""
    return _ASTERISK.sub("()", target_name(resource))


def target_name(resource: PostgresResource) -> str:
    """The quoted name in ALTER."""
    if resource.address.kind in ROUTINES:
        return routine_name(resource.address)
    return ident(resource.name) if resource.address.kind == "schema" else object_name(resource)


def keep_access(resource: PostgresResource) -> str:
    """Remember, in a setting of the session, who owns an object and who was granted what on it and its columns."""
    columns = (
        "(SELECT json_object_agg(a.attname, a.attacl::text) FROM pg_attribute a"
        " WHERE a.attrelid = o.oid AND a.attacl IS NOT NULL)"
        if resource.address.kind in _RELATIONS
        else "NULL"
    )
    catalog, owner, acl, _ = _catalog(resource)
    return (
        f"SELECT set_config('{_kept(resource)}', json_build_object('owner', pg_get_userbyid(o.{owner}),"
        f" 'acl', o.{acl}::text, 'columns', {columns})::text, false)"
        f" FROM {catalog} o WHERE o.oid = {_oid(resource)}"
    )


def restore_access(resource: PostgresResource) -> str:
    """Give an object made anew the owner and grants that `keep_access` remembered, but for columns that are gone.

    Nothing else is left on it: neither what PUBLIC is given by default nor what default privileges gave.
    """
    name, granted, kind = target_name(resource), granted_name(resource), resource.address.kind
    catalog, owner, acl, letter = _catalog(resource)
    columns = (
        f"""
          UNION ALL
          SELECT c.value::aclitem[], format(' (%I)', c.key) FROM jsonb_each_text(nullif(kept -> 'columns', 'null')) c
          JOIN pg_attribute a ON a.attrelid = {_oid(resource)} AND a.attname = c.key"""
        if kind in _RELATIONS
        else ""
    )
    return do_block(f"""
DECLARE
  kept jsonb := current_setting('{_kept(resource)}')::jsonb;
  statement text;
BEGIN
  IF kept ->> 'owner' <> (SELECT pg_get_userbyid(o.{owner}) FROM {catalog} o WHERE o.oid = {_oid(resource)}) THEN
    EXECUTE format('ALTER {owned_as(kind)} %s OWNER TO %I', {literal(name)}, kept ->> 'owner');
  END IF;
  FOR statement IN
    SELECT DISTINCT format('REVOKE ALL ON {granted_as(kind)} %s FROM %s', {literal(granted)},
                           CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
    FROM {catalog} o, aclexplode(coalesce(o.{acl}, acldefault('{letter}', o.{owner}))) g WHERE o.oid = {_oid(resource)}
  LOOP
    EXECUTE statement;
  END LOOP;
  FOR statement IN
    SELECT format('GRANT %s%s ON {granted_as(kind)} %s TO %s%s', g.privilege_type, k.columns, {literal(granted)},
                  CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                  CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM (SELECT coalesce((kept ->> 'acl')::aclitem[], acldefault('{letter}', o.{owner})) AS acl, '' AS columns
          FROM {catalog} o WHERE o.oid = {_oid(resource)}{columns}) k,
         aclexplode(k.acl) g
  LOOP
    EXECUTE statement;
  END LOOP;
END
""")


def _catalog(resource: PostgresResource) -> tuple[str, str, str, str]:
    """(catalog, its columns for owner and privileges, acldefault's letter)."""
    kind = resource.address.kind
    if kind in _RELATIONS:
        return "pg_class", "relowner", "relacl", "s" if kind == "sequence" else "r"
    if kind in ROUTINES:
        return "pg_proc", "proowner", "proacl", "f"
    return "pg_type", "typowner", "typacl", "T"


def _oid(resource: PostgresResource) -> str:
    kind = resource.address.kind
    cast = "regclass" if kind in _RELATIONS else "regprocedure" if kind in ROUTINES else "regtype"
    return f"{literal(granted_name(resource))}::{cast}"


def _kept(resource: PostgresResource) -> str:
    return f"reconcile.kept_{hashlib.sha256(str(resource.address).encode()).hexdigest()[:12]}"


Key = tuple[str, str, str | None]
"""(role, privilege, column or None)"""


def entries(privileges: Iterable[Privilege]) -> Iterator[tuple[Key, bool, Privilege]]:
    """One a column: (key, grantable, where it comes from)."""
    for p in privileges:
        if p.privilege != NOTHING:
            for column in p.columns or (None,):
                yield (p.grantee, p.privilege, column), p.grantable, p


def owner_statement(grant: Grant) -> str:
    """ALTER … OWNER TO."""
    return f"ALTER {owned_as(grant.object.kind)} {object_of(grant.object)} OWNER TO {ident(grant.owner or '')}"


def object_of(address: Address) -> str:
    """The quoted name of what a grant is about."""
    if address.kind in ROUTINES:
        return routine_name(address)
    return ident(*address.parts)


def role_name(role: str) -> str:
    """Quoted, but for PUBLIC, which is no role."""
    return "PUBLIC" if role == PUBLIC else ident(role)


def new_object_statements(grant: Grant, unwanted: Iterable[str], user: str) -> list[str]:
    """Owner and grants of an object just made by `user`. `unwanted`: roles to which defaults have given something."""
    calls = [owner_statement(grant)] if grant.owner is not None else []
    if grant.grants is None:
        return calls
    on = _on(grant)
    calls += [f"REVOKE ALL ON {on} FROM {role_name(role)}" for role in sorted(set(unwanted))]
    own = {p.grantee for p in grant.grants if p.grantee == (grant.owner or user)}
    calls += [f"REVOKE ALL ON {on} FROM {ident(role)}" for role in sorted(own)]
    return calls + _grants(on, ((key, grantable) for key, grantable, _ in entries(grant.grants)))


def grant_statements(before: Grant, after: Grant, gone: frozenset[str]) -> list[str]:
    """What `after` has and `before` does not. `gone`: columns that are dropped."""
    had = {key: grantable for key, grantable, _ in entries(before.grants or ())}
    new = [
        (key, grantable)
        for key, grantable, _ in entries(after.grants or ())
        if (key not in had or (grantable and not had[key])) and key[2] not in gone
    ]
    return _grants(_on(after), new)


def column_statements(grant: Grant, column: str) -> list[str]:
    """What is granted on one column, for one that has been made again."""
    return _grants(
        _on(grant), ((key, grantable) for key, grantable, _ in entries(grant.grants or ()) if key[2] == column)
    )


def _on(grant: Grant) -> str:
    name = object_of(grant.object)
    if grant.object.kind == "aggregate":  # GRANT takes no asterisk for an aggregate without arguments
        name = _ASTERISK.sub("()", name)
    return f"{granted_as(grant.object.kind)} {name}"


def _lost(before: Grant, after: Grant) -> list[tuple[Key, bool]]:
    """What stays granted on columns and is taken by a REVOKE of the same privilege on the whole object."""
    had = {key for key, _, _ in entries(before.grants or ())}
    want = {key: grantable for key, grantable, _ in entries(after.grants or ())}
    whole = {(role, word) for role, word, column in had if column is None and (role, word, None) not in want}
    return [(key, grantable) for key, grantable in want.items() if key[2] is not None and key[:2] in whole]


def revoke_statements(before: Grant, after: Grant, gone: frozenset[str], user: str) -> list[str]:
    """What `before` has and `after` does not, by who granted it: a right that was passed on is taken there first."""
    want = {key: grantable for key, grantable, _ in entries(after.grants or ())}
    by_grantor: dict[tuple[bool, str], list[tuple[Key, bool]]] = defaultdict(list)
    for key, grantable, p in entries(before.grants or ()):
        if key[2] in gone or (key in want and want[key] >= grantable):
            continue
        for grantor in p.grantors or (before.owner or "",):
            by_grantor[grantor == before.owner, grantor].append((key, key in want))
    on, calls = _on(after), list[str]()
    for (own, grantor), found in sorted(by_grantor.items()):
        revokes = _revokes(on, found)
        calls += revokes if own else [f"SET LOCAL ROLE {ident(grantor)}", *revokes, f"SET LOCAL ROLE {ident(user)}"]
    return calls + _grants(on, _lost(before, after))


def _grants(on: str, found: Iterable[tuple[Key, bool]]) -> list[str]:
    """One statement a role and grant option."""
    grouped: dict[tuple[str, bool], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (role, word, column), grantable in sorted(found, key=str):
        key = word if column is None else f"{word} ("
        grouped[role, grantable][key] += [] if column is None else [column]
    return [
        f"GRANT {_listed(words)} ON {on} TO {role_name(role)}{' WITH GRANT OPTION' if grantable else ''}"
        for (role, grantable), words in grouped.items()
    ]


def _revokes(on: str, found: Iterable[tuple[Key, bool]]) -> list[str]:
    """One statement a role; of what stays only the right to pass it on."""
    grouped: dict[tuple[str, bool], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (role, word, column), stays in sorted(found, key=str):
        key = word if column is None else f"{word} ("
        grouped[role, stays][key] += [] if column is None else [column]
    return [
        f"REVOKE {'GRANT OPTION FOR ' if stays else ''}{_listed(words)} ON {on} FROM {role_name(role)}"
        for (role, stays), words in grouped.items()
    ]


def _listed(words: dict[str, list[str]]) -> str:
    parts = (f"{w[:-2].upper()} ({idents(columns)})" if w.endswith(" (") else w.upper() for w, columns in words.items())
    return ", ".join(parts)


def default_statement(x: DefaultPrivileges, verb: str, role: str, privilege: str, option: bool) -> str:
    """ALTER DEFAULT PRIVILEGES … GRANT or REVOKE."""
    where = f" IN SCHEMA {ident(x.in_schema)}" if x.in_schema else ""
    head = f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(x.role)}{where} {verb}"
    if verb == "REVOKE":
        only = " GRANT OPTION FOR" if option else ""
        return f"{head}{only} {privilege.upper()} ON {x.on.upper()} FROM {role_name(role)}"
    end = " WITH GRANT OPTION" if option else ""
    return f"{head} {privilege.upper()} ON {x.on.upper()} TO {role_name(role)}{end}"
