"""`reconcile backup` and `restore` of a real Redis."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.projects import Folder
from tests.stores.redis.server import Commands

from reconcile import workflow
from reconcile.errors import RefusedError, StoreError
from reconcile.stores.backups import Made
from reconcile.stores.redis import backup
from reconcile.stores.redis.wire import Wire

KEYS = """
SET plain "a value"
SET number 9007199254740993
SET session:1 gone PX 3600000
RPUSH list a b a
SADD set c b a 1 2
HSET hash f1 v1 f2 v2
ZADD zset 1 a 2.5 b
XADD stream 1-1 field value
XGROUP CREATE stream readers 0
"""


@pytest.fixture
def folder(project: Callable[..., Folder], cache: Commands) -> Folder:
    """Keys of each type, and a ledger that is a file."""
    cache.run(KEYS)
    cache("SET", b"\xff\x00binary", b"\x00\xfe")
    cache("HSET", "large", *[word for n in range(600) for word in (f"field {n}", "x" * 100)])
    made = project().declare(cache="families: {sessions: {pattern: 'session:{id}', type: string}}")
    made.apply()
    return made


def held(cache: Commands) -> dict[str, Any]:
    """By key its content, as the server's own words show it."""
    ask = {"string": "GET", "hash": "HGETALL", "set": "SMEMBERS", "list": "LRANGE", "zset": "ZRANGE", "stream": "XINFO"}
    more = {"list": (0, -1), "zset": (0, -1, "WITHSCORES")}
    found = {}
    for key in sorted(set(cache("KEYS", "*")) - {"reconcile:mark"}):
        kind = cache("TYPE", key)
        words = (ask[kind], key) if kind != "stream" else ("XINFO", "STREAM", key, "FULL")
        answer = cache(*words, *more.get(kind, ()))
        answer = sorted(answer) if kind == "set" else sorted(answer.items()) if kind == "hash" else answer
        found[key] = (kind, cache("PEXPIRETIME", key) > 0, repr(answer))
    return found


def test_what_was_destroyed_comes_back(folder: Folder, cache: Commands) -> None:
    wanted, expires = held(cache), cache("PEXPIRETIME", "session:1")
    made = folder.command("backup")
    assert made.returncode == 0, made.stderr
    manifest = workflow.chosen_backup(folder.load(), "latest").manifest
    assert manifest is not None and manifest.whole
    saved = manifest.stores["cache"]
    assert (saved.way, dict(saved.contents.counts)) == ("own", {"keys": len(wanted) - 1})
    assert "configuration is not in it" in saved.notes[0] and "1 keys that expire" in saved.notes[-1]
    cache("DEL", "plain")
    cache("SET", "stray", 1)
    refused = folder.command("restore", "latest", "--yes")
    assert refused.returncode == 1 and f"cache: {len(wanted)} keys" in refused.stderr
    back = folder.command("restore", "latest", "--replace", "--yes")
    assert back.returncode == 0, back.stderr
    assert held(cache) == wanted
    assert abs(cache("PEXPIRETIME", "session:1") - expires) < 60_000
    assert json.loads(cache("GET", "reconcile:mark")) == {"project": "trial", "environment": "default"}
    tried = folder.command("restore", "latest", "--test")
    assert (tried.returncode, tried.stdout) == (0, "cache: restored into a scratch place and compared: equal\n"), tried
    assert held(cache) == wanted


def test_a_killed_restore_is_begun_again(
    folder: Folder, cache: Commands, monkeypatch: pytest.MonkeyPatch, fault_points: Callable[[int], None]
) -> None:
    """SIGKILL after each command that changes something, small batches."""
    wanted = held(cache)
    project = folder.load()
    workflow.back_up(project)
    found = workflow.chosen_backup(project, "latest")
    monkeypatch.setattr(backup, "AT_ONCE", 3)

    def restored() -> None:
        with workflow.restoring(project, found) as asked:
            workflow.restore(asked, True)

    def killed_after(number: int) -> bool:
        child = os.fork()
        if child == 0:  # pragma: no cover
            left, pipe = number, Wire.pipe

            def counted(self: Wire, commands: Any, passing: str | None = None) -> Any:
                nonlocal left
                sent = list(commands)
                answers = pipe(self, sent, passing)
                left -= sent[0][0] in ("SET", "UNLINK", "RESTORE")
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return answers

            Wire.pipe = counted  # type: ignore[method-assign]
            try:
                restored()
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)

    killed = 0
    while killed_after(killed + 1):
        killed += 1
        if (lock := workflow.status(project)["lock"]) is not None:
            workflow.unlock(project, lock["run"])
        if json.loads(cache("GET", "reconcile:mark")).get("restoring"):
            with pytest.raises(RefusedError, match="store cache may hold only a part of backup"):
                workflow.plan(project)
        else:
            assert held(cache) == wanted
        cache("SET", "stray", killed)
    assert held(cache) == wanted
    assert killed > 6
    fault_points(killed)


def test_what_is_too_much_is_refused_and_a_spoiled_file_found(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = workflow.back_up(folder.load(), to=tmp_path / "saved")
    file = made.folder / "cache" / backup.KEYS
    file.write_bytes(file.read_bytes()[:-20])
    assert "cannot be unpacked" in backup.inspect(file.parent, Made(facts={"keys": 9}))[0]
    monkeypatch.setattr(backup, "MOST", 5)
    with pytest.raises(StoreError, match="holds more than 5 keys") as refused:
        workflow.back_up(folder.load())
    assert "backup: {command:" in str(refused.value)


def test_programs_of_the_users_save_and_restore(project: Callable[..., Folder]) -> None:
    """In place of the tool's own way, with a limit, and what they print masked."""
    place = "pathlib.Path(os.environ['RECONCILE_BACKUP_FOLDER'], 'dump')"
    line = [sys.executable, "-c"]
    save = [*line, f"import os, pathlib; {place}.write_text('all'); print('snapshot 7 of redis://u:canary9@h')"]
    back = [*line, f"import os, pathlib; pathlib.Path('back').write_text({place}.read_text()); print('done')"]
    folder = project(backup={"command": save, "restore": back, "timeout": "1min"}).declare(cache="families: {}")
    made = workflow.back_up(folder.load())
    assert made.manifest is not None and made.manifest.whole
    assert (made.folder / "cache" / "dump").read_text() == "all"
    assert made.manifest.stores["cache"].notes == ("snapshot 7 of redis://u:***@h",)
    restored = folder.command("restore", "latest", "--yes")
    assert restored.returncode == 0 and "note: cache: done" in restored.stderr, restored.stderr
    assert (folder.path / "back").read_text() == "all"
    tried = folder.command("restore", "latest", "--test")
    assert tried.stdout == "cache: saved by a program, which is not tried\n"
    folder.stores["cache"]["backup"] = {"command": [*line, "import time; time.sleep(600)"], "timeout": "1s"}
    with pytest.raises(StoreError, match=r"took longer than 1s\n  give it longer: `backup: \{timeout"):
        workflow.back_up(folder.declare().load())
    assert [f.state for f in workflow.list_backups(folder.load())] == ["complete"]
