"""Families on a real server: what `verify` finds and how much it looked at, renaming that is killed, proposals."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from tests.projects import Folder
from tests.stores.redis.server import Commands

from reconcile import workflow
from reconcile.errors import ReconcileError
from reconcile.stores.redis import renaming
from reconcile.stores.redis.wire import Wire

Make = Callable[..., Folder]

FAMILIES = """
families:
  session: {pattern: "session:{id}", type: hash, ttl: {at_most: 24h}}
  admin:   {pattern: "session:admin", type: string, ttl: none}
  rate:    {pattern: "rate:{ip}:{minute}", type: string, ttl: 2min}
  cfg:     {pattern: "cfg:*", ttl: none}
"""
HELD = """
HSET session:1 user ann
EXPIRE session:1 86400
HSET session:2 user bob
SET session:3 wrong EX 60
SET session:admin root
SET rate:10.0.0.1:7 5 EX 90
SET rate:10.0.0.1:8 5 EX 900
SET cfg:a:b 1
SET cfg:c 1 EX 100
SET stray:1 x
SET stray:2 x
SET tmp:1 x
"""


def found(folder: Folder, *addresses: str, sample: int = 10) -> list[tuple[str, str, int, list[str]]]:
    report = workflow.verify(folder.load(), addresses, sample)
    return sorted((f["address"], f["what"], f["count"], sorted(f["sample"])) for f in report["findings"])


EXPECTED = [
    ("cache.family.cfg", "keys that expire, where none should", 1, ["cfg:c"]),
    ("cache.family.rate", "keys live longer than 2min", 1, ["rate:10.0.0.1:8"]),
    ("cache.family.session", "keys are of type string, not hash", 1, ["session:3"]),
    ("cache.family.session", "keys without a time to live; the rule is at most 24h", 1, ["session:2"]),
    ("cache.keys.stray:{id}", "keys like stray:{id} are of no family", 2, ["stray:1", "stray:2"]),
]


def test_every_disagreement_is_found_and_nothing_else(project: Make, cache: Commands) -> None:
    folder = project(ignore=["tmp:*"]).declare(cache=FAMILIES)
    assert found(folder) == []
    cache.run(HELD)
    assert found(folder) == EXPECTED
    assert found(folder, "cache.family.session") == EXPECTED[2:4], "only what was asked for"
    assert folder.plan().steps == ()
    assert (
        "cache: 2 of 10 keys are of no family: stray:{id}; reconcile verify names them"
        in folder.plan().observed["notes"]
    )


def test_the_size_of_the_sample_is_told(project: Make, cache: Commands) -> None:
    for batch in range(0, 3000, 500):
        cache.client.mset({f"session:{n}": "x" for n in range(batch, batch + 500)})
    folder = project(sample={"keys": 700}).declare(cache=FAMILIES)
    report = workflow.verify(folder.load(), sample=1)
    (told,) = report["sampled"]
    assert (told["what"], told["looked"], told["of"]) == ("keys", 700, 3000)
    wrong = {f["what"]: f for f in report["findings"]}
    found = wrong["keys are of type string, not hash"]
    assert (found["count"], found["looked"], found["bounded"]) == (700, 700, True)


def test_keys_that_are_no_text(project: Make, cache: Commands) -> None:
    cache.client.set(b"cfg:\xff\n*", "1")
    folder = project().declare(cache='families: {app: {pattern: "app:*", renamed_from: "cfg:*"}}')
    folder.apply("all")
    assert cache.client.exists(b"app:\xff\n*") and cache.client.dbsize() == 2


RENAME = 'families: {config: {pattern: "cfg:*", renamed_from: "config:*", ttl: 2h}}'


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_renaming_that_is_killed_goes_on_to_the_same_end(project: Make, cache: Commands, moment: str) -> None:
    """SIGKILL with each batch in turn, until one run comes to its end."""
    number = 2 * renaming.AT_ONCE
    for n in range(number):
        cache.client.set(f"config:{n}", n, ex=3600)
    folder = project().declare(cache=RENAME)
    folder.load().desired()  # whatever is imported lazily is, before the forks
    kills = 0
    while killed_in_a_batch(folder, moment, resume=kills > 0):
        kills += 1
        state = workflow.status(folder.load())
        workflow.unlock(folder.load(), state["lock"]["run"])
        assert moment == "before" or cache.client.dbsize() == number + 1, "none is lost, none is there twice"
    assert kills >= (1 if moment == "before" else 2)
    told = {key: (cache.client.get(key), cache.client.ttl(key)) for key in cache.client.scan_iter("c*", count=1000)}
    assert {key: value for key, (value, _) in told.items()} == {f"cfg:{n}": str(n) for n in range(number)}
    assert all(0 < ttl <= 3600 for _, ttl in told.values())
    assert folder.plan().steps == () and found(folder) == []


def test_a_renaming_rests_near_a_declared_limit(project: Make, cache: Commands) -> None:
    """And says so."""
    for n in range(100):
        cache.client.set(f"config:{n}", n, ex=3600)
    used = int(cache.client.info("memory")["used_memory"])
    cache.run(f"CONFIG SET maxmemory {used * 100 // 86}")
    folder = project(limits={"maxmemory_percent": 95}).declare(cache=RENAME)
    told: list[str] = []
    workflow.apply(folder.load(), folder.plan(allow=("all",)), lambda event: told.append(event.detail))
    assert any(line.startswith("100 keys renamed; slowed down to ") for line in told), told
    assert sum(1 for _ in cache.client.scan_iter("cfg:*")) == 100


def killed_in_a_batch(folder: Folder, moment: str, resume: bool) -> bool:
    """Apply, or go on, in a process of its own, which ends by SIGKILL with its first batch of new names (with its
    second one, where it is killed before it sends them); False where it came to its end."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    try:
        plain, left = Wire.pipe, [2 if moment == "before" else 1]

        def pipe(self: Wire, commands: Iterable[Any], passing: str | None = None) -> list[Any]:
            words = list(commands)
            mine = bool(words) and words[0][0] == "RENAMENX"
            left[0] -= mine
            if mine and not left[0] and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answers = plain(self, words, passing)
            if mine and not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return answers

        Wire.pipe = pipe  # type: ignore[method-assign]
        if resume:
            workflow.resume(folder.load())
        else:
            folder.apply("all")
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def test_names_that_are_in_use_stop_it_before_anything(project: Make, cache: Commands) -> None:
    cache.run("SET config:a 1\nSET config:b 1\nSET cfg:a 2")
    folder = project().declare(cache=RENAME)
    with pytest.raises(ReconcileError, match=r"1 new name is in use already: config:a → cfg:a"):
        folder.apply("all")
    assert sorted(cache.client.keys()) == ["cfg:a", "config:a", "config:b"]


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ('{a: {pattern: "a:{x"}}', "2:25: `{x` of the pattern cannot be read"),
        ('{a: {pattern: "a:{x}:{x}"}}', "a name stands twice in the pattern"),
        ('{a: {pattern: "a:{x}", renamed_from: "b:*"}}', "need the same {names}, and as many *"),
        ('{a: {pattern: "a:{x}{y}", renamed_from: "b:{x}:{y}"}}', "with no colon between two variables"),
        ('{a: {pattern: "a:*", renamed_from: "b:*"}, c: {pattern: "b:c"}}', "can be of the family c (b:c) too"),
        ('{a: {pattern: "a:*", ttl: soon}}', "expected a duration such as 24h, none or any"),
        ('{a: {pattern: "a:*", type: hsh}}', 'did you mean "hash"?'),
    ],
)
@pytest.mark.usefixtures("cache")
def test_mistakes_are_told_with_their_place(project: Make, families: str, message: str) -> None:
    with pytest.raises(ReconcileError) as caught:
        project().declare(cache=f"families: {families}").plan()
    assert message in str(caught.value) and "schema/cache.yaml:2:" in str(caught.value)
