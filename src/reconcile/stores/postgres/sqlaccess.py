"""SQL text around access: what keeps owner and grants of something that is dropped and made again."""

from __future__ import annotations

import hashlib
import re

from reconcile.stores.postgres.resources import ROUTINES, TYPES, PostgresResource
from reconcile.stores.postgres.sqltext import ident, literal, object_name, routine_name

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
    return re.sub(r"\(\*\)\Z", "()", target_name(resource))


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
    return f"""DO $reconcile$
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
$reconcile$"""


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
