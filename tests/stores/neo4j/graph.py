"""A project with one Neo4j store, for tests: declare, plan, apply, look, ask the server directly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from reconcile import workflow
from reconcile.model import Resource, Source
from reconcile.plan import Plan
from reconcile.project import Project
from reconcile.stores.base import StoreSpec
from reconcile.stores.neo4j.session import Neo4jSession
from reconcile.survey import reading

if TYPE_CHECKING:
    import neo4j

    from reconcile.sandbox.scratch import Neo4jDatabase

EMBEDDINGS = {"passages": {"model": "all-MiniLM-L6-v2", "dimensions": 4, "distance": "cosine"}}


class Graph:
    """The project folder and the database."""

    def __init__(self, folder: Path, database: Neo4jDatabase) -> None:
        self.folder, self.database = folder, database
        (folder / "schema").mkdir()
        self.settings: dict[str, Any] = {"kind": "neo4j", "url": database.url, "user": database.user}
        if database.password:
            self.settings["password"] = database.password
        self.configure()

    def configure(self, embeddings: Any = None, **policy: str) -> None:
        """Write reconcile.yaml."""
        document = {
            "version": 1,
            "name": "test",
            "ledger": {"file": "ledger.db"},
            "stores": {"graph": self.settings},
            "embeddings": embeddings or EMBEDDINGS,
            "policy": policy,
        }
        (self.folder / "reconcile.yaml").write_text(yaml.safe_dump(document))

    def declare(self, text: str) -> None:
        """The YAML of the store, without its first line."""
        (self.folder / "schema" / "graph.yaml").write_text(f"store: graph\n{text}\n")

    @property
    def project(self) -> Project:
        return Project.load(self.folder)

    def plan(self, *allow: str, prune: str = "none") -> Plan:
        return workflow.plan(self.project, workflow.Options(allow=allow, prune=prune))

    def apply(self, prune: str = "none") -> Plan:
        """Plan, apply, and prove that nothing is left."""
        made = self.plan("all", prune=prune)
        workflow.apply(self.project, made)
        assert lines(self.plan(prune=prune)) == [], "the plan after an apply is empty"
        return made

    def live(self) -> dict[str, Resource]:
        """What introspection sees, by address without the store; the server's own left out."""
        with reading(self.project, declared=False) as found:
            state = found.stores["graph"].live.state
            return {f"{a.kind}.{a.name}": r for a, r in state.items() if not r.system}

    @property
    def spec(self) -> StoreSpec:
        return StoreSpec("graph", "neo4j", self.settings, Source("reconcile.yaml", 4), self.folder)

    @contextmanager
    def session(self, **settings: Any) -> Iterator[Neo4jSession]:
        """The store's session, settings changed."""
        spec = self.spec
        opened = Neo4jSession(StoreSpec(spec.name, spec.kind, {**spec.settings, **settings}, spec.source, self.folder))
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def driver(self) -> Iterator[neo4j.Driver]:
        from neo4j import GraphDatabase

        auth = (self.database.user, self.database.password) if self.database.password else None
        with GraphDatabase.driver(self.database.url, auth=auth) as driver:
            yield driver

    def send(self, *statements: str, database: str | None = None, **parameters: Any) -> list[dict[str, Any]]:
        """Run by hand, one transaction each; the rows of the last."""
        rows: list[dict[str, Any]] = []
        with self.driver() as driver, driver.session(database=database) as session:
            for statement in statements:
                rows = session.run(statement, parameters).data()
            if database is None:
                session.run("CALL db.awaitIndexes(60)").consume()
        return rows

    def config(self, name: str) -> dict[str, Any]:
        """What the server shows of an index's options."""
        (row,) = self.send("SHOW INDEXES YIELD name, options WHERE name = $name RETURN options", name=name)
        found: dict[str, Any] = row["options"]["indexConfig"]
        return found


def lines(plan: Plan) -> list[str]:
    """Each change as `action address words`."""
    return [f"{'/'.join(c.actions)} {c.address.kind}.{c.address.name} {c.describe}" for c in plan.resource_changes]
