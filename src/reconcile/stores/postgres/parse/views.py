"""Views and materialized views."""

from __future__ import annotations

from typing import Any

from reconcile.model import Resource, Source
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.parse.attached import triggers
from reconcile.stores.postgres.parse.indexes import indexes, options
from reconcile.stores.postgres.parse.objects import items
from reconcile.stores.postgres.parse.scope import Scope, as_map, comment_of
from reconcile.stores.postgres.sqltokens import as_default, faithful, fault
from reconcile.yamlio import Map


def views(document: Map, scope: Scope) -> list[Resource]:
    """`views: {recent: {query: "select …"}}` or `{file: sql/recent.sql}`, the path from the project folder."""
    found: list[Resource] = []
    for key, value, source in items(document, "views"):
        schema, name = scope.declared(key, source)
        defaults = {
            column: as_default(scope.sql(settings["default"], settings.value_at("default"), "default"))
            for column, settings in _columns(value)
            if settings.get("default") is not None
        }
        address = scope.address("view", schema, name)
        found.append(
            r.View(
                address=address,
                source=source,
                query=_query("view", key, value, scope),
                with_=options(value.get("with")),
                check_option=value.get("check_option"),
                comment=comment_of(value),
                comes_after=scope.after(value),
                column_comments=_column_comments(value),
                column_defaults=tuple(sorted(defaults.items())),
            )
        )
        found += triggers(value, address, scope)
    return found


def materialized_views(document: Map, scope: Scope) -> list[Resource]:
    """`materialized_views: {totals: {file: sql/totals.sql, indexes: {…}}}`; indexes as of a table."""
    found: list[Resource] = []
    for key, value, source in items(document, "materialized_views"):
        schema, name = scope.declared(key, source)
        view = r.MaterializedView(
            address=scope.address("materialized_view", schema, name),
            source=source,
            query=_query("materialized view", key, value, scope),
            with_=options(value.get("with")),
            comment=comment_of(value),
            comes_after=scope.after(value),
            column_comments=_column_comments(value),
            populated=value.get("with_data", True),
        )
        found += [view, *indexes(value, view.address, {}, scope)]
    return found


def _columns(value: Map) -> list[tuple[str, Map]]:
    return [(name, as_map(settings)) for name, settings in as_map(value.get("columns")).items()]


def _column_comments(value: Map) -> r.Pairs:
    return tuple(sorted((name, text) for name, settings in _columns(value) if (text := comment_of(settings))))


def _query(what: str, key: str, value: Map, scope: Scope) -> str:
    text, where = _text(what, key, value, scope)
    text = text.strip().rstrip(";").rstrip()
    if text.lower().startswith("create"):
        scope.problem(where, f"{what} {key!r} has a CREATE statement", "write only the query: select …")
    elif (wrong := fault(text)) is not None:
        scope.problem(where, f"{what} {key!r} is no query: {wrong}", "write a single query")
    return faithful(text)


def _text(what: str, key: str, value: Map, scope: Scope) -> tuple[str, Source | None]:
    if "file" not in value:
        return str(value.get("query", "")), value.value_at("query")
    where = value.value_at("file")
    try:
        found: Any = scope.context.read(value["file"]).decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        scope.problem(where, f"file {value['file']!r} of {what} {key!r} cannot be read: {reason}")
        return "select", where
    return str(found), where
