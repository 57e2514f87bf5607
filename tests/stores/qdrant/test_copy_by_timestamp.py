"""`writes: {timestamp: FIELD}`: what is found by it, what is refused, and what happens in the last moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.stores.qdrant.store import Store, lines
from tests.stores.qdrant.test_copy import PLAIN, apply, at, contents, copied, delete, filled, point, put

from reconcile import workflow
from reconcile.errors import PartialError, ReconcileError
from reconcile.model import Source
from reconcile.stores.base import StoreSpec
from reconcile.stores.qdrant import carrying, settling
from reconcile.stores.qdrant.copying import Copy
from reconcile.stores.qdrant.points import Points, text_of
from reconcile.stores.qdrant.replacing import Replacing
from reconcile.stores.qdrant.stamps import Stamps
from reconcile.stores.qdrant.transport import Transport

NOW = int(time.time())


def around(monkeypatch: pytest.MonkeyPatch, **acts: Callable[[], None]) -> None:
    """Do something once: `before_OP` or `after_OP` of an operation of the replacement."""
    run = Replacing.run

    def watched(self: Replacing, op: str, args: Any, seconds: float) -> None:
        if (act := acts.pop(f"before_{op}", None)) is not None:
            act()
        run(self, op, args, seconds)
        if (act := acts.pop(f"after_{op}", None)) is not None:
            act()

    monkeypatch.setattr(Replacing, "run", watched)


# --- the last moment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "time_of"),
    [
        ("integer", lambda second: second),
        ("integer", lambda second: second * 10**9 + 1),
        ("float", lambda second: second + 0.25),
        ("datetime", lambda second: datetime.fromtimestamp(second, UTC).isoformat()),
    ],
    ids=["seconds", "nanoseconds", "float", "datetime"],
)
def test_the_last_moment_is_carried_over_and_nothing_newer_is_touched(
    store: Store, kind: str, time_of: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = f"vector: {{dimensions: 4, distance: cosine}}, payload_indexes: {{at: {kind}}}"
    filled(store, 0, settings)

    def written(number: int, second: int, **payload: Any) -> Any:
        return {**point(number), "payload": {"at": time_of(second), **payload}}

    put(store, [written(n, 1_700_000_000) for n in range(40)] + [written(n, NOW) for n in (20, 21, 22)])
    put(store, [{**point(n), "payload": {"no": "time"}} for n in (700, 701)])
    store.collection(f"{settings}, shard_number: 2, on_change: copy, writes: {{timestamp: at}}")

    def to_the_old_one() -> None:
        put(store, [written(n, NOW, late=True) for n in (1, 2, 3, 700, 900)])
        delete(store, 5, 6, 7, 20, 21, 701)

    def to_the_new_one() -> None:
        put(store, [written(2, NOW + 5, newer=True), written(6, NOW + 5, again=True), written(901, NOW + 5)])
        put(store, [written(902, 1_600_000_000, clock="behind"), written(21, NOW + 5, again=True)])
        delete(store, 3, 8, 22)
        put(store, [written(3, NOW + 5, again=True)])

    around(monkeypatch, after_settle_copy=to_the_old_one, before_finish_copy=to_the_new_one)
    apply(store)
    found = {number: payload for number, (payload, _) in contents(store).items()}
    assert found.keys() == {*range(40), 700, 900, 901, 902} - {5, 7, 8, 20, 22}
    assert found[1]["late"] and found[700]["late"]
    assert found[2]["newer"] and found[3]["again"] and found[6]["again"] and found[21]["again"]


def test_what_is_deleted_before_it_is_carried_over_stays_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the new side: before it is looked at (3), and between that look and the write (2)."""
    settings = (
        "vectors: {a: {dimensions: 2, distance: dot}, b: {dimensions: 2, distance: dot}}, sparse_vectors: {s: {}},"
        " payload_indexes: {at: integer}"
    )

    def named(number: int, second: int, **vectors: Any) -> Any:
        return {"id": number, "vector": vectors, "payload": {"at": second, **dict.fromkeys(vectors, True)}}

    def at_once(copy: Copy, stamps: Stamps, point: Any, found: Any) -> bool:
        if point["id"] == 2:
            delete(store, 2)
        return older(copy, stamps, point, found)

    older = carrying._older
    monkeypatch.setattr(carrying, "_older", at_once)
    filled(store, 0, settings)
    put(store, [named(n, 1_700_000_000, a=[n, 1], b=[n, 2]) for n in range(9)])
    store.collection(f"{settings}, shard_number: 2, on_change: copy, writes: {{timestamp: at}}")
    late = [named(n, NOW, a=[n, 3], s={"indices": [n], "values": [0.5]}) for n in (1, 2, 3)] + [named(4, NOW)]
    around(
        monkeypatch,
        after_settle_copy=lambda: put(store, late),
        before_finish_copy=lambda: delete(store, 3),
    )
    apply(store)
    found = contents(store)
    assert found.keys() == {*range(9)} - {2, 3}
    assert [found[n] for n in (1, 4)] == [(p["payload"], p["vector"]) for p in (late[0], late[3])]


def test_what_is_deleted_between_the_last_rounds_stays_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store, 40)
    put(store, [point(n, NOW) for n in (20, 21)])
    store.collection(copied("{timestamp: at}"))
    ids, sample = settling._same_ids, settling._sampled

    def before_ids(*args: Any) -> None:
        put(store, [point(950, NOW)])
        ids(*args)

    def after_ids(*args: Any) -> None:
        sample(*args)
        put(store, [point(21, NOW, again=True)])
        delete(store, 20, 21, 950)

    monkeypatch.setattr(settling, "_same_ids", before_ids)
    monkeypatch.setattr(settling, "_sampled", after_ids)
    apply(store)
    assert contents(store).keys() == {*range(40)} - {20, 21}


def test_a_run_killed_after_the_switch_brings_no_deleted_point_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, 40)
    put(store, [point(n, NOW) for n in (20, 21, 22)])
    store.collection(copied("{timestamp: at}"))
    with monkeypatch.context() as patched:

        def last() -> None:
            put(store, [point(900, NOW)])
            delete(store, 5, 20)

        def broken() -> None:
            delete(store, 21)
            put(store, [point(902, 3, clock="behind")])
            raise ReconcileError("killed")

        around(patched, after_settle_copy=last, before_finish_copy=broken)
        with pytest.raises(PartialError):
            apply(store)
    told: list[str] = []
    workflow.resume(store.project, lambda event: told.extend([event.detail] if event.kind == "reported" else []))
    assert contents(store).keys() == {*range(40), 900, 902} - {20, 21}
    assert "2 points of c__v2 are not in c__v1" in told[0]
    assert "(ids 5, 902)" in told[0], "which of them was deleted and which added, nobody can tell any more"


def test_who_goes_on_writing_to_the_old_name_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store, 10)
    store.collection(copied("{timestamp: at}"))
    monkeypatch.setattr("reconcile.stores.qdrant.carrying.MOMENT_SECONDS", 0)
    number = 1000
    with monkeypatch.context() as patched:

        def write(*_: Any) -> Any:
            nonlocal number
            number += 1
            put(store, [point(number, NOW)], "c__v1")
            return iter(())

        patched.setattr("reconcile.stores.qdrant.carrying._gone", write)
        with pytest.raises(PartialError, match="c__v1 is still written to, though no alias points at it"):
            apply(store)
    workflow.resume(store.project)
    assert {*range(10), *range(1001, number + 1)} == contents(store).keys()


# --- values that no index holds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "odd", "shown"),
    [
        ("integer", [2.5, "3", True], r'3 points of c__v1 have a at .* of type integer .*1: 2.5, 2: "3", 3: true'),
        ("float", ["3"], r'1 point of c__v1 has a at .* type float .*1: "3"'),
        ("datetime", [NOW, "yesterday"], rf'2 points .* type datetime .*1: {NOW}, 2: "yesterday"'),
    ],
    ids=["integer", "float", "datetime"],  # the time in one of them would give each worker another test
)
def test_times_of_another_type_are_refused_before_anything_is_made(
    store: Store, kind: str, odd: list[Any], shown: str
) -> None:
    settings = f"vector: {{dimensions: 4, distance: cosine}}, payload_indexes: {{at: {kind}}}"
    filled(store, 0, settings)
    right = "2026-01-31T12:00:00Z" if kind == "datetime" else 7
    values = [*odd, right, None]
    put(store, [{**point(n), "payload": {"at": value}} for n, value in enumerate(values, 1)])
    put(store, [{**point(99), "payload": {}}])
    store.collection(f"{settings}, shard_number: 2, on_change: copy, writes: {{timestamp: at}}")
    with pytest.raises(ReconcileError, match=shown):
        apply(store)
    assert store.names() == ["c__v1"]
    delete(store, *range(1, len(odd) + 1))
    apply(store)
    assert contents(store).keys() == {len(odd) + 1, len(odd) + 2, 99}


def test_times_of_another_type_written_meanwhile_stop_the_switch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store, 10)
    store.collection(copied("{timestamp: at}"))
    with pytest.raises(PartialError, match=r'1 point of c__v1 has a at .* \(4: "now"\)'):
        apply(store, at("2-copy", "step_done", lambda: put(store, [{**point(4), "payload": {"at": "now"}}])))
    assert store.aliases() == {"c": "c__v1"}
    put(store, [point(4, NOW, repaired=True)])
    around(monkeypatch, before_finish_copy=lambda: put(store, [{**point(5), "payload": {"at": 1.5}}], "c__v1"))
    told: list[str] = []
    workflow.resume(store.project, lambda event: told.extend([event.detail] if event.kind == "reported" else []))
    assert contents(store)[4][0]["repaired"] is True
    assert told[-1].endswith("written in the last moment before the switch: look at them in c__v1")


def test_every_form_of_a_datetime_that_the_server_reads_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = "vector: {dimensions: 4, distance: cosine}, payload_indexes: {at: datetime}"
    filled(store, 0, settings)
    forms = ["{}T10:00:00Z", "{}t10:00:00.123456789z", "{} 10:00", "{}", "{} 10:00:00.5 +00:00", "{}T10:00:00+0100"]
    forms += ["{}T23:59:60Z"]  # a leap second, which Python does not read

    def written(day: str) -> list[Any]:
        return [{**point(n), "payload": {"at": form.format(day), "day": day}} for n, form in enumerate(forms)]

    put(store, written("2026-06-29"))
    store.collection(f"{settings}, shard_number: 2, on_change: copy, writes: {{timestamp: at}}")
    around(monkeypatch, after_settle_copy=lambda: put(store, written("2026-06-30")))
    apply(store)
    assert [payload["day"] for payload, _ in contents(store).values()] == ["2026-06-30"] * len(forms)


def test_a_field_that_no_point_has_yet(store: Store) -> None:
    filled(store, 0)
    put(store, [{**point(n), "payload": {}} for n in range(10)])
    store.collection(copied("{timestamp: at}"))
    apply(store, at("2-copy", "step_done", lambda: put(store, [point(3, 5, counted=True)])))
    assert contents(store)[3][0]["counted"] is True


# --- strict mode -----------------------------------------------------------------------------------------------------


def test_too_few_conditions_of_strict_mode_are_refused_when_planned(store: Store) -> None:
    strict = "strict_mode: {enabled: true, filter_max_conditions: 1}"
    filled(store, 10, f"{PLAIN}, {strict}")
    store.collection(copied("{timestamp: at}", f"shard_number: 2, {strict}"))
    with pytest.raises(ReconcileError, match=r"strict mode of c__v1 allows filters of 1 condition, and a copy") as told:
        store.plan()
    assert "v.yaml:3:3" in str(told.value)
    store.collection(f"{PLAIN}, {strict.replace('1', '2')}")
    apply(store)
    store.collection(copied("{timestamp: at}", f"shard_number: 2, {strict.replace('1', '2')}"))
    apply(store, at("2-copy", "step_done", lambda: delete(store, 4)))
    assert contents(store).keys() == {*range(10)} - {4}
    assert lines(store.plan())[0].startswith("delete v.collection.c__v1 retired")


def test_limits_on_reading_and_counting_are_respected(store: Store) -> None:
    strict = "strict_mode: {enabled: true, read_rate_limit: 300, search_allow_exact: false, max_query_limit: 200}"
    filled(store, 310, f"{PLAIN}, {strict}")
    store.collection(copied("{timestamp: at}", f"shard_number: 2, {strict}"))
    told: list[str] = []
    # All are taken up one by one: more ids than a minute's rate are refused without a word on when to come back.
    gone = at("2-copy", "step_done", lambda: delete(store, *range(1, 310)))

    def tell(event: Any) -> None:
        told.extend([event.detail] if event.kind == "progress" else [])
        gone(event)

    workflow.apply(store.project, store.plan("all"), tell)
    assert store.send("POST", "/collections/c/points", {"ids": [0]})[0]["id"] == 0
    assert store.send("GET", "/collections/c")["points_count"] == 1
    assert any("allows no more for now" in line for line in told)


def test_a_request_that_no_time_helps_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconcile.stores.qdrant.points.PATIENCE_SECONDS", 0.5)
    filled(store, 0, f"{PLAIN}, strict_mode: {{enabled: true, write_rate_limit: 5}}")
    spec = StoreSpec("v", "qdrant", {"url": store.url}, Source("reconcile.yaml", 1), store.folder)
    with pytest.raises(ReconcileError, match="request larger than rate limiter capacity"):
        Points(Transport(spec), "c", lambda line: None).upsert(text_of([point(n) for n in range(6)]))


def test_what_a_time_is_read_as() -> None:
    stamps = Stamps("at", "datetime")
    assert stamps.of({"payload": {"at": "1970-01-01t00:00:01.5z"}}) == 1_500_000
    assert stamps.of({"payload": {"at": "1970-01-01 00:00:01 +00:00"}}) == 1_000_000
    assert stamps.of({"payload": {"at": "1970-01-01T00:00:60Z"}}) == 59_000_000
    assert stamps.of({"payload": {"at": "1970-01-01T10:60"}}) is None
    assert stamps.raw({"payload": {"at": "?"}}) == "?"
    assert stamps.still(None, updating=True) == {"is_empty": {"key": "at"}}
    assert stamps.still("1970", updating=True) == {"key": "at", "match": {"value": "1970"}}
    assert stamps.still("1970", updating=False) == {"key": "at", "range": {"gte": "1970", "lte": "1970"}}
    assert Stamps("n", "integer").still(2**60 + 1, updating=False) == {"key": "n", "match": {"value": 2**60 + 1}}
    assert Stamps("n", "float").still([None, 1.5], updating=True) == {"key": "n", "range": {"gte": 1.5, "lte": 1.5}}
    assert stamps.of({"payload": {"at": "?"}}) is None
