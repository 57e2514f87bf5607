"""The plan that README.md shows is what the tool prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import example_plan  # noqa: E402


def test_the_plan_in_the_readme_is_real(
    tmp_path: Path, postgres_database: str, neo4j_database: Any, qdrant_server: str
) -> None:
    """Made anew on real servers it is the same, but for times, sizes and what names the servers."""
    urls = {
        "APP_DATABASE_URL": postgres_database,
        "NEO4J_URL": neo4j_database.url,
        "NEO4J_USER": neo4j_database.user,
        "NEO4J_PASSWORD": neo4j_database.password,
        "QDRANT_URL": qdrant_server,
    }
    kept = json.loads(example_plan.FILE.read_text(encoding="utf-8"))
    assert example_plan.stable(example_plan.make(urls, tmp_path)) == example_plan.stable(kept)
