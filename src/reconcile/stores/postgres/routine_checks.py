"""What would stop a plan that touches routines or event triggers. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg
from psycopg.rows import TupleRow

from reconcile.change import Server, Step
from reconcile.errors import Problem
from reconcile.facts import Verb
from reconcile.model import Address
from reconcile.stores.postgres.names import identifier
from reconcile.stores.postgres.resources import ROUTINES

_MANAGED = frozenset({"rds_superuser", "cloudsqlsuperuser", "alloydbsuperuser", "azure_pg_admin", "supabase_admin"})
"""Roles of managed services, which let others than superusers make event triggers."""


def routine_problems(connection: psycopg.Connection[TupleRow], server: Server, steps: Sequence[Step]) -> list[Problem]:
    """Routines that somebody else owns, event triggers without a superuser."""
    where = f"store {server.name}"
    touched = sorted({a for step in steps for a in _replaced(step)})
    problems = _owners(connection, server, (a for a in touched if a.kind in ROUTINES), where)
    triggers = [a for step in steps for f in step.gives if f.verb is not Verb.DONE and (a := Address.parse(f.subject))]
    triggers = sorted({a for a in triggers if a.kind == "event_trigger"})
    managed = _MANAGED & {str(role) for role in server.facts.get("roles", ())}
    if triggers and not server.facts["is_superuser"] and not managed:
        what = f"{server.facts['user']} is no superuser, which {triggers[0]} needs"
        problems.append(Problem(what, where=where, hint="run this plan as a superuser, or leave event triggers out"))
    return problems


def _replaced(step: Step) -> Iterable[Address]:
    """What is there, and a step drops or alters."""
    there = {f.subject for f in step.needs if f.verb is Verb.HAS}
    return (Address.parse(f.subject) for f in step.gives if f.subject in there)


def _owners(
    connection: psycopg.Connection[TupleRow], server: Server, routines: Iterable[Address], where: str
) -> list[Problem]:
    names = {f"{identifier(a.parts[0], n)}({types.replace('*)', ')')}": a for a in routines for n, types in [_split(a)]}
    if not names:
        return []
    rows = connection.execute(
        "SELECT w.name, pg_get_userbyid(p.proowner) FROM unnest(%s::text[]) w(name)"
        " JOIN pg_proc p ON p.oid = to_regprocedure(w.name) WHERE NOT pg_has_role(p.proowner, 'USAGE') ORDER BY 1",
        (list(names),),
    ).fetchall()
    user = server.facts["user"]
    return [
        Problem(
            f"{user} does not own {names[name].name}, {owner} does: it cannot be altered",
            where=where,
            hint=f'set `role: {owner}` of store {server.name}, or: GRANT "{owner}" TO "{user}"',
        )
        for name, owner in rows
    ]


def _split(address: Address) -> tuple[str, str]:
    name, _, types = address.parts[1].partition("(")
    return name, types
