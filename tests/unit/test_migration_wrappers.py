"""Python wrappers around migrations, read without importing what they import; and tables of other tools."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reconcile.errors import Problem
from reconcile.migrations import wrappers
from reconcile.migrations.checksums import checksums
from reconcile.migrations.discover import layout
from reconcile.migrations.history import State, forms, standings
from reconcile.migrations.model import Folder, Layout, Migration
from reconcile.model import Source
from reconcile.stores.migrating import History, Row, Script

HEAD = (
    "import no_such_module\nfrom app.migrations import Base, FOLDER, helper\n\nLISTED = [3]\nTEXT: str = 'x'\n"
    "READ = helper()\n\nasync def one(c, what: str = 'x'):\n    return await c.fetchval(what)\n\n"
    "async def other(c):\n    return await READ(c)\n\n\n"
)


class Connection:
    """Answers with what it is asked."""

    async def fetchval(self, query: str, *values: object, timeout: float | None = None) -> Any:
        assert timeout in (None, 5)
        return query if not values else values[0]


def read(tmp_path: Path, text: str) -> wrappers.Wrapper:
    (tmp_path / "w.py").write_text(HEAD + text)
    problems: list[Problem] = []
    (found,) = wrappers.read(tmp_path / "w.py", "w.py", problems)
    assert not problems
    return found


@pytest.mark.parametrize(
    "text",
    [
        'class A(Base):\n    number = 7\n    sql_file = "sql/007_x.sql"\n    dependencies = [5, "006"]\n',
        'class A(Base):\n    number: int = 7\n    sql_file: str = FOLDER / "007_x.sql"\n    requires = (5, "006")\n',
        "class A(Base):\n    def __init__(self):\n        self.number = 7\n        self.sql_file = '007_x.sql'\n"
        "        self.dependencies = [5, '006']\n",
        "class A(Base):\n    def __init__(self):\n"
        "        super().__init__(number=7, sql_file='007_x.sql', dependencies=[5, '006'])\n",
        "class A(Base):\n    @property\n    def number(self):\n        return 7\n    @property\n"
        "    def sql_file(self):\n        return '007_x.sql'\n    @property\n"
        "    def dependencies(self):\n        return [5, '006']\n",
    ],
)
def test_all_ways_of_saying_it(text: str, tmp_path: Path) -> None:
    found = read(tmp_path, text)
    assert (found.number, found.sql_file, found.depends_on) == ("7", "007_x.sql", ("5", "006"))
    assert not found.verifies


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return await conn.fetchval('x') == 'x'", None),
        ("rows: list[dict] = []\n        assert await conn.fetchval('x', self.limit) == 3, 'no'", None),
        ("return await conn.fetchval(f'{TEXT}', timeout=5) == TEXT and await one(conn) == 'x'", None),
        ("return await self.same(conn, what='x') and self.plain(3)", None),
        ("return await other(conn)", "`READ`, which is not its own"),
        ("return await helper(conn)", "`helper`, which is not its own"),
        ("import os\n        return True", "imports modules"),
        ("return await self.count(conn) > 0", "`self.count`, which is not written out"),
        ("return await conn.execute('DELETE FROM a')", "`conn.execute`"),
        ("return open('/etc/passwd').read()", "`open`, which is not its own"),
        ("return conn.__class__", "`__class__`"),
        ("return str(conn)", "hands `conn` on"),
        ("return FOLDER", "`FOLDER`, which is not its own"),
    ],
)
def test_a_verify_that_needs_more_than_a_connection_is_not_run(body: str, why: str | None, tmp_path: Path) -> None:
    text = "class A(Base):\n    number = 7\n    limit = 3\n\n    async def verify(self, conn: Base) -> bool:\n"
    text += f"        {body}\n\n    async def same(self, c: Base, *, what: str) -> bool:\n"
    text += "        return await one(c, what) == self.twice(what)[0]\n\n    @staticmethod\n"
    text += "    def twice(what: str) -> str:\n        return what * 2\n\n"
    text += "    def plain(self, n: int) -> bool:\n        return n == self.limit\n"
    found = read(tmp_path, text)
    if why is not None:
        assert found.verify is None and why in str(found.unrunnable)
        return
    assert found.unrunnable is None and found.verify is not None
    assert asyncio.run(_awaited(found.verify)) in (True, None)


async def _awaited(verify: Any) -> object:
    return await verify(Connection())


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["001_a.sql", "002_b.sql", "README.md"], Layout.NUMBERED),
        (["V01-a-up.sql", "V01-a-down.sql"], Layout.UP_DOWN),
        (["001_a.up.sql", "001_a.down.sql"], Layout.UP_DOWN),
        (["2026-01-05-001-a.sql"], Layout.DATED),
        (["seed.sql", "README.md"], None),
    ],
)
def test_the_layout_shows(names: list[str], found: Layout | None) -> None:
    assert layout(names, [".sql"]) is found


def migration(name: str, number: str, text: bytes = b"x") -> Migration:
    folder = Folder("f", "s", "m", None, None, "schema_migrations", {}, Source("reconcile.yaml", 1))
    title = name.removeprefix(number + "_").replace("_", " ")
    order = (int(number.lstrip("V")),)
    path = Path(f"m/{name}.sql")
    return Migration(
        folder, number, order, title, str(path), path, Source(str(path), 1), Script(()), None, checksums(text)
    )


@pytest.mark.parametrize(
    ("row", "written"),
    [
        (Row("1", "001_a_b"), {"number": "2", "name": "002_c"}),
        (Row("001", "001_a_b.sql"), {"number": "002", "name": "002_c.sql"}),
        (Row("001_a_b.sql", None), {"number": "002_c.sql"}),
        (Row("001", None), {"number": "002"}),
        (Row("1", "a_b"), {"number": "2", "name": "c"}),
        (Row(None, "001_a_b"), {"name": "002_c"}),
    ],
)
def test_a_row_is_found_and_its_form_followed(row: Row, written: dict[str, str]) -> None:
    first, second = migration("001_a_b", "001"), migration("002_c", "002")
    found = standings([first, second], History((row, Row("99", "gone")), True))
    assert [s.state for s in found] == [State.APPLIED, State.PENDING, State.MISSING]
    example = forms(found, second)
    assert example is not None
    assert {k: v for k, v in example[1].items() if k != "checksum"} == written
