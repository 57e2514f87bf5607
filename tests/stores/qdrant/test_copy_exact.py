"""A copy is compared as exactly as the server keeps vectors, whatever their size, dimension and datatype."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from tests.stores.qdrant.store import Store
from tests.stores.qdrant.test_copy import apply, contents, delete, filled, put

from reconcile import workflow
from reconcile.errors import PartialError
from reconcile.stores.qdrant.equality import SAME, Stored, same_point, stored

COSINE, DOT = Stored(cosine=True), Stored()
LONG = [math.sin(n) / 27.7 for n in range(1536)]


def moved(vector: list[float], place: int, by: float) -> list[float]:
    return [value + by * (n == place) for n, value in enumerate(vector)]


@pytest.mark.parametrize(
    ("how", "old", "new", "same"),
    [
        (DOT, [1e-6, 2e-6], [1e-6, 2e-6], True),
        (DOT, [1e-6, 2e-6], [3e-6, 2e-6], False),
        (DOT, [1e-30, 1.0], [2e-30, 1.0], False),
        (DOT, [1e6, 1.0], [1e6 + 0.25, 1.0], False),
        (DOT, [16777216.0], [16777217.0], True),  # the last digit of a float32
        (DOT, LONG, moved(LONG, 700, 1e-7), False),
        (COSINE, LONG, moved(LONG, 700, 1e-7), False),
        (COSINE, [0.6, 0.8], [0.6000001, 0.8], True),
        (COSINE, [3e-5, 4e-5], [6e-5, 8e-5], False),  # too short to be normalised
        (Stored(True, "float16", "float16"), [0.6, 0.8], [0.6001, 0.8001], True),
        (Stored(True, "float16", "float16"), [0.6, 0.8], [0.602, 0.8], False),
        (Stored(False, "float16", "float16"), [0.25], [0.25024414], False),
        (Stored(False, "float32", "float16"), [100.7, 1 / 3], [100.6875, 0.33325195], True),
        (Stored(False, "float32", "float16"), [100.7, 1 / 3], [100.75, 0.33325195], False),
        (Stored(False, "float32", "float16"), [70000.0], [None], False),
        (Stored(True, "uint8", "float32"), [3.0, 4.0], [0.6, 0.8], True),
        (Stored(False, "uint8", "uint8"), [3.0, 4.0], [3.0, 5.0], False),
        (COSINE, [[0.6, 0.8], [1.0, 0.0]], [[0.6, 0.8], [0.0, 1.0]], False),
        (COSINE, [[0.6, 0.8]], [[0.6, 0.8], [1.0, 0.0]], False),
    ],
)
def test_vectors_are_equal_to_what_the_server_does_to_them(how: Stored, old: Any, new: Any, same: bool) -> None:
    assert same_point({"vector": old}, {"vector": new}, {"": how}) is same
    assert same_point({"vector": {"a": old}}, {"vector": {"a": new}}, {"a": how}) is same


def test_sparse_vectors_are_kept_exactly() -> None:
    def sparse(value: float) -> Any:
        return {"vector": {"s": {"indices": [1, 7], "values": [value, 1.0]}}}

    assert same_point(sparse(1e-6), sparse(1e-6), SAME)
    assert not same_point(sparse(1e-6), sparse(2e-6), SAME)


def test_how_a_vector_is_kept_is_read_from_both_sides() -> None:
    def params(datatype: str | None) -> Any:
        return {"vectors": {"size": 2, "distance": "Cosine", **({"datatype": datatype} if datatype else {})}}

    assert stored(params(None), params("float16")) == {"": Stored(True, "float32", "float16")}
    assert stored(params("uint8"), params("uint8")) == {"": Stored(False, "uint8", "uint8")}
    assert stored({"vectors": {"a": params("uint8")["vectors"]}}, {"vectors": {}}) == {}


KINDS = [("float32", "float32"), ("float16", "float16"), ("float32", "float16"), ("float16", "float32")]
KINDS += [("uint8", "uint8"), ("uint8", "float32"), ("uint8", "float16")]


def test_every_datatype_is_copied_and_compared(store: Store) -> None:
    names = {f"{distance}_{a}_{b}": (distance, a, b) for distance in ("cosine", "euclidean") for a, b in KINDS}

    def settings(side: int) -> str:
        vectors = [
            f"{name}: {{dimensions: 24, distance: {kinds[0]}, datatype: {kinds[side]}}}"
            for name, kinds in names.items()
        ]
        return f"vectors: {{{', '.join(vectors)}}}"

    chance = random.Random(1)
    filled(store, 0, settings(1))
    put(
        store, [{"id": n, "vector": {v: [chance.uniform(0, 200) for _ in range(24)] for v in names}} for n in range(40)]
    )
    store.collection(f"{settings(2)}, shard_number: 2, on_change: copy, writes: none_expected")
    apply(store)
    assert store.aliases() == {"c": "c__v2"}
    assert len(contents(store)) == 40


def test_a_value_beyond_a_float16_stops_the_copy(store: Store) -> None:
    filled(store, 0, "vector: {dimensions: 2, distance: dot}")
    put(store, [{"id": n, "vector": [65504.0, -1.0]} for n in range(9)] + [{"id": 77, "vector": [1.0, -70000.0]}])
    store.collection("vector: {dimensions: 2, distance: dot, datatype: float16}, on_change: copy, writes: frozen")
    with pytest.raises(PartialError, match="point 77 of c__v1 has a component -70000, and a float16 holds 65504"):
        workflow.apply(store.project, store.plan("all"))
    assert store.aliases() == {"c": "c__v1"}
    delete(store, 77)
    with pytest.raises(PartialError, match="its ids are others than before"):
        workflow.resume(store.project)
    workflow.resume(store.project)
    assert set(contents(store)) == set(range(9))
