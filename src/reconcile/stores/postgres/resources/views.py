"""Views and materialized views."""

from __future__ import annotations

from dataclasses import field

from reconcile.stores.postgres.resources.base import Pairs, PostgresResource


class View(PostgresResource):
    """`query` is pg_get_viewdef's text once canonical; `columns` the output columns, for CREATE OR REPLACE."""

    query: str
    with_: Pairs = field(default=(), metadata={"json": "with"})
    check_option: str | None = None
    columns: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """(name, type) in order, live or read back from the scratch build; empty while unknown."""
    column_comments: Pairs = ()
    """(column, comment), sorted"""
    column_defaults: Pairs = ()
    """(column, SQL), sorted; for INSERT through the view"""
    rules: tuple[str, ...] = field(default=(), compare=False)
    """Live: statements that make its rules again, which are not modelled."""


class MaterializedView(PostgresResource):
    """A container like a table: its indexes are inside it."""

    query: str
    with_: Pairs = field(default=(), metadata={"json": "with"})
    """Storage parameters, those of its TOAST table as `toast.NAME`."""
    columns: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """(name, type) in order, live or read back from the scratch build; empty while unknown."""
    column_comments: Pairs = ()
    """(column, comment), sorted"""
    populated: bool = field(default=True, compare=False)
    """Declared: whether it is filled when it is made. Live: whether it can be read now."""


VIEWS = (View, MaterializedView)
AnyView = View | MaterializedView
