"""YAML documents -> resources. What the JSON Schema cannot say is checked here, each problem with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconcile.embeddings import Element, Embedding
from reconcile.model import Address, Json, Resource, Source
from reconcile.stores.base import Context
from reconcile.stores.qdrant import options, settings, wire
from reconcile.stores.qdrant.resources import (
    Alias,
    Collection,
    PayloadIndex,
    alias_address,
    collection_address,
)
from reconcile.stores.qdrant.stamps import KINDS as STAMPS
from reconcile.suggest import meant

if TYPE_CHECKING:
    from reconcile.yamlio import Map

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00\x1f]')
_KEY = r"(?:[\w-]+|\"[^\"]*\")(?:\[\d*\])*"
_JSON_PATH = re.compile(rf"{_KEY}(?:\.{_KEY})*\Z")
_SPECIAL = ("size", "distance", "datatype", "quantization")
"""Settings of a vector that do not stand in the YAML as the server has them."""
_QUOTED = re.compile(r"\"([\w-]+)\"")


def parse(documents: Sequence[Map], context: Context) -> list[Resource]:
    """Collections, their payload indexes and aliases; an alias of its own name for each versioned collection.

    Whether an undecided collection is versioned depends on what is live: `canonical` takes the alias out
    again where a plain collection of the name is there.
    """
    reader = _Reader(context)
    aliases: list[tuple[str, Map]] = []
    for document in documents:
        for name, body in (document.get("collections") or {}).items():
            reader.collection(name, body, document["collections"].at(name))
        aliases += [(name, document["aliases"]) for name in document.get("aliases") or {}]
    for name, block in aliases:
        reader.alias(name, block, {alias for alias, _ in aliases})
    return reader.resources


def payload_path(text: str) -> str | None:
    """The JSON path as the server spells it (needless quotes go), or None where it is none.

    >>> payload_path('"meta".tags[].id')
    'meta.tags[].id'
    >>> payload_path('"a b".c')
    '"a b".c'
    >>> payload_path("a b") is None
    True
    """
    return _QUOTED.sub(r"\1", text) if _JSON_PATH.match(text) else None


def plain(value: Json) -> Json:
    """YAML values as plain dicts and lists."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


class _Reader:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = context.spec.name
        self.resources: list[Resource] = []
        self.versioned: dict[str, bool] = {}

    def collection(self, name: str, body: Map, source: Source) -> None:
        """One entry of `collections:`."""
        declared_plain = body.get("versioned") is False
        self._name(name, "collection", source, 0 if declared_plain else len("__v999"))
        address = collection_address(self.store, name)
        contracts: dict[str, str] = {}
        self._clashes(name, body)
        fields = self._settings(body, contracts)
        self.resources.append(
            Collection(
                address=address,
                source=source,
                versioned=body.get("versioned"),
                on_change=body.get("on_change") or "refuse",
                writes=self._writes(body),
                retired=body.get("retired") or "drop",
                comes_after=self.context.after(body),
                contracts=contracts,
                written=body,
                **fields,
            )
        )
        for path in body.get("payload_indexes") or {}:
            self._payload_index(address, path, body["payload_indexes"])
        self.versioned[name] = not declared_plain
        if not declared_plain:
            self.resources.append(
                Alias(
                    address=alias_address(self.store, name),
                    source=source,
                    container=address,
                    refers=(address,),
                    collection=name,
                    own=True,
                )
            )

    def _clashes(self, name: str, body: Map) -> None:
        """Vectors declared in two ways, or under one name."""
        vector, vectors = body.get("vector"), body.get("vectors")
        if vector is not None and vectors is not None:
            self.context.problem(
                body.at("vectors"),
                f'collection "{name}" has `vector` ({body.at("vector")}) and `vectors`',
                "write `vector` for the unnamed one, or all of them by name under `vectors`",
            )
        for clash in sorted(set(vectors or {}) & set(body.get("sparse_vectors") or {})):
            self.context.problem(
                body["sparse_vectors"].at(clash),
                f'"{clash}" is a sparse vector here and a dense one in {body["vectors"].at(clash)}',
                "name them apart",
            )
        if options.OURS in (body.get("metadata") or {}):
            self.context.problem(
                body["metadata"].at(options.OURS),
                f'the metadata key "{options.OURS}" is the tool\'s own',
                "name it otherwise",
            )

    def _settings(self, body: Map, contracts: dict[str, str]) -> dict[str, Any]:
        """What the server is told of a collection; `contracts` gets the embedding of each vector."""
        vector, vectors = body.get("vector"), body.get("vectors")
        fields: dict[str, Any] = {
            "vector": None if vector is None else self._vector(vector, "", body.at("vector"), contracts),
            "vectors": None
            if vectors is None
            else {n: self._vector(v, n, vectors.at(n), contracts) for n, v in vectors.items()},
            "sparse_vectors": None
            if body.get("sparse_vectors") is None
            else {n: plain(v or {}) for n, v in body["sparse_vectors"].items()},
            "quantization": None
            if body.get("quantization") is None
            else self._quantization(body["quantization"], body.value_at("quantization")),
        }
        for key in (*settings.SECTIONS, "metadata"):
            if body.get(key):
                fields[key] = plain(body[key])
        for key in settings.SCALARS:
            fields[key] = body.get(key)
        if fields["vectors"] is not None and set(fields["vectors"]) == {""}:  # addressed as the unnamed one is
            fields |= {"vector": fields["vectors"][""], "vectors": None}
        return fields

    def _writes(self, body: Map) -> Json:
        """`writes:`, with the field's path as the server spells it."""
        writes = body.get("writes")
        if writes is None:
            if body.get("on_change") == "copy":
                self.context.problem(
                    body.at("on_change"),
                    "`on_change: copy` needs `writes:`: how the application writes while points are copied",
                    "one of: writes: {timestamp: FIELD} (a payload field that every write sets), dual (it writes to"
                    " both generations), frozen (it does not write), none_expected",
                )
            return None
        if isinstance(writes, str):
            return writes
        text, where = writes["timestamp"], writes.value_at("timestamp")
        path = payload_path(text)
        if path is None or "[" in path:
            self.context.problem(where, f'"{text}" is no JSON path of a single payload field', "as in: updated_at")
            return None
        index = (body.get("payload_indexes") or {}).get(text)
        kind = index if isinstance(index, str) else (index or {}).get("type")
        if kind not in STAMPS or (isinstance(index, Mapping) and index.get("range") is False):
            self.context.problem(
                where,
                f"`writes: {{timestamp: {text}}}` needs a payload index on {text} by which points can be ordered",
                f"declare it under `payload_indexes:`, of type {', '.join(STAMPS[:-1])} or {STAMPS[-1]}",
            )
        return {"timestamp": path}

    def alias(self, name: str, block: Map, names: set[str]) -> None:
        """One entry of `aliases:`."""
        target = block[name]
        self._name(name, "alias", block.at(name))
        if name in self.versioned:
            hint = f"a versioned collection carries the alias {name} by itself" if self.versioned[name] else None
            self.context.problem(
                block.at(name), f'there is a collection "{name}": an alias cannot share its name', hint
            )
            return
        if target in names and target not in self.versioned:
            self.context.problem(
                block.value_at(name),
                f'"{target}" is an alias: an alias cannot point at an alias',
                "name the collection",
            )
            return
        address = collection_address(self.store, target)
        self.resources.append(
            Alias(
                address=alias_address(self.store, name),
                source=block.at(name),
                # One that is not declared here may be `external:`, which would make its aliases external too.
                container=address if target in self.versioned else None,
                refers=(address,),
                collection=target,
            )
        )

    def _name(self, name: str, kind: str, source: Source, room: int = 0) -> None:
        article = "an" if kind == "alias" else "a"
        if found := _FORBIDDEN.search(name):
            self.context.problem(source, f"{article} {kind} name cannot contain {found[0]!r}", "choose another name")
        elif not name or name in (".", ".."):
            self.context.problem(source, f'"{name}" is no {kind} name', "choose another name")
        elif len(name.encode()) + room > options.MAX_NAME:
            limit = options.MAX_NAME - room
            self.context.problem(
                source, f"{article} {kind} name has at most {limit} bytes, this one has {len(name.encode())}"
            )
        elif name == options.MARK:
            self.context.problem(source, f'"{name}" is the tool\'s own collection', "choose another name")

    def _vector(self, body: Map, name: str, source: Source, contracts: dict[str, str]) -> dict[str, Json]:
        what = f'vector "{name}"' if name else "the vector"
        result: dict[str, Json] = {}
        if (wanted := body.get("embedding")) is not None:
            for key in ("dimensions", "distance", "datatype"):
                if key in body:
                    self._disagree(body, key, wanted)
            embedding = self.context.embeddings.get(wanted)
            if embedding is None:
                self.context.problem(
                    body.value_at("embedding"),
                    f'no embedding "{wanted}"',
                    meant(wanted, self.context.embeddings),
                )
                return result
            contracts[name] = wanted
            result = _contract(embedding)
            self._size(embedding.dimensions, body.value_at("embedding"), embedding.source)
        else:
            lacking = [key for key in ("dimensions", "distance") if body.get(key) is None]
            if lacking:
                self.context.problem(
                    source,
                    f"{what} has no {' and no '.join(lacking)}",
                    "name an `embedding:`, or give `dimensions:` and `distance:`",
                )
                return result
            result = {"size": body["dimensions"], "distance": options.DISTANCES[body["distance"]]}
            self._size(body["dimensions"], body.value_at("dimensions"), None)
            if body.get("datatype") is not None:
                result["datatype"] = body["datatype"]
        for row in settings.VECTOR:
            if len(row.path) == 1 and row.name not in _SPECIAL and body.get(row.name) is not None:
                result[row.name] = body[row.name]
        if body.get("hnsw"):
            result["hnsw"] = plain(body["hnsw"])
        if body.get("quantization") is not None:
            result["quantization"] = self._quantization(body["quantization"], body.value_at("quantization"))
        return result

    def _disagree(self, body: Map, key: str, wanted: str) -> None:
        embedding = self.context.embeddings.get(wanted)
        where = f" (declared at {embedding.source})" if embedding and embedding.source else ""
        value = {
            "dimensions": embedding and embedding.dimensions,
            "distance": embedding and str(embedding.distance),
            "datatype": embedding and str(embedding.element),
        }[key]
        says = f", which says {key} {value}" if value is not None else ""
        self.context.problem(
            body.at(key),
            f"`{key}: {body[key]}` beside `embedding: {wanted}`{where}{says}",
            f"delete `{key}`, or leave `embedding` out and give all of dimensions, distance and datatype",
        )

    def _size(self, size: int, where: Source, contract: Source | None) -> None:
        if size > options.MAX_DIMENSIONS:
            also = f" (declared at {contract})" if contract else ""
            self.context.problem(
                where, f"a Qdrant vector has at most {options.MAX_DIMENSIONS} dimensions, not {size}{also}"
            )

    def _quantization(self, value: Json, where: Source) -> Json:
        if isinstance(value, str):
            return value
        if len(value) != 1:
            self.context.problem(where, "a quantization is one of scalar, product, binary, turbo", "keep one")
        variant = next(iter(value), "none")
        return {variant: plain(value[variant] or {})} if value else "none"

    def _payload_index(self, collection: Address, text: str, indexes: Map) -> None:
        where, value = indexes.at(text), indexes[text]
        path = payload_path(text)
        if path is None:
            self.context.problem(
                where,
                f'"{text}" is no JSON path of a payload field',
                "put a key that has blanks or signs in double quotes inside single ones: '\"a key\".part[].id'",
            )
            return
        body: dict[str, Json] = {"type": value} if isinstance(value, str) else dict(value)
        kind, after = body.pop("type"), body.pop("after", None)
        allowed = settings.INDEX[kind]
        for key in body:
            if key not in allowed:
                takers = settings.takers(key)
                self.context.problem(
                    value.at(key),
                    f'a payload index of type {kind} has no "{key}": {", ".join(takers)} have',
                    f"{kind} takes: {', '.join(allowed)}",
                )
        if kind == "integer" and body.get("lookup") is False and body.get("range") is False:
            self.context.problem(value.at("range"), "an integer index needs lookup or range", "set one to true")
        self.resources.append(
            PayloadIndex(
                address=collection.child("payload_index", path),
                source=where,
                container=collection,
                refers=(collection,),
                comes_after=self.context.after(value) if after else (),
                type=kind,
                written=None if isinstance(value, str) else value,
                **{k: wire.spelled(k, plain(v)) for k, v in body.items() if k in allowed},
            )
        )


def _contract(embedding: Embedding) -> dict[str, Json]:
    """The contract in Qdrant's words. float32 is said too: a stored float16 would otherwise pass for it."""
    return {
        "size": embedding.dimensions,
        "distance": options.DISTANCES[embedding.distance],
        "datatype": "float16" if embedding.element is Element.FLOAT16 else "float32",
    }
