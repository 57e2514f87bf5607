"""The least privileges of the roles that plan, look for drift and apply, as Cypher. Pure.

Only the Enterprise Edition has roles; this follows the manual and was not run.
Manual: https://neo4j.com/docs/operations-manual/5/authentication-authorization/manage-privileges/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconcile.change import Cypher, Server, Step
from reconcile.stores.neo4j import cypher, introspect, privileges

_PROCEDURES = ("dbms.components", "db.info", "dbms.queryJmx", "db.index.fulltext.listAvailableAnalyzers")
COMMANDS = ("apply", "plan", "drift")


def of_commands(server: Server, user: str, steps: Iterable[Step], prefix: str) -> dict[str, str]:
    """By command what makes its role; see `Session.grants`."""
    if (server.edition or "").lower() == "community":
        what = f"// {server.name}: the Community Edition has no roles; any user of it does, as {user} does now.\n"
        return dict.fromkeys(COMMANDS, what)
    texts = [(step.id, call.cypher) for step in steps for call in step.calls if isinstance(call, Cypher)]
    needs = [need.said for need in privileges.needed(texts)]
    return {
        command: "".join(
            f"{line};\n" if not line.startswith("//") else f"{line}\n"
            for line in _lines(server, command, prefix, needs)
        )
        for command in COMMANDS
    }


def _lines(server: Server, command: str, prefix: str, needs: Iterable[str]) -> Iterator[str]:
    role, database = cypher.quote(f"{prefix}_{command}"), cypher.quote(str(server.facts["database"]))
    yield f"// {server.name}: the role of `{command}`, to be made by an administrator. From the manual; not run."
    yield f"CREATE ROLE {role}"
    yield f"GRANT ACCESS ON DATABASE {database} TO {role}"
    yield f"GRANT SHOW INDEX ON DATABASE {database} TO {role}"
    yield f"GRANT SHOW CONSTRAINT ON DATABASE {database} TO {role}"
    yield f"GRANT EXECUTE PROCEDURES {', '.join(_PROCEDURES)} ON DBMS TO {role}"
    mark = cypher.quote(introspect.MARK_LABEL)
    if command == "drift":
        yield f"GRANT MATCH {{*}} ON GRAPH {database} NODES {mark} TO {role}"
        return
    yield "// Whether a label is empty decides how a step is done, and data that breaks a constraint is looked for:"
    yield f"GRANT MATCH {{*}} ON GRAPH {database} ELEMENTS * TO {role}"
    yield f"GRANT SHOW TRANSACTION (*) ON DATABASE {database} TO {role}"
    if command == "apply":
        yield "// The mark of project and environment:"
        yield f"GRANT CREATE ON GRAPH {database} NODES {mark} TO {role}"
        yield f"GRANT SET LABEL {mark} ON GRAPH {database} TO {role}"
        yield f"GRANT SET PROPERTY {{*}} ON GRAPH {database} NODES {mark} TO {role}"
        yield f"GRANT NAME MANAGEMENT ON DATABASE {database} TO {role}"
        yield "// What the steps of the plan need:"
        yield from (f"GRANT {need} ON DATABASE {database} TO {role}" for need in needs)
