"""Nothing is silently wrong: what is done by hand to an applied database, the next plan sees and undoes, or names."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests import catalog
from tests.projects import Folder
from tests.stores.postgres.by_hand import ROWS, Base, ByHand
from tests.stores.postgres.by_hand_types import TYPE_ROWS

from reconcile import workflow
from reconcile.errors import ReconcileError
from reconcile.sandbox.scratch import Scratch, create_postgres_database


class Templates:
    """Databases with a base applied, each made once and copied for each row."""

    def __init__(self, server: str, path: Path) -> None:
        self.server, self.path = server, path
        self.prefix = f"reconcile_by_hand_{secrets.token_hex(4)}"
        self.made: dict[str, str] = {}
        self.objects: dict[str, dict[str, str]] = {}
        """What is in each, as the test's own eyes see it."""
        with psycopg.connect(server) as connection:
            self.version = connection.info.server_version // 10000

    def url(self, name: str) -> str:
        return make_conninfo(self.server, dbname=name)

    def execute(self, statement: str, name: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))

    def folder(self, path: Path, url: str, base: Base) -> Folder:
        path.mkdir(parents=True)
        stores = {"s": {"kind": "postgres", "url": as_url(url)}}
        settings = {"ledger": {"file": "ledger.db"}, "policy": {"names": "enforce"}}
        return Folder(path, stores, settings).declare(s=base.yaml)

    def template(self, base: Base) -> str:
        if base.name not in self.made:
            name = f"{self.prefix}_{len(self.made)}"
            self.execute("CREATE DATABASE {} TEMPLATE template0", name)
            self.made[base.name] = name
            if base.before:
                with psycopg.connect(self.url(name), autocommit=True) as connection:
                    connection.execute(base.before.encode())
            self.folder(self.path / name, self.url(name), base).apply("all")
            folder = self.folder(self.path / f"{name}_without_ledger", self.url(name), base)
            for prune in ("none", "extra"):
                assert [s.id for s in folder.plan(prune=prune).steps] == [], "applied, so there is nothing to do"
            self.objects[base.name] = catalog.objects(self.url(name))
        return self.made[base.name]

    def copy(self, base: Base) -> str:
        name = f"{self.template(base)}_{secrets.token_hex(3)}"
        with psycopg.connect(self.server, autocommit=True) as connection:
            create_postgres_database(connection, name, self.made[base.name])
        return name

    def drop(self, name: str) -> None:
        self.execute("DROP DATABASE {} WITH (FORCE)" if self.version >= 13 else "DROP DATABASE {}", name)


def as_url(conninfo: str) -> str:
    """The server of the tests, another database of it."""
    parts = conninfo_to_dict(conninfo)
    password = f":{parts['password']}" if parts.get("password") else ""
    return f"postgresql://{parts['user']}{password}@{parts['host']}:{parts['port']}/{parts['dbname']}"


@pytest.fixture(scope="module")
def templates(
    postgres_version: str, postgres_servers: Callable[[str], Scratch], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Templates]:
    found = Templates(postgres_servers(postgres_version).postgres_url, tmp_path_factory.mktemp("templates"))
    yield found
    for name in found.made.values():
        found.drop(name)


@pytest.mark.parametrize("row", [*ROWS, *TYPE_ROWS], ids=str)
def test_what_is_done_by_hand_is_seen_and_undone(row: ByHand, templates: Templates, tmp_path: Path) -> None:
    if templates.version < row.base.since:
        return  # there is nothing of the kind on this server
    name = templates.copy(row.base)
    try:
        folder = templates.folder(tmp_path / "project", templates.url(name), row.base)
        before = templates.objects[row.base.name]
        with psycopg.connect(templates.url(name), autocommit=True) as connection:
            if templates.version < row.since:
                with pytest.raises(psycopg.Error):
                    connection.execute(row.sql.encode())
                return
            connection.execute(row.sql.encode())
        assert catalog.objects(templates.url(name)) != before, "the test's own eyes see it"
        if row.named:
            assert is_named(folder)
            return
        plan = folder.plan(prune=row.prune, allow=("all",))
        assert plan.steps, "and so does the plan"
        workflow.apply(folder.load(), plan)
        assert catalog.differences(before, catalog.objects(templates.url(name))) == []
        assert [s.id for s in folder.plan(prune=row.prune).steps] == []
    finally:
        templates.drop(name)


def is_named(folder: Folder) -> bool:
    """Whether a plan names something as not modelled, or is refused for it."""
    try:
        return bool(folder.plan().observed["not_modelled"])
    except ReconcileError as error:
        return "does not model" in str(error)


BASES = sorted({row.base.name: row.base for row in ROWS}.items())


@pytest.mark.parametrize("base", [base for _, base in BASES], ids=[name for name, _ in BASES])
def test_what_is_imported_declares_all_of_it(base: Base, templates: Templates, tmp_path: Path) -> None:
    if templates.version < base.since:
        return  # there is nothing of the kind on this server
    copy, fresh = templates.copy(base), f"{templates.prefix}_fresh"
    templates.execute("CREATE DATABASE {} TEMPLATE template0", fresh)
    try:
        folder = templates.folder(tmp_path / "project", templates.url(copy), base)
        for old in (folder.path / "schema").iterdir():
            old.unlink()
        assert folder.command("import").returncode in (0, 2)
        assert [s.id for s in folder.plan().steps] == [], "an import, and nothing to do"
        if base.before:
            with psycopg.connect(templates.url(fresh), autocommit=True) as connection:
                connection.execute(base.before.encode())
        folder.stores["s"]["url"] = as_url(templates.url(fresh))
        folder.settings["ledger"] = {"file": "fresh.db"}
        folder.declare()
        folder.apply("all")
        there, here = catalog.objects(templates.url(copy)), catalog.objects(templates.url(fresh))
        assert catalog.differences(there, here) == [], "and an empty server becomes the same by it"
    finally:
        templates.drop(copy)
        templates.drop(fresh)
