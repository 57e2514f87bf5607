"""No alias stays behind at a replacement: whoever made it, and wherever the run or the server ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.stores.qdrant.store import Store, lines
from tests.stores.qdrant.test_copy import PLAIN, apply, at, contents, copied, filled, point, put

from reconcile import workflow
from reconcile.errors import PartialError, ReconcileError
from reconcile.stores.qdrant.carrying import finish
from reconcile.stores.qdrant.replacing import Replacing
from reconcile.stores.qdrant.transport import Transport


def make(store: Store, alias: str, target: str) -> None:
    action = {"create_alias": {"collection_name": target, "alias_name": alias}}
    store.send("POST", "/collections/aliases", {"actions": [action]})


def with_aliases(store: Store, settings: str, *names: str) -> None:
    store.declare(f"collections:\n  c: {{{settings}}}\naliases: {{{', '.join(f'{n}: c' for n in names)}}}")


def test_an_alias_made_during_the_copy_follows_and_is_told(store: Store) -> None:
    filled(store, 30)
    store.collection(copied("{timestamp: at}"))
    told = apply(store, at("2-copy", "step_done", lambda: make(store, "by_hand", "c__v1")))
    assert store.aliases() == {"c": "c__v2", "by_hand": "c__v2"}
    assert told == ["alias by_hand, made for c__v1 after the plan, follows to c__v2"]


def test_what_is_written_through_an_alias_that_was_left_behind_is_carried_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alias comes when the rest has been carried over already."""
    filled(store, 30)
    store.collection(copied("{timestamp: at}"))
    carry = finish

    def late(copy: Any) -> None:
        carry(copy)
        if "late" not in store.aliases():
            make(store, "late", "c__v1")
            put(store, [point(500, 1000)], "late")

    monkeypatch.setattr("reconcile.stores.qdrant.replacing.finish", late)
    apply(store)
    assert store.aliases() == {"c": "c__v2", "late": "c__v2"}
    assert 500 in contents(store)


def test_an_alias_that_somebody_moved_stops_the_switch(store: Store) -> None:
    with_aliases(store, PLAIN, "live")
    store.apply()
    put(store, [point(n) for n in range(30)])
    store.send("PUT", "/collections/theirs", {"vectors": {}})
    with_aliases(store, copied("frozen"), "live")
    with pytest.raises(PartialError, match=r"alias live points at theirs now, and pointed at c__v1 when this was"):
        apply(store, at("2-copy", "step_done", lambda: make(store, "live", "theirs")))
    assert store.aliases() == {"c": "c__v1", "live": "theirs"}
    make(store, "live", "c__v1")
    workflow.resume(store.project)
    assert store.aliases() == {"c": "c__v2", "live": "c__v2"}


def broken_in_the_list(store: Store, settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends with the first action of a list carried out: it keeps what it has done."""
    send = Transport.send

    def one(self: Transport, method: str, path: str, body: Any = None, seconds: Any = None) -> Any:
        if path != "/collections/aliases":
            return send(self, method, path, body, seconds)
        send(self, method, path, {"actions": body["actions"][:1]}, seconds)
        raise ReconcileError("the server ends")

    with_aliases(store, settings, "another", "live")
    made = store.plan("all")
    with monkeypatch.context() as patched:
        patched.setattr(Transport, "send", one)
        with pytest.raises(PartialError, match="the server ends"):
            workflow.apply(store.project, made)


@pytest.mark.parametrize("after", ["resumed", "abandoned", "ledger lost"])
def test_aliases_that_a_dying_server_left_behind_are_moved(
    store: Store, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_aliases(store, PLAIN, "another", "live")
    store.apply()
    put(store, [point(n) for n in range(30)])
    broken_in_the_list(store, copied("{timestamp: at}"), monkeypatch)
    assert sorted(store.aliases().values()) == ["c__v1", "c__v1", "c__v2"]
    assert store.aliases()["c"] == "c__v2", "the name itself goes first: it says that clients are there"
    put(store, [point(5, 1000, late=True), point(500, 1000)], "live")
    put(store, [point(6, 1000, new=True)])
    if after == "abandoned":
        workflow.abandon(store.project, workflow.status(store.project)["unfinished"]["run"])
    if after == "ledger lost":
        for path in store.folder.glob("ledger.db*"):
            path.unlink()
    workflow.resume(store.project) if after == "resumed" else apply(store)
    assert store.aliases() == dict.fromkeys(("another", "c", "live"), "c__v2")
    found = contents(store)
    assert len(found) == 31
    assert (found[5][0]["late"], found[6][0]["new"]) == (True, True)
    assert lines(store.plan())[0].startswith("delete v.collection.c__v1 retired generation of c")


def test_what_was_written_on_both_sides_of_a_broken_switch_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_aliases(store, PLAIN, "another", "live")
    store.apply()
    put(store, [point(n) for n in range(30)])
    broken_in_the_list(store, copied("none_expected"), monkeypatch)
    put(store, [point(500)], "live")
    put(store, [point(600)])
    told: list[str] = []
    workflow.resume(store.project, lambda event: told.extend([event.detail] if event.kind == "reported" else []))
    assert "alias c pointed at c__v2 and another, live at c__v1, and they differ now (ids 500, 600)" in told[0]
    assert store.aliases() == dict.fromkeys(("another", "c", "live"), "c__v2")
    assert 600 in contents(store), "nothing of the new one is overwritten"
    assert 500 in contents(store, "c__v1")


def test_a_plain_collection_is_not_deleted_while_it_differs_from_what_aliases_use(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = f"versioned: false, {PLAIN}"
    with_aliases(store, plain, "live")
    store.apply()
    put(store, [point(n) for n in range(30)])
    with_aliases(store, f"versioned: true, {PLAIN}, on_change: copy, writes: none_expected", "live")
    run = Replacing.run

    def broken(self: Replacing, op: str, args: Any, seconds: float) -> None:
        if op == "drop_plain":
            raise ReconcileError("broken")
        run(self, op, args, seconds)

    with monkeypatch.context() as patched:
        patched.setattr(Replacing, "run", broken)
        with pytest.raises(PartialError):
            apply(store)
    assert store.aliases() == {"live": "c__v1"}
    put(store, [point(500)], "live")
    with pytest.raises(PartialError, match=r"alias live pointed at c__v1 and c at c, and they differ now \(ids 500\)"):
        workflow.resume(store.project)
    assert 500 in contents(store, "live")
    put(store, [point(500)], "c")
    workflow.resume(store.project)
    assert (store.names(), store.aliases()) == (["c__v1"], {"c": "c__v1", "live": "c__v1"})
    assert len(contents(store)) == 31


def after_the_snapshot(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something when a snapshot has been made, which may take long."""
    run = Replacing.run

    def watched(self: Replacing, op: str, args: Any, seconds: float) -> None:
        run(self, op, args, seconds)
        if op == "snapshot":
            act()

    monkeypatch.setattr(Replacing, "run", watched)


@pytest.mark.parametrize(
    ("before", "after", "end"),
    [
        (PLAIN, f"{PLAIN}, shard_number: 2, on_change: empty", "c__v2"),
        (f"versioned: false, {PLAIN}", f"versioned: true, {PLAIN}, on_change: copy, writes: frozen", "c__v1"),
    ],
    ids=["emptied", "adopted"],
)
def test_an_alias_made_just_before_its_collection_goes_follows(
    store: Store, before: str, after: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, 10, before)
    (name,) = store.names()
    store.collection(after)
    after_the_snapshot(monkeypatch, lambda: make(store, "by_hand", name))
    told = apply(store)
    assert store.aliases() == {"c": end, "by_hand": end}
    assert f"alias by_hand, made for {name} after the plan, follows to {end}" in told


@pytest.mark.parametrize("declared", ["removed", "plain"])
def test_an_alias_that_would_go_with_its_collection_stops_the_drop(
    store: Store, declared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, 10, f"versioned: false, {PLAIN}")
    if declared == "removed":
        store.declare("collections: {}")
    else:
        store.collection(f"versioned: false, {PLAIN}, shard_number: 2, on_change: empty")
    with monkeypatch.context() as patched:
        after_the_snapshot(patched, lambda: make(store, "by_hand", "c"))
        with pytest.raises(PartialError, match="alias by_hand was made for c after the plan, and would be deleted"):
            apply(store)
    assert (store.names(), store.aliases()) == (["c"], {"by_hand": "c"})
    store.send("POST", "/collections/aliases", {"actions": [{"delete_alias": {"alias_name": "by_hand"}}]})
    workflow.resume(store.project)
    assert store.names() == ([] if declared == "removed" else ["c"])
