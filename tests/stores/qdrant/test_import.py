"""Collections that others made: import, empty plan, apply to an empty server, the same again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.stores.qdrant.store import Store, lines

from reconcile import workflow
from reconcile.stores.qdrant.introspect import introspect

BODIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "late_interaction": (
        {
            "vectors": {
                "tokens": {
                    "size": 96,
                    "distance": "Dot",
                    "multivector_config": {"comparator": "max_sim"},
                    "hnsw_config": {"m": 0},
                    "on_disk": True,
                    "datatype": "float16",
                },
                "": {"size": 8, "distance": "Euclid"},
            }
        },
        {},
    ),
    "hybrid": (
        {
            "vectors": {"dense": {"size": 12, "distance": "Cosine", "on_disk": False}},
            "sparse_vectors": {"words": {"index": {"on_disk": False}, "modifier": "idf"}, "plain": {}},
            "metadata": {"owner": "search", "spec": {"a": [1, "x: y"]}},
        },
        {"lang": "keyword"},
    ),
    "tuned": (
        {
            "vectors": {
                "size": 12,
                "distance": "Manhattan",
                "quantization_config": {"binary": {"encoding": "one_and_half_bits"}},
            },
            "shard_number": 2,
            "replication_factor": 2,
            "on_disk_payload": False,
            "hnsw_config": {"m": 0, "payload_m": 16, "inline_storage": True},
            "optimizers_config": {"indexing_threshold": 0, "max_segment_size": 1000, "max_optimization_threads": 1},
            "wal_config": {"wal_capacity_mb": 16},
            "quantization_config": {"product": {"compression": "x32", "always_ram": True}},
            "strict_mode_config": {"enabled": True, "sparse_config": {"s": {"max_length": 10}}},
        },
        {
            "tenant": {"type": "keyword", "is_tenant": True},
            "year": {"type": "integer", "lookup": False, "range": True},
            "at": {"type": "datetime", "is_principal": True, "on_disk": True},
            "where[].at": "geo",
            '"a key".x': {"type": "uuid", "is_tenant": True},
            "ok": {"type": "bool", "on_disk": True},
            "price": {"type": "float", "is_principal": True},
            "body": {
                "type": "text",
                "tokenizer": "multilingual",
                "stopwords": {"languages": ["english"], "custom": ["foo"]},
                "stemmer": {"type": "snowball", "language": "english"},
                "phrase_matching": True,
            },
        },
    ),
    "no vectors": ({"vectors": {}}, {"on": "keyword"}),
    "nötig & ünüblich": ({"vectors": {"size": 3, "distance": "Dot"}}, {}),
}


def quoted(name: str) -> str:
    from urllib.parse import quote

    return "/collections/" + quote(name, safe="")


def made(store: Store, names: list[str]) -> dict[str, Any]:
    """What the server shows of each, without what says how full it is; absent and default are one."""

    def tidy(value: Any) -> Any:
        if isinstance(value, dict):
            shown = {k: tidy(v) for k, v in value.items() if k != "points"}
            return {k: v for k, v in shown.items() if v not in (None, False, {})}
        return value

    found = {}
    for name in names:
        info = store.send("GET", quoted(name))
        found[name] = tidy({"config": info["config"], "payload_schema": sorted(info["payload_schema"])})
    return found


def test_import_then_plan_is_empty_then_the_same_on_an_empty_server(
    store: Store, wipe_qdrant: Callable[[], None]
) -> None:
    names = sorted(BODIES)
    for name in names:
        body, indexes = BODIES[name]
        store.send("PUT", quoted(name), body)
        for field, schema in indexes.items():
            request = {"field_name": field, "field_schema": schema}
            store.send("PUT", quoted(name) + "/index?wait=true", request)
    action = {"create_alias": {"collection_name": "hybrid", "alias_name": "live"}}
    store.send("POST", "/collections/aliases", {"actions": [action]})
    store.declare("collections: {}")
    imported = workflow.import_(store.project, out=Path("schema"))
    assert imported.not_modelled == ()
    (store.folder / "schema" / "v.yaml").unlink()
    assert lines(store.plan()) == []
    before = made(store, names)
    live = {a: r.attributes() for a, r in store.live().items()}
    wipe_qdrant()
    store.apply()
    assert made(store, names) == before
    assert {a: r.attributes() for a, r in store.live().items()} == live
    assert store.aliases() == {"live": "hybrid"}


def test_versioned_collections_come_back_versioned(store: Store) -> None:
    store.declare(
        "collections:\n  c: {vector: {embedding: passages}, hnsw: {m: 24}, payload_indexes: {k: keyword}}\n"
        "aliases: {live: c}"
    )
    store.apply()
    imported = workflow.import_(store.project, out=Path("again"))
    (text,) = [p.read_text() for p in imported.files]
    assert text == (
        "store: v\n"
        "collections:\n"
        "  c:\n"
        "    vector: {dimensions: 4, distance: cosine}\n"
        "    hnsw: {m: 24}\n"
        "    payload_indexes: {k: keyword}\n"
        "aliases: {live: c}\n"
    )
    (store.folder / "schema" / "v.yaml").write_text(text)
    assert lines(store.plan()) == []


def test_one_address_alone(store: Store) -> None:
    store.declare("collections:\n  c: {vector: {embedding: passages}, payload_indexes: {k: keyword, l: bool}}")
    store.apply()
    imported = workflow.import_(store.project, ["v.payload_index.c.k"], out=Path("again"))
    (text,) = [p.read_text() for p in imported.files]
    assert text == "store: v\ncollections:\n  c:\n    payload_indexes: {k: keyword}\n"


def test_what_a_later_server_shows_besides_is_not_modelled_and_never_half_compared() -> None:
    """The answers of a server that knows more than the table; this one drops unknown keys."""
    params = {"vectors": {"size": 4, "distance": "Dot", "hue": 1}, "shape": None}
    config = {
        "params": params,
        "hnsw_config": {"m": 16, "layers": 3},
        "quantization_config": {"ternary": {}},
        "mood": {},
    }
    schema = {"k": {"data_type": "keyword", "params": {"type": "keyword", "fuzzy": True}}, "p": {"data_type": "point"}}
    infos = {"odd": {"config": config, "payload_schema": {}}, "even": {"config": {}, "payload_schema": schema}}
    live = introspect("v", infos, {}, version=(1, 99))
    assert [str(a) for a in live.state] == ["v.collection.even"]
    assert {str(n.address): n.what for n in live.not_modelled} == {
        "v.collection.odd": "collection settings hnsw_config.layers, mood, quantization_config.ternary,"
        " params.vectors.hue",
        "v.payload_index.even.k": "payload index with fuzzy",
        "v.payload_index.even.p": "payload index with type point",
    }
