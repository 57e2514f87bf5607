"""`on_change: copy`: points into the next generation while clients go on; what was promised about writes is kept."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.stores.qdrant.store import Store, lines

from reconcile import workflow
from reconcile.apply import Event
from reconcile.errors import PartialError, ReconcileError
from reconcile.model import Source
from reconcile.stores.base import StoreSpec
from reconcile.stores.qdrant.equality import SAME, same_point
from reconcile.stores.qdrant.points import Limits, Points, Size, limits, page_of, text_of
from reconcile.stores.qdrant.replacing import Replacing
from reconcile.stores.qdrant.stamps import Stamps
from reconcile.stores.qdrant.transport import Transport

PLAIN = "vector: {dimensions: 4, distance: cosine}, payload_indexes: {at: integer}"
MODES = ("{timestamp: at}", "dual", "frozen", "none_expected")


def copied(writes: str, more: str = "shard_number: 2") -> str:
    return f"{PLAIN}, {more}, on_change: copy, writes: {writes}"


def put(store: Store, points: list[Any], name: str = "c") -> None:
    store.send("PUT", f"/collections/{name}/points?wait=true", {"points": points})


def delete(store: Store, *ids: Any) -> None:
    store.send("POST", "/collections/c/points/delete?wait=true", {"points": list(ids)})


def point(number: Any, at: int = 100, **payload: Any) -> Any:
    chance = random.Random(str(number))
    vector = [chance.random() for _ in range(4)]
    return {"id": number, "vector": vector, "payload": {"at": at, **payload}}


def contents(store: Store, name: str = "c") -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    offset = None
    while True:
        body = {"limit": 5000, "with_vector": True, "offset": offset}
        part = store.send("POST", f"/collections/{name}/points/scroll", body)
        found |= {p["id"]: (p["payload"], p["vector"]) for p in part["points"]}
        offset = part["next_page_offset"]
        if offset is None:
            return found


def filled(store: Store, number: int = 300, settings: str = PLAIN) -> None:
    store.collection(settings)
    store.apply()
    if number:
        put(store, [point(n) for n in range(number)])


def apply(store: Store, meanwhile: Callable[[Event], None] = lambda event: None) -> list[str]:
    """Apply; the lines of its report."""
    told: list[str] = []

    def tell(event: Event) -> None:
        told.extend([event.detail] if event.kind == "reported" else [])
        meanwhile(event)

    workflow.apply(store.project, store.plan("all"), tell)
    return told


def at(word: str, kind: str, act: Callable[[], None]) -> Callable[[Event], None]:
    """Do it once, at the first event of a kind in a step."""
    waiting = [act]

    def tell(event: Event) -> None:
        if event.kind == kind and event.step is not None and event.step.id.endswith(word) and waiting:
            waiting.pop()()

    return tell


# --- what is copied --------------------------------------------------------------------------------------------------


def test_every_kind_of_vector_and_id_is_copied(store: Store) -> None:
    before = (
        "vectors: {a: {dimensions: 3, distance: cosine, quantization: {scalar: {type: int8}}},"
        " b: {dimensions: 2, distance: dot, multivector: max_sim}, gone: {dimensions: 2, distance: dot},"
        " h: {dimensions: 2, distance: euclidean}}, sparse_vectors: {s: {}}"
    )
    after = (
        "vectors: {a: {dimensions: 3, distance: cosine, quantization: {scalar: {type: int8}}},"
        " b: {dimensions: 2, distance: dot, multivector: max_sim}, new: {dimensions: 9, distance: dot},"
        " h: {dimensions: 2, distance: euclidean, datatype: float16}}, sparse_vectors: {s: {}, t: {}}"
    )
    store.collection(before)
    store.apply()
    ids = [1, 2**53 + 1, *(str(uuid.UUID(int=n)) for n in (1, 2**127))]
    vector = {"a": [1, 2, 3], "b": [[1.0, 2.0], [3.0, 4.0]], "gone": [1, 1], "h": [0.1, 1 / 3]}
    vector["s"] = {"indices": [7, 1], "values": [0.5, 2]}
    payload = {"text": 'a "quoted" \\ ü 😀 "next_page_offset": 1', "big": 2**63 - 1, "nested": {"x": [None, 1.5]}}
    put(store, [{"id": i, "vector": vector, "payload": payload} for i in ids])
    put(store, [{"id": 77, "vector": {}, "payload": {}}])
    old = contents(store)
    for writes in ("frozen", "dual"):
        store.collection(f"{after}, on_change: copy, writes: {writes}")
        apply(store)
        new = contents(store)
        assert list(new) == list(old)
        for i in old:
            payload, vectors = old[i]
            assert new[i][0] == payload
            assert new[i][1].pop("h", []) == pytest.approx(vectors.get("h", []), rel=1e-3)
            assert new[i][1] == {k: v for k, v in vectors.items() if k not in ("gone", "h")}
        assert lines(store.plan())[0].startswith("delete v.collection.c__v")
        store.apply()
        after = after.replace("sparse_vectors: {s: {}, t: {}}", "sparse_vectors: {s: {}}")
        old = contents(store)
    assert store.names() == ["c__v3"]


def test_a_copy_goes_in_bounded_batches_and_shows_how_far_it_is_and_how_fast(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcile.stores.qdrant.points.BATCH", 100)
    filled(store)
    store.collection(copied("none_expected"))
    told: list[str] = []

    def tell(event: Event) -> None:
        if event.kind == "progress" and event.step is not None and event.step.id.endswith("2-copy"):
            told.append(event.detail)

    apply(store, tell)
    assert [text.partition(",")[0] for text in told if "points" in text] == [
        "100 of 300 points",
        "200 of 300 points",
        "300 of 300 points",
    ]
    assert all(re.search(r"points, [0-9,]+/s$", text) for text in told if "points" in text)


def test_a_vector_that_no_request_can_carry_is_named(store: Store) -> None:
    filled(store, 20, "vector: {dimensions: 4, distance: dot}")
    put(store, [{"id": 77, "vector": [1e39, 1, 1, 1]}])
    store.collection("vector: {dimensions: 4, distance: dot}, shard_number: 2, on_change: copy, writes: none_expected")
    with pytest.raises(PartialError, match="point 77 cannot be written to c__v2: its vector holds an infinity"):
        apply(store)
    delete(store, 77)
    workflow.resume(store.project)
    assert len(contents(store)) == 20


def test_points_may_have_no_vector_left(store: Store) -> None:
    filled(store, 3, "vector: {dimensions: 4, distance: cosine}, sparse_vectors: {s: {}}")
    store.collection("vectors: {a: {dimensions: 2, distance: dot}}, on_change: copy, writes: frozen")
    apply(store)
    assert contents(store) == {n: ({"at": 100}, {}) for n in range(3)}


@pytest.mark.parametrize("writes", MODES)
def test_the_old_generation_is_retired_and_dropped_by_a_later_plan(store: Store, writes: str) -> None:
    filled(store)
    old = contents(store)
    store.collection(copied(writes))
    apply(store)
    assert store.aliases() == {"c": "c__v2"}
    assert contents(store) == old
    assert store.config("c__v2")["metadata"] == {"reconcile": {"name": "c", "generation": 2}}
    mark = store.config("c__v1")["metadata"]["reconcile"]
    assert (mark["name"], mark["generation"]) == ("c", 1)
    later = store.plan()
    assert lines(later)[0] == f"delete v.collection.c__v1 retired generation of c, since {mark['retired']}"
    assert later.resource_changes[0].action_reason == "delete_because_retired"
    assert "deletes-data" in later.steps[0].hazards
    (told,) = apply(store)
    assert told.startswith("snapshot of c__v1: c__v1/")
    assert "sha256" in told
    assert store.names() == ["c__v2"]
    assert lines(store.plan()) == []


def test_a_retired_generation_may_be_kept(store: Store) -> None:
    filled(store, 3)
    store.collection(f"{copied('frozen')}, retired: keep")
    apply(store)
    made = store.plan()
    assert lines(made) == []
    assert "retired generation of c since" in made.observed["notes"][0]
    assert store.names() == ["c__v1", "c__v2"]


def test_a_retired_generation_that_is_used_again_is_not_dropped(store: Store) -> None:
    filled(store, 3)
    store.collection(copied("frozen"))
    apply(store)
    made = store.plan("all")
    action = {"create_alias": {"collection_name": "c__v1", "alias_name": "by_hand"}}
    store.send("POST", "/collections/aliases", {"actions": [action]})
    with pytest.raises(ReconcileError, match=r"stale(.|\n)*v.alias.by_hand"):
        workflow.apply(store.project, made)
    assert store.names() == ["c__v1", "c__v2"]


def test_an_alias_of_a_retired_generation_moves_before_it_goes(store: Store) -> None:
    filled(store, 3)
    store.collection(copied("frozen"))
    apply(store)
    action = {"create_alias": {"collection_name": "c__v1", "alias_name": "by_hand"}}
    store.send("POST", "/collections/aliases", {"actions": [action]})
    made = store.plan()
    assert lines(made) == []
    assert "alias by_hand points at it; declare it for the collection" in made.observed["notes"][0]
    store.declare(f"collections:\n  c: {{{copied('frozen')}}}\naliases: {{by_hand: c}}")
    apply(store)
    assert store.aliases() == {"c": "c__v2", "by_hand": "c__v2"}
    apply(store)
    assert store.names() == ["c__v2"]


@pytest.mark.parametrize(("after", "breaks"), [("{a: {}, s: {}}", False), ("{b: {}}", True)])
def test_a_vector_that_goes_breaks_clients(store: Store, after: str, breaks: bool) -> None:
    filled(store, 3, f"{PLAIN}, sparse_vectors: {{a: {{}}}}")
    store.collection(f"{PLAIN}, sparse_vectors: {after}, on_change: copy, writes: frozen")
    found = {str(h) for step in store.plan().steps for h in step.hazards}
    assert ("breaks-clients" in found) is breaks


def test_a_snapshot_brings_back_what_a_drop_deleted(store: Store) -> None:
    filled(store, 50)
    old = contents(store)
    made = store.send("POST", "/collections/c__v1/snapshots?wait=true")
    with_urlopen = f"{store.url}/collections/c__v1/snapshots/{made['name']}"
    body = {"location": with_urlopen, "checksum": made["checksum"]}
    store.send("PUT", "/collections/restored/snapshots/recover?wait=true", body)
    assert contents(store, "restored") == old
    # It keeps the metadata of a generation, and is nobody's leftover: its name is another.
    assert lines(store.plan()) == []


# --- what is promised about writes -----------------------------------------------------------------------------------


def test_frozen_is_checked_and_the_alias_stays(store: Store) -> None:
    filled(store)
    store.collection(copied("frozen"))

    def write() -> None:
        put(store, [point(5, at=101), point(9000)])
        delete(store, 7)

    with pytest.raises(PartialError, match=r"declared `writes: frozen`, but changed .*1 different, 1 extra, 1 missing"):
        apply(store, at("2-copy", "step_done", write))
    assert store.aliases() == {"c": "c__v1"}
    workflow.resume(store.project)
    assert contents(store) == contents(store, "c__v1")
    assert store.aliases() == {"c": "c__v2"}


@pytest.mark.parametrize("writes", ["none_expected", "dual", "{timestamp: at}"])
def test_what_is_written_meanwhile_is_found(store: Store, writes: str) -> None:
    filled(store)
    store.collection(copied(writes))

    def write() -> None:
        now = int(time.time())
        put(store, [point(5, now, changed=True), point(9000, now), {**point(6, now), "vector": [9, 1, 1, 1]}])
        delete(store, 7, 8)

    apply(store, at("2-copy", "step_done", write))
    assert contents(store) == contents(store, "c__v1")
    assert contents(store)[5][0]["changed"] is True
    assert 7 not in contents(store)


def test_dual_leaves_what_the_application_wrote_to_both(store: Store) -> None:
    filled(store)
    store.collection(copied("dual"))

    def write() -> None:
        for name in ("c__v1", "c__v2"):
            put(store, [point(299, 200, changed=True), point(9000, 200)], name)

    apply(store, at("2-copy", "step_started", write))
    assert contents(store) == contents(store, "c__v1")
    assert contents(store)[299][0]["changed"] is True


def test_writes_without_their_time_stop_the_switch(store: Store) -> None:
    filled(store, 20)
    store.collection(copied("{timestamp: at}"))
    with pytest.raises(PartialError, match=r"though their at says that they were not written since"):
        apply(store, at("2-copy", "step_done", lambda: put(store, [point(n, 10, x=1) for n in range(20)])))
    assert store.aliases() == {"c": "c__v1"}


def test_writes_have_to_be_declared(store: Store) -> None:
    store.collection(f"{PLAIN}, on_change: copy")
    with pytest.raises(ReconcileError, match=r"v.yaml:3:\d+: `on_change: copy` needs `writes:`"):
        store.plan()
    store.collection("vector: {dimensions: 4, distance: cosine}, on_change: copy, writes: {timestamp: at}")
    with pytest.raises(ReconcileError, match=r"v.yaml:3:\d+: .* needs a payload index on at"):
        store.plan()
    filled(store, 1, "vector: {dimensions: 4, distance: cosine}")
    store.collection(copied("{timestamp: at}"))
    with pytest.raises(ReconcileError, match="in the collection as it is now"):
        store.plan()


# --- limits, plain collections, leftovers ----------------------------------------------------------------------------


def test_strict_mode_is_respected(store: Store) -> None:
    strict = "strict_mode: {enabled: true, max_query_limit: 40, upsert_max_batchsize: 30, condition_max_size: 5}"
    filled(store, 0, f"{PLAIN}, {strict}")
    for first in range(0, 200, 30):
        put(store, [point(n) for n in range(first, min(first + 30, 200))])
    store.collection(copied("none_expected", f"{strict}, shard_number: 2"))

    def write() -> None:
        put(store, [point(500)])
        delete(store, *range(20))

    apply(store, at("2-copy", "step_done", write))
    assert store.send("POST", "/collections/c/points/count", {"exact": True})["count"] == 181


def test_a_rate_that_is_used_up_is_waited_for(store: Store) -> None:
    filled(store, 130)
    store.collection(
        copied("frozen", "wal: {wal_capacity_mb: 16}, strict_mode: {enabled: true, write_rate_limit: 120}")
    )
    told: list[str] = []
    apply(store, lambda event: told.append(event.detail) if event.kind == "progress" else None)
    assert store.send("POST", "/collections/c/points/count", {"exact": True})["count"] == 130
    assert any("allows no more for now" in line for line in told)


@pytest.mark.parametrize("writes", ["frozen", "none_expected", "dual"])
def test_a_plain_collection_is_brought_under_an_alias(store: Store, writes: str) -> None:
    store.declare(f"collections:\n  c: {{versioned: false, {PLAIN}}}\naliases: {{live: c}}")
    store.apply()
    put(store, [point(n) for n in range(50)])
    old = contents(store)
    new = f"versioned: true, {PLAIN}, on_change: copy, writes: {writes}"
    store.declare(f"collections:\n  c: {{{new}}}\naliases: {{live: c}}")
    assert {h for s in store.plan().steps for h in s.hazards} >= {"deletes-data", "index-gap"}
    assert "requests in that moment fail" in (store.plan().resource_changes[0].strategy or "")
    (told,) = apply(store)
    assert told.startswith("snapshot of c: c/")
    assert (store.names(), store.aliases()) == (["c__v1"], {"c": "c__v1", "live": "c__v1"})
    assert contents(store) == old
    assert lines(store.plan()) == []


@pytest.mark.parametrize("writes", ["frozen", "none_expected"])
def test_a_client_that_makes_the_collection_anew_in_the_gap(
    store: Store, writes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, 30, f"versioned: false, {PLAIN}")
    old = contents(store)
    store.collection(f"versioned: true, {PLAIN}, on_change: copy, writes: {writes}")
    run = Replacing.run

    def drop_and_make(self: Replacing, op: str, args: Any, seconds: float) -> None:
        run(self, op, args, seconds)
        if op == "drop_plain":
            store.send("PUT", "/collections/c", {"vectors": {"size": 4, "distance": "Cosine"}})
            put(store, [point(1000)])

    with monkeypatch.context() as patched:
        patched.setattr(Replacing, "run", drop_and_make)
        with pytest.raises(PartialError, match="already exists"):
            apply(store)
    with pytest.raises(PartialError, match=r"made it anew(.|\n)*write what is new in c to it as well"):
        workflow.resume(store.project)
    assert contents(store, "c__v1") == old
    spec = StoreSpec("v", "qdrant", {"url": store.url}, Source("reconcile.yaml", 1), store.folder)
    with pytest.raises(ReconcileError, match="may hold the only points there are"):
        Replacing(Transport(spec), print, print).run("drop_generation", {"collection": "c__v1"}, 60)
    store.send("DELETE", "/collections/c")
    workflow.resume(store.project)
    assert (store.names(), store.aliases()) == (["c__v1"], {"c": "c__v1"})
    assert contents(store) == old


def test_a_plain_collection_has_no_last_moment_to_carry_over(store: Store) -> None:
    filled(store, 3, f"versioned: false, {PLAIN}")
    store.collection(f"versioned: true, {PLAIN}, on_change: copy, writes: {{timestamp: at}}")
    with pytest.raises(ReconcileError, match="could not be carried over by timestamp"):
        store.plan()
    store.collection(f"versioned: false, {copied('frozen')}")
    with pytest.raises(ReconcileError, match="write `versioned: true`"):
        store.plan()


def test_an_unfinished_copy_goes_where_nobody_wants_it_any_more(store: Store) -> None:
    filled(store)
    store.collection(copied("frozen"))
    with pytest.raises(PartialError):
        apply(store, at("2-copy", "step_done", lambda: delete(store, 7)))
    run = workflow.status(store.project)["unfinished"]["run"]
    workflow.abandon(store.project, run)
    assert store.names() == ["c__v1", "c__v2"]
    store.collection(copied("dual", "shard_number: 3"))
    apply(store)
    assert store.names() == ["c__v1", "c__v3"]
    store.apply()
    store.collection(copied("frozen", "shard_number: 4"))
    with pytest.raises(PartialError):
        apply(store, at("2-copy", "step_done", lambda: delete(store, 9)))
    workflow.abandon(store.project, workflow.status(store.project)["unfinished"]["run"])
    store.collection(copied("frozen", "shard_number: 3"))
    assert lines(store.plan())[0] == "delete v.collection.c__v4 unfinished copy of c"
    assert not any("deletes-data" in s.hazards for s in store.plan().steps)
    store.apply()
    assert store.names() == ["c__v3"]


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_clients_wrote_to_a_copy_before_its_alias_was_pointed_back_is_saved(
    store: Store, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, 10)
    store.collection(copied("none_expected"))
    run = Replacing.run

    def broken(self: Replacing, op: str, args: Any, seconds: float) -> None:
        if op == "finish_copy":
            raise ReconcileError("broken")
        run(self, op, args, seconds)

    with monkeypatch.context() as patched:
        patched.setattr(Replacing, "run", broken)
        with pytest.raises(PartialError):
            apply(store)
    put(store, [point(100)])
    action = {"create_alias": {"collection_name": "c__v1", "alias_name": "c"}}
    store.send("POST", "/collections/aliases", {"actions": [action]})
    workflow.abandon(store.project, workflow.status(store.project)["unfinished"]["run"])
    if not goes_on:
        store.collection(copied("none_expected", "shard_number: 1"))
    (told,) = apply(store)
    assert told.startswith("snapshot of c__v2: c__v2/")


def test_import_leaves_generations_that_go_by_themselves_out(store: Store) -> None:
    filled(store, 3)
    store.collection(copied("frozen"))
    apply(store)
    (store.folder / "schema" / "v.yaml").unlink()
    text = "\n".join(path.read_text() for path in workflow.import_(store.project).files)
    assert "c__v1" not in text
    assert "  c:" in text


# --- the pure parts --------------------------------------------------------------------------------------------------


def test_a_page_is_cut_out_of_the_answer() -> None:
    trap = b'{"id":1,"payload":{"t":"],\\"next_page_offset\\":"}}'
    answer = b'{"usage":null,"result":{"points":[' + trap + b'],"next_page_offset":"x"}}'
    page = page_of(answer)
    assert page.next == "x"
    assert page.points()[0]["id"] == 1
    other = b'{"result": {"next_page_offset": null, "points": [{"id": 1}, {"id": 2}]}}'
    assert (page_of(other).text, page_of(other).next) == (b'{"id":1},{"id":2}', None)
    assert text_of([]) == b""


def test_the_batch_follows_the_size_of_points() -> None:
    size = Size(1000)
    size.learn(100, 100 * 100)
    assert size.now == 800
    size.learn(800, 800 * 1_000_000)
    assert size.now == 8
    size.learn(8, 8 * 40_000_000)
    assert size.now == 1


def test_the_limits_of_strict_mode() -> None:
    def info(**strict: Any) -> Any:
        return {"config": {"strict_mode_config": strict}}

    assert limits(info(), info()) == Limits(1000, 10_000)
    assert limits(info(enabled=True, max_query_limit=50), info(enabled=True, upsert_max_batchsize=20)) == Limits(20, 50)
    assert limits(info(enabled=True, upsert_max_batchsize=3), info(max_query_limit=5)) == Limits(1000, 10_000)


def test_payloads_are_compared_by_type_and_floats_to_what_a_copy_keeps() -> None:
    def same(old: Any, new: Any) -> bool:
        return same_point({"payload": {"x": [old]}}, {"payload": {"x": [new]}}, SAME)

    assert same(1.2345678901234567e-200, 1.234567890123457e-200)
    assert same({"a": None}, {"a": None})
    assert not same(1, True)
    assert not same(1, 1.0)
    assert not same(0.5, 0.5000001)
    assert not same(2**63 - 1, 2**63 - 2)
    assert not same({"a": None}, {})


def test_times_of_every_kind() -> None:
    moment = Stamps('meta."at time"', "datetime")
    assert moment.of({"payload": {"meta": {"at time": "1970-01-01T00:00:01+00:00"}}}) == 1_000_000
    assert moment.of({"payload": {"meta": {"at time": ["1970-01-01", "1970-01-02T00:00:00Z", "?"]}}}) == 86_400_000_000
    assert moment.of({"payload": {}}) is None
    assert moment.since(1_500_000) == {
        "key": 'meta."at time"',
        "range": {"gte": "1970-01-01T00:00:01.500000+00:00"},
    }
    number = Stamps("at", "integer")
    assert number.begin(100) == 40, "behind our clock: counted from what there is"
    assert number.begin(10**20) <= time.time() * 1e9 - 59 * 1e9, "far ahead of it: counted from our clock"
    assert number.begin(None) < -1e300, "whatever has a value is new"
    assert moment.since(moment.begin(None))["range"] == {"gte": "0001-01-01T00:00:00.000000+00:00"}


def test_a_batch_that_is_too_large_is_halved(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from reconcile.stores.qdrant import points as module

    store.collection(PLAIN)
    store.apply()
    spec = StoreSpec("v", "qdrant", {"url": store.url}, Source("reconcile.yaml", 1), tmp_path)
    http = Transport(spec)
    monkeypatch.setattr(module, "REQUEST_BYTES", 600)
    target = Points(http, "c", lambda detail: None)
    target.upsert(text_of([point(n) for n in range(20)]))
    assert target.count() == 20
    with pytest.raises(ReconcileError, match=r"point 1 of .* is too large"):
        target.upsert(text_of([point(1, text="x" * 1000)]))
    http.close()
