"""Backfills without a server: what the documentation shows is right; rules; what `depends_on` and statements say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from reconcile.backfills.rules import NOTHING, Table
from reconcile.project import Project

PAGE = Path(__file__).parents[2] / "docs" / "backfills.md"
PROJECT = {
    "version": 1,
    "name": "docs",
    "stores": {
        "app": {"kind": "postgres", "url": "postgresql://localhost/x"},
        "graph": {"kind": "neo4j", "url": "bolt://localhost"},
        "vectors": {"kind": "qdrant", "url": "http://localhost:6333"},
    },
}
VECTORS = "store: vectors\ncollections: {passages: {vector: {dimensions: 3, distance: cosine}}}\n"


def test_what_the_page_shows_is_read(tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "backfills").mkdir()
    (tmp_path / "backfills" / "languages.py").write_text("def detect(rows): return []\n")
    (tmp_path / "reconcile.yaml").write_text(yaml.safe_dump(PROJECT))
    (tmp_path / "schema" / "vectors.yaml").write_text(VECTORS)
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    for number, block in enumerate(blocks):
        (tmp_path / "schema" / f"{number}.yaml").write_text(block)
    found = {str(a) for a in Project.load(tmp_path).desired()}
    assert {"app.backfill.titles", "graph.backfill.relation_types", "app.backfill.points"} <= found
    assert "app.rows.public.services" in found


def test_the_first_rule_that_fits_gives_the_value() -> None:
    cases = [{"when": {"text": "^a", "labels": "^Person$"}, "value": 1}, {"when": {"text": "b"}, "value": 2}]
    table = Table.of({"set": "kind", "cases": cases})
    rows: list[tuple[dict[str, Any], object]] = [
        ({"text": "ab", "labels": ["Entity", "Person"]}, 1),
        ({"text": "ab", "labels": ["Entity", "Persona"]}, 2),
        ({"text": None, "labels": ["Person"]}, NOTHING),
    ]
    assert [table.value(row) for row, _ in rows] == [value for _, value in rows]
