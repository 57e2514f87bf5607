"""Every setting of Qdrant as one row: where the YAML, the requests and the answer have it, what a change of it takes.

Measured on 1.16.3: a PATCH is answered with 200 whatever it says, merges key by key and cannot unset; what it ignores
is changed by a new generation. The versions are those of the published REST models, release by release. A key that
stands in no row is *not modelled*: it is reported, never half-compared. See
https://qdrant.tech/documentation/concepts/collections/ and .../concepts/indexing/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from reconcile.model import Json

Path = tuple[str, ...]
Version = tuple[int, ...]
ANY: Version = (0,)
"""Of settings that every server has."""
V11, V12, V13, V14, V15, V16, V17, V18, V19, V20 = ((1, minor) for minor in range(11, 21))
NAMED_IN_PLACE: Version = V18
"""Since when PUT and DELETE /collections/NAME/vectors/VECTOR add and remove a named vector. Not run here."""


@dataclass(frozen=True)
class Place:
    """Where a group of settings stands. Paths have dots; "" is the object itself."""

    key: str
    """In the YAML, below the collection or vector."""
    put: str | None
    """In the body of PUT; None: PUT drops it without a word, so that a PATCH has to follow."""
    get: str
    """In what GET shows: of a collection its `config`, of a vector its entry there."""
    patch: str | None
    """In the body of PATCH; its first part is the group: one PATCH for each. None: ignored with 200."""


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    place: Place
    name: str
    """In the YAML."""
    wire: str = ""
    """The server's name, where it is another."""
    absent: Json = None
    """What an answer without it means; None: it is not set, and the server decides."""
    shipped: Json = None
    """What a server with its shipped configuration fills in: `import` leaves it out."""
    since: Version = ANY
    later: Mapping[str, Version] = field(default_factory=dict)
    """Values that came after the setting itself."""

    @property
    def in_place(self) -> bool:
        """Whether PATCH changes it; else it takes a new collection."""
        return self.place.patch is not None

    @cached_property
    def path(self) -> Path:
        """In the YAML."""
        return _joined(self.place.key, self.name)

    @cached_property
    def put(self) -> Path | None:
        """In the body of PUT."""
        return None if self.place.put is None else _joined(self.place.put, self.wire or self.name)

    @cached_property
    def get(self) -> Path:
        """In what GET shows."""
        return _joined(self.place.get, self.wire or self.name)

    @cached_property
    def patch(self) -> Path | None:
        """In the body of PATCH."""
        return None if self.place.patch is None else _joined(self.place.patch, self.wire or self.name)

    def of(self, values: Mapping[str, Json]) -> Json:
        """Its value in what has the YAML's shape; None where it is not set."""
        found: Json = values
        for part in self.path:
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


def _joined(prefix: str, rest: str) -> Path:
    return tuple(part for part in (*prefix.split("."), *rest.split(".")) if part)


def placed(tree: dict[str, Json], path: Path, value: Json) -> None:
    """Set a value at a path, making the mappings on the way."""
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


# --- of a collection -------------------------------------------------------------------------------------

_HNSW = Place("hnsw", "hnsw_config", "hnsw_config", "hnsw_config")
_OPTIMIZERS = Place("optimizers", "optimizers_config", "optimizer_config", "optimizers_config")
_WAL = Place("wal", "wal_config", "wal_config", None)
_STRICT = Place("strict_mode", "strict_mode_config", "strict_mode_config", "strict_mode_config")
_ITSELF = Place("", "", "", "")
_ITSELF_FIXED = Place("", "", "", None)
_PARAMS = Place("", "", "params", "params")
_PARAMS_FIXED = Place("", "", "params", None)
_PARAMS_LATE = Place("", None, "params", "params")
_PAYLOAD = Place("payload", "payload", "params.payload", "params.payload")
_ID_TRACKER = Place("id_tracker", "id_tracker", "params.id_tracker", "params.id_tracker")

COLLECTION: tuple[Setting, ...] = (
    Setting(_HNSW, "m", shipped=16),
    Setting(_HNSW, "ef_construct", shipped=100),
    Setting(_HNSW, "full_scan_threshold", shipped=10000),
    Setting(_HNSW, "max_indexing_threads", shipped=0),
    Setting(_HNSW, "on_disk", shipped=False),
    Setting(_HNSW, "memory", since=V19),
    Setting(_HNSW, "payload_m"),
    Setting(_HNSW, "inline_storage", absent=False, shipped=False, since=V16),
    Setting(_OPTIMIZERS, "deleted_threshold", shipped=0.2),
    Setting(_OPTIMIZERS, "vacuum_min_vector_number", shipped=1000),
    Setting(_OPTIMIZERS, "default_segment_number", shipped=0),
    Setting(_OPTIMIZERS, "max_segment_size"),
    Setting(_OPTIMIZERS, "memmap_threshold"),
    Setting(_OPTIMIZERS, "indexing_threshold", shipped=10000),
    Setting(_OPTIMIZERS, "flush_interval_sec", shipped=5),
    Setting(_OPTIMIZERS, "max_optimization_threads", absent="auto", shipped="auto"),
    Setting(_OPTIMIZERS, "prevent_unoptimized", since=V17),
    Setting(_WAL, "wal_capacity_mb", shipped=32),
    Setting(_WAL, "wal_segments_ahead", shipped=0),
    Setting(_WAL, "wal_retain_closed", shipped=1, since=V16),
    Setting(_ITSELF, "quantization", "quantization_config", absent="none", shipped="none"),
    Setting(_STRICT, "enabled", since=V13),
    Setting(_STRICT, "max_query_limit", since=V13),
    Setting(_STRICT, "max_timeout", since=V13),
    Setting(_STRICT, "unindexed_filtering_retrieve", since=V13),
    Setting(_STRICT, "unindexed_filtering_update", since=V13),
    Setting(_STRICT, "search_max_hnsw_ef", since=V13),
    Setting(_STRICT, "search_allow_exact", since=V13),
    Setting(_STRICT, "search_max_oversampling", since=V13),
    Setting(_STRICT, "upsert_max_batchsize", since=V13),
    Setting(_STRICT, "search_max_batchsize", since=V18),
    Setting(_STRICT, "max_collection_vector_size_bytes", since=V13),
    Setting(_STRICT, "read_rate_limit", since=V13),
    Setting(_STRICT, "write_rate_limit", since=V13),
    Setting(_STRICT, "max_collection_payload_size_bytes", since=V13),
    Setting(_STRICT, "max_points_count", since=V14),
    Setting(_STRICT, "filter_max_conditions", since=V13),
    Setting(_STRICT, "condition_max_size", since=V13),
    Setting(_STRICT, "multivector_config", since=V14),  # a PATCH replaces the map whole (1.16), as the next
    Setting(_STRICT, "sparse_config", since=V14),
    Setting(_STRICT, "max_payload_index_count", since=V16),
    Setting(_STRICT, "max_resident_memory_percent", since=V18),
    Setting(_PARAMS_FIXED, "shard_number", shipped=1),
    Setting(_PARAMS_FIXED, "sharding_method", absent="auto", shipped="auto"),
    Setting(_PARAMS, "replication_factor", shipped=1),
    Setting(_PARAMS, "write_consistency_factor", shipped=1),
    Setting(_PARAMS_LATE, "read_fan_out_factor"),
    Setting(_PARAMS_LATE, "read_fan_out_delay_ms", since=V17),
    Setting(_PARAMS, "on_disk_payload", shipped=True),
    Setting(_PAYLOAD, "memory", since=V19),
    Setting(_ID_TRACKER, "memory", since=V20),
    Setting(_ITSELF, "metadata", since=V16),
)

# --- of a vector -----------------------------------------------------------------------------------------

DATATYPES: Mapping[str, Version] = MappingProxyType({"turbo4": V19, "turbo8": V20, "turbo16": V20})
_INDEX = Place("index", "index", "index", "index")
_INDEX_FIXED = Place("index", "index", "index", None)

VECTOR: tuple[Setting, ...] = (
    Setting(_ITSELF_FIXED, "size"),
    Setting(_ITSELF_FIXED, "distance"),
    Setting(_ITSELF_FIXED, "datatype", absent="float32", shipped="float32", later=DATATYPES),
    Setting(_ITSELF_FIXED, "multivector", "multivector_config.comparator"),
    Setting(_ITSELF, "on_disk", absent=False, shipped=False),
    Setting(_ITSELF, "memory", since=V19),
    Setting(_HNSW, "m"),
    Setting(_HNSW, "ef_construct"),
    Setting(_HNSW, "full_scan_threshold"),
    Setting(_HNSW, "max_indexing_threads"),
    Setting(_HNSW, "on_disk"),
    Setting(_HNSW, "memory", since=V19),
    Setting(_HNSW, "payload_m"),
    Setting(_HNSW, "inline_storage", since=V16),
    Setting(_ITSELF, "quantization", "quantization_config", absent="none", shipped="none"),
)
SPARSE: tuple[Setting, ...] = (
    Setting(_ITSELF, "modifier", absent="none", shipped="none"),
    Setting(_INDEX, "full_scan_threshold"),
    Setting(_INDEX, "on_disk", absent=False, shipped=False),
    Setting(_INDEX, "memory", since=V19),
    # A PATCH is taken and shown, but stored values are not encoded again (1.16).
    Setting(_INDEX_FIXED, "datatype", absent="float32", shipped="float32"),
)

QUANTIZATION: Mapping[str, tuple[Setting, ...]] = MappingProxyType(
    {
        "scalar": (
            Setting(_ITSELF, "type"),
            Setting(_ITSELF, "quantile"),
            Setting(_ITSELF, "always_ram", absent=False),
            Setting(_ITSELF, "memory", since=V19),
        ),
        "product": (
            Setting(_ITSELF, "compression"),
            Setting(_ITSELF, "always_ram", absent=False),
            Setting(_ITSELF, "memory", since=V19),
        ),
        "binary": (
            Setting(_ITSELF, "encoding", absent="one_bit", since=V15),
            Setting(_ITSELF, "query_encoding", absent="default", since=V15),
            Setting(_ITSELF, "always_ram", absent=False),
            Setting(_ITSELF, "memory", since=V19),
        ),
        "turbo": (
            Setting(_ITSELF, "bits", later={"bits8": V20}),
            Setting(_ITSELF, "always_ram", absent=False),
            Setting(_ITSELF, "memory", since=V19),
        ),
    }
)
"""By variant. A PATCH replaces the variant whole; the word "Disabled" takes it away."""
VARIANTS_SINCE: Mapping[str, Version] = MappingProxyType({"turbo": V18})

# --- of a payload index ----------------------------------------------------------------------------------

TYPES = ("keyword", "integer", "float", "bool", "geo", "datetime", "text", "uuid")


@dataclass(frozen=True)
class Parameter:
    """One parameter of payload indexes. PUT of an existing index drops it and builds anew, whatever changed."""

    name: str
    types: tuple[str, ...]
    """The server drops it from others without a word."""
    absent: Json = None
    """As `Setting.absent`."""
    since: Version = ANY
    later: Mapping[str, Version] = field(default_factory=dict)


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("is_tenant", ("keyword", "uuid"), False, V11),
    Parameter("lookup", ("integer",), True),
    Parameter("range", ("integer",), True),
    Parameter("is_principal", ("integer", "float", "datetime"), False, V11),
    Parameter("tokenizer", ("text",), "word", later={"code": V20}),
    Parameter("min_token_len", ("text",)),
    Parameter("max_token_len", ("text",)),
    Parameter("lowercase", ("text",), True),
    Parameter("ascii_folding", ("text",), False, V16),
    Parameter("phrase_matching", ("text",), False, V15),
    Parameter("stopwords", ("text",), {"languages": [], "custom": []}, V15),
    Parameter("stemmer", ("text",), "none", V15),
    Parameter("scoring", ("text",), "none", V20),
    Parameter("on_disk", ("keyword", "integer", "float", "datetime", "uuid"), False, V11),
    Parameter("on_disk", ("geo", "text"), False, V12),
    Parameter("on_disk", ("bool",), False, V13),
    Parameter("memory", TYPES, None, V19),
    Parameter("enable_hnsw", TYPES, True, V17),
    Parameter("prefix", ("keyword",), False, V19),
    Parameter("nested", TYPES, None, V20),
)
INDEX: Mapping[str, Mapping[str, Parameter]] = MappingProxyType(
    {kind: MappingProxyType({p.name: p for p in PARAMETERS if kind in p.types}) for kind in TYPES}
)
"""Type -> its parameters by name, in order."""


def takers(parameter: str) -> list[str]:
    """The types of payload index that have a parameter."""
    return [kind for kind, parameters in INDEX.items() if parameter in parameters]


TYPES_SINCE: Mapping[str, Version] = MappingProxyType({"uuid": V11})

# --- what follows from the table -------------------------------------------------------------------------

SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(s.path[0] for s in COLLECTION if len(s.path) > 1))
"""Fields of a collection that are mappings of settings: hnsw, optimizers, …"""
SCALARS: tuple[str, ...] = tuple(
    s.path[0] for s in COLLECTION if len(s.path) == 1 and s.name not in ("quantization", "metadata")
)
"""Fields of a collection that are settings by themselves: shard_number, …"""
FIELDS: tuple[str, ...] = tuple(dict.fromkeys(s.path[0] for s in COLLECTION))
"""All of them, in order."""


def defaults(rows: tuple[Setting, ...]) -> dict[str, Json]:
    """What absent settings mean, in the YAML's shape.

    >>> defaults(SPARSE)
    {'modifier': 'none', 'index': {'on_disk': False, 'datatype': 'float32'}}
    """
    tree: dict[str, Json] = {}
    for row in rows:
        if row.absent is not None:
            placed(tree, row.path, row.absent)
    return tree


def shipped(rows: tuple[Setting, ...], version: Version) -> dict[str, Json]:
    """What a server of this version fills in or takes for granted, in the YAML's shape."""
    tree: dict[str, Json] = {}
    for row in rows:
        if row.shipped is not None:
            before_16 = row.name == "indexing_threshold" and version < V16  # kB from which vectors were indexed
            placed(tree, row.path, 20000 if before_16 else row.shipped)
    return tree
