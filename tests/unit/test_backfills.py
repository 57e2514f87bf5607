"""Backfills without a server: what the documentation shows is right; rules; what `depends_on` and statements say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile.backfills.definition import Backfill
from reconcile.backfills.rules import NOTHING, Table
from reconcile.errors import ProjectError
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


RULED = """
store: app
tables: {documents: {columns: {id: bigint, kind: text}, primary_key: [id]}}
backfills:
  kinds: {select: SELECT id FROM documents, key: id, into: documents, once: true, rules: {set: kind, file: FILE}}
"""
FILES = {
    "kinds.csv": ("text,from,value\nworks at,^Person$,WORKS_FOR\nnear,,NEAR\n", None),
    "kinds.yaml": (
        "cases:\n- {when: {text: works at, from: ^Person$}, value: WORKS_FOR}\n- {when: {text: near}, value: NEAR}\n",
        None,
    ),
    "broken.csv": ("text,value\n(,X\n", "is no|unterminated|missing"),
    "empty.csv": ("text,value\n", "it has no cases"),
    "poor.yaml": ("cases:\n- {value: X}\n", "case 1 needs a value and at least one pattern"),
    "none.csv": (None, "No such file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_table_of_rules_from_a_file(tmp_path: Path, name: str) -> None:
    content, problem = FILES[name]
    (tmp_path / "schema").mkdir()
    (tmp_path / "reconcile.yaml").write_text(yaml.safe_dump(PROJECT))
    (tmp_path / "schema" / "app.yaml").write_text(RULED.replace("FILE", name))
    if content is not None:
        (tmp_path / name).write_text(content)
    if problem is not None:
        with pytest.raises(ProjectError, match=rf"schema/app.yaml:5:\d+: {name}: .*({problem})"):
            Project.load(tmp_path).desired()
        return
    found = next(r for a, r in Project.load(tmp_path).desired().items() if a.kind == "backfill")
    assert isinstance(found, Backfill)
    table = Table.of(found.definition["rules"])
    assert [table.value({"text": t, "from": f}) for t, f in (("works at", "Person"), ("near", "x"))] == [
        "WORKS_FOR",
        "NEAR",
    ]
