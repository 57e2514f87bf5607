"""What a reading came to is kept by the bytes it was made from: found again, never out of date."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from reconcile import memo
from reconcile.errors import ProjectError
from reconcile.load import LARGE
from reconcile.model import Address, State
from reconcile.project import Project

PROJECT = """
version: 1
name: shop
variables: {size: 10}
embeddings: {passages: {model: m, dimensions: 3, distance: cosine}}
stores: {app: {kind: postgres, url: "${APP}"}}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(memo.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "schema").mkdir()
    (tmp_path / "sql").mkdir()
    (tmp_path / "reconcile.yaml").write_text(PROJECT)
    (tmp_path / "sql" / "one.sql").write_text("select 1 as a")
    (tmp_path / "schema" / "t.yaml").write_text(
        'store: app\ntables:\n  t: {columns: {a: "varchar(${var.size})"}}\nviews: {v: {file: sql/one.sql}}\n'
        + "# a comment that makes the file worth it\n" * (LARGE // 40)
    )
    return tmp_path


def read(folder: Path) -> State:
    return Project.load(folder).desired()


def type_of(state: State) -> object:
    return state[Address("app", "column", ("public", "t", "a"))].attributes()["type"]


def kept(cache: Path) -> int:
    return len(list(cache.iterdir())) if cache.exists() else 0


def test_what_is_found_is_what_was_read_with_its_lines(folder: Path, cache: Path) -> None:
    first = read(folder)
    assert kept(cache) == 1
    second = read(folder)
    assert kept(cache) == 1
    assert first == second
    assert [(r.source, r.refers, r.container) for r in first.values()] == [
        (r.source, r.refers, r.container) for r in second.values()
    ]
    assert vars(second)["form_list"] == first.form_list


def test_it_is_the_kept_one_that_is_found(folder: Path, cache: Path) -> None:
    read(folder)
    (entry,) = cache.iterdir()
    beside, (resources, forms) = memo.get(entry.name) or []
    marked = [r.replace(comment="from the cache") if r.address.kind == "table" else r for r in resources]
    memo.put(entry.name, beside, (marked, forms))
    assert read(folder)[Address("app", "table", ("public", "t"))].attributes()["comment"] == "from the cache"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("schema/t.yaml", "a comment", "A comment"),
        ("reconcile.yaml", "size: 10", "size: 20"),
        ("reconcile.yaml", "dimensions: 3", "dimensions: 4"),
        ("sql/one.sql", "select 1", "select 2"),
    ],
)
def test_any_byte_that_counts_makes_another_entry(folder: Path, file: str, old: str, new: str) -> None:
    before = read(folder)
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    after = read(folder)
    assert type_of(before) == "character varying(10)"
    assert type_of(after) == ("character varying(20)" if "20" in new else "character varying(10)")
    view = Address("app", "view", ("public", "v"))
    assert ("select 2" in str(after[view])) == (new == "select 2")


def test_a_file_beside_that_is_gone_is_missed(folder: Path) -> None:
    read(folder)
    (folder / "sql" / "one.sql").unlink()
    with pytest.raises(ProjectError, match=r"one\.sql"):
        read(folder)


def test_errors_are_told_each_time(folder: Path, cache: Path) -> None:
    path = folder / "schema" / "t.yaml"
    path.write_text(path.read_text().replace("columns:", "colums:"))
    for _ in range(2):
        with pytest.raises(ProjectError, match="colums"):
            read(folder)
    assert kept(cache) == 0


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(5)[:-1], pickle.dumps({}) + b"?"])
def test_a_torn_entry_is_as_good_as_none(folder: Path, cache: Path, content: bytes) -> None:
    first = read(folder)
    (entry,) = cache.iterdir()
    entry.write_bytes(content)
    assert read(folder) == first


def test_what_others_could_have_written_is_not_read(folder: Path, cache: Path) -> None:
    read(folder)
    (entry,) = cache.iterdir()
    canary = folder / "run"
    entry.write_bytes(pickle.dumps(_Runs(str(canary))))
    entry.chmod(0o666)
    read(folder)
    assert not canary.exists()
    entry.chmod(0o600)
    cache.chmod(0o777)
    read(folder)
    assert not canary.exists()


class _Runs:
    """What somebody hostile would leave there."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.path,)


def test_only_so_many_are_kept_and_none_if_it_is_off(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(memo.KEPT + 3):
        memo.put(f"{number:064}", number)
    assert kept(cache) == memo.KEPT
    assert memo.get(f"{memo.KEPT + 2:064}") == [memo.KEPT + 2]
    monkeypatch.setenv(memo.VARIABLE, memo.OFF)
    assert memo.get(f"{memo.KEPT + 2:064}") is None
    read(folder)
    assert kept(cache) == memo.KEPT


def test_small_projects_leave_nothing(folder: Path, cache: Path) -> None:
    path = folder / "schema" / "t.yaml"
    path.write_text(path.read_text()[:120])
    read(folder)
    assert kept(cache) == 0
