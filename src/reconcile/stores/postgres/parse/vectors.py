"""Embeddings in pgvector's words: column types, operator classes, limits.

https://github.com/pgvector/pgvector#indexing
"""

from __future__ import annotations

import re
from dataclasses import replace

from reconcile.embeddings import Distance, Element, Embedding
from reconcile.model import Source
from reconcile.stores.postgres.parse.scope import Scope
from reconcile.stores.postgres.resources import Column, IndexItem
from reconcile.stores.postgres.sqltypes import read
from reconcile.yamlio import Map

TYPES = {Element.FLOAT32: "vector", Element.FLOAT16: "halfvec"}
OPCLASSES = {
    Distance.COSINE: "cosine_ops",
    Distance.EUCLIDEAN: "l2_ops",
    Distance.DOT: "ip_ops",
    Distance.MANHATTAN: "l1_ops",
}
COLUMN_LIMIT = 16000
INDEX_LIMITS = {"vector": 2000, "halfvec": 4000, "bit": 64000}
_CAST = re.compile(r"::\s*(?:\w+\.)?(vector|halfvec|sparsevec|bit)\s*(?:\(\s*(\d+)\s*\))?\s*\)*\s*\Z", re.IGNORECASE)


def column_type(settings: Map, scope: Scope) -> str:
    """`vector(384)` for a column that names an embedding."""
    where = settings.value_at("embedding")
    contract = scope.embedding(settings["embedding"], where)
    if contract is None:
        return "vector"
    if contract.dimensions > COLUMN_LIMIT:
        scope.problem(
            where,
            f"embedding {contract.name!r} has {contract.dimensions} dimensions ({contract.source}); "
            f"a pgvector column holds up to {COLUMN_LIMIT}",
        )
    return f"{TYPES[contract.element]}({contract.dimensions})"


def index_item(item: IndexItem, settings: Map, method: str, columns: dict[str, Column], scope: Scope) -> IndexItem:
    """`item` with the operator class that the index's embedding asks for; disagreements are reported."""
    where = settings.value_at("embedding")
    contract = scope.embedding(settings["embedding"], where)
    type_, dimensions, source = _vector_type(item, columns)
    if contract is None:
        return item
    if item.opclass:
        scope.problem(
            where,
            f"the index names both embedding {contract.name!r} and opclass {item.opclass!r}",
            "keep one: the opclass follows from the contract's distance",
        )
        return item
    if method not in ("hnsw", "ivfflat"):
        scope.problem(where, f"an index of method {method} has no embedding", "use method: hnsw or ivfflat")
        return item
    if dimensions is not None and dimensions != contract.dimensions:
        scope.problem(
            where,
            f"embedding {contract.name!r} has {contract.dimensions} dimensions ({contract.source}), "
            f"what is indexed has {dimensions} ({source or where})",
        )
    named = columns[item.column].embedding if item.column in columns else None
    if named is not None and named != contract.name:
        scope.problem(
            where,
            f"the index names embedding {contract.name!r}, its column {item.column!r} embedding {named!r} ({source})",
        )
    if method == "ivfflat" and contract.distance is Distance.MANHATTAN:
        scope.problem(where, f"ivfflat has no manhattan distance ({contract.source})", "use method: hnsw")
        return item
    if type_ not in ("vector", "halfvec"):
        return replace(item, opclass=f"{TYPES[contract.element]}_{OPCLASSES[contract.distance]}")
    return replace(item, opclass=f"{type_}_{OPCLASSES[contract.distance]}")


def check_item(item: IndexItem, where: Source, method: str, columns: dict[str, Column], scope: Scope) -> None:
    """Limits of vector indexes, and an opclass against the contract of the column it is on."""
    if method not in ("hnsw", "ivfflat"):
        return
    type_, dimensions, source = _vector_type(item, columns)
    limit = INDEX_LIMITS.get(type_ or "")
    if limit and dimensions and dimensions > limit:
        scope.problem(
            where,
            f"{method} indexes up to {limit} dimensions of {type_}; "
            f"what is indexed has {dimensions} ({source or where})",
            f"index an expression: (column::halfvec({dimensions})) holds up to {INDEX_LIMITS['halfvec']}"
            if type_ == "vector" and dimensions <= INDEX_LIMITS["halfvec"]
            else None,
        )
    column = columns.get(item.column or "")
    contract = scope.context.embeddings.get(column.embedding or "") if column else None
    if contract is not None and item.opclass and column is not None:
        _agree(item.opclass, contract, where, column, scope)


def _agree(opclass: str, contract: Embedding, where: Source, column: Column, scope: Scope) -> None:
    wanted = OPCLASSES[contract.distance]
    known = [o for o in OPCLASSES.values() if opclass.endswith("_" + o)]
    if known and known[0] != wanted:
        scope.problem(
            where,
            f"opclass {opclass!r} disagrees with the {contract.distance} distance of embedding "
            f"{contract.name!r}, which column {column.address.parts[-1]!r} names ({column.source})",
            f"write `embedding: {contract.name}` instead of the opclass",
        )


def vector_of(item: IndexItem, columns: dict[str, Column]) -> tuple[str, int] | None:
    """Type and dimensions of what an index key holds, where the text tells."""
    type_, dimensions, _ = _vector_type(item, columns)
    return None if type_ is None or dimensions is None else (type_, dimensions)


def _vector_type(item: IndexItem, columns: dict[str, Column]) -> tuple[str | None, int | None, Source | None]:
    """(type, dimensions, where it is said) of what is indexed, as far as the text tells."""
    if item.column is not None:
        column = columns.get(item.column)
        if column is None:
            return None, None, None
        type_ = read(column.type)
        size = type_.modifiers[0] if type_.modifiers else ""
        return type_.name, int(size) if size.isdigit() else None, column.source
    cast = _CAST.search(item.expression or "")
    if cast is None:
        return None, None, None
    return cast[1].lower(), int(cast[2]) if cast[2] else None, None
