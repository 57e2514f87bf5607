"""The ledger over SQLite: the lock excludes, the journal follows it, the applied state round-trips."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from reconcile.errors import RefusedError
from reconcile.ledger import Ledger
from reconcile.ledger_file import SqliteDatabase, open_file
from reconcile.ledger_rows import Applied, World
from reconcile.model import Address


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = open_file(tmp_path / "ledger.db")
    made.ensure()
    return made


def test_reads_before_the_first_write_make_nothing(tmp_path: Path) -> None:
    ledger = open_file(tmp_path / "deep" / "ledger.db")
    assert (ledger.world(), ledger.applied(), ledger.known(), ledger.unfinished(), ledger.runs()) == (
        None,
        {},
        {},
        None,
        [],
    )
    assert not (tmp_path / "deep").exists()


def test_the_lock_excludes_a_second_run(ledger: Ledger, tmp_path: Path) -> None:
    ledger.lock("r1")
    with pytest.raises(RefusedError, match="another run holds the lock: r1"):
        open_file(tmp_path / "ledger.db").lock("r2")
    ledger.release()
    open_file(tmp_path / "ledger.db").lock("r2")


def test_a_run_whose_lock_was_taken_cannot_journal_or_renew(ledger: Ledger) -> None:
    ledger.lock("r1")
    ledger.write("r1", ["s1"], "begun")
    assert ledger.unlock("r1")
    assert not ledger.renew()
    with pytest.raises(RefusedError, match="taken over"):
        ledger.write("r1", ["s1"], "done")
    assert ledger.journal("r1") == {"s1": "begun"}


def test_each_taking_of_the_lock_raises_the_epoch(ledger: Ledger) -> None:
    before = ledger.lock_state().epoch
    ledger.lock("r1")
    assert ledger.lock_state().epoch == before + 1


def test_runs_are_numbered_and_unfinished_ones_are_found(ledger: Ledger) -> None:
    assert [ledger.begin(run, "sha256:0", {"steps": []}) for run in ("a", "b")] == [1, 2]
    ledger.finish("a", "done")
    unfinished = ledger.unfinished()
    assert unfinished is not None
    assert (unfinished.id, unfinished.plan) == ("b", {"steps": []})
    ledger.finish("b", "stopped", "why")
    assert ledger.unfinished() is not None
    ledger.finish("b", "abandoned")
    assert ledger.unfinished() is None
    assert [(r.id, r.outcome) for r in ledger.runs()] == [("b", "abandoned"), ("a", "done")]


def test_applied_state_round_trips_and_is_forgotten(ledger: Ledger) -> None:
    address = Address("app", "column", ("public", "t", "a.b"))
    row = Applied.of(address, {"type": "int"}, {"type": "integer"}, "sha256:1", address, "r1")
    ledger.record([row], [], {"k": {"a": 1}})
    assert ledger.applied() == {address: row._replace(fingerprint="")}
    assert ledger.known() == {"k": {"a": 1}}
    ledger.record([], [address], {})
    assert ledger.applied() == {}


def test_the_world_is_stamped_once_and_grows(ledger: Ledger) -> None:
    ledger.stamp(World("p", "production", {"app": "1"}))
    ledger.stamp(World("p", "production", {"app": "1", "graph": "2"}))
    assert ledger.world() == World("p", "production", {"app": "1", "graph": "2"})


def test_a_stamp_is_read_whole_or_not_at_all(ledger: Ledger, tmp_path: Path) -> None:
    """Another first apply may read between any two of its statements."""
    world, seen = World("p", "e", {"a": "1", "b": "2"}), list[World | None]()

    class Watched(SqliteDatabase):
        def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
            rows = super().execute(sql, parameters)
            seen.append(ledger.world())
            return rows

    Ledger(Watched(tmp_path / "ledger.db")).stamp(world)
    assert len(seen) == 4
    assert seen[:-1] == [None] * 3
    assert seen[-1] == world
