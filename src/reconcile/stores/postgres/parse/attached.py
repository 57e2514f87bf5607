"""Policies and triggers of a table, and triggers of a view.

What the server's grammar leaves no room for is said here, with its place: statements are made of these parts, so that
the server would only complain of SQL that nobody wrote. https://www.postgresql.org/docs/current/sql-createtrigger.html
"""

from __future__ import annotations

from collections.abc import Iterator

from reconcile.model import Address, Source
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.parse.scope import Scope, as_map, comment_of, option_text
from reconcile.yamlio import Map

_EVENTS = ("insert", "delete", "update", "truncate")


def _items(value: Map, section: str, scope: Scope) -> Iterator[tuple[str, Map, Source]]:
    found = as_map(value.get(section))
    for name, settings in found.items():
        scope.short(name, found.at(name))
        yield name, as_map(settings), found.at(name)


def policies(value: Map, table: Address, scope: Scope) -> list[r.Policy]:
    """`policies: {tenant_only: {for: select, to: [app], using: "tenant = current_user"}}`."""
    return [
        _policy(name, settings, source, table, scope) for name, settings, source in _items(value, "policies", scope)
    ]


def _policy(name: str, settings: Map, source: Source, table: Address, scope: Scope) -> r.Policy:
    command = settings.get("for", "all")
    roles = [str(role) for role in settings.get("to", ("public",))]
    if command == "insert" and "using" in settings:
        scope.problem(settings.at("using"), f"policy {name!r} is for insert, which takes no using", "write check")
    if command in ("select", "delete") and "check" in settings:
        scope.problem(settings.at("check"), f"policy {name!r} is for {command}, which takes no check", "write using")
    if "public" in roles and len(roles) > 1:
        others = ", ".join(role for role in roles if role != "public")
        scope.problem(settings.at("to"), f"policy {name!r} is to public, which has {others} in it", "name one or other")
    for role in roles:
        scope.short(role, settings.at("to"))

    def sql(key: str) -> str | None:
        found = settings.get(key)
        return None if found is None else scope.sql(found, settings.value_at(key), f"{key} of policy {name!r}")

    return r.Policy(
        address=table.child("policy", name),
        source=source,
        container=table,
        for_=command,
        permissive=settings.get("as", "permissive") == "permissive",
        to=tuple(sorted(set(roles))),
        using=sql("using"),
        check=sql("check"),
        comment=comment_of(settings),
        comes_after=scope.after(settings),
    )


def triggers(value: Map, on: Address, scope: Scope) -> list[r.Trigger]:
    """`triggers: {touch: {when: before, events: [update], for_each: row, function: touch_updated_at()}}`."""
    return [_trigger(name, settings, source, on, scope) for name, settings, source in _items(value, "triggers", scope)]


def _trigger(name: str, settings: Map, source: Source, on: Address, scope: Scope) -> r.Trigger:
    constraint = bool(settings.get("constraint", False))
    condition, from_ = settings.get("condition"), settings.get("from")
    schema, function = scope.name(settings["function"].removesuffix("()"), settings.value_at("function"))
    found = r.Trigger(
        address=on.child("trigger", name),
        source=source,
        container=on,
        when=settings["when"],
        events=tuple(e for e in _EVENTS if e in settings["events"]),
        of=tuple(dict.fromkeys(settings.get("of", ()))),
        for_each=settings.get("for_each", "row" if constraint else "statement"),
        condition=None
        if condition is None
        else scope.sql(condition, settings.value_at("condition"), f"condition of trigger {name!r}"),
        function=(schema, f"{function}()"),
        arguments=tuple(option_text(a) for a in settings.get("arguments", ())),
        constraint=constraint,
        deferrable=settings.get("deferrable"),
        from_=None if from_ is None else scope.name(from_, settings.value_at("from")),
        old_table=settings.get("old_table"),
        new_table=settings.get("new_table"),
        enabled=settings.get("enabled", "origin"),
        comment=comment_of(settings),
        comes_after=scope.after(settings),
    )
    for key, what, hint in _wrong(found, on.kind):
        scope.problem(settings.at(key) if key in settings else source, f"trigger {name!r}: {what}", hint)
    return found


def _wrong(x: r.Trigger, on: str) -> Iterator[tuple[str, str, str | None]]:
    """(key, what is wrong, what to do) of parts that do not go together."""
    row, named = x.for_each == "row", x.old_table is not None or x.new_table is not None
    table = "old_table" if x.old_table is not None else "new_table"
    if x.constraint and (x.when != "after" or not row):
        yield "constraint", "a constraint trigger fires after, for each row", None
    if not x.constraint and x.deferrable is not None:
        yield "deferrable", "only a constraint trigger can be deferred", "add constraint: true"
    if not x.constraint and x.from_ is not None:
        yield "from", "only a constraint trigger names another table", "add constraint: true"
    if x.of and "update" not in x.events:
        yield "of", "of names columns of an update", "add update to events"
    if "truncate" in x.events and (row or on != "table" or x.when == "instead_of"):
        yield "events", "truncate fires for each statement, on tables", None
    if x.when == "instead_of" and (on == "table" or not row):
        yield "when", "instead_of is for each row of a view", None if on == "table" else "write for_each: row"
    if x.when == "instead_of" and (x.of or x.condition is not None):
        yield "of" if x.of else "condition", "instead_of takes neither of nor condition", None
    if on != "table" and x.when != "instead_of" and row:
        yield "for_each", "on a view, before and after fire for each statement", "or write when: instead_of"
    if on != "table" and x.enabled != "origin":
        yield "enabled", "the server switches triggers of tables only", None
    if on != "table" and (x.constraint or named):
        yield table if named else "constraint", "a view has no such trigger", None
    if named and (x.when != "after" or x.constraint):
        yield table, "old_table and new_table are for triggers that fire after, and are no constraint", None
    if named and (len(x.events) != 1 or x.of or "truncate" in x.events):
        yield table, "old_table and new_table need a single event, insert, update or delete, without of", None
    if x.old_table is not None and x.events == ("insert",):
        yield "old_table", "an insert has no old rows", None
    if x.new_table is not None and x.events == ("delete",):
        yield "new_table", "a delete has no new rows", None
    if x.old_table is not None and x.old_table == x.new_table:
        yield "old_table", "old_table and new_table have one name", None
