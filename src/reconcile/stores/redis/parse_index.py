"""`indexes:` of the YAML -> resources. What the JSON Schema cannot say is checked here, each problem with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from reconcile.model import Json
from reconcile.stores.base import Context
from reconcile.stores.redis.resources import Index, index_address
from reconcile.stores.redis.search import DISTANCES, FLAGS, VECTOR, plain
from reconcile.suggest import meant

if TYPE_CHECKING:
    from reconcile.yamlio import Map

_FOR: Mapping[str, tuple[str, ...]] = {
    "text": ("weight", "no_stem", "suffix_trie", "sortable", "unf", "no_index", "index_empty", "index_missing"),
    "tag": (
        *("separator", "case_sensitive", "suffix_trie", "sortable", "unf", "no_index", "index_empty"),
        "index_missing",
    ),
    "numeric": ("sortable", "no_index", "index_missing"),
    "geo": ("sortable", "no_index", "index_missing"),
    "geoshape": ("coordinates", "no_index", "index_missing"),
    VECTOR: ("algorithm", "m", "ef_construction", "embedding", "dimensions", "distance", "element", "index_missing"),
}
"""Which keys a field of a type has, besides `path`."""


def indexes(document: Map, context: Context) -> Iterator[Index]:
    """The indexes of one document."""
    block: Map | None = document.get("indexes")
    for name, body in (block or {}).items():
        assert block is not None
        contracts: dict[str, str] = {}
        fields = {field: _field(body["fields"], field, contracts, context) for field in body["fields"]}
        if body.get("on") == "json":
            for field, made in fields.items():
                if not str(made.get("path", "")).startswith("$"):
                    hint = f'write where it is in the document: path: "$.{field}"'
                    context.problem(body["fields"].at(field), f'field "{field}" of a JSON index has no path', hint)
        words = body.get("stopwords")
        yield Index(
            address=index_address(context.spec.name, name),
            source=block.at(name),
            comes_after=context.after(body),
            on=body.get("on") or "hash",
            prefixes=tuple(body.get("prefixes") or [""]),
            fields=fields,
            filter=body.get("filter"),
            language=body.get("language"),
            stopwords=None if words is None else tuple(sorted(words)),
            contracts=contracts or None,
        )


def _field(block: Map, name: str, contracts: dict[str, str], context: Context) -> Mapping[str, Json]:
    value, where = block[name], block.at(name)
    if isinstance(value, str):
        value = {"type": value}
    kind = value.get("type") or (VECTOR if "embedding" in value else None)
    if kind is None:
        context.problem(where, f'field "{name}" has no type', "give `type:`, or `embedding:` for a vector")
        return {"type": "text"}
    for key in value:
        if key not in ("type", "path", *_FOR[kind]):
            hint = f"{kind} takes: path, {', '.join(_FOR[kind])}"
            context.problem(block[name].at(key), f'a field of type {kind} has no "{key}"', hint)
    if value.get("unf") and not value.get("sortable"):
        context.problem(block[name].at("unf"), "`unf` is about the sorted form: it needs `sortable: true`")
    found = {key: value[key] for key in ("path", *_FOR[kind]) if key in value and key != "embedding"}
    if kind == VECTOR:
        found |= _vector(block, name, value, contracts, context)
    return plain({"type": kind, **{k: bool(v) if k in FLAGS else v for k, v in found.items()}})


def _vector(
    block: Map, name: str, value: Mapping[str, Json], contracts: dict[str, str], context: Context
) -> dict[str, Json]:
    """Size, distance and element of a vector, by its contract or as they are given."""
    where = block.at(name)
    found: dict[str, Json] = {"algorithm": value.get("algorithm") or "hnsw"}
    if found["algorithm"] == "flat":
        for key in ("m", "ef_construction"):
            if key in value:
                context.problem(block[name].at(key), f'a flat vector has no "{key}"', "it is about hnsw")
    if (wanted := value.get("embedding")) is not None:
        for key in ("dimensions", "distance", "element"):
            if key in value:
                hint = f"delete `{key}`, or leave `embedding` out and give all of dimensions, distance and element"
                context.problem(block[name].at(key), f"`{key}: {value[key]}` beside `embedding: {wanted}`", hint)
        embedding = context.embeddings.get(wanted)
        if embedding is None:
            context.problem(
                block[name].value_at("embedding"), f'no embedding "{wanted}"', meant(wanted, context.embeddings)
            )
            return found
        contracts[name] = wanted
        found |= {
            "dimensions": embedding.dimensions,
            "distance": str(embedding.distance),
            "element": str(embedding.element),
        }
    elif lacking := [key for key in ("dimensions", "distance") if value.get(key) is None]:
        hint = "name an `embedding:`, or give `dimensions:` and `distance:`"
        context.problem(where, f'vector "{name}" has no {" and no ".join(lacking)}', hint)
    distance = found.get("distance", value.get("distance"))
    if distance is not None and distance not in DISTANCES:
        context.problem(where, f"RediSearch has no distance {distance}", f"it has: {', '.join(DISTANCES)}")
    return found
