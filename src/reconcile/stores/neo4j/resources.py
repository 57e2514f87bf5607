"""Neo4j resources as frozen dataclasses: constraints and indexes, in the YAML's words.

Addresses: `constraint` and `index`, each of one part, the name. The server keeps both in one namespace. The index
that a constraint brings is part of the constraint and no resource of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar

from reconcile.model import Address, Resource

UNIQUE, KEY, EXISTS, TYPE = "unique", "key", "exists", "type"
"""Kinds of constraint; all but `unique` need the Enterprise Edition."""
RANGE, TEXT, POINT, FULLTEXT, VECTOR, LOOKUP = "range", "text", "point", "fulltext", "vector", "lookup"
"""Kinds of index; `lookup` is the server's own and never declared."""
ONE_PROPERTY = (TEXT, POINT, VECTOR)
"""Indexes over exactly one property."""
BY_NAME = (FULLTEXT, VECTOR)
"""Indexes that queries call by their name."""

ONLINE, FAILED = "online", "failed"
"""States of an index. One that is still being built counts as online: it needs waiting, not changing."""


class SchemaObject(Resource):
    """What constraints and indexes share: one or more labels, or relationship types, and properties."""

    labels: tuple[str, ...] = ()
    relationships: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()

    @property
    def on_nodes(self) -> bool:
        """Nodes, or relationships."""
        return not self.relationships

    @property
    def tokens(self) -> tuple[str, ...]:
        """The labels or relationship types."""
        return self.labels or self.relationships

    @property
    def schema(self) -> tuple[object, ...]:
        """(nodes or relationships, labels or types, properties): order counts where the server says so."""
        return ("node" if self.on_nodes else "relationship", self.tokens, self.properties)

    def says(self) -> str:
        """`(:Person).id`, `()-[:RATED]-().(user, item)`: for people."""
        names = "|".join(self.tokens)
        pattern = f"(:{names})" if self.on_nodes else f"()-[:{names}]-()"
        inner = ", ".join(self.properties)
        return f"{pattern}.{inner}" if len(self.properties) == 1 else f"{pattern}.({inner})"


class Constraint(SchemaObject):
    """`kind`: one of unique, key, exists, type. `type` holds a type constraint's type, in the server's spelling."""

    kind: str
    type: str | None = None

    def definition(self) -> tuple[object, ...]:
        """Kind and schema: the server allows no second constraint of these."""
        return (self.kind, *self.schema)

    @property
    def has_index(self) -> bool:
        """Whether the server builds a range index for it, under its name."""
        return self.kind in (UNIQUE, KEY)


class Index(SchemaObject):
    """An index. Options that are None are left as the server has them; `options.py` lists them with defaults.

    The labels and properties of a full-text index are sets: made in the order declared, compared in any.
    """

    unset_is_unmanaged: ClassVar[bool] = True

    kind: str = RANGE
    state: str = ONLINE
    """`failed` in a live one whose building broke off: never equal to a declared one."""
    analyzer: str | None = None
    eventually_consistent: bool | None = None
    dimensions: int | None = None
    similarity: str | None = None
    hnsw: Mapping[str, int] | None = None
    quantization: bool | None = None
    spatial: Mapping[str, Mapping[str, tuple[float, ...]]] | None = None

    embedding: str | None = field(default=None, compare=False, repr=False)
    """The contract it was declared with; says nothing to the server."""
    failure: str | None = field(default=None, compare=False, repr=False)
    """Of a failed one: the first line of what the server says."""

    @property
    def schema(self) -> tuple[object, ...]:
        """See `SchemaObject.schema`; of a full-text index sorted, since there order is no difference."""
        entity, tokens, properties = super().schema
        if self.kind != FULLTEXT:
            return entity, tokens, properties
        return entity, tuple(sorted(self.tokens)), tuple(sorted(self.properties))

    def definition(self) -> tuple[object, ...] | None:
        """Kind and schema, without options: the server allows no second index of these."""
        return None if self.kind == LOOKUP else (self.kind, *self.schema)


def constraint_address(store: str, name: str) -> Address:
    """`STORE.constraint.NAME`."""
    return Address(store, "constraint", (name,))


def index_address(store: str, name: str) -> Address:
    """`STORE.index.NAME`."""
    return Address(store, "index", (name,))
