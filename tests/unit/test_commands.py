"""Programs of the user's."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from reconcile import commands


def script(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_what_it_prints_is_masked_before_it_is_cut(tmp_path: Path) -> None:
    text = f"print('postgresql://a:hidden1@h/d canary22' + 'x' * {commands.KEPT - 3}); import sys; sys.exit(3)"
    ran = commands.run(script(text), tmp_path, "1min", secrets=["canary22"])
    assert (ran.code, ran.why) == (3, "exit code 3")
    assert "22" not in ran.output and "hidden1" not in ran.failure
    apart = commands.apart(script(text), tmp_path, "1min", {"SEEN": "1"}, secrets=["canary22"])
    assert apart.lines[0].startswith("postgresql://a:hidden1@h/d canary22")  # may be data: who shows it masks it
    assert apart.output == ""


def test_all_that_it_started_ends_with_its_time(tmp_path: Path) -> None:
    """However slow the machine is: with more time, where it had not begun."""
    line = ["sh", "-c", "sleep 600 & echo begun; echo $! > new; mv new pid; wait"]
    for way in (commands.run, commands.apart):
        for limit in ("1s", "10s", "60s"):
            ran = way(line, tmp_path, limit)
            assert (ran.code, ran.why) == (None, f"took longer than {limit}")
            if (tmp_path / "pid").exists():
                break
        assert ran.failure == f"took longer than {limit}: begun"
        until = time.monotonic() + 120  # killed it is; when it is scheduled to end is up to the machine
        while _lives((tmp_path / "pid").read_text().strip()):
            assert time.monotonic() < until
            time.sleep(0.05)
        (tmp_path / "pid").unlink()


def _lives(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_stdout_apart_has_a_first_line_and_stderr_the_reason(tmp_path: Path) -> None:
    ran = commands.apart(script("import sys; print('one'); print('two'); sys.exit('because')"), tmp_path, "1min")
    assert (ran.first, ran.failure) == ("one", "exit code 1: because")
    assert commands.apart(script("print('why'); exit(2)"), tmp_path, "1min").failure == "exit code 2: why"
    assert commands.run(script("print(1)"), tmp_path, "1min").failure == ""
    missing = commands.apart([f".{os.sep}missing"], tmp_path, "1min")
    assert missing.failure == "cannot be started: No such file or directory"
