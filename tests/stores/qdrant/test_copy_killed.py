"""A replacement killed after any of its changes: applied again it comes to the same end, and aliases always answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stores.qdrant.killing import go_on, killed_after, own_server, server_killed_at
from tests.stores.qdrant.store import Store, lines
from tests.stores.qdrant.test_copy import PLAIN, contents, copied, put
from tests.stores.qdrant.test_copy import point as point_of

from reconcile import workflow
from reconcile.errors import ReconcileError

EVERY = int(os.environ.get("RECONCILE_KILL_EVERY", "6"))
"""Every n-th change of each scenario is a point to be killed at; 1 for all of them."""
POINTS = 50


@pytest.fixture
def store(tmp_path: Path, qdrant_server: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A project whose snapshots are restored and compared; nobody writes, so that no moment has to be waited."""
    monkeypatch.setattr("reconcile.stores.qdrant.carrying.MOMENT_SECONDS", 0.0)
    monkeypatch.setattr("reconcile.stores.qdrant.settling.MOMENT_SECONDS", 0.0)
    return Store(tmp_path, qdrant_server, verify_snapshots="1GB")


def declare(store: Store, settings: str, aliases: bool = True) -> None:
    text = f"collections:\n  c: {{{settings}}}"
    store.declare(f"{text}\naliases: {{another: c, live: c}}" if aliases else text)


def fill(store: Store) -> None:
    put(store, [point_of(n, 100, n=n) for n in range(POINTS)])


def apply(store: Store) -> None:
    """Until nothing is left to do: the old generation goes with the second plan."""
    while (made := store.plan("all")).steps:
        workflow.apply(store.project, made)


def empty(store: Store) -> None:
    for name in store.names():
        store.send("DELETE", f"/collections/{name}")
    for path in store.folder.glob("ledger.db*"):
        path.unlink()
    store.send("DELETE", "/collections/_reconcile")


def sweep(store: Store, start: Callable[[], None], look: Callable[[str], None], every: int = EVERY) -> int:
    """Kill after one change after another; how often. Every second time the ledger is lost as well."""
    for tried, number in enumerate(range(1, 400, every)):
        empty(store)
        start()
        if not killed_after(number, lambda: apply(store)):
            return tried
        look(f"killed after change {number}")
        go_on(store, lost=tried % 2 == 1)
        look(f"killed after change {number}, applied again")
        apply(store)
        look(f"killed after change {number}, all applied")
        assert lines(store.plan()) == []
    raise AssertionError("it never comes to its end")


SCENARIOS = {
    "frozen": (PLAIN, copied("frozen"), "c__v2"),
    "timestamp": (PLAIN, copied("{timestamp: at}"), "c__v2"),
    "dual": (PLAIN, copied("dual"), "c__v2"),
    "adopted": (f"versioned: false, {PLAIN}", f"versioned: true, {PLAIN}, on_change: copy, writes: frozen", "c__v1"),
}


def begin(store: Store, name: str) -> None:
    """The collection as it is before, its points, and what is declared next."""
    before, after, _ = SCENARIOS[name]
    declare(store, before)
    workflow.apply(store.project, store.plan("all"))
    fill(store)
    declare(store, after)


def check(store: Store, name: str, when: str) -> None:
    """Aliases answer; in the end all is as it should be."""
    before, _, end = SCENARIOS[name]
    aliases = store.aliases()
    for alias in ("another", "live", *(["c"] if before is PLAIN else [])):
        assert alias in aliases, f"{when}: {alias} answers"
        assert len(contents(store, alias)) == POINTS, when
    if "c" not in aliases and "c" not in store.names():  # the gap: the copy is all there is, and whole
        assert len(contents(store, end)) == POINTS, when
    if when.endswith("all applied"):
        assert store.names() == [end], when
        assert aliases == dict.fromkeys(("another", "c", "live"), end), when
        mark = {"reconcile": {"name": "c", "generation": int(end[-1])}}
        assert store.config(end)["metadata"] == mark, when
        assert {n: p["n"] for n, (p, _) in contents(store).items()} == {n: n for n in range(POINTS)}, when


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_after_any_change(store: Store, name: str, fault_points: Callable[[int], None]) -> None:
    tried = sweep(store, lambda: begin(store, name), lambda when: check(store, name, when))
    fault_points(tried)
    assert tried >= 24 // EVERY


def test_killed_after_any_change_of_a_removal(store: Store, fault_points: Callable[[int], None]) -> None:
    """The snapshot, what is restored from it, and the deletion."""

    def start() -> None:
        declare(store, PLAIN, aliases=False)
        workflow.apply(store.project, store.plan("all"))
        fill(store)
        declare(store, f"{PLAIN}, shard_number: 2, on_change: empty", aliases=False)

    def look(when: str) -> None:
        assert "c" in store.aliases(), when
        if when.endswith("all applied"):
            (name,) = store.names()  # without the ledger an empty generation is no copy to go on with: v3 is made
            assert (store.aliases(), contents(store)) == ({"c": name}, {}), when
            assert store.config(name)["params"]["shard_number"] == 2, when

    every = max(1, EVERY // 2)  # half as many changes
    tried = sweep(store, start, look, every)
    fault_points(tried)
    assert tried >= 12 // every


@pytest.mark.parametrize("name", ["timestamp", "adopted"])
def test_the_server_killed_at_any_change(
    store: Store, name: str, tmp_path: Path, fault_points: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for; where that takes too long, the run goes on with --resume."""
    del store  # only for what its fixture sets
    monkeypatch.setattr("reconcile.stores.qdrant.points.BATCH", 20)
    monkeypatch.setattr("reconcile.stores.qdrant.points.IDS", 20)
    with own_server(tmp_path / "server") as (url, kill, start):
        (tmp_path / "project").mkdir()
        own = Store(tmp_path / "project", url, verify_snapshots="1GB")
        tried = 0
        for number in range(5, 400, EVERY * 2):
            empty(own)
            begin(own, name)
            stopped = False
            with server_killed_at(number, kill, start) as killed:
                try:
                    apply(own)
                except ReconcileError:
                    stopped = True
            if not killed():
                break
            tried += 1
            check(own, name, f"server killed at change {number}")
            if stopped:
                go_on(own, lost=False)
            apply(own)
            check(own, name, f"server killed at change {number}, all applied")
            assert lines(own.plan()) == []
    fault_points(tried)
    assert tried > 0
