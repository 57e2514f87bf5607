"""Triggers and row-level security policies. Pure.

Rules: https://www.postgresql.org/docs/current/catalog-pg-trigger.html, …/catalog-pg-policy.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows
from reconcile.stores.postgres.sqltokens import tokens

POLICIES = """
select p.oid, p.polrelid, p.polname, p.polcmd::text, p.polpermissive,
       (select array_agg(distinct case o.role when 0 then 'public' else pg_get_userbyid(o.role)::text end)
        from unnest(p.polroles) o(role)),
       pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s)
order by p.polrelid, p.polname
"""

TRIGGERS = """
select t.oid, t.tgrelid, t.tgname, t.tgtype, t.tgattr::int2[], t.tgenabled::text, t.tgconstraint <> 0,
       t.tgdeferrable, t.tginitdeferred, t.tgoldtable, t.tgnewtable, fs.nspname, f.proname, os.nspname, o.relname,
       case when t.tgqual is not null or t.tgnargs > 0 then pg_get_triggerdef(t.oid) end, t.tgisinternal, @cloned@,
       p.tgenabled::text
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
join pg_proc f on f.oid = t.tgfoid join pg_namespace fs on fs.oid = f.pronamespace
left join pg_class o on o.oid = t.tgconstrrelid left join pg_namespace os on os.oid = o.relnamespace
left join pg_trigger p on p.oid = @parent_trigger@
where n.nspname = any(%(schemas)s) and (not t.tgisinternal or t.tgenabled <> 'O')
  and not (fs.nspname = 'reconcile' and t.tgname ~ '__rc_')
  and not exists (select from pg_depend e where e.classid = 'pg_trigger'::regclass and e.objid = t.oid
                  and e.deptype = 'e')
order by t.tgrelid, t.tgname
"""
"""Those of foreign keys and clones on partitions too, where somebody has changed when they fire."""

QUERIES = {"policies": POLICIES, "triggers": TRIGGERS}
_COMMANDS = {"*": "all", "r": "select", "a": "insert", "w": "update", "d": "delete"}
_ENABLED = {"O": "origin", "R": "replica", "A": "always", "D": "disabled"}
_ROW, _BEFORE, _INSTEAD = 1, 2, 64
_EVENTS = {4: "insert", 8: "delete", 16: "update", 32: "truncate"}


def names(catalog: Catalog, rows: Rows) -> None:
    """Nothing refers to a trigger or policy."""


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """Policies of the modelled tables; triggers of those and of views."""
    for row in rows["policies"]:
        if catalog.has_table(row[1]):
            yield _policy(catalog, catalog.tables[row[1]], row)
    for row in rows["triggers"]:
        on = catalog.relations.get(row[1])
        if on is None or row[1] in catalog.left_out:
            continue
        address, internal, cloned = on.child("trigger", row[2]), row[16], row[17]
        if internal or cloned:
            if not cloned or row[5] != row[18]:  # a clone fires as its parent does, until somebody says otherwise
                what = "trigger of a partitioned table" if cloned else "trigger of a constraint or partitioned table"
                catalog.leave(address, f"{what}, here {'enabled' if row[5] == 'O' else _ENABLED[row[5]]} by hand")
            elif catalog.comment(row[0]) is not None:
                catalog.leave(address, "comment on a trigger that a partition has from its table", on)
        else:
            yield _trigger(catalog, address, on, row)


def _policy(catalog: Catalog, table: Address, row: Row) -> r.Policy:
    oid, relation, name, command, permissive, roles, using, check = row
    return r.Policy(
        address=table.child("policy", name),
        container=table,
        for_=_COMMANDS[command],
        permissive=permissive,
        to=tuple(sorted(roles)),
        using=catalog.condition(using),
        check=catalog.condition(check),
        comment=catalog.comment(oid),
        refers=catalog.refers("p", oid, own=relation),
    )


def _trigger(catalog: Catalog, address: Address, on: Address, row: Row) -> r.Trigger:
    oid, relation, _, type_, columns, enabled, constraint, deferrable, deferred, old, new = row[:11]
    condition, arguments = (None, ()) if row[15] is None else definition(row[15])
    of = [catalog.columns[relation][number] for number in columns or ()]
    return r.Trigger(
        address=address,
        container=on,
        when="instead_of" if type_ & _INSTEAD else "before" if type_ & _BEFORE else "after",
        events=tuple(word for bit, word in _EVENTS.items() if type_ & bit),
        of=tuple(of),
        for_each="row" if type_ & _ROW else "statement",
        condition=catalog.condition(condition),
        function=(catalog.schema(row[11]), f"{row[12]}()"),
        arguments=arguments,
        constraint=constraint,
        deferrable=None if not deferrable else "initially_deferred" if deferred else "initially_immediate",
        from_=None if row[13] is None else (catalog.schema(row[13]), row[14]),
        old_table=old,
        new_table=new,
        enabled=_ENABLED[enabled],
        comment=catalog.comment(oid),
        refers=catalog.refers("t", oid, own=relation),
    )


def definition(text: str) -> tuple[str | None, tuple[str, ...]]:
    """The condition and the arguments out of pg_get_triggerdef's text, which alone has them as SQL.

    >>> definition("CREATE TRIGGER t AFTER UPDATE ON a FOR EACH ROW WHEN ((old.x > 1)) EXECUTE FUNCTION f('it''s')")
    ('(old.x > 1)', ("it's",))
    """
    found = list(tokens(text))
    depth, start, end, call = 0, None, None, 0
    for place, token in enumerate(found):
        word = token.text if token.kind == "word" and depth == 0 else ""
        if word == "WHEN" and start is None:
            start = place + 1
        elif word == "EXECUTE":
            call = place
            end = place if start is not None and end is None else end
        depth += (token.text == "(") - (token.text == ")")
    condition = None
    if start is not None and end is not None:
        condition = "".join(t.text for t in found[start:end]).strip()[1:-1].strip()
    strings = [t.text[1:-1].replace("''", "'") for t in found[call:] if t.kind == "string"]
    return condition, tuple(strings)
