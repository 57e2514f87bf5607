"""Where the time of a plan with nothing to change goes, over all stores of a project.

    python bench/plan_example.py -C examples/rag-platform

Needs the project's environment variables set and its last apply done.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(*command: str, runs: int) -> float:
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


READ = """
import sys, time
from pathlib import Path
from reconcile.project import Project
from reconcile.survey import reading, reread
with reading(Project.load(Path(sys.argv[1]))) as found:
    began = time.perf_counter()
    reread(found)
    print(time.perf_counter() - began)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-C", "--directory", default=".")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    python = sys.executable
    rows = {
        "python": seconds(python, "-c", "pass", runs=asked.runs),
        "--help": seconds(python, "-m", "reconcile", "--help", runs=asked.runs),
        "clients": seconds(python, "-c", "import psycopg, neo4j, httpx, yaml", runs=asked.runs),
        "validate": seconds(python, "-m", "reconcile", "-C", asked.directory, "validate", runs=asked.runs),
        "plan": seconds(python, "-m", "reconcile", "-C", asked.directory, "plan", runs=asked.runs),
    }
    read = subprocess.run(
        (python, "-c", READ, asked.directory), check=True, capture_output=True, text=True
    ).stdout.strip()
    for name, value in rows.items():
        print(f"{name:28} {value:6.2f} s")
    print(f"{'one reading, clients warm':28} {float(read):6.2f} s")
    print(f"plan / (clients + one reading): {rows['plan'] / (rows['clients'] + float(read)):.2f}")


if __name__ == "__main__":
    main()
