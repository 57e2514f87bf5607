"""Make docs/example-plan.json, the plan that README.md shows, on real servers.

    eval "$(reconcile sandbox env)" && python scripts/example_plan.py

Applies examples/rag-platform to empty stores, puts a few rows in, edits the YAML as a week of work would, and
plans. A test does the same and compares, so the README shows what the tool prints.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

FILE = ROOT / "docs" / "example-plan.json"
ROWS = 2000

EDITS = {
    "reconcile.yaml": (("  hnsw_m: 16 ", "  hnsw_m: 24 "),),
    "schema/20_content.yaml": (
        (
            "      content_hash:    bytea\n",
            "      content_hash:    bytea\n      region:          {type: text, not_null: true, default: \"'eu'\"}\n",
        ),
    ),
    "schema/40_chat.yaml": (("      feedback_bad_idx:     {columns: [created_at], where: rating < 0}\n", ""),),
    "schema/graph.yaml": (("properties: [content]}", "properties: [content], analyzer: english}"),),
}
"""What the week of work changes: by file, (old, new)."""

DATA = f"""
INSERT INTO organizations (slug, name) VALUES ('acme', 'Acme');
INSERT INTO sources (organization_id, kind, name, location) SELECT id, 'upload', 'Files', '/' FROM organizations;
INSERT INTO documents (organization_id, source_id, external_id, title)
SELECT o.id, s.id, '1', 'One' FROM organizations o, sources s;
INSERT INTO document_versions SELECT id, 1, 'one', 1 FROM documents;
INSERT INTO chunks (document_id, version, position, content, tokens, embedding)
SELECT d.id, 1, n, 'text', 100, array_fill(n::real, array[384])::vector FROM documents d, generate_series(1, {ROWS}) n;
CREATE TABLE import_2024 (line text);
ANALYZE;
"""

GRAPH = "UNWIND range(1, 1000) AS n CREATE (:Chunk {id: n, content: 'text'})"


def make(urls: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """The plan, as JSON.

    Args:
        urls: the variables of examples/rag-platform, for empty stores.
        folder: where to put the project.
    """
    import neo4j
    import psycopg

    from reconcile import planfile, workflow
    from reconcile.project import Project

    os.environ.update(urls)
    project = folder / "project"
    shutil.copytree(ROOT / "examples" / "rag-platform", project)
    loaded = Project.load(project)
    workflow.apply(loaded, workflow.plan(loaded))
    with psycopg.connect(urls["APP_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(DATA.encode())
    auth = (urls["NEO4J_USER"], urls["NEO4J_PASSWORD"]) if urls["NEO4J_PASSWORD"] else None
    with neo4j.GraphDatabase.driver(urls["NEO4J_URL"], auth=auth) as driver:
        driver.execute_query(GRAPH)
    for name, edits in EDITS.items():
        text = (project / name).read_text(encoding="utf-8")
        for old, new in edits:
            assert old in text, f"{name} lacks {old!r}"
            text = text.replace(old, new)
        (project / name).write_text(text, encoding="utf-8")
    return planfile.to_json(workflow.plan(Project.load(project)))


def stable(plan: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from one set of servers to the next."""
    observed = {k: v for k, v in plan["observed"].items() if k not in ("at", "read_seconds", "inputs")}
    observed["costs"] = {step: sorted(cost) for step, cost in observed["costs"].items()}
    observed["reverse"] = {k: v for k, v in observed.get("reverse", {}).items() if k != "seconds"}
    stores = [{**s, "identity": "", "version": ""} for s in plan["stores"]]
    rest = {k: v for k, v in plan.items() if k not in ("digest", "tool")}
    return {**rest, "stores": stores, "observed": observed}


def main() -> None:
    """Write the file."""
    from reconcile.render import json_

    names = {"APP_DATABASE_URL": "POSTGRES_URL", "QDRANT_URL": "QDRANT_URL"}
    names |= {name: name for name in ("NEO4J_URL", "NEO4J_USER", "NEO4J_PASSWORD")}
    urls = {ours: os.environ[f"RECONCILE_SANDBOX_{theirs}"] for ours, theirs in names.items()}
    with tempfile.TemporaryDirectory() as folder:
        plan = make(urls, Path(folder))
    FILE.write_text(json_.render(plan), encoding="utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}; now: python scripts/docs.py")


if __name__ == "__main__":
    main()
