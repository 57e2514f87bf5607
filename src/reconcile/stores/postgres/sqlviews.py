"""SQL text of views and materialized views."""

from __future__ import annotations

from reconcile.stores.postgres.resources import AnyView, MaterializedView, View
from reconcile.stores.postgres.sqltext import (
    as_written,
    comment_statement,
    ident,
    literal,
    object_name,
    options,
)


def view_statement(view: AnyView, *, replace: bool = False, name: str | None = None, filled: bool = True) -> str:
    """CREATE [OR REPLACE] VIEW with options and check option, or CREATE MATERIALIZED VIEW.

    Args:
        name: another name than its own.
        filled: whether a materialized view is filled at once.
    """
    # what follows the query stands on a line of its own: its last one may be a comment
    query = str(as_written(view, "query")).strip().rstrip(";").rstrip()
    create = f"CREATE {'OR REPLACE ' if replace else ''}{noun(view)}"
    with_ = f" WITH ({options(view.with_)})" if view.with_ else ""
    if isinstance(view, View):
        end = f"\nWITH {view.check_option.upper()} CHECK OPTION" if view.check_option else ""
    else:
        end = "" if filled else "\nWITH NO DATA"
    return f"{create} {ident(view.schema, name or view.name)}{with_} AS {query}{end}"


def noun(view: AnyView) -> str:
    """`VIEW` or `MATERIALIZED VIEW`."""
    return "MATERIALIZED VIEW" if isinstance(view, MaterializedView) else "VIEW"


def drop_statement(view: AnyView) -> str:
    """DROP VIEW."""
    return f"DROP {noun(view)} {object_name(view)}"


def option_statements(before: AnyView, after: AnyView) -> list[str]:
    """ALTER … SET and RESET of what differs."""
    alter = f"ALTER {noun(after)} {object_name(before)}"
    old, new = dict(before.with_), dict(after.with_)
    changed = tuple(pair for pair in after.with_ if old.get(pair[0]) != pair[1])
    gone = [name for name in old if name not in new]
    calls = [f"{alter} SET ({options(changed)})"] if changed else []
    return calls + ([f"{alter} RESET ({', '.join(gone)})"] if gone else [])


def comment_statements(view: AnyView, before: AnyView | None = None) -> list[str]:
    """COMMENT ON the view and its columns, as far as `before` does not have them; nothing for what has none."""
    had = dict(before.column_comments) if before is not None else {}
    want = dict(view.column_comments)
    calls = [comment_statement(view)] if view.comment != (before.comment if before is not None else None) else []
    for name in sorted({*had, *want}):
        if had.get(name) != want.get(name):
            text = literal(want[name]) if name in want else "NULL"
            calls.append(f"COMMENT ON COLUMN {object_name(view)}.{ident(name)} IS {text}")
    return calls


def default_statements(view: View, before: View | None = None) -> list[str]:
    """Defaults of columns, for INSERT through the view."""
    had = dict(before.column_defaults) if before is not None else {}
    want = dict(view.column_defaults)
    written = as_written(view, "column_defaults")
    words = {str(name): str(sql) for name, sql in written}
    alter = f"ALTER VIEW {object_name(view)} ALTER COLUMN"
    calls = []
    for name in sorted({*had, *want}):
        if had.get(name) != want.get(name):
            clause = f"SET DEFAULT {words.get(name, want[name])}" if name in want else "DROP DEFAULT"
            calls.append(f"{alter} {ident(name)} {clause}")
    return calls
