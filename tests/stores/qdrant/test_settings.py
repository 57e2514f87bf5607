"""Every setting: created, read back, changed, read again, planned again: nothing. In place, or as a new generation."""

from __future__ import annotations

from typing import Any

import pytest
from tests.stores.qdrant.store import Store, lines

from reconcile.errors import ReconcileError
from reconcile.plan import Plan

VECTOR = "vector: {dimensions: 4, distance: cosine}"

IN_PLACE: list[tuple[str, str, str, str, Any]] = [
    # name, before, after, path into GET's config, value there
    ("hnsw.m", "hnsw: {m: 8}", "hnsw: {m: 24}", "hnsw_config.m", 24),
    ("hnsw.m unset", "", "hnsw: {m: 24}", "hnsw_config.m", 24),
    ("hnsw.ef_construct", "hnsw: {ef_construct: 50}", "hnsw: {ef_construct: 60}", "hnsw_config.ef_construct", 60),
    (
        "hnsw.full_scan_threshold",
        "hnsw: {full_scan_threshold: 5000}",
        "hnsw: {full_scan_threshold: 6000}",
        "hnsw_config.full_scan_threshold",
        6000,
    ),
    (
        "hnsw.max_indexing_threads",
        "hnsw: {max_indexing_threads: 1}",
        "hnsw: {max_indexing_threads: 2}",
        "hnsw_config.max_indexing_threads",
        2,
    ),
    ("hnsw.on_disk", "hnsw: {on_disk: true}", "hnsw: {on_disk: false}", "hnsw_config.on_disk", False),
    ("hnsw.payload_m", "hnsw: {payload_m: 8}", "hnsw: {payload_m: 16}", "hnsw_config.payload_m", 16),
    ("hnsw.payload_m unset", "", "hnsw: {payload_m: 16}", "hnsw_config.payload_m", 16),
    (
        "hnsw.inline_storage",
        "hnsw: {inline_storage: false}",
        "hnsw: {inline_storage: true}",
        "hnsw_config.inline_storage",
        True,
    ),
    (
        "optimizers.deleted_threshold",
        "optimizers: {deleted_threshold: 0.123456789}",
        "optimizers: {deleted_threshold: 0.3}",
        "optimizer_config.deleted_threshold",
        0.3,
    ),
    (
        "optimizers.indexing_threshold",
        "optimizers: {indexing_threshold: 0}",
        "optimizers: {indexing_threshold: 500}",
        "optimizer_config.indexing_threshold",
        500,
    ),
    (
        "optimizers.max_segment_size",
        "",
        "optimizers: {max_segment_size: 50000}",
        "optimizer_config.max_segment_size",
        50000,
    ),
    (
        "optimizers.memmap_threshold",
        "optimizers: {memmap_threshold: 10000}",
        "optimizers: {memmap_threshold: 20000}",
        "optimizer_config.memmap_threshold",
        20000,
    ),
    (
        "optimizers.vacuum_min_vector_number",
        "",
        "optimizers: {vacuum_min_vector_number: 500}",
        "optimizer_config.vacuum_min_vector_number",
        500,
    ),
    (
        "optimizers.default_segment_number",
        "",
        "optimizers: {default_segment_number: 3}",
        "optimizer_config.default_segment_number",
        3,
    ),
    (
        "optimizers.flush_interval_sec",
        "",
        "optimizers: {flush_interval_sec: 9}",
        "optimizer_config.flush_interval_sec",
        9,
    ),
    (
        "optimizers.max_optimization_threads",
        "optimizers: {max_optimization_threads: 2}",
        "optimizers: {max_optimization_threads: auto}",
        "optimizer_config.max_optimization_threads",
        None,
    ),
    (
        "quantization none to scalar",
        "quantization: none",
        "quantization: {scalar: {type: int8, quantile: 0.991234567}}",
        "quantization_config.scalar.type",
        "int8",
    ),
    (
        "quantization scalar to product",
        "quantization: {scalar: {type: int8}}",
        "quantization: {product: {compression: x16}}",
        "quantization_config.product.compression",
        "x16",
    ),
    (
        "quantization product to binary",
        "quantization: {product: {compression: x16}}",
        "quantization: {binary: {encoding: two_bits, query_encoding: scalar4bits}}",
        "quantization_config.binary.encoding",
        "two_bits",
    ),
    (
        "quantization always_ram",
        "quantization: {binary: {always_ram: true}}",
        "quantization: {binary: {always_ram: false}}",
        "quantization_config.binary.always_ram",
        False,
    ),
    ("quantization to none", "quantization: {binary: {}}", "quantization: none", "quantization_config", None),
    ("on_disk_payload", "on_disk_payload: true", "on_disk_payload: false", "params.on_disk_payload", False),
    ("replication_factor", "replication_factor: 1", "replication_factor: 2", "params.replication_factor", 2),
    (
        "write_consistency_factor",
        "write_consistency_factor: 1",
        "write_consistency_factor: 2",
        "params.write_consistency_factor",
        2,
    ),
    ("read_fan_out_factor", "read_fan_out_factor: 1", "read_fan_out_factor: 2", "params.read_fan_out_factor", 2),
    (
        "strict_mode",
        "strict_mode: {enabled: true, max_query_limit: 100}",
        "strict_mode: {enabled: false, max_query_limit: 50, search_max_oversampling: 1.5}",
        "strict_mode_config.max_query_limit",
        50,
    ),
    (
        "metadata",
        "metadata: {owner: search, spec: {a: 1, b: 2}}",
        "metadata: {owner: rag, spec: {a: 1}}",
        "metadata.spec",
        {"a": 1},
    ),
]

VECTORS_IN_PLACE: list[tuple[str, str, str, str, Any]] = [
    (
        "unnamed on_disk",
        "vector: {dimensions: 4, distance: dot, on_disk: true}",
        "vector: {dimensions: 4, distance: dot, on_disk: false}",
        "params.vectors.on_disk",
        False,
    ),
    (
        "unnamed hnsw",
        "vector: {dimensions: 4, distance: dot}",
        "vector: {dimensions: 4, distance: dot, hnsw: {m: 5, on_disk: true}}",
        "params.vectors.hnsw_config.m",
        5,
    ),
    (
        "unnamed quantization away",
        "vector: {dimensions: 4, distance: dot, quantization: {scalar: {type: int8}}}",
        "vector: {dimensions: 4, distance: dot, quantization: none}",
        "params.vectors.quantization_config",
        None,
    ),
    (
        "named",
        "vectors: {a: {dimensions: 4, distance: dot}, b: {dimensions: 3, distance: euclidean}}",
        "vectors: {a: {dimensions: 4, distance: dot, on_disk: true},"
        " b: {dimensions: 3, distance: euclidean, hnsw: {m: 7}, quantization: {binary: {}}}}",
        "params.vectors.b.hnsw_config.m",
        7,
    ),
    (
        "sparse modifier",
        "sparse_vectors: {s: {modifier: idf}}",
        "sparse_vectors: {s: {modifier: none}}",
        "params.sparse_vectors.s.modifier",
        "none",
    ),
    (
        "sparse index",
        "sparse_vectors: {s: {index: {on_disk: true}}}",
        "sparse_vectors: {s: {modifier: idf, index: {full_scan_threshold: 100}}}",
        "params.sparse_vectors.s.index.full_scan_threshold",
        100,
    ),
]

ANEW: list[tuple[str, str, str]] = [
    ("size", "vector: {dimensions: 4, distance: dot}", "vector: {dimensions: 5, distance: dot}"),
    ("distance", "vector: {dimensions: 4, distance: dot}", "vector: {dimensions: 4, distance: manhattan}"),
    (
        "datatype",
        "vector: {dimensions: 4, distance: dot}",
        "vector: {dimensions: 4, distance: dot, datatype: uint8}",
    ),
    (
        "multivector",
        "vector: {dimensions: 4, distance: dot}",
        "vector: {dimensions: 4, distance: dot, multivector: max_sim}",
    ),
    ("named", "vector: {dimensions: 4, distance: dot}", "vectors: {a: {dimensions: 4, distance: dot}}"),
    (
        "vector added",
        "vectors: {a: {dimensions: 4, distance: dot}}",
        "vectors: {a: {dimensions: 4, distance: dot}, b: {dimensions: 3, distance: dot}}",
    ),
    (
        "vector removed",
        "vectors: {a: {dimensions: 4, distance: dot}, b: {dimensions: 3, distance: dot}}",
        "vectors: {a: {dimensions: 4, distance: dot}}",
    ),
    ("sparse added", f"{VECTOR}", f"{VECTOR}, sparse_vectors: {{s: {{}}}}"),
    (
        "sparse datatype",
        "sparse_vectors: {s: {}}",
        "sparse_vectors: {s: {index: {datatype: float16}}}",
    ),
    ("shard_number", f"{VECTOR}, shard_number: 1", f"{VECTOR}, shard_number: 2"),
    ("wal", f"{VECTOR}, wal: {{wal_capacity_mb: 32}}", f"{VECTOR}, wal: {{wal_capacity_mb: 16}}"),
]


def at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = (value or {}).get(key)
    return value


def together(store: Store, settings: list[str], aliases: str = "{}") -> None:
    """Declare collections c0, c1, … in one project: a plan for each would take minutes."""
    entries = "\n".join(f"  c{i}: {{{text}}}" for i, text in enumerate(settings))
    store.declare(f"collections:\n{entries}\naliases: {aliases}")


def actions(made: Plan) -> dict[str, tuple[str, ...]]:
    return {str(c.address): c.actions for c in made.resource_changes}


def test_settings_are_changed_in_place(store: Store) -> None:
    cases = [(f"{VECTOR}{', ' * bool(b)}{b}", f"{VECTOR}, {a}", p, v) for _, b, a, p, v in IN_PLACE]
    cases += [(b, a, p, v) for _, b, a, p, v in VECTORS_IN_PLACE]
    names = [c[0] for c in (*IN_PLACE, *VECTORS_IN_PLACE)]
    together(store, [before for before, _, _, _ in cases])
    store.apply()
    for i in range(len(IN_PLACE)):
        store.fill(f"c{i}")
    together(store, [after for _, after, _, _ in cases])
    made = store.apply()
    assert actions(made) == {f"v.collection.c{i}": ("update",) for i in range(len(cases))}
    for i, (_, _, path, value) in enumerate(cases):
        assert at(store.config(f"c{i}__v1"), path) == pytest.approx(value), names[i]


def test_a_new_generation_takes_over_where_nothing_is_stored(store: Store) -> None:
    index = "payload_indexes: {year: integer}"
    together(store, [f"{before}, {index}" for _, before, _ in ANEW])
    store.apply()
    together(store, [f"{after}, {index}" for _, _, after in ANEW])
    made = actions(store.apply())
    for i, (name, _, _) in enumerate(ANEW):
        assert made[f"v.collection.c{i}"] == ("create", "delete"), name
        assert made[f"v.alias.c{i}"] == ("update",), name
        assert set(store.send("GET", f"/collections/c{i}")["payload_schema"]) == {"year"}, name
    assert store.names() == sorted(f"c{i}__v2" for i in range(len(ANEW)))
    assert store.aliases() == {f"c{i}": f"c{i}__v2" for i in range(len(ANEW))}


def test_a_plain_one_is_made_anew_where_nothing_is_stored(store: Store) -> None:
    head = "versioned: false, payload_indexes: {year: integer}"
    aliases = "{" + ", ".join(f"live{i}: c{i}" for i in range(len(ANEW))) + "}"
    together(store, [f"{head}, {before}" for _, before, _ in ANEW], aliases)
    store.apply()
    together(store, [f"{head}, {after}" for _, _, after in ANEW], aliases)
    assert actions(store.apply()) == {f"v.collection.c{i}": ("delete", "create") for i in range(len(ANEW))}
    assert store.names() == sorted(f"c{i}" for i in range(len(ANEW)))
    assert store.aliases() == {f"live{i}": f"c{i}" for i in range(len(ANEW))}
    for i, (name, _, _) in enumerate(ANEW):
        assert set(store.send("GET", f"/collections/c{i}")["payload_schema"]) == {"year"}, name


@pytest.mark.parametrize(
    ("before", "after"), [(b, a) for n, b, a in ANEW if n in ("size", "distance", "datatype", "shard_number")]
)
def test_stored_points_are_never_lost_unasked(store: Store, before: str, after: str) -> None:
    store.collection(before)
    store.apply()
    store.fill()
    store.collection(after)
    with pytest.raises(ReconcileError, match="holds points, and Qdrant cannot change"):
        store.plan("all")
    if "shard_number" not in after:
        store.collection(f"{after}, on_change: copy, writes: frozen")
        with pytest.raises(ReconcileError, match="holds points"):
            store.plan("all")
    store.collection(f"{after}, on_change: empty")
    hazards = {h for s in store.plan().steps for h in s.hazards}
    assert "deletes-data" in hazards
    assert ("needs-reembedding" in hazards) == ("shard_number" not in after)
    store.apply()
    assert store.names() == ["c__v2"]


def test_the_refusal_prints_the_next_generation(store: Store) -> None:
    store.collection("vector: {dimensions: 3, distance: dot}")
    store.apply()
    store.fill(vector=(1, 2, 3))
    store.collection("vector: {embedding: passages}")
    with pytest.raises(ReconcileError) as error:
        store.plan()
    for line in ("c:", "vector: {dimensions: 3, distance: dot}", "c_2:", "vector: {embedding: passages}"):
        assert line in str(error.value)


def test_points_that_arrive_after_the_plan_are_not_deleted(store: Store) -> None:
    from reconcile import workflow

    store.collection("versioned: false, vector: {dimensions: 4, distance: dot}")
    store.apply()
    store.collection("versioned: false, vector: {dimensions: 5, distance: dot}")
    made = store.plan("all")
    store.fill()
    with pytest.raises(ReconcileError, match="empty"):
        workflow.apply(store.project, made)
    assert store.send("POST", "/collections/c/points/count", {"exact": True})["count"] == 1


def test_unset_is_left_as_the_server_has_it(store: Store) -> None:
    store.collection("vector: {dimensions: 4, distance: dot, hnsw: {m: 5}}, hnsw: {m: 24, ef_construct: 50}")
    store.apply()
    by_hand = {"hnsw_config": {"ef_construct": 70}, "quantization_config": {"binary": {}}}
    store.send("PATCH", "/collections/c__v1", by_hand)
    store.collection("vector: {dimensions: 4, distance: dot}, hnsw: {m: 24}")
    assert lines(store.plan()) == []
    store.collection("vector: {dimensions: 4, distance: dot}, hnsw: {m: 25}")
    assert lines(store.plan()) == ["update v.collection.c hnsw.m 24 → 25"]
