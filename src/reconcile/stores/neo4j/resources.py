"""Neo4j resources as frozen dataclasses: constraints and indexes, in the YAML's words.

Addresses: `constraint` and `index`, each of one part, the name. The server keeps both in one namespace. The index
that a constraint brings is part of the constraint and no resource of its own. `check` (a constraint that the server
does not enforce) and `vocabulary` make nothing in the server: `verify` compares them with what is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar

from reconcile.model import Address, Json, Resource

UNIQUE, KEY, EXISTS, TYPE = "unique", "key", "exists", "type"
"""Kinds of constraint; all but `unique` need the Enterprise Edition."""
RANGE, TEXT, POINT, FULLTEXT, VECTOR, LOOKUP = "range", "text", "point", "fulltext", "vector", "lookup"
"""Kinds of index; two of `lookup` are in every new database, and are left alone unless declared."""
ONE_PROPERTY = (TEXT, POINT, VECTOR)
"""Indexes over exactly one property."""
BY_NAME = (FULLTEXT, VECTOR)
"""Indexes that queries call by their name."""
SEVERAL = (FULLTEXT, VECTOR)
"""Indexes that may be over several labels or types; vector indexes only on newer servers."""
BESIDE, IN_PLACE = "beside", "in_place"
"""How an index that is called by its name is replaced."""

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
    def about(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """See `Resource.about`."""
        return self.tokens, self.properties

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


class Check(SchemaObject):
    """A constraint with `enforce: check`: `verify` counts what breaks it. `kind` and `type` as in `Constraint`."""

    only_verified: ClassVar[bool] = True

    kind: str
    type: str | None = None


class Vocabulary(Resource):
    """The names that may be in use: `kind` is labels, relationship_types or property_keys."""

    only_verified: ClassVar[bool] = True

    kind: str
    names: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that it says are there."""
        return self.names if self.kind == "labels" else ()


class Index(SchemaObject):
    """An index. Options that are None are left as the server has them; `options.py` lists them with defaults.

    The labels and properties of a full-text index are sets: made in the order declared, compared in any. The first
    property of a vector index holds the vectors, those after it are for filters; its labels are a set.
    """

    unset_is_unmanaged: ClassVar[bool] = True

    kind: str = RANGE
    entity: str | None = None
    """Of a lookup index: `nodes` or `relationships`."""
    state: str = ONLINE
    """`failed` in a live one whose building broke off: never equal to a declared one."""
    analyzer: str | None = None
    eventually_consistent: bool | None = None
    dimensions: int | None = None
    similarity: str | None = None
    hnsw: Mapping[str, int] | None = None
    quantization: bool | None = None
    spatial: Mapping[str, Mapping[str, tuple[float, ...]]] | None = None
    other_options: Mapping[str, Json] | None = None
    """Of a newer server, which this version does not know: kept as they are when the index is made anew."""

    embedding: str | None = field(default=None, compare=False, repr=False)
    """The contract it was declared with; says nothing to the server."""
    replace_how: str | None = field(default=None, compare=False, repr=False, metadata={"way": True})
    """`beside` or `in_place`, where the YAML says which."""
    failure: str | None = field(default=None, compare=False, repr=False)
    """Of a failed one: the first line of what the server says."""
    taken: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Of a declared one: names that one built beside the live one cannot get."""
    rivals: tuple[tuple[object, ...], ...] = field(default=(), compare=False, repr=False)
    """Of a declared one: what others of its definition are for the server; see `written`."""
    there: str | None = field(default=None, compare=False, repr=False)
    """Of a declared one whose live one differs: the name of another, declared by nobody, that is as declared."""

    @property
    def on_nodes(self) -> bool:
        """See `SchemaObject.on_nodes`."""
        return not self.relationships and self.entity != "relationships"

    def says(self) -> str:
        """See `SchemaObject.says`."""
        if self.kind == LOOKUP:
            return "nodes by label" if self.on_nodes else "relationships by type"
        return super().says()

    @property
    def schema(self) -> tuple[object, ...]:
        """See `SchemaObject.schema`; what is a set is sorted, since there order is no difference."""
        entity, tokens, properties = super().schema
        if self.kind == VECTOR:
            return entity, tuple(sorted(self.tokens)), (*self.properties[:1], *sorted(self.properties[1:]))
        if self.kind == FULLTEXT:
            return entity, tuple(sorted(self.tokens)), tuple(sorted(self.properties))
        return entity, tokens, properties

    def under_its_name(self) -> Resource:
        """See `Resource.under_its_name`: not beside, where the new one needs another name."""
        return self if self.replace_how is not None else self.replace(replace_how=IN_PLACE)

    def definition(self) -> tuple[object, ...]:
        """Kind and schema, without options."""
        return (self.kind, *self.schema)

    @property
    def written(self) -> tuple[object, ...]:
        """As the server keeps it: one index of the same, but another where the order is (measured on 5.26)."""
        return (self.kind, self.on_nodes, self.tokens, self.properties)


def constraint_address(store: str, name: str) -> Address:
    """`STORE.constraint.NAME`."""
    return Address(store, "constraint", (name,))


def index_address(store: str, name: str) -> Address:
    """`STORE.index.NAME`."""
    return Address(store, "index", (name,))
