"""Named vectors added and removed where the server can (1.18). Built from its documentation: not run on such a server.

https://api.qdrant.tech/api-reference/collections/create-vector-name
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.stores.qdrant.store import context

from reconcile.change import Change, Http, Irreversible, Op, Phase, Server, Step, World
from reconcile.hazards import Hazard
from reconcile.model import State
from reconcile.stores.qdrant import PACKAGE
from reconcile.stores.qdrant.canonical import canonical
from reconcile.stores.qdrant.changes import AlterCollection, ReplaceCollection
from reconcile.stores.qdrant.introspect import introspect
from reconcile.stores.qdrant.resources import collection_address
from reconcile.yamlio import parse

OURS = {"reconcile": {"name": "c", "generation": 1}}
PARAMS = {
    "vectors": {"a": {"size": 3, "distance": "Cosine"}, "b": {"size": 2, "distance": "Dot"}},
    "sparse_vectors": {"s": {}},
}
A, B, S = "a: {dimensions: 3, distance: cosine}", "b: {dimensions: 2, distance: dot}", "sparse_vectors: {s: {}}"


def change(declared: str, version: tuple[int, ...] = (1, 18, 0)) -> Change | None:
    """From a collection with the vectors a, b and s to what is declared, on a server of a version."""
    infos = {"c__v1": {"config": {"params": PARAMS, "metadata": OURS}, "payload_schema": {}, "points_count": 5}}
    live = introspect("v", infos, {"c": "c__v1"}, version=version)
    (document,) = parse(f"store: v\ncollections:\n  c: {{{declared}}}\n", "v.yaml")
    asked = context()
    desired = canonical(State.of(PACKAGE.parse([document], asked)), live).state
    assert asked.problems == []
    address = collection_address("v", "c")
    return PACKAGE.change(live.state[address], desired[address])


def steps(change: Change | None, empty: bool = False) -> list[Step]:
    assert isinstance(change, AlterCollection)
    live = State.of([change.old])
    world = World("v", Server("v", "qdrant", "1.18.0"), live, change.apply_to(live), empty=lambda a: empty)
    return list(change.steps(world))


def requests(step: Step) -> list[tuple[str, str, Any]]:
    return [(c.method, c.path, c.body) for c in step.calls if isinstance(c, Http)]


def test_what_cannot_be_changed_later_is_put_and_the_rest_patched() -> None:
    made = change(
        f"vectors: {{{A}, {B}, 'new one': {{dimensions: 8, distance: dot, datatype: float16, multivector: max_sim,"
        f" on_disk: true, hnsw: {{m: 5}}, quantization: {{binary: {{}}}}}}}}, {S}"
    )
    assert made is not None
    assert made.describe() == "vectors.new one added"
    assert "stored points have no such vector until they are written again" in (made.strategy or "")
    (step,) = steps(made)
    assert requests(step) == [
        (
            "PUT",
            "/collections/c__v1/vectors/new%20one?wait=true",
            {
                "dense": {
                    "size": 8,
                    "distance": "Dot",
                    "datatype": "float16",
                    "multivector_config": {"comparator": "max_sim"},
                }
            },
        ),
        (
            "PATCH",
            "/collections/c__v1",
            {"vectors": {"new one": {"on_disk": True, "hnsw_config": {"m": 5}, "quantization_config": {"binary": {}}}}},
        ),
    ]
    for call in step.calls[:2]:
        assert isinstance(call, Http)
        assert call.read == "/collections/c__v1"
        assert call.expect["config"]["params"]["vectors"]["new one"]
    assert step.phase is Phase.EXPAND
    assert not step.hazards & {Hazard.DELETES_DATA, Hazard.BREAKS_CLIENTS}
    back = made.reverse()
    assert isinstance(back, AlterCollection)
    assert [s.id for s in steps(back)] == ["v.collection.c/2-drop-vectors"]


def test_a_sparse_vector_is_added() -> None:
    (step,) = steps(
        change(
            f"vectors: {{{A}, {B}}}, sparse_vectors:"
            " {s: {}, t: {modifier: idf, index: {datatype: float16, on_disk: true, full_scan_threshold: 9}}}"
        )
    )
    path = "/collections/c__v1"
    assert requests(step) == [
        ("PUT", f"{path}/vectors/t?wait=true", {"sparse": {"modifier": "idf", "datatype": "float16"}}),
        ("PATCH", path, {"sparse_vectors": {"t": {"index": {"full_scan_threshold": 9, "on_disk": True}}}}),
    ]
    put = step.calls[0]
    assert isinstance(put, Http)
    assert put.expect == {
        "config": {"params": {"sparse_vectors": {"t": {"modifier": "idf", "index": {"datatype": "float16"}}}}}
    }


@pytest.mark.parametrize(
    ("declared", "gone"),
    [(f"vectors: {{{A}}}, {S}", "b"), (f"vectors: {{{A}, {B}}}, sparse_vectors: {{}}", "s")],
)
def test_one_that_is_removed_goes_last_after_a_snapshot(declared: str, gone: str) -> None:
    made = change(f"{declared}, hnsw: {{m: 9}}")
    alter, drop = steps(made)
    assert requests(alter) == [("PATCH", "/collections/c__v1", {"hnsw_config": {"m": 9}})]
    assert drop.calls == (
        Op("snapshot", {"collection": "c__v1"}),
        Http("DELETE", f"/collections/c__v1/vectors/{gone}?wait=true"),
    )
    assert drop.phase is Phase.CONTRACT
    assert drop.hazards >= {Hazard.DELETES_DATA, Hazard.BREAKS_CLIENTS}
    assert made is not None
    back = made.reverse()
    assert isinstance(back, Irreversible)
    assert "are gone" in back.reason
    _, drop = steps(made, empty=True)
    assert drop.calls == (Http("DELETE", f"/collections/c__v1/vectors/{gone}?wait=true"),)
    assert not drop.hazards & {Hazard.DELETES_DATA, Hazard.BREAKS_CLIENTS}


def test_what_stays_fixed_takes_a_new_generation_there_too() -> None:
    assert isinstance(change(f"vectors: {{{A}, b: {{dimensions: 4, distance: dot}}}}, {S}"), ReplaceCollection)
    assert isinstance(change("vector: {dimensions: 3, distance: cosine}"), ReplaceCollection), "an unnamed one"


def test_earlier_servers_take_a_new_generation() -> None:
    for declared in (f"vectors: {{{A}}}, {S}", f"vectors: {{{A}, {B}}}, sparse_vectors: {{}}"):
        assert isinstance(change(declared, (1, 17, 9)), ReplaceCollection)
        assert isinstance(change(declared, (1, 18, 0)), AlterCollection)
