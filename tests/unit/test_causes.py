"""Labels of who moved: the YAML, the store, both."""

import pytest

from reconcile.causes import causes
from reconcile.ledger_rows import Applied
from reconcile.model import Address, Json

ADDRESS = Address("s", "index", ("i",))


def row(canonical: Json) -> Applied:
    return Applied.of(ADDRESS, canonical, canonical, "", ADDRESS, "r")


@pytest.mark.parametrize(
    ("live", "wanted", "applied", "cause"),
    [
        ({"m": 16}, {"m": 32}, {"m": 16}, "config"),
        ({"m": 32}, {"m": 16}, {"m": 16}, "drift"),
        ({"m": 8}, {"m": 32}, {"m": 16}, "both"),
        ({"m": 8}, {"m": 32}, None, "first"),
        ({"comment": "x"}, {}, {}, "drift"),
        ({}, {"comment": "x"}, {}, "config"),
        (None, {"m": 1}, {"m": 1}, "drift"),
        (None, {"m": 1}, None, "first"),
        ({"m": 1}, None, {"m": 1}, "config"),
    ],
)
def test_cause(live: Json, wanted: Json, applied: Json, cause: str) -> None:
    found = causes(live, wanted, None if applied is None else row(applied), False)
    assert [c["cause"] for c in found] == [cause]


def test_a_setting_that_was_not_managed_before_moved_in_the_yaml() -> None:
    assert [c["cause"] for c in causes({"m": 16}, {"m": 32}, row({}), True)] == ["config"]


def test_each_path_has_its_own_cause() -> None:
    found = causes({"a": 1, "b": {"c": 2}}, {"a": 0, "b": {"c": 3}}, row({"a": 0, "b": {"c": 2}}), False)
    assert {tuple(c["path"]): c["cause"] for c in found} == {("a",): "drift", ("b", "c"): "config"}


def test_a_removed_part_that_the_server_had_filled_is_no_drift() -> None:
    was = row({"vectors": {"a": {"size": 2}, "b": {"size": 3}}})
    live = {"vectors": {"a": {"size": 2, "on_disk": False}, "b": {"size": 3, "on_disk": False}}}
    wanted = {"vectors": {"a": {"size": 2, "on_disk": False}}}
    (found,) = causes(live, wanted, was, True)
    assert (found["path"], found["cause"]) == (["vectors", "b"], "config")
    live["vectors"]["b"]["size"] = 4
    (found,) = causes(live, wanted, was, True)
    assert found["cause"] == "both"
