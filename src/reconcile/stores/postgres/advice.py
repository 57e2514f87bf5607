"""What to do about extensions that are missing or old: self-hosted, or at a managed service. Pure.

What services do is from their documentation; nothing of it was run.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconcile.change import Server
from reconcile.checkup import Check, Topic, Verdict
from reconcile.stores.postgres.names import identifier

_SERVICES = {
    "rds_superuser": ("Amazon RDS", "upgrade the engine to a version that has it", "a member of rds_superuser"),
    "alloydbsuperuser": ("AlloyDB", "it comes with the service's version", "a member of alloydbsuperuser"),
    "cloudsqlsuperuser": ("Cloud SQL", "it comes with the service's maintenance version", "a cloudsqlsuperuser"),
    "azure_pg_admin": ("Azure Database", "name it in the server parameter azure.extensions", "an azure_pg_admin"),
    "neon_superuser": ("Neon", "it comes with the service's version", "a member of neon_superuser"),
    "avnadmin": ("Aiven", "it comes with the service's version", "the role avnadmin"),
    "supabase_admin": ("Supabase", "turn it on under Database, Extensions of the dashboard", "the role postgres"),
}
"""By a role that only that service has: its name, how an extension becomes available, who may create it."""


def service(server: Server) -> tuple[str, str, str] | None:
    """The managed service, as its roles show it; None for a server of one's own, as far as they tell."""
    roles = {str(role) for role in server.facts.get("roles", ())}
    return next((about for role, about in _SERVICES.items() if role in roles), None)


_FOR_ALL = frozenset({"supabase_admin"})
"""Roles whose service lets the role `postgres` do what they may, without making it a member."""


def stands_in(server: Server) -> bool:
    """Whether the service lets this login do some of what a superuser may: it is a member of the service's role.

    What exactly is the service's own list: the statement decides.
    """
    roles, own = set(server.facts.get("roles", ())), set(server.facts.get("member_of", ()))
    return any(role in own or (role in _FOR_ALL and role in roles) for role in _SERVICES)


def to_have(server: Server, extension: str) -> str:
    """How an extension that is not available comes to be."""
    if (managed := service(server)) is not None:
        return f"{managed[0]}: {managed[1]}"
    package = f"the package of {extension}"
    if extension == "vector":
        package = f"pgvector (Debian and Ubuntu: apt install postgresql-{server.numbers[0]}-pgvector)"
    return f"install {package} on the database server, or turn the extension on with the managed service"


def to_create(server: Server, extension: str) -> str:
    """Who may create an extension that this role may not."""
    who = managed[2] if (managed := service(server)) is not None else "a superuser"
    return f"have {who} run, in this database: CREATE EXTENSION {identifier(extension)}"


def outdated(server: Server) -> Iterator[Check]:
    """pgvector, and every extension installed in an older version than the server has files of."""
    installed, available = server.facts["extensions"], server.facts["available_extensions"]
    for name, version in sorted(installed.items()):
        newest = available.get(name)
        if newest is not None and numbers(version) < numbers(newest):
            hint = f"ALTER EXTENSION {identifier(name)} UPDATE, as its owner; the files of {newest} are there"
            what = f"{_called(name)} {version} is installed, {newest} is available"
            yield Check(Topic.EXTENSIONS, Verdict.WARNING, what, hint)
        elif name == "vector":
            yield Check(Topic.EXTENSIONS, Verdict.GOOD, f"pgvector {version} installed, the latest that is available")
    if "vector" not in installed:
        there = available.get("vector")
        what = f"pgvector {there} available, not installed here" if there else "pgvector not available on this server"
        yield Check(
            Topic.EXTENSIONS, Verdict.GOOD, what, None if there else f"if it is needed: {to_have(server, 'vector')}"
        )


def _called(extension: str) -> str:
    return "pgvector" if extension == "vector" else f"extension {extension}"


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers: `18beta1` is (18,), `0.8.5` is (0, 8, 5)."""
    found = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if digits:
            found.append(int(digits))
        if digits != part:
            break
    return tuple(found)
