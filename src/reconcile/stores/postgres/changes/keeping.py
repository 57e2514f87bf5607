"""Tables and columns that hold data and go: kept under another name, out of everybody's way, and brought back.

A table moves to the tool's own schema with its columns, keys, checks and indexes; foreign keys, triggers, policies and
statistics go, for they would bind others or need them. Its grants stay and give nothing: nobody may look into that
schema. What it was published in it stays published in. A column stays in its table, where it binds nobody any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator

from reconcile.change import Op, Phase, Sql, Step, Timeouts, World
from reconcile.facts import no
from reconcile.hazards import Hazard
from reconcile.model import Address, Resource
from reconcile.stores.postgres.changes.common import sequences_owned
from reconcile.stores.postgres.changes.homes import keys_in
from reconcile.stores.postgres.names import identity_sequence
from reconcile.stores.postgres.resources import (
    OWN_SCHEMA,
    Check,
    Column,
    Exclusion,
    ForeignKey,
    Index,
    Key,
    Policy,
    PostgresResource,
    Statistics,
    Table,
    Trigger,
)
from reconcile.stores.postgres.resources import Sequence as Sequence_
from reconcile.stores.postgres.sqlattached import drop_policy, drop_trigger
from reconcile.stores.postgres.sqltext import NAME_BYTES, do_block, ident, literal, object_name, relation

STAYING = (Column, Key, Check, Exclusion, Index)
"""What a kept table keeps."""
INDEXED = (Key, Exclusion, Index)
"""What has a name of its schema, which the next table of that name may want."""

OWN = do_block(
    f" BEGIN IF to_regnamespace({literal(ident(OWN_SCHEMA))}) IS NULL THEN"
    f" CREATE SCHEMA {ident(OWN_SCHEMA)}; END IF; END "
)


def kept_as(stamp: str, name: str) -> str:
    """`kept_STAMP_NAME`, cut at a character where it is too long for a name.

    >>> kept_as("1a2b3c4d", "notes")
    'kept_1a2b3c4d_notes'
    """
    prefix = f"kept_{stamp}_"
    return prefix + name.encode()[: NAME_BYTES - len(prefix)].decode(errors="ignore")


def _stamp(*what: object) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _free(world: World, address: Address, parts: Iterable[Resource]) -> str:
    """The name it is kept under: it follows from what it is; where that is taken, the next one."""
    said = [[str(r.address), r.attributes()] for r in parts]
    number = 0
    while (name := kept_as(_stamp(str(address), said, number), address.parts[-1])) in world.keeping.taken:
        number += 1
    return name


def kept_at(address: Address, name: str) -> Address:
    """Where a table or column is that is kept under a name.

    >>> str(kept_at(Address("app", "table", ("public", "notes")), "kept_1a2b3c4d_notes"))
    'app.table.reconcile.kept_1a2b3c4d_notes'
    """
    return Address(
        address.store, address.kind, (*address.parts[:-1], name) if len(address.parts) > 2 else (OWN_SCHEMA, name)
    )


def part_name(name: str, schema: str, part: str) -> str:
    """What a partition, an index or a sequence of something kept is called meanwhile."""
    return kept_as(_stamp(name, schema, part), part)


def table_name(world: World, table: Table) -> str | None:
    """What a table that goes is kept as; None where its rows may go, or where something in it needs what goes too."""
    address = table.address
    if world.keeping.deletes(address) or table.leftover_of is not None or world.empty(address):
        return None
    if table_not_kept(world, table) is not None:
        return None
    return _free(world, address, [table, *staying(world, address)])


def table_not_kept(world: World, table: Table) -> str | None:
    """Why the rows of a table cannot be kept; None where they can."""
    parts = [table, *staying(world, table.address)]
    inside = {r.address for r in (*parts, *sequences_owned(world, *(p.address for p in parts)))}
    inside |= {table.parent} if table.parent is not None else set()
    return _goes_too(world, (a for r in parts for a in r.refers if a not in inside and a.kind != "schema"))


def _goes_too(world: World, used: Iterable[Address]) -> str | None:
    gone = sorted({str(a) for a in used if world.drops(a)})
    return f"it uses what this plan drops: {', '.join(gone)}" if gone else None


def column_name(world: World, column: Column) -> str | None:
    """What a column that goes is kept as; None as of a table, and where it could not be left out of an INSERT."""
    if world.keeping.deletes(column.address) or column.leftover_of is not None or column.generated is not None:
        return None
    if valueless(world, column) or column_not_kept(world, column) is not None:
        return None
    return _free(world, column.address, [column])


def valueless(world: World, column: Column) -> bool:
    """Whether a column has no value in any row."""
    return world.empty(column.table) or (not column.not_null and world.empty(column.address))


def look_again(column: Column) -> list[str]:
    """The statements that refuse to drop a column that has got values since the plan was made."""
    table, said = relation(column.table), literal(f"column {column.name} had no values when planned, and has some now")
    look = do_block(
        f" BEGIN IF EXISTS (SELECT FROM {table} WHERE {ident(column.name)} IS NOT NULL) THEN RAISE EXCEPTION USING"
        f" MESSAGE = {said}, HINT = 'nothing was dropped; plan again'; END IF; END "
    )
    return [f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE", look]


def column_not_kept(world: World, column: Column) -> str | None:
    """Why the values of a column cannot be kept; None where they can, or where it has none of its own."""
    if column.held_by or column.published:
        return "something that is not modelled uses it"
    types = (world.live.get(a) for a in column.refers if a.kind == "domain")
    if (domain := next((t for t in types if getattr(t, "not_null", False)), None)) is not None:
        return f"{domain.address} allows no NULL, so that rows could not be added without it"
    own = {s.address for s in sequences_owned(world, column.address)}
    return _goes_too(world, (a for a in column.refers if a not in own))


def of_table(world: World, table: Table) -> Iterator[str]:
    """What the reader of a plan should know of why the rows of a table go."""
    leftover = table.leftover_of is not None or world.keeping.deletes(table.address)
    if not leftover and not world.empty(table.address):
        yield from unkept(table.address, table_not_kept(world, table))


def unkept(address: Address, why: str | None) -> Iterator[str]:
    """For the reader of a plan that deletes data which others would keep."""
    if why is not None:
        yield f"the data of {address} cannot be kept: {why}"


def staying(world: World, table: Address) -> list[PostgresResource]:
    """What of a table stays in it when it is kept; its partitions and what stays in those are among it."""
    found: list[PostgresResource] = []
    for part in world.live.children(table):
        if isinstance(part, Table):  # unless it goes on as a table of its own
            found += [part, *staying(world, part.address)] if part.address not in world.target else []
        elif isinstance(part, STAYING):
            found.append(part)
    return found


def keep_table(world: World, table: Table, name: str, apart: Container[Address]) -> list[str]:
    """The statements that put it away, with its partitions.

    Args:
        apart: what of it goes by steps of its own.
    """
    tree = [table, *(p for p in staying(world, table.address) if isinstance(p, Table))]
    children = [r for t in tree for r in world.live.children(t.address) if r.address not in apart]
    calls = [OWN, *(call for part in children for call in _taken_off(part))]
    owned = sequences_owned(world, *(r.address for r in children))
    calls += renamed(name, [*tree, *children, *owned])
    for one in tree:
        called = name if one is table else part_name(name, one.schema, one.name)
        calls.append(f"ALTER TABLE {relation(one.address)} RENAME TO {ident(called)}")
        calls.append(f"ALTER TABLE {ident(one.schema, called)} SET SCHEMA {ident(OWN_SCHEMA)}")
    return calls


def settle_detached(world: World, table: Table) -> str:
    """The statement that takes off a detached partition what it had from its table and would bind others.

    Foreign keys, and the check that DETACH … CONCURRENTLY leaves behind.
    """
    checks = {c.name for c in keys_in(world.live, table.address) if isinstance(c, Check)}
    keys = {k.name for k in world.live.children(table.address) if isinstance(k, ForeignKey)}  # taken off by name
    own = f"ARRAY[{', '.join(map(literal, sorted(checks | keys)))}]::name[]"
    return do_block(f"""
DECLARE x record;
BEGIN
  FOR x IN
    SELECT conrelid::regclass AS place, conname FROM pg_constraint
    WHERE conrelid = {literal(relation(table.address))}::regclass AND conparentid = 0
      AND contype IN ('c', 'f') AND conname <> ALL ({own})
  LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', x.place, x.conname);
  END LOOP;
END
""")


def _taken_off(part: Resource) -> list[str]:
    if isinstance(part, ForeignKey):
        return [f"ALTER TABLE {relation(part.table)} DROP CONSTRAINT {ident(part.name)}"]
    if isinstance(part, Trigger):
        return [drop_trigger(part)]
    if isinstance(part, Policy):
        return [drop_policy(part)]
    return [f"DROP STATISTICS {object_name(part)}"] if isinstance(part, Statistics) else []


def renamed(name: str, parts: Iterable[Resource], *, back: bool = False) -> list[str]:
    """Statements that give what has a name of its schema another, or its own again."""
    calls = []
    for kind, schema, own in dict.fromkeys(_named(parts)):
        kept = part_name(name, schema, own)
        now, then = (kept, own) if back else (own, kept)
        calls.append(f"ALTER {kind} {ident(schema, now)} RENAME TO {ident(then)}")
    return calls


def _named(parts: Iterable[Resource]) -> Iterator[tuple[str, str, str]]:
    """(INDEX or SEQUENCE, schema, name) of what has a name of the schema."""
    for part in parts:
        if isinstance(part, INDEXED):
            yield "INDEX", part.schema, part.name
        elif isinstance(part, Table):
            yield from (("INDEX", part.schema, own) for own, _ in part.inherited)
        elif isinstance(part, Sequence_):
            yield "SEQUENCE", part.schema, part.name
        elif isinstance(part, Column) and part.identity:
            given = dict(part.identity_options).get("sequence_name")
            yield "SEQUENCE", part.schema, given or identity_sequence(part.address.parts[1], part.address.parts[2])


def keep_column(world: World, column: Column, name: str) -> list[str]:
    """The statements that put it out of the way: the name last, so that they can be read.

    An identity goes on counting, which allows nobody to leave it NULL and asks nobody for a value.
    """
    alter = f"ALTER TABLE {relation(column.table)} ALTER COLUMN {ident(column.name)}"
    owned = [s for s in sequences_owned(world, column.address) if world.drops(s.address)]
    return [
        *([f"{alter} DROP DEFAULT"] if column.default is not None else []),
        *([f"{alter} DROP NOT NULL"] if column.not_null and not column.identity else []),
        *renamed(name, [column, *owned]),
        f"ALTER TABLE {relation(column.table)} RENAME COLUMN {ident(column.name)} TO {ident(name)}",
    ]


def guards(address: Address) -> list[Op]:
    """What is looked at before a table or column is dropped by hand: whether it holds anything.

    >>> [op.args["sql"] for op in guards(Address("app", "column", ("public", "notes", "body")))]
    ['SELECT * FROM "public"."notes" WHERE "body" IS NOT NULL']
    """
    if address.kind not in ("table", "column"):
        return []
    held = f" WHERE {ident(address.parts[-1])} IS NOT NULL" if address.kind == "column" else ""
    return [Op("holds_nothing", {"sql": f"SELECT * FROM {relation(address)}{held}", "what": f"{address} holds rows"})]


def purged(address: Address, name: str) -> Step:
    """The step that deletes something kept."""
    call = f"DROP TABLE IF EXISTS {ident(OWN_SCHEMA, name)}"
    if address.kind == "column":
        call = f"ALTER TABLE {relation(address)} DROP COLUMN IF EXISTS {ident(name)}"
    there = Address(address.store, "kept", (address.kind, name))
    return Step(
        id=f"{there}/1-purge",
        address=address,
        calls=(Sql(call),),
        phase=Phase.CONTRACT,
        journalled=True,
        gives=frozenset({no(there)}),
        hazards=frozenset({Hazard.DELETES_DATA, Hazard.IRREVERSIBLE}),
        timeouts=Timeouts(lock="2s", statement="60s"),
    )
