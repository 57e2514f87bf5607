"""Owner and grants of what a plan makes, given in the step that makes it."""

from __future__ import annotations

from reconcile.change import Server, World
from reconcile.facts import Fact, has, no, ok
from reconcile.model import Address, State
from reconcile.stores.postgres.resources import (
    ROUTINES,
    TYPES,
    DefaultPrivileges,
    Grant,
    Privilege,
    default_address,
    given_by_default,
    grant_address,
)
from reconcile.stores.postgres.sqlaccess import column_statements, new_object_statements


def user_of(server: Server) -> str:
    """The role that connects, to which what a plan makes belongs at first."""
    return str(server.facts.get("user"))


_GRANTED = frozenset({"table", "view", "materialized_view", "sequence", "schema", *ROUTINES, *TYPES})


def given(world: World, address: Address) -> tuple[list[str], frozenset[Fact], list[Fact]]:
    """(statements, needs, facts) that go into the step which makes `address`, where its access is declared."""
    grant = world.target.get(grant_address(address))
    if not isinstance(grant, Grant) or grant.address in world.live:
        return [], _defaults_first(world, address), []
    statements = new_object_statements(grant, unwanted(world, grant), user_of(world.server))
    return statements, schema_access(world, grant), [has(grant.address), ok(grant.address)]


def column_grants(world: World, column: Address) -> list[str]:
    """What is granted on a column, for the one that takes its place: grants go with the old one."""
    grant = world.target.get(grant_address(Address(column.store, "table", column.parts[:2])))
    return column_statements(grant, column.parts[2]) if isinstance(grant, Grant) else []


def _defaults_first(world: World, address: Address) -> frozenset[Fact]:
    """What this plan takes from the default privileges is gone before an object is made whose access is not declared.

    What it gives there comes after: an object that was to have that would have it declared.
    """
    if address.kind not in _GRANTED or not world.live.of_kind("default_privileges"):
        return frozenset()
    user, found = user_of(world.server), set()
    for schema in ("", address.parts[0]):
        default = default_address(address, user, schema)
        before, after = world.live.get(default), world.target.get(default)
        if isinstance(before, DefaultPrivileges) and before != after:
            kept = after.grants if isinstance(after, DefaultPrivileges) else ()
            if set(before.grants) - set(kept):
                found.add(no(default) if after is None else ok(default))
    return frozenset(found)


def schema_access(world: World, grant: Grant) -> frozenset[Fact]:
    """A new owner needs CREATE on the schema: what this plan grants there comes first."""
    if grant.owner is None or grant.object.kind == "schema":
        return frozenset()
    schema = grant_address(Address(grant.address.store, "schema", grant.object.parts[:1]))
    before, after = world.live.get(schema), world.target.get(schema)
    return frozenset({ok(schema)}) if after is not None and before != after else frozenset()


def unwanted(world: World, grant: Grant) -> set[str]:
    """Roles to which a new object of this kind gives more than is declared, by itself or by default privileges."""
    wanted = {(p.grantee, p.privilege, p.grantable) for p in grant.grants or () if not p.columns}
    found = [p for state in (world.live, world.target) for p in _at_first(world, state, grant)]
    return {p.grantee for p in found if (p.grantee, p.privilege, p.grantable) not in wanted}


def _at_first(world: World, state: State, grant: Grant) -> list[Privilege]:
    kind, user = grant.object.kind, user_of(world.server)

    def default(schema: str) -> tuple[Privilege, ...] | None:
        x = state.get(default_address(grant.object, user, schema))
        return x.grants if isinstance(x, DefaultPrivileges) else None

    everywhere = default("")
    here = default(grant.object.parts[0]) if kind != "schema" else None
    return [*(given_by_default(kind) if everywhere is None else everywhere), *(here or ())]
