"""What is named and is no part of the project: functions of triggers, roles of policies, versions of extensions.

Reads only.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg.rows import TupleRow

from reconcile.change import Server
from reconcile.errors import Problem
from reconcile.model import Address, State
from reconcile.stores.postgres.names import join
from reconcile.stores.postgres.resources import EventTrigger, Extension, Policy, Trigger
from reconcile.suggest import meant

_FUNCTIONS = """
select w.schema, w.name from unnest(%s::text[], %s::text[]) w(schema, name)
where not exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                  where n.nspname = w.schema and p.proname = w.name and p.pronargs = 0)
"""

_VERSIONS = """
select w.name, e.extversion, array(select v.version from pg_available_extension_versions v where v.name = w.name),
       e.extversion = w.version or exists (select from pg_extension_update_paths(w.name) p
                                           where p.source = e.extversion and p.target = w.version and p.path <> '')
from unnest(%s::text[], %s::text[]) w(name, version) left join pg_extension e on e.extname = w.name
"""
"""Of extensions: the version there is, those that can be made, whether there is a way to the one that is wanted."""


def missing(connection: psycopg.Connection[TupleRow], server: Server, desired: State) -> list[Problem]:
    """Functions of triggers and roles of policies that are neither declared nor there, versions of extensions that
    the server has no script for: each with its YAML line."""
    found = [*_functions(connection, server, desired), *_roles(connection, server, desired)]
    return [*found, *_versions(connection, server, desired)]


def _functions(connection: psycopg.Connection[TupleRow], server: Server, desired: State) -> Iterable[Problem]:
    callers = [x for x in desired.of_kind("trigger", "event_trigger") if isinstance(x, Trigger | EventTrigger)]
    callers = [x for x in callers if Address(server.name, "function", x.function) not in desired]
    if not callers or any(x.name not in server.facts["extensions"] for x in desired.of_kind("extension")):
        return  # an extension that is still to be made may bring what is called
    wanted = sorted({(schema, name.removesuffix("()")) for schema, name in (x.function for x in callers)})
    rows = connection.execute(_FUNCTIONS, ([w[0] for w in wanted], [w[1] for w in wanted])).fetchall()
    gone = {(schema, f"{name}()") for schema, name in rows}
    known = [join(*a.parts) for a in desired if a.kind == "function"]
    for x in callers:
        if x.function in gone:
            called = join(*x.function)
            yield Problem(
                f"{x.address} calls {called}, which is neither declared nor on {server.name}",
                where=x.source,
                hint=meant(called, known, list_up_to=0) or "declare it under `functions:`",
            )


def _roles(connection: psycopg.Connection[TupleRow], server: Server, desired: State) -> Iterable[Problem]:
    policies = [x for x in desired.of_kind("policy") if isinstance(x, Policy) and x.to != ("public",)]
    if not policies:
        return
    there = {name for (name,) in connection.execute("select rolname::text from pg_roles").fetchall()} | {"public"}
    for x in policies:
        for role in x.to:
            if role not in there:
                yield Problem(
                    f"{x.address} is to the role {role}, which {server.name} does not have",
                    where=x.source,
                    hint=meant(role, there, list_up_to=0) or f'create it first: CREATE ROLE "{role}"',
                )


def _versions(connection: psycopg.Connection[TupleRow], server: Server, desired: State) -> Iterable[Problem]:
    available = server.facts["available_extensions"]
    found = [x for x in desired.of_kind("extension") if isinstance(x, Extension) and x.version and x.name in available]
    if not found:
        return  # what the server has of all extensions is read from its files
    rows = connection.execute(_VERSIONS, ([x.name for x in found], [x.version for x in found])).fetchall()
    said = {name: rest for name, *rest in rows}
    for x in found:
        now, there, reached = said[x.name]
        if reached if now is not None else x.version in there:
            continue
        wanted = f"{x.address}: {server.name} has no version {x.version} of it"
        if now is not None and x.version in there:
            wanted = f"{x.address}: {server.name} has no way from version {now} of it, which is there, to {x.version}"
        hint = meant(str(x.version), there, list_up_to=10) or "leave `version:` out to take the server's"
        yield Problem(wanted, where=x.source, hint=hint)
