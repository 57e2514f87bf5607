"""Operations as lines of a script: names as their language has them, and no deletion where nobody could look."""

from __future__ import annotations

import subprocess

import pytest

from reconcile.render import by_hand


def test_a_name_is_a_string_of_its_language() -> None:
    wait = {"op": "wait_online", "args": {"name": "it's a \\ b"}}
    assert by_hand.cypher(wait) == ["CALL db.awaitIndex('it\\'s a \\\\ b', 3600);"]
    assert by_hand.sql_stop("it's \\").endswith("MESSAGE = 'stopped at it''s \\'; END $stop$;")
    odd = by_hand.sql_stop("a $stop$ b")
    assert odd.startswith("DO $stop_$ ") and odd.endswith("$stop_$;")


@pytest.mark.parametrize("call", ["only http://127.0.0.1:1/collections/x '' a", "empty http://127.0.0.1:1/x ''"])
def test_what_cannot_be_looked_at_stops_the_script(call: str) -> None:
    function = "\n".join(by_hand.FUNCTIONS[call.partition(" ")[0]])
    done = subprocess.run(
        ["sh", "-c", f"{function}\n{call}\necho deleted"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
