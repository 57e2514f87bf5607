"""Whether the role has the privileges that steps need: asked of the server, in one query. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg.rows import TupleRow

from reconcile.change import Server, Step
from reconcile.checkup import Check, Topic, Verdict
from reconcile.stores.postgres import needs, written
from reconcile.stores.postgres.advice import stands_in
from reconcile.stores.postgres.introspect.routines import SIGNATURE
from reconcile.stores.postgres.names import as_shown, identifier
from reconcile.stores.postgres.needs import Need
from reconcile.stores.postgres.privilege_rules import DROP, MEMBER, OWNER, SUPERUSER

_ASK = f"""
SELECT w.ord - 1, CASE w.kind WHEN 'server' THEN true WHEN 'database' THEN true WHEN 'schema' THEN s.oid IS NOT NULL
    WHEN 'new schema' THEN s.oid IS NULL
    WHEN 'relation' THEN c.oid IS NOT NULL WHEN 'rows' THEN c.oid IS NOT NULL
    WHEN 'type' THEN t.oid IS NOT NULL WHEN 'routine' THEN p.oid IS NOT NULL
    WHEN 'role' THEN r.oid IS NOT NULL WHEN 'language' THEN l.oid IS NOT NULL WHEN 'extension' THEN e.oid IS NOT NULL
    WHEN 'publication' THEN u.oid IS NOT NULL
    WHEN 'statistics' THEN x.oid IS NOT NULL WHEN 'collation' THEN k.oid IS NOT NULL END,
  coalesce(CASE
    WHEN w.kind = 'server' THEN current_setting('is_superuser') = 'on'
    WHEN w.kind = 'role' THEN pg_has_role(r.oid, %s)
    WHEN w.privilege = 'OWNER' OR w.privilege = 'DROP' THEN pg_has_role(o.owner, 'USAGE')
      OR (w.privilege = 'DROP' AND pg_has_role(s.nspowner, 'USAGE'))
    WHEN w.kind IN ('database', 'new schema') THEN has_database_privilege(current_database(), w.privilege)
    WHEN w.kind = 'schema' THEN has_schema_privilege(s.oid, w.privilege)
    WHEN w.kind = 'language' THEN has_language_privilege(l.oid, w.privilege)
    WHEN w.kind = 'type' THEN has_type_privilege(t.oid, w.privilege)
    WHEN w.kind = 'routine' THEN has_function_privilege(p.oid, w.privilege)
    WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, w.privilege)
    WHEN w.privilege ~ '^REFERENCES$|^(SELECT|INSERT|UPDATE|REFERENCES) WITH'
      OR (w.kind = 'rows' AND w.privilege ~ '^(SELECT|INSERT|UPDATE)$')
      THEN has_any_column_privilege(c.oid, w.privilege)
    ELSE has_table_privilege(c.oid, w.privilege) END, false),
  o.owner::regrole::text, coalesce((SELECT rolsuper FROM pg_roles WHERE oid = o.owner), false),
  CASE WHEN c.relkind = 'c' THEN 'type' ELSE w.kind END,
  (SELECT ARRAY[n.nspname, c.relname] FROM pg_namespace n WHERE n.oid = c.relnamespace),
  (SELECT ARRAY[n.nspname, b.relname] FROM pg_class b JOIN pg_namespace n ON n.oid = b.relnamespace
   WHERE b.oid = CASE WHEN c.relkind IN ('i', 'I') THEN (SELECT indrelid FROM pg_index WHERE indexrelid = c.oid)
     WHEN c.relkind = 'S' THEN (SELECT refobjid FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
       AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')) END)
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY w(kind, schema, name, privilege, ord)
LEFT JOIN pg_namespace s ON s.nspname = w.schema
LEFT JOIN pg_class m ON w.kind IN ('relation', 'rows') AND m.relnamespace = s.oid AND m.relname = w.name
LEFT JOIN LATERAL (SELECT relid FROM pg_partition_tree(m.oid)
  WHERE w.privilege = 'OWNER' AND m.relkind IN ('p', 'I')) part ON true
LEFT JOIN pg_class c ON c.oid = coalesce(part.relid, m.oid)
LEFT JOIN pg_type t ON w.kind = 'type' AND t.typnamespace = s.oid AND t.typname = w.name AND t.typtype <> 'm'
  AND (t.typrelid = 0 OR (SELECT relkind = 'c' FROM pg_class WHERE oid = t.typrelid))
LEFT JOIN pg_statistic_ext x ON w.kind = 'statistics' AND x.stxnamespace = s.oid AND x.stxname = w.name
LEFT JOIN pg_collation k ON w.kind = 'collation' AND k.collnamespace = s.oid AND k.collname = w.name
LEFT JOIN pg_proc p ON w.kind = 'routine' AND p.pronamespace = s.oid
  AND p.proname = split_part(w.name, '(', 1)
  AND w.name = p.proname || '(' || array_to_string({SIGNATURE}, ', ') || ')'
LEFT JOIN pg_roles r ON w.kind = 'role' AND r.rolname = w.name
LEFT JOIN pg_language l ON w.kind = 'language' AND l.lanname = w.name
LEFT JOIN pg_extension e ON w.kind = 'extension' AND e.extname = w.name
LEFT JOIN pg_publication u ON w.kind = 'publication' AND u.pubname = w.name
CROSS JOIN LATERAL (SELECT coalesce(c.relowner, t.typowner, p.proowner, e.extowner, x.stxowner, k.collowner, u.pubowner,
  CASE WHEN w.kind = 'schema' THEN s.nspowner END) AS owner) o
ORDER BY w.ord, 7
"""
"""To alter a partitioned table or index takes to own its partitions too. A multirange has the owner of its range.
A routine is found by its signature as addresses have it: to_regprocedure fails, instead of finding nothing, in a
schema that may not be used, and before PostgreSQL 16 where one of the types is not there."""
_PLACES = f"""
SELECT w.ord - 1, s.schema, CASE WHEN w.kind ~ 'routine' THEN (
    SELECT min(p.proname || '(' || array_to_string({SIGNATURE}, ', ') || ')') FROM pg_proc p
    WHERE p.pronamespace = s.oid AND p.proname = w.name HAVING count(*) = 1) ELSE w.name END
FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY w(kind, schema, name, ord)
CROSS JOIN LATERAL (
  SELECT p.schema, s.oid FROM unnest(CASE WHEN w.schema IS NOT NULL THEN ARRAY[w.schema]
    ELSE %s::text || current_schemas(false)::text[] || 'public'::text END) WITH ORDINALITY p(schema, n)
  JOIN pg_namespace s ON s.nspname = p.schema
  WHERE CASE w.kind WHEN 'type' THEN EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = s.oid AND t.typname = w.name)
    WHEN 'routine' THEN EXISTS (SELECT FROM pg_proc f WHERE f.pronamespace = s.oid AND f.proname = w.name)
    WHEN 'beside routine' THEN EXISTS (SELECT FROM pg_proc f WHERE f.pronamespace = s.oid AND f.proname = w.name)
    WHEN 'statistics' THEN EXISTS (SELECT FROM pg_statistic_ext x WHERE x.stxnamespace = s.oid AND x.stxname = w.name)
    WHEN 'collation' THEN EXISTS (SELECT FROM pg_collation k WHERE k.collnamespace = s.oid AND k.collname = w.name)
    ELSE EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = s.oid AND c.relname = w.name) END
  ORDER BY p.n LIMIT 1) s
"""
"""In which schema names without one are, in the order in which those are looked through; a routine with its types,
where there is one of that name only: else the types that are written would have to be read as the server does."""
_SET_ROLE = (16,)
"""Being in a role and taking it became two things with PostgreSQL 16."""


@dataclass(frozen=True)
class Answer:
    """What the server says of one need."""

    need: Need
    steps: Sequence[str]
    there: bool
    held: bool
    owner: str | None
    """Of the object, quoted where it has to be."""
    owner_is_superuser: bool
    owned: Need
    """What to make somebody the owner of: of an index or a column's sequence its table."""


def wanted(
    connection: psycopg.Connection[TupleRow], schemas: Sequence[str], steps: Sequence[Step]
) -> dict[Need, list[str]]:
    """What steps need, and for each need the steps that do; of hand-written SQL too, whose names are looked up.

    Args:
        schemas: of the store; a name without a schema is in the first, or in one of the path.
    """
    found = needs.of_steps(steps)
    if not written.any_in(steps):
        return found
    for need, ids in _placed(connection, schemas, written.of_steps(steps)):
        known = found.setdefault(need, [])
        known += [own for own in ids if own not in known]
    return found


def _placed(
    connection: psycopg.Connection[TupleRow], schemas: Sequence[str], found: Mapping[Need, list[str]]
) -> Iterator[tuple[Need, list[str]]]:
    """Needs with the schemas of their names, and USAGE on those; without what is not there."""
    named = [n for n in found if n.kind in (*needs.IN_SCHEMAS, *needs.PLACES, written.TRACKING)]
    places: dict[Need, tuple[str, str]] = {}
    if named:
        given = [n.name[-2] if len(n.name) > 1 else None for n in named]
        columns = ([n.kind for n in named], given, [n.name[-1] for n in named], schemas[0])
        rows = connection.execute(_PLACES, columns).fetchall()
        places = {named[at]: (str(schema), str(name)) for at, schema, name in rows if name is not None}
    for need, ids in found.items():
        place = places.get(need)
        if place is not None and need.kind in needs.PLACES:
            yield Need("schema", place[:1], need.privilege), ids
        elif place is not None:
            own = ("SELECT", "INSERT", "UPDATE") if need.kind == written.TRACKING else (need.privilege,)
            kind = written.ROWS if need.kind == written.TRACKING else need.kind
            yield from ((Need(kind, place, privilege), ids) for privilege in own)
            yield Need("schema", place[:1], "USAGE"), ids
        elif need.kind == written.TRACKING:
            yield Need("schema", need.name[:-1] or (schemas[0],), "CREATE"), ids
        elif need.kind not in (*needs.IN_SCHEMAS, *needs.PLACES):
            yield need._replace(name=need.name or (schemas[0],)), ids


def asked(
    connection: psycopg.Connection[TupleRow], server: Server, wanted: Mapping[Need, Sequence[str]]
) -> list[Answer]:
    """The server's answer to each need (of `needs.of_steps`), and of partitions besides; what the plan makes itself is
    not there yet."""
    if not wanted:
        return []
    known = [_for_server(need, server) for need in wanted]
    columns = (
        [n.kind for n in known],
        [n.name[0] if n.kind in ("schema", "new schema") or len(n.name) > 1 else None for n in known],
        [n.name[-1] for n in known],
        [n.privilege for n in known],
    )
    member = "SET" if server.numbers >= _SET_ROLE else "MEMBER"
    rows = connection.execute(_ASK, (member, *columns)).fetchall()
    every = list(wanted.items())
    return [_answer(*every[place], *row) for place, *row in rows]


def _answer(
    need: Need,
    ids: Sequence[str],
    there: bool,
    held: bool,
    owner: str | None,
    superuser: bool,
    kind: str,
    name: Sequence[str] | None,
    table: Sequence[str] | None,
) -> Answer:
    if name is not None:  # of a partition its own
        need = need._replace(name=tuple(name))
    owned = need._replace(kind=kind, name=tuple(table or need.name))
    return Answer(need, ids, there, held, owner, superuser, owned)


def _for_server(need: Need, server: Server) -> Need:
    """A new extension takes CREATE on the database where that is enough for it, else a superuser."""
    if need.kind == "extension" and need.privilege == "CREATE":
        by_owner = need.name[0] in server.facts["trusted_extensions"]
        name = str(server.facts["database"])
        return Need("database", (name,), "CREATE") if by_owner else Need("server", need.name, SUPERUSER)
    return need


def _head(need: Need) -> str:
    return need.name[1].partition("(")[0]


def _tail(need: Need) -> str:
    return need.name[1][len(_head(need)) :]


def checks(server: Server, steps: Sequence[Step], answers: Iterable[Answer]) -> list[Check]:
    """A check for each need; what is missing stops, and says what to paste."""
    made = needs.made(steps) | written.made(steps)
    managed = stands_in(server)
    found: list[Check] = []
    for answer in answers:
        need = answer.need
        if not answer.there:
            if need.kind == "schema" and need.name not in made and need.privilege == "CREATE":
                found.append(_no_schema(need, answer.steps))
        elif answer.held or (managed and _for_server(need, server).kind == "server"):
            found.append(Check(Topic.PRIVILEGES, Verdict.GOOD, said(need), where=needs.steps_said(answer.steps)))
        else:
            found.append(_missing(server, answer))
    return found


def said(need: Need) -> str:
    """`CREATE on schema public`, `owner of public.documents`."""
    what = shown(need)
    if need.privilege == "CREATE" and need.kind in ("new schema", "extension"):
        return f"CREATE on the database for {what.removeprefix('new ')}"
    return {
        OWNER: f"owner of {what}",
        DROP: f"owner of {what} or its schema",
        MEMBER: f"member of {what}",
        SUPERUSER: "superuser",
    }.get(need.privilege, f"{need.privilege} on {what}")


def shown(need: Need) -> str:
    """An object as people write it, with its kind where the name does not say it."""
    if need.kind == "routine":
        return f"{as_shown(need.name[0])}.{as_shown(_head(need))}{_tail(need)}"
    name = ".".join(map(as_shown, need.name))
    return name if need.kind in ("relation", "rows") else f"{need.kind} {name}"


def _no_schema(need: Need, steps: Sequence[str]) -> Check:
    schema = need.name[0]
    what = f"there is no schema {schema}; {needs.steps_said(steps)}"
    return Check(Topic.PRIVILEGES, Verdict.STOPS, what, f"declare it: `schemas: {{{schema}: {{}}}}`")


def _missing(server: Server, answer: Answer) -> Check:
    what, hint = _told(server, answer)
    what = f"{what}; {needs.steps_said(answer.steps)}"
    return Check(Topic.PRIVILEGES, Verdict.STOPS, what, hint, shown(answer.need))


def _told(server: Server, answer: Answer) -> tuple[str, str]:
    """What is missing, and the line to paste."""
    user, database, need = str(server.facts["user"]), str(server.facts["database"]), answer.need
    who, what = identifier(user), shown(need)
    if need.kind == "server":
        told = f"{user} is no superuser, which event trigger {need.name[0]} needs"
        return told, "run this plan as a superuser, or leave event triggers out"
    if need.kind == "extension" and need.privilege == "CREATE":
        told = f"{user} may not create the {what} in database {database}"
        if need.name[0] in server.facts["trusted_extensions"]:
            return told, grant(Need("database", (database,), "CREATE"), who, database)
        return told, f"have a superuser run, in this database: CREATE EXTENSION {identifier(*need.name)}"
    if need.privilege == MEMBER:
        return f"{user} is no member of {what}", f"GRANT {identifier(*need.name)} TO {who}"
    if need.privilege in (OWNER, DROP):
        verb = "dropped" if need.privilege == DROP else "altered"
        told = f"{user} does not own {what}, {answer.owner} does: it cannot be {verb}"
        if need.kind == "extension":
            return told, f"run this plan as {answer.owner}, for extensions do not change owners"
        if answer.owner_is_superuser:
            return told, f"{owner_statement(answer.owned, who)}; or run this plan as {answer.owner}"
        return told, f"GRANT {answer.owner} TO {who}; or set `role: {answer.owner}` of store {server.name}"
    if need.kind == "new schema":
        return f"{user} may not create schemas in database {database}", grant(need, who, database)
    if need.privilege == "CREATE":
        return f"{user} may not create in {what}", grant(need, who, database)
    return f"{user} lacks {need.privilege} on {what}", grant(need, who, database)


_KIND_WORDS = {
    "relation": "TABLE", "rows": "TABLE", "routine": "ROUTINE", "statistics": "STATISTICS", "collation": "COLLATION",
    "type": "TYPE", "schema": "SCHEMA", "language": "LANGUAGE", "extension": "EXTENSION",
    "publication": "PUBLICATION",
}  # fmt: skip


def sql_name(need: Need) -> str:
    """`TABLE "public"."documents"`, as GRANT and ALTER … OWNER want it."""
    word = _KIND_WORDS[need.kind]
    if need.kind == "routine":
        return f"{word} {identifier(need.name[0], _head(need))}{_tail(need)}"
    return f"{word} {identifier(*need.name)}"


def grant(need: Need, who: str, database: str) -> str:
    """The GRANT that gives `need`."""
    privilege, option = need.privilege, ""
    if privilege.endswith(" WITH GRANT OPTION"):
        privilege, option = privilege.removesuffix(" WITH GRANT OPTION"), " WITH GRANT OPTION"
    of_database = need.kind in ("database", "new schema")
    name = f"DATABASE {identifier(database)}" if of_database else sql_name(need)
    return f"GRANT {privilege} ON {name} TO {who}{option}"


def owner_statement(need: Need, who: str) -> str:
    """What makes somebody the owner of an object whose owner's role must not be given away."""
    return f"ALTER {sql_name(need)} OWNER TO {who}"
