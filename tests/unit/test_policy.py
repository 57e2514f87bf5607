"""What `--allow` and the policy let through."""

import pytest

from reconcile.errors import ReconcileError
from reconcile.hazards import INFORMING, Hazard
from reconcile.policy import Allowance, blocked

DOCUMENT = {
    "steps": [
        {"id": "app.index.public.i/1-build", "hazards": ["builds-index", "index-gap"]},
        {"id": "app.table.public.t/1-drop", "hazards": ["deletes-data"]},
        {"id": "app.table.public.t/2-drop", "hazards": ["deletes-data"]},
    ],
    "observed": {"drift": ["graph.index.g"]},
}


def left(*allow: str, on_drift: str = "refuse") -> list[str]:
    return [f"{b['hazard']} {b['address']}" for b in blocked(DOCUMENT, map(Allowance.parse, allow), on_drift)]


def test_blocking_hazards_are_named_once_an_address() -> None:
    assert left() == [
        "index-gap app.index.public.i",
        "deletes-data app.table.public.t",
        "reverts-drift graph.index.g",
    ]


def test_all_allows_everything() -> None:
    assert left("all") == []


def test_a_glob_narrows() -> None:
    assert left("deletes-data=app.table.public.*", "index-gap=graph.*", "reverts-drift") == [
        "index-gap app.index.public.i"
    ]


def test_on_drift_revert_needs_no_allowance() -> None:
    assert "reverts-drift graph.index.g" not in left(on_drift="revert")


def test_the_hint_is_what_to_paste() -> None:
    entry = blocked(DOCUMENT, (), "revert")[0]
    assert entry["allow"] == "--allow index-gap=app.index.public.i"
    assert entry["step"] == "app.index.public.i/1-build"


def test_an_unknown_hazard_names_the_nearest() -> None:
    with pytest.raises(ReconcileError, match='did you mean "deletes-data"'):
        Allowance.parse("delete-data")


@pytest.mark.parametrize("hazard", list(Hazard))
def test_every_hazard_has_its_sentence_and_is_blocking_or_informing(hazard: Hazard) -> None:
    assert hazard.sentence.endswith(".")
    assert hazard.blocking is (hazard not in INFORMING)
