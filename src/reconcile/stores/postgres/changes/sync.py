"""A second column that a trigger keeps in step with the first while both exist: statements, and how it is recognised.

The trigger's function lives in the tool's own schema and says in its comment, as JSON, what it is about; its digest
tells whether it is the one that would be made now. So the catalog alone shows how far a broken run had come.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace

from reconcile.model import Address
from reconcile.stores.postgres.changes.keeping import OWN
from reconcile.stores.postgres.resources import OWN_SCHEMA, Column
from reconcile.stores.postgres.sqltables import column_calls
from reconcile.stores.postgres.sqltext import as_written, do_block, dotted, helper_name, ident, literal, relation


@dataclass(frozen=True)
class Pair:
    """An old column and the new one beside it."""

    table: Address
    old: str
    """The name the old one has in the store."""
    new: str
    column: Column
    """What the new one is made as: type and collation count."""
    value: str
    """SQL over the columns of a row: what the new column holds. The table goes by its own name."""
    both_ways: bool = False
    """Whether applications write the new one too."""

    @classmethod
    def begun(cls, column: Column) -> Pair:
        """The pair that a live column, put beside another by an earlier run, belongs to."""
        assert column.beside is not None, "a trigger keeps it in step"
        return cls(column.table, column.beside, column.name, column, "NULL")

    @property
    def digest(self) -> str:
        """Of all that the trigger does."""
        text = json.dumps([self._body(), self.column.type, self.column.collation, self._settings()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def trigger(self) -> str:
        """Triggers fire in the order of their names: after all others, which may still change the old column."""
        return helper_name(f"~{self.old}", "sync")

    @property
    def function(self) -> str:
        """Qualified and quoted."""
        return ident(OWN_SCHEMA, helper_name("_".join((*self.table.parts, self.old)), "sync"))

    def make(self) -> list[str]:
        """Add the column and the trigger; what is there of them already is from a try of the same step."""
        table = relation(self.table)
        collate = f" COLLATE {dotted(self.column.collation)}" if self.column.collation else ""
        note = json.dumps({"old": self.old, "new": self.new, "digest": self.digest}, ensure_ascii=False)
        return [
            OWN,
            f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {ident(self.new)}"
            f" {as_written(self.column, 'type')}{collate}",
            *self._settings(),
            f"CREATE OR REPLACE FUNCTION {self.function}() RETURNS trigger LANGUAGE plpgsql"
            f" SET search_path FROM CURRENT AS {literal(self._body())}",
            f"COMMENT ON FUNCTION {self.function}() IS {literal(note)}",
            f"DROP TRIGGER IF EXISTS {ident(self.trigger)} ON {table}",
            f"CREATE TRIGGER {ident(self.trigger)} BEFORE INSERT OR UPDATE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION {self.function}()",
            # also where rows come by logical replication, and in the backfill, which fires no other trigger
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {ident(self.trigger)}",
            copy_grants(self.table, self.old, self.new),
        ]

    def _settings(self) -> list[str]:
        there = replace(self.column, address=self.table.child("column", self.new), live_name=None)
        return column_calls(None, there)

    def remove(self) -> list[str]:
        """Take the trigger away; the column stays."""
        return [
            f"DROP TRIGGER {ident(self.trigger)} ON {relation(self.table)}",
            f"DROP FUNCTION {self.function}()",
        ]

    def _body(self) -> str:
        row, new, old = ident(self.table.parts[1]), f"NEW.{ident(self.new)}", f"NEW.{ident(self.old)}"
        forward = f"{new} := (SELECT {self.value} FROM (SELECT NEW.*) AS {row});"
        if not self.both_ways:
            return f"BEGIN {forward} RETURN NEW; END"
        # BEFORE triggers change the row in hand: nothing fires again. Who writes the new column wins: only an
        # application that knows it does, and the old one may have got its default.
        moved = f"{new} IS DISTINCT FROM OLD.{ident(self.new)} AND {old} IS NOT DISTINCT FROM OLD.{ident(self.old)}"
        return (
            f"BEGIN IF TG_OP = 'INSERT' THEN IF {new} IS NOT NULL THEN {old} := {new}; END IF;"
            f" ELSIF {_comparable(self.column, moved)} THEN {old} := {new}; END IF; {forward} RETURN NEW; END"
        )


def _comparable(column: Column, condition: str) -> str:
    """Types without an equality operator are compared as text."""
    if column.type.rpartition(".")[2] not in NOT_COMPARED:
        return condition
    return re.sub(r'((?:NEW|OLD)\."(?:[^"]|"")*")', r"\1::text", condition)


NOT_COMPARED = frozenset({"json", "xml", "point", "polygon", "json[]", "xml[]", "point[]", "polygon[]"})


def distinct(column: Column, left: str, right: str) -> str:
    """`left IS DISTINCT FROM right`, also for types that have no equality."""
    if column.type.rpartition(".")[2] in NOT_COMPARED:
        return f"({left})::text IS DISTINCT FROM ({right})::text"
    return f"{left} IS DISTINCT FROM ({right})"


def copy_grants(table: Address, old: str, new: str) -> str:
    """Give the new column the grants that the old one has of its own."""
    name = literal(relation(table))
    return do_block(
        " DECLARE statement text; BEGIN FOR statement IN"
        f" SELECT format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, {literal(new)}, a.attrelid::regclass,"
        " CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,"
        " CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
        f" FROM pg_attribute a, aclexplode(a.attacl) g WHERE a.attrelid = {name}::regclass"
        f" AND a.attname = {literal(old)} LOOP EXECUTE statement; END LOOP; END "
    )


def nothing_hangs_on(table: Address, column: str) -> str:
    """Refuse to go on where DROP COLUMN would take something along without a word."""
    name = literal(relation(table))
    return do_block(
        " DECLARE what text; BEGIN"
        " SELECT string_agg(pg_describe_object(d.classid, d.objid, d.objsubid), ', ') INTO what"
        " FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
        f" WHERE d.refclassid = 'pg_class'::regclass AND a.attrelid = {name}::regclass"
        f" AND a.attname = {literal(column)} AND d.classid <> 'pg_attrdef'::regclass"
        " AND NOT (d.classid = 'pg_class'::regclass AND d.deptype = 'i')"
        " AND NOT EXISTS (SELECT FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass"
        " AND k.oid = d.objid AND k.contype = 'n');"
        " IF what IS NOT NULL THEN RAISE EXCEPTION USING MESSAGE ="
        f" format('%s still uses column %I of %s', what, {literal(column)}, {name}); END IF; END "
    )


TIDY = do_block(
    " BEGIN"
    " IF NOT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass"
    f" AND refobjid = to_regnamespace({literal(ident(OWN_SCHEMA))})) THEN"
    f" DROP SCHEMA IF EXISTS {ident(OWN_SCHEMA)}; END IF; END "
)
"""Leave no empty schema behind: the ledger may be elsewhere."""
