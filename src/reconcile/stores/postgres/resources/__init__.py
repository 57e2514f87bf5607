"""PostgreSQL resources as frozen dataclasses. SQL texts are as declared until `canonical` has spelled them."""

from __future__ import annotations

from reconcile.stores.postgres.resources.access import (
    DefaultPrivileges,
    Grant,
    Privilege,
    default_address,
    default_container,
    given_by_default,
    grant_address,
    privileges_of,
)
from reconcile.stores.postgres.resources.attached import Policy, Trigger
from reconcile.stores.postgres.resources.base import (
    OWN_SCHEMA,
    RELATIONS,
    ROUTINES,
    ROW_TYPES,
    TYPES,
    Pairs,
    PostgresResource,
    compared,
    table_address,
)
from reconcile.stores.postgres.resources.constraints import Check, Exclusion, ForeignKey, Key, PrimaryKey, Unique
from reconcile.stores.postgres.resources.databases import (
    Collation,
    EventTrigger,
    Extension,
    Schema,
    Sequence,
    sequence_limits,
)
from reconcile.stores.postgres.resources.indexes import Index, IndexItem, InheritedIndex, Statistics, plain
from reconcile.stores.postgres.resources.routines import Aggregate, Function, Procedure, Routine
from reconcile.stores.postgres.resources.tables import Column, PartitionBy, Published, Table
from reconcile.stores.postgres.resources.types import Attribute, Composite, Domain, DomainCheck, Enum, Range
from reconcile.stores.postgres.resources.views import VIEWS, AnyView, MaterializedView, View

__all__ = [
    "OWN_SCHEMA",
    "RELATIONS",
    "ROUTINES",
    "ROW_TYPES",
    "TYPES",
    "VIEWS",
    "Aggregate",
    "AnyView",
    "Attribute",
    "Check",
    "Collation",
    "Column",
    "Composite",
    "DefaultPrivileges",
    "Domain",
    "DomainCheck",
    "Enum",
    "EventTrigger",
    "Exclusion",
    "Extension",
    "ForeignKey",
    "Function",
    "Grant",
    "Index",
    "IndexItem",
    "InheritedIndex",
    "Key",
    "MaterializedView",
    "Pairs",
    "PartitionBy",
    "Policy",
    "PostgresResource",
    "PrimaryKey",
    "Privilege",
    "Procedure",
    "Published",
    "Range",
    "Routine",
    "Schema",
    "Sequence",
    "Statistics",
    "Table",
    "Trigger",
    "Unique",
    "View",
    "compared",
    "default_address",
    "default_container",
    "given_by_default",
    "grant_address",
    "plain",
    "privileges_of",
    "sequence_limits",
    "table_address",
]
