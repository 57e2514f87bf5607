"""How long it takes to take back the whole first run of the example, over three stores, beside the run itself.

    python bench/rollback_example.py [--runs 3]

Starts a sandbox. The bar is five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from measuring import median, run

from reconcile.sandbox.scratch import Neo4jDatabase, Scratch, postgres_database, wipe_qdrant

EXAMPLE = Path(__file__).parents[1] / "examples" / "rag-platform"
BAR = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    scratch = Scratch()
    try:
        forth, back, emergency, steps = measured(scratch, asked.runs)
    finally:
        scratch.close()
    print(f"the first run, {steps} steps          {forth:6.1f} s")
    print(f"rollback                          {back:6.1f} s, {back / BAR:.1%} of five minutes")
    print(f"rollback --emergency              {emergency:6.1f} s, {emergency / BAR:.1%} of five minutes")


def measured(scratch: Scratch, runs: int) -> tuple[float, float, float, int]:
    """Median seconds of the run, its rollback and its emergency rollback; how many steps the run has."""
    samples: dict[str, list] = {"apply": [], "rollback": [], "emergency": []}
    steps = 0
    for kind in ("rollback", "emergency") * runs:
        with tempfile.TemporaryDirectory() as folder, postgres_database(scratch.postgres_url) as postgres:
            shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
            environment = empty(scratch, postgres)
            command = (sys.executable, "-m", "reconcile", "-C", folder)
            samples["apply"].append(run((*command, "apply", "--auto-approve", "--allow", "all"), environment))
            report = json.loads(run((*command, "show", "1", "--format", "json"), environment).output)
            steps = sum(len(group["steps"]) for group in report["groups"])
            how = ("--emergency", "--yes") if kind == "emergency" else ("--auto-approve", "--allow", "all")
            samples[kind].append(run((*command, "rollback", "1", *how), environment))
    forth, back, emergency = (median(samples[name]).wall for name in samples)
    return forth, back, emergency, steps


def empty(scratch: Scratch, postgres: str) -> dict[str, str]:
    """The variables of the example, of stores that hold nothing."""
    scratch.wipeable("neo4j")
    scratch.wipeable("qdrant")
    graph = Neo4jDatabase(scratch.neo4j_url, scratch.neo4j_user, scratch.neo4j_password)
    graph.wipe()
    wipe_qdrant(scratch.qdrant_url)
    return {
        **os.environ,
        "APP_DATABASE_URL": postgres,
        "NEO4J_URL": graph.url,
        "NEO4J_USER": graph.user,
        "NEO4J_PASSWORD": graph.password or "",
        "QDRANT_URL": scratch.qdrant_url,
    }


if __name__ == "__main__":
    main()
