"""Ids of a collection, and the size of its stored vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.stores.qdrant.store import Store

from reconcile import workflow
from reconcile.errors import StoreError
from reconcile.stores.base import Side
from reconcile.stores.qdrant import mirrored
from reconcile.stores.qdrant.resources import collection_address
from reconcile.stores.qdrant.session import QdrantSession
from reconcile.stores.qdrant.transport import QdrantError


@contextmanager
def session(store: Store) -> Iterator[QdrantSession]:
    opened = QdrantSession(store.project.stores["v"], "test", "default")
    try:
        yield opened
    finally:
        opened.close()


def ids(store: Store, key: str | None = None, name: str = "c") -> list[str]:
    """Sorted; `-` for a point without one."""
    with session(store) as opened:
        return sorted(text or "-" for text in opened.ids(Side(collection_address("v", name), key)))


def points(store: Store, *payloads: Any, collection: str = "c") -> None:
    made = [{"id": n, "vector": [0.1] * 4, "payload": p} for n, p in enumerate(payloads)]
    store.send("PUT", f"/collections/{collection}/points?wait=true", {"points": made})


def test_pages_keep_to_strict_mode(store: Store) -> None:
    """Fewer points a request than we would ask for, and all of them."""
    store.collection("vector: {embedding: passages}, strict_mode: {enabled: true, max_query_limit: 7}")
    store.apply()
    points(store, *({} for _ in range(40)))
    assert ids(store) == sorted(map(str, range(40)))
    assert workflow.verify(store.project)["clean"]


def test_values_of_a_payload_field(store: Store) -> None:
    """Numbers, texts and lists, at any depth; what has none is told as such."""
    store.collection("vector: {embedding: passages}")
    store.apply()
    points(store, {"a": {"b": 7}}, {"a": {"b": "x"}}, {"a": {"b": [1, "y"]}}, {"a": 1}, {}, {"a": {"b": None}})
    assert ids(store, "a.b") == ["-", "-", "-", "1", "7", "x", "y"]
    points(store, {"k": [{"id": 1}, {"id": 2}]}, {"k": {"id": 3}}, {"a key": {"x-y": 5}})
    assert ids(store, "k[].id") == ["-"] * 5 + ["1", "2"]
    assert ids(store, "k[1].id") == ["-"] * 5 + ["2"]
    assert ids(store, '"a key".x-y') == ["-"] * 5 + ["5"]


def test_a_collection_that_is_not_there(store: Store) -> None:
    store.collection("vector: {embedding: passages}")
    with pytest.raises(StoreError, match="collection c is not there"):
        ids(store)
    assert workflow.verify(store.project)["clean"], "what a plan makes is no disagreement of content"


def test_named_vectors_and_multivectors_of_another_size(store: Store) -> None:
    """Each vector by its name, bounded in how many are looked at."""
    store.collection(
        "vectors: {t: {dimensions: 4, distance: dot}, m: {dimensions: 4, distance: dot, multivector: max_sim}}"
    )
    vectors = {"t": {"size": 3, "distance": "Dot"},
               "m": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}}  # fmt: skip
    store.send("PUT", "/collections/c", {"vectors": vectors})
    made = [{"id": n, "vector": {"t": [0.1, 0.2, 0.3], "m": [[0.1, 0.2], [0.3, 0.4]]}} for n in range(250)]
    store.send("PUT", "/collections/c/points?wait=true", {"points": made})
    report = workflow.verify(store.project, sample=2)
    said = [(f["what"], f["count"], f["sample"], f["bounded"], f["looked"]) for f in report["findings"]]
    assert said == [
        ('vectors "t" of 3 dimensions, not of the declared 4', 200, ["0", "1"], True, 200),
        ('vectors "m" of 2 dimensions, not of the declared 4', 200, ["0", "1"], True, 200),
    ]
    assert [(s["what"], s["looked"], s["of"]) for s in report["sampled"]] == [
        ('points with vectors "t"', 200, 250),
        ('points with vectors "m"', 200, 250),
    ]
    everything = workflow.verify(store.project, sample=3)
    assert [(f["count"], f["bounded"]) for f in everything["findings"]] == [(250, False)] * 2
    assert everything["sampled"] == []


def test_a_request_that_came_too_early_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strict mode's limit of requests a minute: waited for, not an error."""
    store.collection("vector: {embedding: passages}")
    store.apply()
    points(store, {}, {})
    monkeypatch.setattr(mirrored, "_PAUSES", (0.0, 0.0))
    with session(store) as opened:
        real = opened.http.send
        refused: list[str] = []

        def send(method: str, path: str, body: Any = None, seconds: float | None = None) -> Any:
            if path.endswith("/scroll") and len(refused) < 2:
                refused.append(path)
                raise QdrantError("too many", where="store v", status=429)
            return real(method, path, body, seconds)

        monkeypatch.setattr(opened.http, "send", send)
        assert sorted(map(str, opened.ids(Side(collection_address("v", "c"), None)))) == ["0", "1"]
        assert len(refused) == 2


OTHER_TYPES: dict[str, tuple[list[Any], int]] = {
    "integer": ([1, [2, "x"], "x", 2.5, ["y"], None, []], 3),
    "keyword": (["a", ["b", 1], 1, None], 1),
    "float": ([1, 2.5, "x"], 1),
    "bool": ([True, "x", 1], 2),
    "geo": ([{"lat": 1, "lon": 2}, {"lat": "x"}, "q"], 2),
    "datetime": (["2024-01-01T00:00:00Z", "no", 5], 2),
    "uuid": (["550e8400-e29b-41d4-a716-446655440000", "no"], 1),
    "text": (["hello", 5], 1),
}
"""Type -> values of a field, and how many points are of another one."""


def test_payload_values_that_their_index_leaves_out_are_counted(store: Store) -> None:
    indexes = ", ".join(f"{kind}_value: {kind}" for kind in OTHER_TYPES)
    store.collection(f"vector: {{embedding: passages}}, payload_indexes: {{{indexes}}}")
    store.apply()
    points(store, *({f"{kind}_value": v} for kind, (values, _) in OTHER_TYPES.items() for v in values))
    report = workflow.verify(store.project)
    found = {f["address"]: (f["rule"], f["count"]) for f in report["findings"]}
    assert found == {f"v.payload_index.c.{kind}_value": ("payload", count) for kind, (_, count) in OTHER_TYPES.items()}
    (one,) = workflow.verify(store.project, ["v.payload_index.c.geo_value"])["findings"]
    assert "of another type than geo: its index leaves them out" in one["what"]
    assert one["query"] == (
        'POST /collections/c/points/count {"exact": true, "filter": {"must_not": [{"is_empty": {"key": "geo_value"}}]}}'
    )
    points(store, *({f"{kind}_value": values[0]} for kind, (values, _) in OTHER_TYPES.items()))
    store.send("POST", "/collections/c/points/delete?wait=true", {"points": list(range(len(OTHER_TYPES), 40))})
    assert workflow.verify(store.project)["clean"]
