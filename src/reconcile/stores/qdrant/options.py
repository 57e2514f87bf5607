"""Qdrant's settings as tables: which keys there are, what the server takes for an absent one, since when.

A key that stands in no table here is *not modelled*: it is reported, never half-compared. See
https://qdrant.tech/documentation/concepts/collections/ and .../concepts/indexing/.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from reconcile.embeddings import Distance
from reconcile.model import Json

MAX_DIMENSIONS = 65536
"""Larger sizes are answered with 422."""
MAX_NAME = 255
MARK = "_reconcile"
"""The tool's own collection: empty, its metadata holds the world stamp; never introspected."""
OURS = "reconcile"
"""The metadata key by which a versioned collection is recognised, whatever its name."""

DISTANCES: Mapping[str, str] = MappingProxyType(
    {
        Distance.COSINE: "Cosine",
        Distance.EUCLIDEAN: "Euclid",
        Distance.DOT: "Dot",
        Distance.MANHATTAN: "Manhattan",
    }
)
"""The contract's word -> Qdrant's."""

HNSW = frozenset(
    {
        "m",
        "ef_construct",
        "full_scan_threshold",
        "max_indexing_threads",
        "on_disk",
        "payload_m",
        "inline_storage",
    }
)
OPTIMIZERS = frozenset(
    {
        "deleted_threshold",
        "vacuum_min_vector_number",
        "default_segment_number",
        "max_segment_size",
        "memmap_threshold",
        "indexing_threshold",
        "flush_interval_sec",
        "max_optimization_threads",
        "prevent_unoptimized",
    }
)
WAL = frozenset({"wal_capacity_mb", "wal_segments_ahead", "wal_retain_closed"})
PARAMS = (
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
    "read_fan_out_factor",
    "on_disk_payload",
)
"""Keys of `config.params` that are fields of a collection of the same name."""
QUANTIZATION: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "scalar": frozenset({"type", "quantile", "always_ram"}),
        "product": frozenset({"compression", "always_ram"}),
        "binary": frozenset({"encoding", "query_encoding", "always_ram"}),
        "turbo": frozenset({"bits", "always_ram"}),
    }
)
VECTOR = frozenset(
    {"size", "distance", "datatype", "multivector_config", "on_disk", "hnsw_config", "quantization_config"}
)
SPARSE = frozenset({"modifier", "index"})
SPARSE_INDEX = frozenset({"full_scan_threshold", "on_disk", "datatype"})
CONFIG = frozenset(
    {
        "params",
        "hnsw_config",
        "optimizer_config",
        "wal_config",
        "quantization_config",
        "strict_mode_config",
        "metadata",
    }
)

INDEX_PARAMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "keyword": ("is_tenant", "on_disk", "enable_hnsw", "prefix"),
        "integer": ("lookup", "range", "is_principal", "on_disk", "enable_hnsw"),
        "float": ("is_principal", "on_disk", "enable_hnsw"),
        "datetime": ("is_principal", "on_disk", "enable_hnsw"),
        "uuid": ("is_tenant", "on_disk", "enable_hnsw"),
        "geo": ("on_disk", "enable_hnsw"),
        "bool": ("on_disk", "enable_hnsw"),
        "text": (
            "tokenizer",
            "min_token_len",
            "max_token_len",
            "lowercase",
            "ascii_folding",
            "phrase_matching",
            "stopwords",
            "stemmer",
            "on_disk",
            "enable_hnsw",
        ),
    }
)
"""Parameters by type of payload index; the server drops others without a word."""

INDEX_DEFAULTS: Mapping[str, Json] = MappingProxyType(
    {
        "is_tenant": False,
        "is_principal": False,
        "on_disk": False,
        "lookup": True,
        "range": True,
        "tokenizer": "word",
        "lowercase": True,
        "ascii_folding": False,
        "phrase_matching": False,
    }
)
"""What an absent parameter means. `enable_hnsw` and `prefix` are not here: 1.16 does not know them."""

VECTOR_DEFAULTS: Mapping[str, Json] = MappingProxyType(
    {"datatype": "float32", "on_disk": False, "quantization": "none"}
)
"""GET leaves these out of a vector unless they were asked for; absent and the default are the same."""
SPARSE_DEFAULTS: Mapping[str, Json] = MappingProxyType(
    {"modifier": "none", "index": {"on_disk": False, "datatype": "float32"}}
)
QUANTIZATION_DEFAULTS: Mapping[str, Mapping[str, Json]] = MappingProxyType(
    {
        "scalar": {"always_ram": False},
        "product": {"always_ram": False},
        "binary": {"always_ram": False, "encoding": "one_bit", "query_encoding": "default"},
        "turbo": {"always_ram": False},
    }
)

SHIPPED: Mapping[str, Json] = MappingProxyType(
    {
        "shard_number": 1,
        "replication_factor": 1,
        "write_consistency_factor": 1,
        "on_disk_payload": True,
        "quantization": "none",
        "hnsw": {
            "m": 16,
            "ef_construct": 100,
            "full_scan_threshold": 10000,
            "max_indexing_threads": 0,
            "on_disk": False,
            "inline_storage": False,
        },
        "optimizers": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "indexing_threshold": 10000,
            "flush_interval_sec": 5,
            "max_optimization_threads": "auto",
        },
        "wal": {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1},
    }
)
"""What a server of the 1.16 line fills in with its shipped configuration; `import` leaves these out."""

SINCE: Mapping[tuple[str, ...], tuple[int, int]] = MappingProxyType(
    {
        ("hnsw", "inline_storage"): (1, 16),
        ("metadata",): (1, 16),
        ("strict_mode",): (1, 13),
        ("optimizers", "prevent_unoptimized"): (1, 17),
        ("payload_index", "enable_hnsw"): (1, 17),
        ("payload_index", "prefix"): (1, 17),
        ("quantization", "turbo"): (1, 18),
    }
)
"""Option -> first server version that has it. Older ones drop it with 200, so it is refused before planning."""


def shipped(version: tuple[int, ...]) -> Mapping[str, Json]:
    """`SHIPPED` for a server version: before 1.16 vectors were indexed from 20000 kB on."""
    if version >= (1, 16):
        return SHIPPED
    return {**SHIPPED, "optimizers": {**SHIPPED["optimizers"], "indexing_threshold": 20000}}
