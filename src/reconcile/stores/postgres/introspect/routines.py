"""Functions, procedures, aggregates, event triggers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows
from reconcile.stores.postgres.names import as_shown
from reconcile.stores.postgres.sqlroutines import signature
from reconcile.stores.postgres.sqltext import literal

_NOT_OTHERS = """
not exists (select from pg_depend e
            where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype in ('e', 'i'))
"""
"""Neither an extension's nor a constructor of a range type."""

_TYPE = """
case when e.objid is null then format_type(u.oid, null)
     else quote_ident(b.typname) || case when b.oid <> u.oid then '[]' else '' end end
"""
"""As the server spells it; that of an extension without a schema, whatever the search path."""

SIGNATURE = f"""
array(select {_TYPE} from unnest(p.proargtypes) with ordinality u(oid, place)
      join pg_type t on t.oid = u.oid
      join pg_type b on b.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
      left join pg_depend e on e.classid = 'pg_type'::regclass and e.objid = b.oid and e.deptype = 'e'
      order by place)
"""
"""The types of a routine's arguments, as its address has them; where the search path is settled as for reading."""

ROUTINES = f"""
select p.oid, n.nspname, p.proname, p.prokind::text,
       {SIGNATURE},
       case when p.prokind <> 'a' then pg_get_functiondef(p.oid) end, obj_description(p.oid, 'pg_proc')
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = any(%(schemas)s) and {_NOT_OTHERS}
order by n.nspname, p.proname, 5
"""

_PARTS = ("transfn", "finalfn", "combinefn", "serialfn", "deserialfn", "mtransfn", "minvtransfn", "mfinalfn")
AGGREGATES = f"""
select a.aggfnoid::oid, pg_get_function_arguments(p.oid), a.aggkind::text, p.proparallel::text,
       format_type(a.aggtranstype, null), a.aggtransspace, a.agginitval, a.aggfinalextra, a.aggfinalmodify::text,
       case when a.aggmtranstype <> 0 then format_type(a.aggmtranstype, null) end, a.aggmtransspace, a.aggminitval,
       a.aggmfinalextra, a.aggmfinalmodify::text, s.nspname, o.oprname,
       (select array_agg(array[fn.nspname::text, f.proname::text] order by u.place)
        from unnest(array[{", ".join(f"a.agg{part}" for part in _PARTS)}]::oid[]) with ordinality u(oid, place)
        left join pg_proc f on f.oid = u.oid left join pg_namespace fn on fn.oid = f.pronamespace)
from pg_aggregate a join pg_proc p on p.oid = a.aggfnoid join pg_namespace n on n.oid = p.pronamespace
left join pg_operator o on o.oid = a.aggsortop left join pg_namespace s on s.oid = o.oprnamespace
where n.nspname = any(%(schemas)s) and {_NOT_OTHERS}
"""

EVENT_TRIGGERS = """
select e.oid, e.evtname, e.evtevent, e.evtenabled::text, e.evttags::text[], n.nspname, p.proname, e.evtfoid::oid,
       obj_description(e.oid, 'pg_event_trigger')
from pg_event_trigger e join pg_proc p on p.oid = e.evtfoid join pg_namespace n on n.oid = p.pronamespace
where not exists (select from pg_depend d where d.classid = 'pg_event_trigger'::regclass and d.objid = e.oid
                  and d.deptype = 'e')
order by e.evtname
"""

HOLDERS = """
select d.refobjid, pg_describe_object(d.classid, d.objid, 0) from pg_depend d
join pg_proc p on p.oid = d.refobjid join pg_namespace n on n.oid = p.pronamespace
where d.refclassid = 'pg_proc'::regclass and n.nspname = any(%(schemas)s) and d.deptype in ('n', 'a')
  and d.classid in ('pg_operator'::regclass, 'pg_cast'::regclass, 'pg_opfamily'::regclass, 'pg_opclass'::regclass,
                    'pg_amproc'::regclass, 'pg_language'::regclass, 'pg_transform'::regclass,
                    'pg_conversion'::regclass, 'pg_foreign_data_wrapper'::regclass, 'pg_ts_parser'::regclass,
                    'pg_ts_template'::regclass, 'pg_am'::regclass, 'pg_publication_rel'::regclass)
order by 1, 2
"""
"""What is not modelled and cannot be without a routine."""

QUERIES = {"routines": ROUTINES, "holders": HOLDERS, "aggregates": AGGREGATES, "event_triggers": EVENT_TRIGGERS}
_KINDS = {"p": "procedure", "a": "aggregate"}
_CLASSES: dict[str, type[r.Routine]] = {"function": r.Function, "procedure": r.Procedure, "aggregate": r.Aggregate}
_ENABLED = {"O": "origin", "R": "replica", "A": "always", "D": "disabled"}
_MODIFY = {"r": "READ_ONLY", "s": "SHAREABLE", "w": "READ_WRITE"}
_PARALLEL = {"s": "SAFE", "r": "RESTRICTED"}


def names(catalog: Catalog, rows: Rows) -> None:
    """Routines by oid."""
    for oid, schema, name, kind, types, *_ in rows["routines"]:
        word = _KINDS.get(kind, "function")
        address = catalog.address(word, schema, name + signature(map(catalog.spell, types), word))
        if "(" in name:
            catalog.leave(address, f"{word} with a parenthesis in its name")
        else:
            catalog.routines[oid] = address


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """All of them."""
    aggregates = {row[0]: row for row in rows["aggregates"]}
    holders: dict[int, list[str]] = defaultdict(list)
    for oid, what in rows["holders"]:
        holders[oid].append(what)
    for oid, schema, name, _, _, definition, comment in rows["routines"]:
        address = catalog.routines.get(oid)
        if address is None:
            continue
        if address.kind == "aggregate":
            definition = _aggregate(catalog, schema, name, aggregates[oid])
        yield _CLASSES[address.kind](
            address=address,
            definition_=catalog.spell(definition).strip(),
            comment=comment,
            refers=tuple(a for a in catalog.refers("f", oid) if a != address),
            needed_by=tuple(holders.get(oid, ())),
        )
    for _, name, event, enabled, tags, schema, function, oid, comment in rows["event_triggers"]:
        called = catalog.routines.get(oid)
        yield r.EventTrigger(
            address=Address(catalog.store, "event_trigger", (name,)),
            event=event,
            tags=tuple(sorted(set(tags or ()))),
            function=(catalog.schema(schema), f"{function}()"),
            enabled=_ENABLED[enabled],
            comment=comment,
            refers=(called,) if called is not None else (),
        )


def _aggregate(catalog: Catalog, schema: str, name: str, row: Row) -> str:
    """CREATE AGGREGATE with every option that is not the default, in the order of the manual.

    https://www.postgresql.org/docs/current/sql-createaggregate.html
    """
    _, arguments, kind, parallel, stype, space, initial, extra, modify = row[:9]
    mstype, mspace, minitial, mextra, mmodify, op_schema, operator, functions = row[9:]
    called = {f: _qualified(*pair) for f, pair in zip(_PARTS, functions, strict=True) if pair[1] is not None}
    usual = "r" if kind == "n" else "w"
    options: list[tuple[str, str | None]] = [
        ("SFUNC", called["transfn"]),
        ("STYPE", stype),
        ("SSPACE", str(space) if space else None),
        ("FINALFUNC", called.get("finalfn")),
        ("FINALFUNC_EXTRA", "" if extra else None),
        ("FINALFUNC_MODIFY", _MODIFY[modify] if modify != usual else None),
        ("COMBINEFUNC", called.get("combinefn")),
        ("SERIALFUNC", called.get("serialfn")),
        ("DESERIALFUNC", called.get("deserialfn")),
        ("INITCOND", None if initial is None else literal(initial)),
        ("MSFUNC", called.get("mtransfn")),
        ("MINVFUNC", called.get("minvtransfn")),
        ("MSTYPE", mstype),
        ("MSSPACE", str(mspace) if mspace else None),
        ("MFINALFUNC", called.get("mfinalfn")),
        ("MFINALFUNC_EXTRA", "" if mextra else None),
        ("MFINALFUNC_MODIFY", _MODIFY[mmodify] if mmodify != usual else None),
        ("MINITCOND", None if minitial is None else literal(minitial)),
        ("SORTOP", None if operator is None else _operator(op_schema, operator)),
        ("PARALLEL", _PARALLEL.get(parallel)),
        ("HYPOTHETICAL", "" if kind == "h" else None),
    ]
    lines = ",\n".join(f"    {key} = {value}" if value else f"    {key}" for key, value in options if value is not None)
    shown = f"{as_shown(catalog.schema(schema))}.{as_shown(name)}"
    return f"CREATE AGGREGATE {shown}({arguments or '*'}) (\n{lines}\n)"


def _qualified(schema: str, name: str) -> str:
    return as_shown(name) if schema == "pg_catalog" else f"{as_shown(schema)}.{as_shown(name)}"


def _operator(schema: str, name: str) -> str:
    return name if schema == "pg_catalog" else f"OPERATOR({as_shown(schema)}.{name})"
