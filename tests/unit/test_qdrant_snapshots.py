"""What a snapshot is listed with, against what the server said when it was made."""

from __future__ import annotations

import pytest

from reconcile.stores.qdrant.snapshots import SHA256, _wrong

FULL = "ab" * (SHA256 // 2)


@pytest.mark.parametrize(
    ("first", "now", "wrong"),
    [
        (FULL, FULL, None),
        ("", FULL, None),  # the answer came before the file with the checksum was flushed
        (FULL[:10], FULL, None),
        (None, None, None),
        (None, FULL, None),
        ("", "", "its checksum is missing, not missing"),
        (FULL, "", f"its checksum is missing, not {FULL}"),
        (FULL, None, f"its checksum is missing, not {FULL}"),
        (FULL, FULL[:10], f"its checksum is {FULL[:10]}, not {FULL}"),
        ("cd", FULL, f"its checksum is {FULL}, not cd"),
    ],
)
def test_checksums_are_waited_for_and_compared(first: str | None, now: str | None, wrong: str | None) -> None:
    assert _wrong({"size": 5, "checksum": first}, {"size": 5, "checksum": now}) == wrong


def test_a_snapshot_that_is_not_whole_is_told() -> None:
    assert _wrong({"size": 5}, {}) == "it is not in the list"
    assert _wrong({"size": 5}, {"size": 4}) == "4 bytes of 5"
    assert _wrong({"size": 0}, {"size": 0}) == "0 bytes of 0"
