"""Between the YAML's words and the server's JSON, both ways, by the table of `settings.py`. Pure.

The server wants `optimizers_config` and answers `optimizer_config`; takes `params` flat on PUT and nested on
PATCH; names the unnamed vector "" in a PATCH; leaves out of an answer what was never asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

from reconcile.model import Json
from reconcile.stores.qdrant import options, settings
from reconcile.stores.qdrant.resources import Collection, PayloadIndex
from reconcile.stores.qdrant.settings import Setting, Version, placed

Wire = dict[str, Json]


def collection_path(name: str, rest: str = "") -> str:
    """The REST path of a collection by physical name."""
    return f"/collections/{quote(name, safe='')}{rest}"


def snapshot_name(collection: str, snapshot: str) -> str:
    """COLLECTION/SNAPSHOT: what keeps the points of a collection that was emptied. No collection has a slash."""
    return f"{collection}/{snapshot}"


def snapshot_path(kept: str) -> str | None:
    """The REST path of what `snapshot_name` names; None of the name of a collection."""
    collection, slash, snapshot = kept.partition("/")
    return collection_path(collection, f"/snapshots/{quote(snapshot, safe='')}") if slash else None


# --- to the server ---------------------------------------------------------------------------------------


def put(rows: tuple[Setting, ...], values: Mapping[str, Json]) -> Wire:
    """The part of a body of PUT that says `values`: what is unset, or can only be patched, is left out."""
    body: Wire = {}
    for row in rows:
        value = row.of(values)
        if value is not None and row.put is not None and not (row.name == "quantization" and value == "none"):
            placed(body, row.put, value)
    return body


def patches(rows: tuple[Setting, ...], before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Wire]:
    """Group -> the body of the PATCH that brings `before` to `after`; what it takes away cannot be said."""
    found: dict[str, Wire] = {}
    for row in rows:
        value = row.of(after)
        was = row.absent if (there := row.of(before)) is None else there
        if row.patch is not None and value is not None and value != was:
            off = row.name == "quantization" and value == "none"
            placed(found.setdefault(row.patch[0], {}), row.patch, "Disabled" if off else value)
    return found


def expected(rows: tuple[Setting, ...], body: Mapping[str, Json], patched: bool = False) -> Wire:
    """What GET has to show after a PUT, or a PATCH, of `body`, in the part that `rows` describe."""
    shown: Wire = {}
    for row in rows:
        path = row.patch if patched else row.put
        value = _at(body, path) if path is not None else None
        if value is not None:
            placed(shown, row.get, None if value == "Disabled" else value)
    return shown


def _at(tree: Json, path: tuple[str, ...]) -> Json:
    for part in path:
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def create_body(collection: Collection, copy: Json = None) -> Wire:
    """The body of PUT /collections/NAME. What is unset stays unset: the server's configuration decides.

    `copy` marks a generation that is to be filled before it takes over.
    """
    body: Wire = {"vectors": {}}
    if collection.vector is not None:
        body["vectors"] = put(settings.VECTOR, collection.vector)
    elif collection.vectors is not None:
        body["vectors"] = {name: put(settings.VECTOR, v) for name, v in collection.vectors.items()}
    if collection.sparse_vectors:
        body["sparse_vectors"] = {n: put(settings.SPARSE, v) for n, v in collection.sparse_vectors.items()}
    body |= put(settings.COLLECTION, collection.settings())
    metadata = {k: v for k, v in (body.pop("metadata", None) or {}).items() if v is not None}
    if collection.generation is not None:
        metadata[options.OURS] = {
            "name": collection.address.parts[-1],
            "generation": collection.generation,
            **({"copy": copy} if copy is not None else {}),
        }
    if metadata:
        body["metadata"] = metadata
    return body


def created(body: Mapping[str, Json]) -> Wire:
    """What GET has to show after `create_body`."""
    config = expected(settings.COLLECTION, body)
    config.setdefault("params", {}).update({k: body[k] for k in ("vectors", "sparse_vectors") if k in body})
    return {"config": config}


def index_body(index: PayloadIndex) -> Wire:
    """The body of PUT /collections/NAME/index: the object form, whose parameters GET shows again."""
    schema: Wire = {"type": index.type}
    for key in settings.INDEX[index.type]:
        value = shortened(key, getattr(index, key))
        if value is not None:
            schema[key] = {"type": value} if key == "scoring" else value
    return {"field_name": index.path, "field_schema": schema}


# --- from the server -------------------------------------------------------------------------------------


def _tree(rows: tuple[Setting, ...]) -> Wire:
    """The rows by their place in an answer: {"hnsw_config": {"m": row}}."""
    tree: Wire = {}
    for row in rows:
        placed(tree, row.get, row)
    return tree


_COLLECTION, _VECTOR, _SPARSE = map(_tree, (settings.COLLECTION, settings.VECTOR, settings.SPARSE))
_VARIANTS = {variant: _tree(rows) for variant, rows in settings.QUANTIZATION.items()}


def _read(answer: Mapping[str, Json], tree: Wire, fields: Wire, path: str, unknown: list[str]) -> Wire:
    """Put what is set into `fields`, in the YAML's shape; what no row knows goes to `unknown`."""
    for key, value in answer.items():
        if value is None:
            continue
        row = tree.get(key)
        if isinstance(row, Setting):
            placed(fields, row.path, value)
        elif row is not None and isinstance(value, Mapping):
            _read(value, row, fields, f"{path}{key}.", unknown)
        else:
            unknown.append(f"{path}{key}")
    return fields


def read_quantization(wire: Json, path: str, unknown: list[str]) -> Json:
    """`"none"` or `{variant: parameters}`, absent parameters filled with what they mean."""
    if not wire or wire == "none":
        return "none"
    variant, parameters = next(iter(wire.items()))
    if variant not in _VARIANTS:
        unknown.append(f"{path}{variant}")
        return "none"
    known = settings.defaults(settings.QUANTIZATION[variant])
    return {variant: _read(parameters, _VARIANTS[variant], known, f"{path}{variant}.", unknown)}


def read_vector(wire: Mapping[str, Json], path: str, unknown: list[str]) -> Wire:
    """One dense vector from `config.params.vectors`."""
    found = _read(wire, _VECTOR, settings.defaults(settings.VECTOR), path, unknown)
    found["quantization"] = read_quantization(found["quantization"], f"{path}quantization_config.", unknown)
    return found


def read_sparse(wire: Mapping[str, Json], path: str, unknown: list[str]) -> Wire:
    """One sparse vector from `config.params.sparse_vectors`."""
    return _read(wire, _SPARSE, settings.defaults(settings.SPARSE), path, unknown)


def read_config(config: Mapping[str, Json]) -> tuple[Wire, list[str]]:
    """The fields of a `Collection` from a GET's `config`, and the paths of what no table knows."""
    unknown: list[str] = []
    params = dict(config.get("params") or {})
    vectors, sparse = params.pop("vectors", None) or {}, params.pop("sparse_vectors", None)
    fields = _read({**config, "params": params}, _COLLECTION, settings.defaults(settings.COLLECTION), "", unknown)
    fields["quantization"] = read_quantization(fields["quantization"], "quantization_config.", unknown)
    vectors = flat(vectors)
    if isinstance(vectors.get("size"), int):
        fields["vector"] = read_vector(vectors, "params.vectors.", unknown)
    elif vectors:
        fields["vectors"] = {n: read_vector(v, f"params.vectors.{n}.", unknown) for n, v in vectors.items()}
    if sparse:
        fields["sparse_vectors"] = {
            n: read_sparse(v, f"params.sparse_vectors.{n}.", unknown) for n, v in sparse.items()
        }
    metadata = {k: v for k, v in (fields.pop("metadata", None) or {}).items() if v is not None and k != options.OURS}
    if metadata:
        fields["metadata"] = metadata
    return fields, unknown


def flat(vectors: Mapping[str, Json]) -> Mapping[str, Json]:
    """`params.vectors` of an answer; a single vector named "" is addressed like the unnamed one."""
    return cast(Mapping[str, Json], vectors[""]) if set(vectors) == {""} else vectors


def stage_of(physical: str, config: Mapping[str, Json]) -> Mapping[str, Json]:
    """The metadata entry of a generation that is being filled (`copy`) or was retired (`retired`); else {}.

    Its name must agree as well: a restored copy under another name keeps the metadata, and is nobody's leftover.
    """
    mark = ours(config)
    if mark is None or physical != f"{mark[0]}__v{mark[1]}":
        return {}
    entry: Mapping[str, Json] = config["metadata"][options.OURS]
    return entry if "copy" in entry or "retired" in entry else {}


KEPT = "kept"
"""Key of our metadata entry in a collection that went and is kept: it is nobody's then."""


def kept(config: Mapping[str, Json]) -> bool:
    """Whether a collection is kept of a removal."""
    mark = (config.get("metadata") or {}).get(options.OURS)
    return isinstance(mark, dict) and mark.get(KEPT) is True


def ours(config: Mapping[str, Json]) -> tuple[str, int] | None:
    """(logical name, generation) where the metadata says that a collection is a generation of ours."""
    mark = (config.get("metadata") or {}).get(options.OURS)
    if isinstance(mark, dict) and isinstance(mark.get("name"), str) and isinstance(mark.get("generation"), int):
        return cast(str, mark["name"]), cast(int, mark["generation"])
    return None


def read_index(schema: Mapping[str, Json], version: Version) -> tuple[str, Wire, list[str]]:
    """(type, parameters with absent ones filled by what they mean, unknown keys) of one `payload_schema` entry."""
    kind = cast(str, schema["data_type"])
    given = {k: v for k, v in (schema.get("params") or {}).items() if v is not None and k != "type"}
    if kind not in settings.INDEX:
        return kind, {}, [f"type {kind}"]
    known = settings.INDEX[kind]
    found = {k: p.absent for k, p in known.items() if p.absent is not None and p.since <= version}
    found |= {k: spelled(k, v) for k, v in given.items() if k in known}
    return kind, found, sorted(set(given) - set(known))


# --- spellings of one thing ------------------------------------------------------------------------------


def spelled(parameter: str, value: Json) -> Json:
    """The value of a parameter of a payload index, whichever way it is written, as the server keeps it.

    >>> spelled("stopwords", "english"), spelled("stopwords", {"custom": ["b", "a", "b"]})
    ({'languages': ['english'], 'custom': []}, {'languages': [], 'custom': ['a', 'b']})
    >>> spelled("scoring", {"type": "bm25"}), spelled("scoring", False)
    ('bm25', 'none')
    """
    match parameter, value:
        case "stopwords", str():
            return {"languages": [value] if value != "none" else [], "custom": []}
        case "stopwords", _:  # the server sorts, and keeps each once
            return {key: sorted(set(value.get(key) or ())) for key in ("languages", "custom")}
        case "scoring", bool():
            return "bm25" if value else "none"
        case "scoring" | "stemmer", {"type": "bm25" | "none" as word}:
            return word
    return value


def shortened(parameter: str, value: Json) -> Json:
    """The shortest way to write what `spelled` made; None where it says nothing.

    >>> shortened("stopwords", {"languages": ["english"], "custom": []})
    'english'
    """
    match parameter, value:
        case "stopwords", {"languages": [language], "custom": []}:
            return language
        case "stopwords", Mapping():
            return {key: words for key, words in value.items() if words} or None
        case "stemmer" | "scoring", "none":
            return None
    return value
