"""A project with one Qdrant store, for tests: declare, plan, apply, look, ask the server directly."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from reconcile import workflow
from reconcile.model import Resource, Source
from reconcile.plan import Plan
from reconcile.project import Project
from reconcile.stores.base import Context, StoreSpec
from reconcile.stores.qdrant import PACKAGE
from reconcile.survey import reading

EMBEDDINGS = {"passages": {"model": "all-MiniLM-L6-v2", "dimensions": 4, "distance": "cosine"}}


class Store:
    """The project folder and the server."""

    def __init__(
        self,
        folder: Path,
        url: str,
        embeddings: Any = None,
        key: str | None = None,
        verify_snapshots: str = "never",  # restoring takes a second: the tests that are about it say so
    ) -> None:
        self.verify_snapshots = verify_snapshots
        self.folder, self.url = folder, url
        self.key = key
        """The API key of requests made by hand."""
        self.use(key, embeddings)

    def use(self, key: str | None, embeddings: Any = None) -> None:
        """Give the project this API key from now on."""
        document: dict[str, Any] = {
            "version": 1,
            "name": "test",
            "ledger": {"file": "ledger.db"},
            "stores": {"v": {"kind": "qdrant", "url": self.url, "verify_snapshots": self.verify_snapshots}},
            "embeddings": embeddings or EMBEDDINGS,
        }
        if key:
            document["stores"]["v"]["api_key"] = key
        (self.folder / "schema").mkdir(exist_ok=True)
        (self.folder / "reconcile.yaml").write_text(yaml.safe_dump(document))

    def declare(self, text: str) -> None:
        """The YAML of the store, without its first line."""
        (self.folder / "schema" / "v.yaml").write_text(f"store: v\n{text}\n")

    def collection(self, settings: str, name: str = "c") -> None:
        """One collection by its settings in flow style."""
        self.declare(f"collections:\n  {name}: {{{settings}}}")

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
        """What introspection sees, by address."""
        with reading(self.project, declared=False) as found:
            return {str(a): r for a, r in found.stores["v"].live.state.items()}

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """`result` of a request made by hand."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **({"api-key": self.key} if self.key else {})}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)["result"]

    def config(self, name: str = "c__v1") -> Any:
        return self.send("GET", f"/collections/{name}")["config"]

    def fill(self, name: str = "c", vector: Any = (0.1, 0.2, 0.3, 0.4)) -> None:
        """One point."""
        body = {"points": [{"id": 1, "vector": list(vector) if isinstance(vector, tuple) else vector}]}
        self.send("PUT", f"/collections/{name}/points?wait=true", body)

    def names(self) -> list[str]:
        """Collections on the server, the tool's own left out."""
        found = [c["name"] for c in self.send("GET", "/collections")["collections"]]
        return sorted(n for n in found if n != "_reconcile")

    def aliases(self) -> dict[str, str]:
        return {a["alias_name"]: a["collection_name"] for a in self.send("GET", "/aliases")["aliases"]}


def lines(plan: Plan) -> list[str]:
    """Each change as `+ address  words`."""
    return [f"{'/'.join(c.actions)} {c.address} {c.describe}" for c in plan.resource_changes]


def context(url: str = "http://localhost:6333") -> Context:
    """For `PACKAGE.parse`."""
    from reconcile.embeddings import Distance, Element, Embedding

    where = Source("reconcile.yaml", 9, 3)
    spec = StoreSpec("v", "qdrant", {"url": url}, Source("reconcile.yaml", 5, 3), Path())
    known = [
        Embedding("passages", "m", 384, Distance.COSINE, source=where),
        Embedding("half", "m", 8, Distance.MANHATTAN, Element.FLOAT16, source=where),
        Embedding("huge", "m", 70000, Distance.DOT, source=where),
    ]
    return Context(spec, {e.name: e for e in known})


__all__ = ["EMBEDDINGS", "PACKAGE", "Store", "context", "lines"]
