"""Owner and grants of what a plan makes, given in the step that makes it."""

from __future__ import annotations

from reconcile.change import World
from reconcile.facts import Fact, has, ok
from reconcile.model import Address, State
from reconcile.stores.postgres.resources import (
    ROUTINES,
    TYPES,
    DefaultPrivileges,
    Grant,
    Privilege,
    given_by_default,
    grant_address,
)
from reconcile.stores.postgres.sqlaccess import new_object_statements


def given(world: World, address: Address) -> tuple[list[str], frozenset[Fact], list[Fact]]:
    """(statements, needs, facts) that go into the step which makes `address`, where its access is declared."""
    grant = world.target.get(grant_address(address))
    if not isinstance(grant, Grant) or grant.address in world.live:
        return [], frozenset(), []
    statements = new_object_statements(grant, _unwanted(world, grant))
    return statements, schema_access(world, grant), [has(grant.address), ok(grant.address)]


def schema_access(world: World, grant: Grant) -> frozenset[Fact]:
    """A new owner needs CREATE on the schema: what this plan grants there comes first."""
    if grant.owner is None or grant.object.kind == "schema":
        return frozenset()
    schema = grant_address(Address(grant.address.store, "schema", grant.object.parts[:1]))
    before, after = world.live.get(schema), world.target.get(schema)
    return frozenset({ok(schema)}) if after is not None and before != after else frozenset()


def _unwanted(world: World, grant: Grant) -> set[str]:
    """Roles to which a new object of this kind gives more than is declared, by itself or by default privileges."""
    wanted = {(p.grantee, p.privilege, p.grantable) for p in grant.grants or () if not p.columns}
    found = [p for state in (world.live, world.target) for p in _at_first(world, state, grant)]
    return {p.grantee for p in found if (p.grantee, p.privilege, p.grantable) not in wanted}


def _at_first(world: World, state: State, grant: Grant) -> list[Privilege]:
    kind, user = grant.object.kind, str(world.server.facts.get("user"))

    def default(schema: str) -> tuple[Privilege, ...] | None:
        address = Address(grant.address.store, "default_privileges", (user, schema, plural(kind)))
        x = state.get(address)
        return x.grants if isinstance(x, DefaultPrivileges) else None

    everywhere = default("")
    here = default(grant.object.parts[0]) if kind != "schema" else None
    return [*(given_by_default(kind) if everywhere is None else everywhere), *(here or ())]


def plural(kind: str) -> str:
    """The word of ALTER DEFAULT PRIVILEGES … ON for a kind of object."""
    if kind in ROUTINES:
        return "functions"
    if kind in TYPES:
        return "types"
    return {"sequence": "sequences", "schema": "schemas"}.get(kind, "tables")
