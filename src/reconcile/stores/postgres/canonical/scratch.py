"""The scratch build: declared objects made in schemas of their own, read back, rolled back.

Only scratch objects are referred to, but for functions, types that are not modelled and what is external. Foreign
keys are never built: REFERENCES locks the live table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors

from reconcile.errors import Problem
from reconcile.model import Address, Resource, State
from reconcile.stores.base import Live
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.canonical.closure import BUILT, Closure, built_names
from reconcile.stores.postgres.canonical.statements import LATE, OBJECTS, PARTS, column, routine
from reconcile.stores.postgres.canonical.statements import table as create_table
from reconcile.stores.postgres.introspect import read, settle
from reconcile.stores.postgres.names import as_shown, join
from reconcile.stores.postgres.sqltext import ident, idents
from reconcile.stores.postgres.sqltokens import rewrite

if TYPE_CHECKING:
    from reconcile.stores.postgres.canonical import Connected

PREFIX = "_reconcile_scratch_"
_SCRATCH = re.compile(rf'"?{PREFIX}\d+_(\d+)"?')

_OUTSIDE = """
select distinct v.relname, tn.nspname, t.relname
from pg_depend d
left join pg_rewrite w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
left join pg_attrdef f on d.classid = 'pg_attrdef'::regclass and f.oid = d.objid
join pg_class v on v.oid = coalesce(w.ev_class, f.adrelid) join pg_namespace vn on vn.oid = v.relnamespace
join pg_class t on t.oid = d.refobjid and d.refclassid = 'pg_class'::regclass
join pg_namespace tn on tn.oid = t.relnamespace
where vn.nspname = any(%s) and tn.nspname = any(%s)
"""
"""Live relations in scope that scratch objects came to depend on."""

_MEMBERS = """
select distinct coalesce(t.typname, p.proname, o.oprname, k.opcname)::text
from pg_depend d join pg_extension e on d.refclassid = 'pg_extension'::regclass and e.oid = d.refobjid
left join pg_type t on d.classid = 'pg_type'::regclass and t.oid = d.objid
left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
left join pg_operator o on d.classid = 'pg_operator'::regclass and o.oid = d.objid
left join pg_opclass k on d.classid = 'pg_opclass'::regclass and k.oid = d.objid
where d.deptype = 'e' and e.extname = %s and coalesce(t.typname, p.proname, o.oprname, k.opcname) is not null
"""
"""What an extension has that is called by name."""

HERE = (errors.InsufficientPrivilege, errors.LockNotAvailable, errors.QueryCanceled, errors.ReadOnlySqlTransaction)
"""Errors that say nothing about what is declared."""

SURE = (
    errors.SyntaxError,
    errors.DatatypeMismatch,
    errors.InvalidTextRepresentation,
    errors.InvalidObjectDefinition,
    errors.InvalidColumnReference,
    errors.GroupingError,
    errors.CannotCoerce,
)
"""Errors that any build would meet, whatever things are called in it."""


@dataclass
class Built:
    """What came of a scratch build."""

    found: dict[Address, Resource] = field(default_factory=dict)
    """In the server's spelling."""
    problems: list[Problem] = field(default_factory=list)
    reasons: dict[Address, str] = field(default_factory=dict)
    """Why one object could not be built here, where that is not the fault of what is declared."""
    impossible: str | None = None
    """Why nothing could be."""
    hows: dict[Address, str] = field(default_factory=dict)
    """Where each of `found` was built, as a `Receipt` says it."""
    notes: list[str] = field(default_factory=list)
    """What a reader of the plan should know of how it was built."""


def _is_late(x: Resource) -> bool:
    if isinstance(x, r.View):
        return bool(x.column_defaults)
    return type(x) in LATE or (x.container is not None and x.container.kind == "materialized_view")


class Scratch:
    """One build in the live database, in schemas of its own; `run` once."""

    def __init__(
        self,
        session: Connected,
        connection: psycopg.Connection[Any],
        closure: Closure,
        live: Live,
        wanted: Sequence[Resource],
    ) -> None:
        self.session, self.connection, self.closure, self.live = session, connection, closure, live
        self.desired = closure.desired
        self.wanted = {x.address: x for x in wanted}
        self.needed = {a for x in wanted for a in closure.needs(x)} | {
            x.address for x in wanted if type(x) in OBJECTS or isinstance(x, r.Table)
        }
        tables = [x for a in self.needed if isinstance(x := self.desired.get(a), r.Table)]
        self.split = {x.parent for x in tables} | {x.address for x in wanted}
        """Tables that are built partitioned: their partitions, or how they are, is looked at."""
        self.keyed = {a for x in wanted if isinstance(x, r.VIEWS) for a in closure.needs(x)}
        """Tables under views: their primary keys decide what GROUP BY lets through."""
        self.built = {(a.parts[0], n) for a in self.needed if a in self.desired for n in built_names(self.desired[a])}
        first = session.schemas[0]
        self.schemas = list(dict.fromkeys([first, *sorted(a.parts[0] for a in (*self.needed, *self.wanted))]))
        own = f"{PREFIX}{connection.info.backend_pid}_"  # another plan of this moment would wait for equal names
        self.scratch = {name: f"{own}{n}" for n, name in enumerate(self.schemas)}
        self.names = {scratch: name for name, scratch in self.scratch.items()}
        self.result = Built()
        self.broken: set[Address] = set()
        self.everywhere = self.declared = self.spelled = ""
        """Search paths: with the live schemas, and without, where a live overload could be taken for a declared one;
        and as introspection has it."""
        self.moved: dict[tuple[str, str], str] = {}
        """By (schema, name), where what belongs to an extension that is to move is now."""
        self.lacking = False
        """Whether a declared extension could not be made here: what is missing may be its."""

    def run(self) -> Built:
        """Build all, read back."""
        settle(self.connection, [])
        self.prepare()
        self.extensions()
        settle(self.connection, [self.scratch[self.schemas[0]]], self.schemas[:1])
        self._paths()
        self._look_in(self.declared)
        parts: dict[Address, list[Resource]] = {a: [] for a in sorted(self.needed) if a.kind == "table"}
        late = []
        for x in self.wanted.values():
            if _is_late(x):
                late.append(x)
            elif x.container in parts:
                parts[x.container].append(x)
        bare = []
        for address in self._order(parts):
            if address in parts:
                bare += [] if self._table(address, parts[address]) else [address]
            elif (found := self.desired.get(address)) is not None:
                made = self._try(found, self.object(found))
                if made and isinstance(found, r.Function | r.Procedure) and address in self.wanted:
                    self._look_at_body(found)
        for address in bare:
            self._fill(address, parts[address])
        for x in late:
            self._try(x, (LATE.get(type(x)) or PARTS[type(x)])(self, x))
        self._look_in(self.spelled)
        self.read()
        return self.result

    def prepare(self) -> None:
        """Make the scratch schemas."""
        self._execute(*(f"CREATE SCHEMA {ident(s)}" for s in self.names))

    def _paths(self) -> None:
        row = self.connection.execute("SELECT current_schemas(false)").fetchone()
        there = [str(name) for name in (row or [()])[0]]
        self.everywhere = ", ".join(map(ident, there))
        self.declared = ", ".join(ident(name) for name in there if name not in self.session.schemas)
        self.spelled = ", ".join(ident(name) for name in there if name not in self.session.schemas[1:])

    def _look_in(self, path: str) -> None:
        self.connection.execute("SELECT set_config('search_path', %s, true)", (path,))

    def extensions(self) -> None:
        """Those that are to come, each where it will be: what they bring may be called by its schema's name."""
        there = {x.address: x for x in self.live.state.of_kind("extension")}
        for x in self.desired.of_kind("extension"):
            now = there.get(x.address)
            if isinstance(x, r.Extension) and isinstance(now, r.Extension):
                if x.in_schema and now.in_schema and x.in_schema != now.in_schema:
                    rows = self.connection.execute(_MEMBERS, [x.name]).fetchall()
                    self.moved |= {(x.in_schema, name): now.in_schema for (name,) in rows}
            elif isinstance(x, r.Extension):
                make = f"CREATE EXTENSION IF NOT EXISTS {ident(x.name)} SCHEMA {{}} CASCADE"
                home = ident(x.in_schema or self.schemas[0])
                if self.attempt(f"CREATE SCHEMA IF NOT EXISTS {home}", make.format(home)) is None:
                    continue  # else this role may make nothing there, or something of the same name is in the way
                if self.attempt(make.format(ident(self.scratch[self.schemas[0]]))) is not None:
                    self.lacking = True

    # -- statements --------------------------------------------------------------------------------------------

    def name(self, address: Address) -> str:
        """See `Names.name`."""
        return ident(*self.home(*address.parts[:2]))

    def home(self, schema: str, name: str) -> tuple[str, str]:
        """See `Names.home`."""
        return self.scratch[schema], name

    def sql(self, text: str) -> str:
        """See `Names.sql`."""

        def move(schema: str, name: str) -> str | None:
            own = self.scratch.get(schema) if (schema, name) in self.built else None
            return own or self.moved.get((schema, name))

        return rewrite(text, move)

    def _order(self, parts: Mapping[Address, Sequence[Resource]]) -> list[Address]:
        """All that is needed, each after what it needs; a table after what its wanted parts call.

        Where that goes round in a circle (a function of a table's rows in a check of that table), tables come as soon
        as their columns' types are there: their parts are added at the end.
        """
        needed = sorted(self.needed)
        graph = {a: set(self.closure.made_from(self.desired[a])) & self.needed for a in needed if a in self.desired}
        whole = {a: found | self._called(parts.get(a, ())) - {a} for a, found in graph.items()}
        for attempt in (whole, graph):
            try:
                return list(TopologicalSorter(attempt).static_order())
            except CycleError:
                continue
        return needed

    def _called(self, parts: Iterable[Resource]) -> set[Address]:
        return {a for x in parts for a in self.closure.needs(x)} & self.needed

    def _table(self, table: Address, parts: Sequence[Resource]) -> bool:
        """All of a table in one go; its columns alone, and False, where that fails."""
        statements = [PARTS[type(x)](self, x) for x in parts if type(x) in PARTS]
        if self.attempt(self._create(table, with_texts=True), *statements) is None:
            return True
        x = self.desired[table]
        if isinstance(x, r.Table) and x.parent is not None:
            if x.parent in self.broken:
                self.broken.add(table)
            else:
                self._try(x, self._create(table, with_texts=False))
        elif self.attempt(self._create(table, with_texts=False)) is None:
            pass
        elif table in self.split and self.attempt(self._create(table, with_texts=False, split=False)) is None:
            self._execute(f"DROP TABLE {self.name(table)}")
            self._try(x, self._create(table, with_texts=False))  # how it is partitioned is what is wrong
            self._execute(self._create(table, with_texts=False, split=False))
        else:
            self._execute(f"CREATE TABLE {self.name(table)} ()")
            for c in self.closure.columns.get(table, ()):
                self._try(c, f"ALTER TABLE {self.name(table)} ADD COLUMN {column(self, c, with_text=False)}")
        return False

    def _fill(self, table: Address, parts: Sequence[Resource]) -> None:
        """The parts of a table one by one, to find the one that is wrong."""
        alter = f"ALTER TABLE {self.name(table)}"
        for x in parts:
            if isinstance(x, r.Column) and x.address not in self.broken:
                name = ident(x.address.parts[-1])
                if x.generated is not None:
                    self._try(x, f"{alter} DROP COLUMN {name}, ADD COLUMN {column(self, x, with_text=True)}")
                elif x.default is not None:
                    self._try(x, f"{alter} ALTER COLUMN {name} SET DEFAULT {self.sql(x.default)}")
            elif type(x) in PARTS:
                self._try(x, PARTS[type(x)](self, x))

    def _create(self, table: Address, *, with_texts: bool, split: bool = True) -> str:
        columns = self.closure.columns.get(table, ())
        clauses = [column(self, c, with_text=with_texts and c.address in self.wanted) for c in columns]
        if table in self.keyed and table in self.closure.primary:
            clauses.append(f"PRIMARY KEY ({idents(self.closure.primary[table].columns)})")
        x = self.desired[table]
        assert isinstance(x, r.Table)
        return create_table(self, x, ", ".join(clauses), partitioned=split and table in self.split)

    def object(self, x: Resource) -> str:
        """What makes one that stands by itself."""
        return OBJECTS[type(x)](self, x)

    # -- running -----------------------------------------------------------------------------------------------

    def _execute(self, *statements: str) -> None:
        """Send them together. A pipeline speaks the extended protocol: no text can hold a second statement.

        Raises:
            psycopg.Error: the first one; what stood after it has not been run.
        """
        first: psycopg.Error | None = None
        try:
            with self.connection.pipeline() as pipeline:
                try:
                    for sql in statements:
                        self.connection.execute(sql.encode(), prepare=False)
                    pipeline.sync()
                except psycopg.Error as error:  # kept here: leaving the pipeline by it logs what is no news
                    first = error
        except errors.PipelineAborted:
            pass
        if first is not None:
            raise first

    def attempt(self, *statements: str) -> psycopg.Error | None:
        """Run them so that an error leaves nothing; the error. What is not declared is looked up where it lives."""
        error = self._once(*statements)
        if isinstance(error, MISSING) and self.everywhere:
            self._look_in(self.everywhere)
            error = self._once(*statements)
            self._look_in(self.declared)
        return error

    def _once(self, *statements: str) -> psycopg.Error | None:
        self.connection.execute("SAVEPOINT reconcile_scratch")
        try:
            self._execute(*statements, "RELEASE SAVEPOINT reconcile_scratch")
        except psycopg.Error as error:
            ours = (*HERE, errors.ObjectNotInPrerequisiteState)  # that a body deletes from a view, which is a table now
            if self.connection.closed or (isinstance(error, psycopg.OperationalError) and not isinstance(error, ours)):
                raise
            self.connection.execute("ROLLBACK TO SAVEPOINT reconcile_scratch")
            return error
        return None

    def _try(self, x: Resource, sql: str | Sequence[str]) -> bool:
        """Build one object; an error is a problem of its YAML line, unless it is of this place."""
        error = self.attempt(*([sql] if isinstance(sql, str) else sql))
        if error is None:
            return True
        self.broken.add(x.address)
        primary = self.shown(error.diag.message_primary or str(error).split("\n")[0])
        if not self.says(error):
            self.result.reasons[x.address] = f"{self.elsewhere}{primary}"
        elif isinstance(error, errors.UndefinedFunction) and PREFIX in (error.diag.message_primary or ""):
            self.result.reasons[x.address] = f"it calls a function of the live table's row type: {primary}"
        elif not (self.lacking and isinstance(error, MISSING)) and not self._follows(x, error):
            label = f"{x.address.kind.replace('_', ' ')} {join(*x.address.parts)}"
            hint = self.shown(error.diag.message_hint or "") or None
            self.result.problems.append(Problem(f"{label}: PostgreSQL says: {primary}", where=x.source, hint=hint))
        return False

    def _look_at_body(self, x: r.Routine) -> None:
        """Report a body that its language cannot read. That it names what is not there yet is no fault."""
        error = self._once(
            "SET LOCAL check_function_bodies = on",
            routine(self, x, replace=True),
            "SET LOCAL check_function_bodies = off",
        )
        context = (error.diag.context or "") if error is not None else ""
        if isinstance(error, errors.SyntaxError) and not _OF_TABLE.search(context.partition("\n")[0]):
            primary = self.shown(error.diag.message_primary or "")
            label = f"{x.address.kind} {join(*x.address.parts)}"
            where = self.shown(context) or None
            self.result.problems.append(Problem(f"{label}: PostgreSQL says: {primary}", where=x.source, hint=where))

    elsewhere = ""
    """What is said before an error that tells nothing of what is declared."""

    def says(self, error: psycopg.Error) -> bool:
        """Whether an error may be the fault of what is declared."""
        return not isinstance(error, HERE)

    def _follows(self, x: Resource, error: psycopg.Error) -> bool:
        """Whether the error only follows from another object that could not be built."""
        around = {*self.closure.needs(x), *x.refers}
        return isinstance(error, MISSING) and bool(around & self.broken)

    def shown(self, text: str) -> str:
        """A message of the server's with the names of the scratch schemas replaced."""
        return _SCRATCH.sub(lambda m: self.schemas[int(m[1])], text)

    def spell(self, text: str) -> str:
        """A server's text with the names of the scratch schemas replaced, quoted where that needs to be."""
        if PREFIX not in text:
            return text
        return _SCRATCH.sub(lambda m: as_shown(self.schemas[int(m[1])]), text)

    def read(self) -> None:
        """Read what was built, and take what was wanted into `result`."""
        state = read(self.connection, self.session.name, self.names, self.spell)
        rows = self.connection.execute(_OUTSIDE, (list(self.names), self.schemas)).fetchall()
        outside = {name: (schema, relation) for name, schema, relation in rows if self._is_declared(schema, relation)}
        for address in self.wanted:
            found = self.found(state, address)
            if found is None or address in self.broken:
                continue
            own = self.home(*address.parts[:2])[1]
            if own in outside and address.kind in ("view", "materialized_view", "column"):
                other = join(*outside[own])
                self.result.reasons[address] = f"it came to name the live {other} instead of the declared one"
            else:
                self.result.found[address] = found

    def found(self, state: State, address: Address) -> Resource | None:
        """What was built for a declared address, out of what was read back."""
        return state.get(address)

    def _is_declared(self, schema: str, name: str) -> bool:
        return any(Address(self.session.name, k, (schema, name)) in self.desired for k in BUILT)


MISSING = (
    *(errors.UndefinedObject, errors.UndefinedFunction, errors.UndefinedTable, errors.UndefinedColumn),
    errors.InvalidSchemaName,
)
_OF_TABLE = re.compile(r"%(row)?type\W*$", re.IGNORECASE)
"""The end of the line of context that quotes `table.column%TYPE`: without the table the server reads it as a type."""
