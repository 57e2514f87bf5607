"""YAML documents -> resources. Offline: what only the server can know is left as written for `canonical`."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.model import Resource
from reconcile.stores.base import Context
from reconcile.stores.postgres.parse.access import access, default_privileges
from reconcile.stores.postgres.parse.check import check
from reconcile.stores.postgres.parse.declared import collation_names, extension_schemas, multirange_names, type_names
from reconcile.stores.postgres.parse.objects import extensions, schemas
from reconcile.stores.postgres.parse.routines import event_triggers, routine_names, routines
from reconcile.stores.postgres.parse.scope import Scope
from reconcile.stores.postgres.parse.sequences import sequences
from reconcile.stores.postgres.parse.tables import tables
from reconcile.stores.postgres.parse.types import collations, composites, domains, enums, ranges
from reconcile.stores.postgres.parse.views import materialized_views, views
from reconcile.yamlio import Map

READERS = (
    schemas,
    extensions,
    collations,
    enums,
    domains,
    composites,
    ranges,
    sequences,
    routines,
    tables,
    views,
    materialized_views,
    event_triggers,
    default_privileges,
)
"""One a section of the format: (document, scope) -> resources."""


def parse(documents: Sequence[Map], context: Context) -> list[Resource]:
    """The resources that `documents` declare, with references resolved and checked among each other.

    Problems go to `context`: unknown columns and tables, names that are too long or taken, embeddings that
    disagree. The page "format" of the manual has the rules.
    """
    scope = Scope(
        context,
        type_names(documents, context),
        multiranges=multirange_names(documents, context),
        collations=collation_names(documents, context),
    )
    scope.extension_schemas = extension_schemas(documents)
    scope.routines.update(routine_names(documents, scope))
    found: list[Resource] = []
    for document in documents:
        for read in READERS:
            found += read(document, scope)
    found += access(documents, found, scope)
    return check(found, scope)
