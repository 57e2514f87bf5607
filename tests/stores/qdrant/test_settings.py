"""Every row of the table: created, read, changed, read again, planned again: nothing. In place or as a new generation.

The values stand here, the places in `settings.py`: a row without values is a failure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from tests.stores.qdrant.store import Store, lines

from reconcile.change import Timeouts
from reconcile.errors import ProjectError, ReconcileError, StoreError
from reconcile.plan import Plan
from reconcile.stores.qdrant import settings
from reconcile.stores.qdrant.changes.common import create_calls, index_call
from reconcile.stores.qdrant.resources import Collection, PayloadIndex, collection_address
from reconcile.stores.qdrant.session import QdrantSession
from reconcile.stores.qdrant.settings import Setting

HERE = (1, 16)
"""The line the tests run against: rows that came later are refused."""
VECTOR = "vector: {dimensions: 4, distance: cosine}"

VALUES: dict[str, tuple[str, str]] = {
    "hnsw.m": ("8", "24"),
    "hnsw.ef_construct": ("50", "60"),
    "hnsw.full_scan_threshold": ("5000", "10"),
    "hnsw.max_indexing_threads": ("1", "0"),
    "hnsw.on_disk": ("true", "false"),
    "hnsw.payload_m": ("8", "0"),
    "hnsw.inline_storage": ("true", "false"),
    "optimizers.deleted_threshold": ("0.123456789", "0.3"),
    "optimizers.vacuum_min_vector_number": ("500", "100"),
    "optimizers.default_segment_number": ("3", "0"),
    "optimizers.max_segment_size": ("50000", "60000"),
    "optimizers.memmap_threshold": ("10000", "0"),
    "optimizers.indexing_threshold": ("0", "500"),
    "optimizers.flush_interval_sec": ("9", "0"),
    "optimizers.max_optimization_threads": ("2", "auto"),
    "wal.wal_capacity_mb": ("16", "8"),
    "wal.wal_segments_ahead": ("1", "0"),
    "wal.wal_retain_closed": ("2", "1"),
    "quantization": ("{scalar: {type: int8}}", "none"),
    "strict_mode.enabled": ("true", "false"),
    "strict_mode.max_query_limit": ("100", "50"),
    "strict_mode.max_timeout": ("60", "30"),
    "strict_mode.unindexed_filtering_retrieve": ("true", "false"),
    "strict_mode.unindexed_filtering_update": ("true", "false"),
    "strict_mode.search_max_hnsw_ef": ("100", "0"),
    "strict_mode.search_allow_exact": ("false", "true"),
    "strict_mode.search_max_oversampling": ("1.123456789", "3.0"),
    "strict_mode.upsert_max_batchsize": ("100", "200"),
    "strict_mode.max_collection_vector_size_bytes": ("9007199254740993", "1000"),
    "strict_mode.read_rate_limit": ("100000", "200000"),
    "strict_mode.write_rate_limit": ("100000", "200000"),
    "strict_mode.max_collection_payload_size_bytes": ("100000", "200000"),
    "strict_mode.max_points_count": ("1", "1000"),
    "strict_mode.filter_max_conditions": ("7", "0"),
    "strict_mode.condition_max_size": ("7", "0"),
    "strict_mode.multivector_config": ("{a: {max_vectors: 3}, b: {max_vectors: 4}}", "{b: {max_vectors: 5}}"),
    "strict_mode.sparse_config": ("{a: {max_length: 3}}", "{a: {max_length: 4}, b: {max_length: 5}}"),
    "strict_mode.max_payload_index_count": ("3", "0"),
    "shard_number": ("1", "2"),
    "sharding_method": ("auto", "custom"),
    "replication_factor": ("1", "2"),
    "write_consistency_factor": ("1", "2"),
    "read_fan_out_factor": ("1", "0"),
    "on_disk_payload": ("true", "false"),
    "metadata": ("{owner: search, spec: {a: 1, b: 2}, gone: 1}", "{owner: rag, spec: {a: 1}, gone: null}"),
}

VECTOR_VALUES: dict[str, tuple[str, str]] = {
    "size": ("4", "5"),
    "distance": ("dot", "manhattan"),
    "datatype": ("float16", "uint8"),
    "multivector": ("", "max_sim"),
    "on_disk": ("true", "false"),
    **{key: value for key, value in VALUES.items() if key.startswith("hnsw.")},
    "quantization": ("{binary: {}}", "{product: {compression: x4}}"),
}
SPARSE_VALUES: dict[str, tuple[str, str]] = {
    "modifier": ("idf", "none"),
    "index.full_scan_threshold": ("5", "0"),
    "index.on_disk": ("true", "false"),
    "index.datatype": ("float16", "uint8"),
}
QUANTIZATION_VALUES: dict[str, tuple[str, str]] = {
    "scalar.type": ("int8", "int8"),
    "scalar.quantile": ("0.991234567", "0.5"),
    "scalar.always_ram": ("true", "false"),
    "product.compression": ("x16", "x64"),
    "product.always_ram": ("true", "false"),
    "binary.encoding": ("two_bits", "one_and_half_bits"),
    "binary.query_encoding": ("scalar4bits", "binary"),
    "binary.always_ram": ("true", "false"),
}
WORDS = {"size": "dimensions"}
"""What the YAML calls it."""
WIRE = {"dot": "Dot", "manhattan": "Manhattan"}

ANEW: list[tuple[str, str, str]] = [
    ("size", "vector: {dimensions: 4, distance: dot}", "vector: {dimensions: 5, distance: dot}"),
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
    ("all vectors removed", "vectors: {a: {dimensions: 4, distance: dot}}", "vectors: {}"),
    ("sparse added", f"{VECTOR}", f"{VECTOR}, sparse_vectors: {{s: {{}}}}"),
]
PLAIN = [case for case in ANEW if case[0] in ("size", "vector added", "sparse added")]
STORED: list[tuple[str, str]] = [
    ("vector: {dimensions: 4, distance: dot}", "vector: {dimensions: 5, distance: dot}"),
    ("vector: {dimensions: 4, distance: dot}", "vector: {dimensions: 4, distance: manhattan}"),
    ("vector: {dimensions: 4, distance: dot}", "vector: {dimensions: 4, distance: dot, datatype: uint8}"),
    (f"{VECTOR}, shard_number: 1", f"{VECTOR}, shard_number: 2"),
]


def here(rows: Iterable[Setting], in_place: bool) -> list[Setting]:
    return [row for row in rows if row.since <= HERE and row.in_place == in_place]


def key(row: Setting) -> str:
    return ".".join(row.path)


def flow(values: dict[str, str]) -> str:
    """`{"hnsw.m": "8", "metadata": "{}"}` in flow style: `hnsw: {m: 8}, metadata: {}`."""
    tree: dict[str, Any] = {}
    for path, text in values.items():
        if text:
            settings.placed(tree, tuple(WORDS.get(path, path).split(".")), text)

    def written(value: Any) -> str:
        return (
            value if isinstance(value, str) else "{" + ", ".join(f"{k}: {written(v)}" for k, v in value.items()) + "}"
        )

    return written(tree)[1:-1]


def chosen(values: dict[str, tuple[str, str]], rows: list[Setting], which: int) -> str:
    return flow({key(row): values[key(row)][which] for row in rows})


def at(value: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        value = (value or {}).get(part)
    return value


def wire(text: str) -> Any:
    """What GET shows of a value of the YAML; what is taken away is not there."""
    value = yaml.safe_load(text) if text else None
    if isinstance(value, str):
        value = None if value == "none" else WIRE.get(value, value)
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def shows(entry: Any, values: dict[str, tuple[str, str]], rows: list[Setting], which: int) -> None:
    """Assert that an entry of GET's answer has the value of each row."""
    for row in rows:
        found, text = at(entry, row.get), values[key(row)][which]
        if row.name == "metadata":
            found = {k: v for k, v in (found or {}).items() if k != "reconcile"}
        if found is None:
            assert wire(text) in (None, row.absent), key(row)
        elif wire(text) is None:
            assert found == yaml.safe_load(text), key(row)
        elif row.name == "quantization":
            assert next(iter(wire(text).values())).items() <= next(iter(found.values())).items()
        elif isinstance(found, dict):
            assert found == wire(text), key(row)
        else:
            assert found == pytest.approx(wire(text)), key(row)


def together(store: Store, collections: dict[str, str], aliases: str = "{}") -> None:
    """Declare collections in one project: a plan for each would take minutes."""
    entries = "\n".join(f"  {name}: {{{text}}}" for name, text in collections.items())
    store.declare(f"collections:\n{entries}\naliases: {aliases}")


def actions(made: Plan) -> dict[str, tuple[str, ...]]:
    return {str(c.address): c.actions for c in made.resource_changes if c.address.kind == "collection"}


def test_every_setting_that_patch_changes_is_changed_in_place(store: Store) -> None:
    rows, dense, sparse = (here(t, True) for t in (settings.COLLECTION, settings.VECTOR, settings.SPARSE))
    size = "dimensions: 4, distance: dot"

    def declared(which: int) -> dict[str, str]:
        vector = f"{{{size}, {chosen(VECTOR_VALUES, dense, which)}}}"
        return {
            "every": f"{VECTOR}, {chosen(VALUES, rows, which)}",
            "from_unset": VECTOR + (f", {chosen(VALUES, rows, 1)}" if which else ""),
            "unnamed": f"vector: {vector}",
            "named": f"vectors: {{a: {vector}, 'b.c d': {{{size}}}}}, sparse_vectors: {{s: {{"
            f"{chosen(SPARSE_VALUES, sparse, which)}}}}}",
        }

    together(store, declared(0))
    store.apply()
    for which in (0, 1):
        if which:
            together(store, declared(1))
            assert actions(store.apply()) == {f"v.collection.{name}": ("update",) for name in declared(1)}
            shows(store.config("from_unset__v1"), VALUES, rows, 1)
        shows(store.config("every__v1"), VALUES, rows, which)
        shows(store.config("unnamed__v1")["params"]["vectors"], VECTOR_VALUES, dense, which)
        params = store.config("named__v1")["params"]
        shows(params["vectors"]["a"], VECTOR_VALUES, dense, which)
        shows(params["sparse_vectors"]["s"], SPARSE_VALUES, sparse, which)
    taken_away = {
        "every": VECTOR,
        "from_unset": VECTOR,
        "unnamed": f"vector: {{{size}}}",
        "named": f"vectors: {{a: {{{size}}}, 'b.c d': {{{size}}}}}, sparse_vectors: {{s: {{}}}}",
    }
    together(store, taken_away)
    assert lines(store.plan()) == [], "what is taken out of the YAML is left as the server has it"


def test_every_setting_that_patch_ignores_takes_a_new_generation(store: Store) -> None:
    def declared(which: int) -> dict[str, str]:
        found = {}
        for row in here(settings.COLLECTION, False):
            found[key(row)] = f"{VECTOR}, {flow({key(row): VALUES[key(row)][which]})}"
        for row in here(settings.VECTOR, False):
            name = key(row)
            given = {"size": "4", "distance": "dot", name: VECTOR_VALUES[name][which]}
            found[f"vector.{name}"] = f"vector: {{{flow(given)}}}"
        for row in here(settings.SPARSE, False):
            found[f"sparse.{key(row)}"] = (
                f"sparse_vectors: {{s: {{{flow({key(row): SPARSE_VALUES[key(row)][which]})}}}}}"
            )
        return found

    together(store, declared(0))
    store.apply()
    for which in (0, 1):
        if which:
            together(store, declared(1))
            made = store.apply()
            assert set(actions(made).values()) == {("create", "delete")}
            assert {
                c.address.parts[0]: ".".join(c.replace_paths[0]) for c in made.resource_changes if c.replace_paths
            } == {name: name.replace("sparse.", "sparse_vectors.s.") for name in declared(1)}
        for row in here(settings.COLLECTION, False):
            shows(store.config(f"{key(row)}__v{which + 1}"), VALUES, [row], which)
        for row in here(settings.VECTOR, False):
            entry = store.config(f"vector.{key(row)}__v{which + 1}")["params"]["vectors"]
            shows(entry, VECTOR_VALUES, [row], which)
        for row in here(settings.SPARSE, False):
            entry = store.config(f"sparse.{key(row)}__v{which + 1}")["params"]["sparse_vectors"]["s"]
            shows(entry, SPARSE_VALUES, [row], which)


def test_every_parameter_of_quantizations(store: Store) -> None:
    """Within a variant, from one to the next, and away; of a collection and of a vector."""
    variants = {v: here(rows, True) for v, rows in settings.QUANTIZATION.items() if v not in settings.VARIANTS_SINCE}

    def declared(variant: str, which: int) -> str:
        rows = variants[variant]
        return f"{{{variant}: {{{flow({key(r): QUANTIZATION_VALUES[f'{variant}.{key(r)}'][which] for r in rows})}}}}}"

    states = [declared(variant, which) for variant in variants for which in (0, 1)] + ["none"]
    for now in (states[:-1], states[1:]):
        together(
            store,
            {
                f"c{i}": f"vectors: {{a: {{dimensions: 4, distance: dot, quantization: {text}}}}}, quantization: {text}"
                for i, text in enumerate(now)
            },
        )
        store.apply()
        for i, text in enumerate(now):
            config, asked = store.config(f"c{i}__v1"), wire(text)
            for found in (config["quantization_config"], config["params"]["vectors"]["a"].get("quantization_config")):
                assert (found and {k: pytest.approx(v) for k, v in next(iter(found.values())).items()}) == (
                    asked and next(iter(asked.values()))
                ), text


LATE_VALUES = {
    "memory": "cold",
    "prevent_unoptimized": "true",
    "search_max_batchsize": "1",
    "max_resident_memory_percent": "50",
    "read_fan_out_delay_ms": "5",
    "enable_hnsw": "false",
    "prefix": "true",
    "nested": "a",
    "scoring": "bm25",
}


def newer(row: Setting | settings.Parameter) -> list[tuple[str, str, str]]:
    """(value, the words after its name, version) of what this server lacks of a row."""
    found = [(LATE_VALUES[row.name], "", row.since)] if row.since > HERE else []
    found += [(value, f" {value}", since) for value, since in row.later.items()]
    return [(value, words, ".".join(map(str, since))) for value, words, since in found]


def late() -> list[tuple[str, str, str]]:
    """(the setting in the YAML's words, settings of a collection, version) of all that this server lacks."""
    found: list[tuple[str, str, str]] = []
    for row in settings.COLLECTION:
        found += [(f"{key(row)}{w}", f"{VECTOR}, {flow({key(row): value})}", v) for value, w, v in newer(row)]
    for row in settings.VECTOR:
        for value, w, v in newer(row):
            given = flow({"size": "4", "distance": "dot", key(row): value})
            found.append((f"vectors.a.{key(row)}{w}", f"vectors: {{a: {{{given}}}}}", v))
    for row in settings.SPARSE:
        for value, w, v in newer(row):
            found.append(
                (f"sparse_vectors.s.{key(row)}{w}", f"sparse_vectors: {{s: {{{flow({key(row): value})}}}}}", v)
            )
    found += [
        (f"quantization.{variant}", f"{VECTOR}, quantization: {{{variant}: {{}}}}", ".".join(map(str, since)))
        for variant, since in settings.VARIANTS_SINCE.items()
    ]
    for variant, rows in settings.QUANTIZATION.items():
        needed = {"scalar": {"type": "int8"}, "product": {"compression": "x4"}}.get(variant, {})
        for row in rows:
            for value, w, v in newer(row):
                text = flow({f"{variant}.{name}": text for name, text in {**needed, row.name: value}.items()})
                found.append((f"quantization.{variant}.{row.name}{w}", f"{VECTOR}, quantization: {{{text}}}", v))
    for parameter in settings.PARAMETERS:
        for kind in parameter.types:
            for value, w, v in newer(parameter):
                text = f"{VECTOR}, payload_indexes: {{f: {{type: {kind}, {parameter.name}: {value}}}}}"
                found.append((f"{parameter.name}{w}", text, v))
    return found


def test_what_later_servers_have_is_refused_with_its_line(store: Store) -> None:
    cases = late()
    assert len(cases) > 40
    together(store, {f"c{i}": text for i, (_, text, _) in enumerate(cases)})
    with pytest.raises(ProjectError) as error:
        store.plan()
    for i, (words, text, version) in enumerate(cases):
        name = words.split()[0].rpartition(".")[2]
        column = f"  c{i}: {{{text}}}".rindex(f"{name}:") + 1
        said = f"v.yaml:{i + 3}:{column}: v."
        (line,) = [p for p in map(str, error.value.problems) if said in p and f": {words} needs " in p]
        assert f": {words} needs Qdrant {version}, this server is 1.16.3" in line
    assert store.names() == []


def test_what_this_server_drops_in_silence_stops_the_run(store: Store) -> None:
    """Were the table of versions wrong, the read-back would tell."""
    cases = late()
    together(store, {f"c{i}": f"versioned: false, {text}" for i, (_, text, _) in enumerate(cases)})
    desired = store.project.desired()
    session = QdrantSession(store.project.stores["v"], "test", "default")
    store.send("PUT", "/collections/shared", {"vectors": {}})
    for i, (words, text, _) in enumerate(cases):
        collection = desired[collection_address("v", f"c{i}")]
        assert isinstance(collection, Collection)
        indexes = [r for r in desired.children(collection.address) if isinstance(r, PayloadIndex)]
        calls = [index_call("shared", index) for index in indexes] or create_calls(collection, [])
        with pytest.raises(StoreError) as error:
            for call in calls:
                session.run(call, Timeouts())
        if "HTTP 400" not in str(error.value):  # values of enumerations are refused by the server itself
            assert f"did not take `{'payload_indexes.f.' if indexes else ''}{words}" in str(error.value), text
            assert "take it out of the YAML" in str(error.value)
    session.close()


def test_a_run_that_stops_over_a_dropped_setting_says_where_it_is_declared(store: Store) -> None:
    from reconcile import workflow

    store.collection(f"{VECTOR}, hnsw: {{m: 20}}")
    made = store.plan("all")
    (step,) = [s for s in made.steps if s.address.kind == "collection"]
    put = step.calls[0]
    put.body["hnsw_config"]["frobnicate"] = 1  # type: ignore[union-attr]
    put.expect["config"]["hnsw_config"]["frobnicate"] = 1  # type: ignore[union-attr]
    with pytest.raises(ReconcileError) as error:
        workflow.apply(store.project, made)
    assert "did not take `hnsw_config.frobnicate`: asked 1, shows nothing" in str(error.value)
    assert "declared at schema/v.yaml:3:3" in str(error.value)


def test_one_group_a_patch_and_each_read_back(store: Store) -> None:
    """PATCH is not atomic: of several groups in one request, some may be carried out when one is refused."""
    store.collection(VECTOR)
    store.apply()
    rows = here(settings.COLLECTION, True)
    store.collection(f"{VECTOR[:-1]}, on_disk: true, hnsw: {{m: 5}}}}, {chosen(VALUES, rows, 0)}")
    (step,) = store.plan().steps
    patches = [call for call in step.calls if type(call).__name__ == "Http"]
    assert [list(call.body) for call in patches] == [  # type: ignore[union-attr]
        ["hnsw_config"],
        ["optimizers_config"],
        ["quantization_config"],
        ["strict_mode_config"],
        ["params"],
        ["vectors"],
        ["metadata"],
    ]
    assert all(call.read == "/collections/c__v1" and call.expect for call in patches)  # type: ignore[union-attr]


@pytest.mark.parametrize("row", here((*settings.COLLECTION, *settings.VECTOR), False), ids=key)
def test_patch_is_answered_with_success_and_ignored(store: Store, row: Setting) -> None:
    """Why these take a new generation (measured, 1.16.3)."""
    vector = row in settings.VECTOR
    store.send("PUT", "/collections/c", {"vectors": {"size": 4, "distance": "Dot"}})
    before = store.config("c")
    value = wire((VECTOR_VALUES if vector else VALUES)[key(row)][1])
    body: dict[str, Any] = {}
    assert row.put is not None
    settings.placed(body, ("vectors", "", *row.put) if vector else row.put, value)
    assert store.send("PATCH", "/collections/c", body) is True
    assert store.config("c") == before


def test_a_new_generation_takes_over_where_nothing_is_stored(store: Store) -> None:
    index = "payload_indexes: {year: integer}"
    together(store, {f"c{i}": f"{before}, {index}" for i, (_, before, _) in enumerate(ANEW)})
    store.apply()
    together(store, {f"c{i}": f"{after}, {index}" for i, (_, _, after) in enumerate(ANEW)})
    made = {str(c.address): c.actions for c in store.apply().resource_changes}
    for i, (name, _, _) in enumerate(ANEW):
        assert made[f"v.collection.c{i}"] == ("create", "delete"), name
        assert made[f"v.alias.c{i}"] == ("update",), name
        assert set(store.send("GET", f"/collections/c{i}")["payload_schema"]) == {"year"}, name
    assert store.names() == sorted(f"c{i}__v2" for i in range(len(ANEW)))
    assert store.aliases() == {f"c{i}": f"c{i}__v2" for i in range(len(ANEW))}


def test_a_plain_one_is_made_anew_where_nothing_is_stored(store: Store) -> None:
    head = "versioned: false, payload_indexes: {year: integer}"
    aliases = "{" + ", ".join(f"live{i}: c{i}" for i in range(len(PLAIN))) + "}"
    together(store, {f"c{i}": f"{head}, {before}" for i, (_, before, _) in enumerate(PLAIN)}, aliases)
    store.apply()
    together(store, {f"c{i}": f"{head}, {after}" for i, (_, _, after) in enumerate(PLAIN)}, aliases)
    assert actions(store.apply()) == {f"v.collection.c{i}": ("delete", "create") for i in range(len(PLAIN))}
    assert store.names() == sorted(f"c{i}" for i in range(len(PLAIN)))
    assert store.aliases() == {f"live{i}": f"c{i}" for i in range(len(PLAIN))}
    for i, (name, _, _) in enumerate(PLAIN):
        assert set(store.send("GET", f"/collections/c{i}")["payload_schema"]) == {"year"}, name


@pytest.mark.parametrize(("before", "after"), STORED)
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


def test_custom_sharding_takes_payload_indexes_once_there_is_a_key(store: Store) -> None:
    """The server refuses an index where no shard is: told before the collection is made (1.16, one node)."""
    from reconcile import workflow

    store.collection(f"{VECTOR}, sharding_method: custom, payload_indexes: {{year: integer}}")
    with pytest.raises(ReconcileError, match="takes payload indexes only once it has a shard key"):
        workflow.apply(store.project, store.plan())
    assert store.names() == []


def test_a_collection_with_custom_sharding_is_not_copied(store: Store) -> None:
    store.collection(f"{VECTOR}, sharding_method: custom")
    store.apply()
    store.collection(f"{VECTOR}, sharding_method: custom, shard_number: 2, on_change: copy, writes: frozen")
    with pytest.raises(ProjectError, match=r"v\.yaml:3:3: v\.collection\.c: points .* custom sharding are not copied"):
        store.plan()


def test_other_ways_to_say_the_same_are_equal_and_changed_alike(store: Store) -> None:
    size = {"size": 4, "distance": "Dot"}
    store.send("PUT", "/collections/alone", {"vectors": {"": size}, "sharding_method": "auto"})
    store.send(
        "PUT", "/collections/among", {"vectors": {"": size, "img": size}, "sparse_vectors": {"s": {"index": {}}}}
    )
    store.send("PUT", "/collections/bare", {"vectors": {}, "metadata": {"gone": None}, "strict_mode_config": {}})
    store.send("PUT", "/collections/words", {"vectors": {}})
    text = {"type": "text", "stopwords": {"custom": ["b", "a"], "languages": ["german", "english"]}}
    store.send("PUT", "/collections/words/index?wait=true", {"field_name": "t", "field_schema": text})
    vector = "{dimensions: 4, distance: dot}"
    equal = {
        "alone": f"vectors: {{'': {vector}}}, sharding_method: auto",
        "among": f"vectors: {{'': {vector}, img: {vector}}}, sparse_vectors: {{s: {{modifier: none, index: {{}}}}}}",
        "bare": "vectors: {}, sparse_vectors: {}, metadata: {gone: null, never: null}",
        "words": "payload_indexes: {t: {type: text, stopwords: {custom: [a, b, a], languages: [english, german]}}}",
    }
    together(store, equal)
    assert lines(store.plan()) == []
    together(store, {**equal, "alone": f"vector: {vector}"})
    assert lines(store.plan()) == []
    other = "{dimensions: 4, distance: dot, on_disk: true, hnsw: {m: 9}}"
    changed = {
        "alone": f"vectors: {{'': {other}}}",
        "among": f"vectors: {{'': {other}, img: {vector}}}",
        "bare": "metadata: {gone: 1}",
        "words": "payload_indexes: {t: {type: text, stopwords: none}}",
    }
    together(store, changed)
    made = store.apply()
    assert {c.actions for c in made.resource_changes} == {("update",), ("rebuild",)}
    assert store.config("alone")["params"]["vectors"][""]["hnsw_config"] == {"m": 9}
    assert "stopwords" not in store.send("GET", "/collections/words")["payload_schema"]["t"]["params"]
    together(store, {**changed, "bare": "metadata: {gone: null}"})
    assert lines(store.plan()) == ["update v.collection.bare metadata.gone 1 → unset"]
    store.apply()
    assert "gone" not in store.config("bare")["metadata"]
