"""What is known of a server before planning, and what it cannot do. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, TypeAlias

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from reconcile.change import Server
from reconcile.errors import Problem, StoreError
from reconcile.model import Address, Resource, State
from reconcile.stores.postgres.advice import numbers, stands_in, to_create, to_have
from reconcile.stores.postgres.changes.casting import bare
from reconcile.stores.postgres.checks_versions import NEWEST, VERSIONED, version_problems
from reconcile.stores.postgres.resources import (
    Column,
    DefaultPrivileges,
    Extension,
    Grant,
    Index,
    PostgresResource,
)
from reconcile.stores.postgres.resources.access import PUBLIC
from reconcile.suggest import meant

OLDEST = (12,)
_VECTOR_TYPES = {"vector": (0, 1), "halfvec": (0, 7), "sparsevec": (0, 7)}
_HNSW = (0, 5)
_LOCKS_PER_STEP = 8
"""What one step may lock: a table with its TOAST table, indexes and catalog entries; measured, rounded up."""

_SERVER = """
SELECT current_setting('server_version'), current_database()::text, current_user::text,
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
       (SELECT coalesce(jsonb_object_agg(extname, extversion), '{}') FROM pg_extension),
       (SELECT coalesce(jsonb_object_agg(name, default_version), '{}') FROM pg_available_extensions),
       (SELECT coalesce(jsonb_agg(DISTINCT to_jsonb(v) -> 'name'), '[]') FROM pg_available_extension_versions v
        WHERE coalesce((to_jsonb(v) ->> 'trusted')::boolean, false)),
       current_setting('max_locks_per_transaction')::int, current_setting('max_connections')::int,
       current_setting('is_superuser') = 'on', has_database_privilege(current_database(), 'CREATE'),
       pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
       current_setting('server_encoding'), (SELECT jsonb_agg(rolname) FROM pg_roles),
       current_setting('maintenance_work_mem'),
       (SELECT coalesce(jsonb_object_agg(name, requires), '{}') FROM pg_available_extension_versions
        WHERE requires IS NOT NULL),
       (SELECT jsonb_agg(rolname) FROM pg_roles WHERE pg_has_role(oid, 'MEMBER')),
       (SELECT jsonb_agg(jsonb_build_array(format_type(castsource, NULL), format_type(casttarget, NULL))) FROM pg_cast)
"""


def server(connection: psycopg.Connection[TupleRow], name: str) -> Server:
    """Version, identity and the facts plans are made from.

    Raises:
        StoreError: older than PostgreSQL 12.
    """
    row = connection.execute(_SERVER).fetchone()
    assert row is not None, "a SELECT without FROM gives one row"
    version, database, user, oid, installed, available, trusted, locks, clients, superuser, create = row[:11]
    found = Server(
        name=name,
        kind="postgres",
        version=version.split(" ")[0],
        identity=f"{_system(connection) or f'oid:{oid}'}/{database}",
        facts={
            "extensions": installed,
            "available_extensions": available,
            "trusted_extensions": trusted,
            "max_locks_per_transaction": locks,
            "max_connections": clients,
            "max_steps_per_group": max(1, locks * clients // 2 // _LOCKS_PER_STEP),
            "is_superuser": superuser,
            "can_create": create,
            "in_recovery": row[11],
            "read_only": row[12],
            "encoding": row[13],
            "roles": row[14],
            "maintenance_work_mem": row[15],
            "required_extensions": row[16],
            "member_of": row[17],
            "casts": frozenset((bare(source), bare(target)) for source, target in row[18]),
            "user": user,
            "database": database,
        },
    )
    if numbers(found.version) < OLDEST:
        raise StoreError(
            f"PostgreSQL {found.version} is too old", where=f"store {name}", hint="PostgreSQL 12 or later is needed"
        )
    return found


def _system(connection: psycopg.Connection[TupleRow]) -> str | None:
    """The cluster's identifier; None where a hosted server hides it."""
    try:
        row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    except errors.InsufficientPrivilege:
        return None
    return row[0] if row else None


def unsupported(server: Server, desired: State) -> list[Problem]:
    """What is declared and cannot be had on this server, each with its YAML line."""
    problems = [p for r in desired.of_kind("extension") if isinstance(r, Extension) and (p := _extension(server, r))]
    problems += [p for r in desired.of_kind("extension") if isinstance(r, Extension) for p in _bare(server, r, desired)]
    used = _pgvector(server, desired)
    asked = _asked(server.numbers)
    for address, resource in desired.items():
        if isinstance(resource, Column):
            name = _type_name(resource.type)
            if name in _VECTOR_TYPES:
                problems += _vector(server, used, resource, f"the type {name}", _VECTOR_TYPES[name], desired)
        elif isinstance(resource, Index) and resource.method in ("hnsw", "ivfflat"):
            oldest = _HNSW if resource.method == "hnsw" else (0, 1)
            problems += _vector(server, used, resource, f"the index method {resource.method}", oldest, desired)
        for check in asked.get(address.kind, ()):
            problems += check(server, resource, desired)
    return problems


_Check: TypeAlias = Callable[[Server, Resource, State], list[Problem]]


def _asked(version: tuple[int, ...]) -> Mapping[str, list[_Check]]:
    """What is looked at closer on a server of that version, by kind: of most resources nothing."""
    found: dict[str, list[_Check]] = defaultdict(list)
    for newest, check, kinds in (
        (NEWEST, version_problems, VERSIONED),
        (None, _access, ("grant", "default_privileges")),
    ):
        if newest is None or version < (newest,):
            for kind in kinds:
                found[kind].append(check)
    return found


@cache
def _type_name(type_: str) -> str:
    """A type without schema, modifiers and array brackets."""
    return type_.rpartition(".")[2].strip('"').split("(")[0].split("[")[0].strip().strip('"')


def missing_roles(server: Server, resource: PostgresResource, roles: Iterable[str]) -> list[Problem]:
    """Those of `roles` that the server does not have; "public" is everybody."""
    there = {*server.facts["roles"], PUBLIC}
    return [
        _problem(
            resource,
            f"there is no role {role!r} on {server.name}",
            meant(role, there, list_up_to=0) or f'create it first: CREATE ROLE "{role}"',
        )
        for role in dict.fromkeys(roles)
        if role not in there
    ]


def _access(server: Server, resource: Resource, _: State) -> list[Problem]:
    if isinstance(resource, Grant | DefaultPrivileges):
        first = [resource.owner] if isinstance(resource, Grant) else [resource.role]
        grants = resource.grants or ()
        problems = missing_roles(server, resource, [*filter(None, first), *(p.grantee for p in grants)])
        if server.numbers < (17,) and any(p.privilege == "maintain" for p in grants):
            problems.append(
                _problem(resource, f"the privilege maintain needs PostgreSQL 17; {server.name} is {server.version}")
            )
        return problems
    return []


def _problem(resource: PostgresResource, what: str, hint: str | None = None) -> Problem:
    return Problem(f"{resource.address}: {what}", where=resource.source or str(resource.address), hint=hint)


def _extension(server: Server, extension: Extension) -> Problem | None:
    name, facts = extension.name, server.facts
    if name in facts["extensions"]:
        return None
    if name not in facts["available_extensions"]:
        return _problem(extension, f'extension "{name}" is not available on {server.name}', to_have(server, name))
    if facts["is_superuser"] or stands_in(server) or (name in facts["trusted_extensions"] and facts["can_create"]):
        return None
    return _problem(
        extension,
        f'{facts["user"]} may not create the extension "{name}" on {server.name}',
        to_create(server, name),
    )


def _bare(server: Server, extension: Extension, desired: State) -> list[Problem]:
    """What the extension requires and is neither there nor declared."""
    facts = server.facts
    if extension.name in facts["extensions"]:
        return []
    return [
        _problem(
            extension,
            f'extension "{extension.name}" requires "{name}", which is neither declared nor there on {server.name}',
            f"declare {name} under `extensions:` too",
        )
        for name in facts.get("required_extensions", {}).get(extension.name, ())
        if name not in facts["extensions"] and Address(server.name, "extension", (name,)) not in desired
    ]


def _pgvector(server: Server, desired: State) -> str | None:
    """The version of pgvector there is or will be; None where there is none."""
    for resource in desired.of_kind("extension"):
        if isinstance(resource, Extension) and resource.name == "vector" and resource.version:
            return resource.version
    declared = any(r.address.parts == ("vector",) for r in desired.of_kind("extension"))
    known: Any = server.facts["extensions"].get("vector")
    return known or (server.facts["available_extensions"].get("vector") if declared else None)


def _vector(
    server: Server, version: str | None, resource: PostgresResource, what: str, oldest: tuple[int, ...], desired: State
) -> list[Problem]:
    if version is None:
        if any(r.address.parts == ("vector",) for r in desired.of_kind("extension")):
            return []  # not available: said once, of the extension
        hint = "declare it: `extensions: {vector: {}}`"
        return [_problem(resource, f"{what} needs the extension vector, which {server.name} does not have", hint)]
    if numbers(version) < oldest:
        needed = ".".join(map(str, oldest))
        return [_problem(resource, f"{what} needs pgvector {needed}; {server.name} has {version}", "upgrade pgvector")]
    return []
