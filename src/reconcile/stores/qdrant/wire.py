"""Between the YAML's words and the server's JSON, both ways. Pure.

The server wants `optimizers_config` and answers `optimizer_config`; takes `params` flat on PUT and nested on
PATCH; names the unnamed vector "" in a PATCH; leaves out of an answer what was never asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast
from urllib.parse import quote

from reconcile.model import Json
from reconcile.stores.qdrant import options
from reconcile.stores.qdrant.resources import Collection, PayloadIndex

Wire = dict[str, Json]


def collection_path(name: str, rest: str = "") -> str:
    """The REST path of a collection by physical name."""
    return f"/collections/{quote(name, safe='')}{rest}"


# --- to the server ---------------------------------------------------------------------------------------


def vector_body(vector: Mapping[str, Json]) -> Wire:
    """One dense vector for PUT."""
    body: Wire = {}
    for key, value in vector.items():
        match key:
            case "multivector":
                body["multivector_config"] = {"comparator": value}
            case "hnsw":
                body["hnsw_config"] = dict(value)
            case "quantization":
                if value != "none":
                    body["quantization_config"] = value
            case _:
                body[key] = value
    return body


def vector_patch(changed: Mapping[str, Json]) -> Wire:
    """Changed keys of one dense vector for PATCH; taking quantization away is the word "Disabled"."""
    body = vector_body(changed)
    if changed.get("quantization") == "none":
        body["quantization_config"] = "Disabled"
    return body


def create_body(collection: Collection, copy: Json = None) -> Wire:
    """The body of PUT /collections/NAME. What is unset stays unset: the server's configuration decides.

    `copy` marks a generation that is to be filled before it takes over.
    """
    body: Wire = {"vectors": {}}
    if collection.vector is not None:
        body["vectors"] = vector_body(collection.vector)
    elif collection.vectors is not None:
        body["vectors"] = {name: vector_body(v) for name, v in collection.vectors.items()}
    if collection.sparse_vectors:
        body["sparse_vectors"] = {n: dict(v) for n, v in collection.sparse_vectors.items()}
    for key in options.PARAMS:
        value = getattr(collection, key)
        if value is not None and key != "read_fan_out_factor":  # PUT drops it (1.16); a PATCH follows
            body[key] = value
    for key, name in SECTIONS.items():
        value = getattr(collection, key)
        if value:
            body[name] = dict(value)
    if collection.quantization not in (None, "none"):
        body["quantization_config"] = collection.quantization
    metadata = dict(collection.metadata or {})
    if collection.generation is not None:
        metadata[options.OURS] = {
            "name": collection.address.parts[-1],
            "generation": collection.generation,
            **({"copy": copy} if copy is not None else {}),
        }
    if metadata:
        body["metadata"] = metadata
    return body


SECTIONS: Mapping[str, str] = {
    "hnsw": "hnsw_config",
    "optimizers": "optimizers_config",
    "wal": "wal_config",
    "strict_mode": "strict_mode_config",
}
"""Our key -> the request's."""


def expected(body: Mapping[str, Json]) -> Wire:
    """What GET has to show after a PUT of `body`."""
    config: Wire = {}
    params: Wire = {}
    for key, value in body.items():
        if key == "params":
            params.update(value)
        elif key == "optimizers_config":
            config["optimizer_config"] = value
        elif key in ("vectors", "sparse_vectors", *options.PARAMS):
            params[key] = value
        else:
            config[key] = value
    return {"config": {**config, **({"params": params} if params else {})}}


def index_body(index: PayloadIndex) -> Wire:
    """The body of PUT /collections/NAME/index: the object form, whose parameters GET shows again."""
    schema: Wire = {"type": index.type}
    for key in options.INDEX_PARAMS[index.type]:
        value = getattr(index, key)
        if value is not None:
            schema[key] = value
    return {"field_name": index.path, "field_schema": schema}


# --- from the server -------------------------------------------------------------------------------------


def _known(section: Mapping[str, Json] | None, known: frozenset[str], path: str, unknown: list[str]) -> Wire:
    """Keys that are set; those that no table knows go to `unknown`."""
    result: Wire = {}
    for key, value in (section or {}).items():
        if value is None:
            continue
        if key in known:
            result[key] = value
        else:
            unknown.append(f"{path}{key}")
    return result


def read_quantization(wire: Json, path: str, unknown: list[str]) -> Json:
    """`"none"` or `{variant: parameters}`, absent parameters filled with what they mean."""
    if not wire:
        return "none"
    variant, parameters = next(iter(wire.items()))
    if variant not in options.QUANTIZATION:
        unknown.append(f"{path}{variant}")
        return "none"
    found = _known(parameters, options.QUANTIZATION[variant], f"{path}{variant}.", unknown)
    return {variant: {**options.QUANTIZATION_DEFAULTS[variant], **found}}


def read_vector(wire: Mapping[str, Json], path: str, unknown: list[str]) -> Wire:
    """One dense vector from `config.params.vectors`."""
    found = _known(wire, options.VECTOR, path, unknown)
    result: Wire = {
        "size": found["size"],
        "distance": found["distance"],
        "datatype": found.get("datatype", "float32"),
        "on_disk": found.get("on_disk", False),
        "quantization": read_quantization(found.get("quantization_config"), f"{path}quantization_config.", unknown),
    }
    if hnsw := _known(found.get("hnsw_config"), options.HNSW, f"{path}hnsw_config.", unknown):
        result["hnsw"] = hnsw
    if multivector := _known(
        found.get("multivector_config"), frozenset({"comparator"}), f"{path}multivector_config.", unknown
    ):
        result["multivector"] = multivector["comparator"]
    return result


def read_sparse(wire: Mapping[str, Json], path: str, unknown: list[str]) -> Wire:
    """One sparse vector from `config.params.sparse_vectors`."""
    found = _known(wire, options.SPARSE, path, unknown)
    index = _known(found.get("index"), options.SPARSE_INDEX, f"{path}index.", unknown)
    return {
        "modifier": found.get("modifier", "none"),
        "index": {"on_disk": False, "datatype": "float32", **index},
    }


def read_config(config: Mapping[str, Json]) -> tuple[Wire, list[str]]:
    """The fields of a `Collection` from a GET's `config`, and the paths of what no table knows."""
    unknown: list[str] = []
    found = _known(config, options.CONFIG, "", unknown)
    known = frozenset({"vectors", "sparse_vectors", *options.PARAMS})
    params = _known(found.get("params"), known | {"sharding_method"}, "params.", unknown)
    if params.get("sharding_method", "auto") != "auto":
        unknown.append("params.sharding_method custom")
    fields: Wire = {key: params[key] for key in options.PARAMS if key in params}
    vectors = params.get("vectors") or {}
    if isinstance(vectors.get("size"), int):
        fields["vector"] = read_vector(vectors, "params.vectors.", unknown)
    elif set(vectors) == {""}:  # a vector named "" is addressed like the unnamed one
        fields["vector"] = read_vector(vectors[""], "params.vectors.", unknown)
    elif vectors:
        fields["vectors"] = {n: read_vector(v, f"params.vectors.{n}.", unknown) for n, v in vectors.items()}
    if sparse := params.get("sparse_vectors"):
        fields["sparse_vectors"] = {
            n: read_sparse(v, f"params.sparse_vectors.{n}.", unknown) for n, v in sparse.items()
        }
    hnsw = _known(found.get("hnsw_config"), options.HNSW, "hnsw_config.", unknown)
    fields["hnsw"] = {"inline_storage": False, **hnsw}
    optimizers = _known(found.get("optimizer_config"), options.OPTIMIZERS, "optimizer_config.", unknown)
    fields["optimizers"] = {"max_optimization_threads": "auto", **optimizers}
    fields["wal"] = _known(found.get("wal_config"), options.WAL, "wal_config.", unknown)
    fields["quantization"] = read_quantization(found.get("quantization_config"), "quantization_config.", unknown)
    if strict := {k: v for k, v in (found.get("strict_mode_config") or {}).items() if v is not None}:
        fields["strict_mode"] = strict
    if metadata := {k: v for k, v in (found.get("metadata") or {}).items() if k != options.OURS}:
        fields["metadata"] = metadata
    return fields, unknown


def stage_of(physical: str, config: Mapping[str, Json]) -> Mapping[str, Json]:
    """The metadata entry of a generation that is being filled (`copy`) or was retired (`retired`); else {}.

    Its name must agree as well: a restored copy under another name keeps the metadata, and is nobody's leftover.
    """
    mark = ours(config)
    if mark is None or physical != f"{mark[0]}__v{mark[1]}":
        return {}
    entry: Mapping[str, Json] = config["metadata"][options.OURS]
    return entry if "copy" in entry or "retired" in entry else {}


def ours(config: Mapping[str, Json]) -> tuple[str, int] | None:
    """(logical name, generation) where the metadata says that a collection is a generation of ours."""
    mark = (config.get("metadata") or {}).get(options.OURS)
    if isinstance(mark, dict) and isinstance(mark.get("name"), str) and isinstance(mark.get("generation"), int):
        return cast(str, mark["name"]), cast(int, mark["generation"])
    return None


def read_index(schema: Mapping[str, Json]) -> tuple[str, Wire, list[str]]:
    """(type, parameters with absent ones filled by what they mean, unknown keys) of one `payload_schema` entry."""
    kind = cast(str, schema["data_type"])
    given = {k: v for k, v in (schema.get("params") or {}).items() if v is not None and k != "type"}
    if kind not in options.INDEX_PARAMS:
        return kind, {}, [f"type {kind}"]
    allowed = options.INDEX_PARAMS[kind]
    defaults = {k: options.INDEX_DEFAULTS[k] for k in allowed if k in options.INDEX_DEFAULTS}
    unknown = sorted(set(given) - set(allowed))
    return kind, {**defaults, **{k: v for k, v in given.items() if k in allowed}}, unknown


# --- read-back -------------------------------------------------------------------------------------------

_ABSENT_MEANS: tuple[Json, ...] = (None, False, "float32", "none", "Disabled", "auto", {})


def same(wanted: Json, found: Json) -> bool:
    """Whether two scalars say the same: numbers to the precision the server keeps (32-bit floats)."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return abs(wanted - found) <= 1e-6 * max(1.0, abs(wanted))
    return bool(wanted == found)


def missing(wanted: Json, found: Json, path: str = "") -> Iterator[tuple[str, Json, Json]]:
    """(path, asked, got) for all of `wanted` that `found` does not show; a list has to hold each item of it."""
    if found is None and any(wanted is m or (wanted == m and type(wanted) is type(m)) for m in _ABSENT_MEANS):
        return
    if isinstance(wanted, Mapping) and (isinstance(found, Mapping) or found is None):
        for key, value in wanted.items():
            yield from missing(value, (found or {}).get(key), f"{path}.{key}" if path else key)
    elif isinstance(wanted, list) and isinstance(found, list):
        for i, value in enumerate(wanted):
            if not any(not list(missing(value, f)) for f in found):
                yield f"{path}[{i}]", value, None
    elif not same(wanted, found):
        yield path, wanted, found
