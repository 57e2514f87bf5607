"""A small project over all three stores for tests of plan and apply as a whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from reconcile import workflow
from reconcile.plan import Plan
from reconcile.project import Project
from reconcile.survey import reading


@dataclass
class Folder:
    """A project folder; `stores` and `settings` may be changed between commands."""

    path: Path
    stores: dict[str, dict[str, Any]]
    settings: dict[str, Any] = field(default_factory=dict)

    def declare(self, **documents: str) -> Folder:
        """Write reconcile.yaml, and one schema file for each store named."""
        project = {
            "version": 1,
            "name": "trial",
            "stores": self.stores,
            "embeddings": {"passages": {"model": "all-MiniLM-L6-v2", "dimensions": 3, "distance": "cosine"}},
            **self.settings,
        }
        (self.path / "schema").mkdir(parents=True, exist_ok=True)
        (self.path / "reconcile.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
        for store, text in documents.items():
            (self.path / "schema" / f"{store}.yaml").write_text(f"store: {store}\n{text}")
        return self

    def load(self) -> Project:
        return Project.load(self.path)

    def plan(self, **options: Any) -> Plan:
        return workflow.plan(self.load(), workflow.Options(**options))

    def apply(self, *allow: str) -> workflow.Outcome:
        return workflow.apply(self.load(), self.plan(allow=allow))

    def live(self) -> dict[str, Any]:
        with reading(self.load()) as found:
            return {str(a): r.attributes() for s in found.stores.values() for a, r in s.live.state.items()}

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.line(*arguments), env={**os.environ, **environment}, capture_output=True, text=True)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.line(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "reconcile", "-C", str(self.path), *arguments]


def documents(path: Path) -> Mapping[str, Any]:
    """A plan file."""
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found


def three_stores(postgres: str, neo4j: Any, qdrant: str) -> dict[str, dict[str, Any]]:
    """The settings of `app`, `graph` and `vectors`, from what the fixtures give."""
    graph = {"kind": "neo4j", "url": neo4j.url, "user": neo4j.user}
    return {
        "app": {"kind": "postgres", "url": postgres},
        "graph": {**graph, "password": neo4j.password} if neo4j.password else graph,
        "vectors": {"kind": "qdrant", "url": qdrant},
    }


def cypher(folder: Folder, statement: str, **parameters: Any) -> list[Any]:
    """Run a statement in `graph`."""
    from neo4j import GraphDatabase

    settings = folder.stores["graph"]
    auth = (settings["user"], settings["password"]) if "password" in settings else None
    with GraphDatabase.driver(settings["url"], auth=auth) as driver:
        return [record.values() for record in driver.execute_query(statement, **parameters).records]
