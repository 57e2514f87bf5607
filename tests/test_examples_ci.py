"""The shell steps of examples/ci/reconcile.yml, run against real servers as GitHub would run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]

GH = '''#!{python}
"""What the workflow asks of GitHub's command line, answered from a folder: one file a comment, named by its id."""
import pathlib, re, sys
comments = pathlib.Path({folder!r})
arguments = sys.argv[2:]
path = next(a for a in arguments if a.startswith("repos/"))
option = lambda name: arguments[arguments.index(name) + 1] if name in arguments else ""
if path.endswith("/pulls"):
    print(7)
elif "--method" in arguments:
    body = pathlib.Path(option("-F").removeprefix("body=@")).read_text()
    number = path.rsplit("/", 1)[1] if option("--method") == "PATCH" else str(len(list(comments.iterdir())) + 1)
    (comments / number).write_text(body)
else:
    marker = re.search(r'startswith\\("(.*)"\\)', option("--jq"))
    for comment in sorted(comments.iterdir()):
        body = comment.read_text()
        if marker is None:
            print(body)
        elif body.startswith(marker[1]):
            print(comment.name)
'''


class Workflow:
    """The workflow, its project in a folder of its own, and GitHub's side of it."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self.jobs: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "ci" / "reconcile.yml").read_text())["jobs"]
        self.project = folder / "project"
        shutil.copytree(ROOT / "examples" / "rag-platform", self.project)
        self.comments, programs = folder / "comments", folder / "bin"
        self.comments.mkdir()
        programs.mkdir()
        start = f"#!/bin/sh\nexec {sys.executable} -c 'from reconcile.cli import main; main()' \"$@\"\n"
        gh = GH.format(python=sys.executable, folder=str(self.comments))
        for name, text in (("reconcile", start), ("gh", gh)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.summary, self.variables = folder / "summary.md", folder / "variables"
        self.environment = {
            **os.environ,
            **urls,
            "PYTHONPATH": str(ROOT / "src"),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ENVIRONMENT": "production",
            "PULL": "7",
            "GITHUB_REPOSITORY": "acme/rag",
            "GITHUB_SHA": "0" * 40,
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_ENV": str(self.variables),
        }

    def run(self, job: str) -> int:
        """Run the job's steps but those that install; the exit code of the first that fails."""
        self.variables.write_text("")
        for step in self.jobs[job]["steps"]:
            if "run" not in step or step["name"] == "Install":
                continue
            exported = dict(line.split("=", 1) for line in self.variables.read_text().splitlines())
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.project,
                env={**self.environment, **exported},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            self.output = done.stdout + done.stderr
            if done.returncode:
                return done.returncode
        return 0

    def bodies(self) -> list[str]:
        """The comments of the pull request."""
        return [path.read_text() for path in sorted(self.comments.iterdir())]


@pytest.fixture
def workflow(tmp_path: Path, postgres_database: str, neo4j_database: Any, qdrant_server: str) -> Workflow:
    """The workflow with empty stores."""
    return Workflow(
        tmp_path,
        {
            "PROD_APP_DATABASE_URL": postgres_database,
            "PROD_NEO4J_URL": neo4j_database.url,
            "PROD_NEO4J_PASSWORD": neo4j_database.password,
            "NEO4J_USER": neo4j_database.user,
            "PROD_QDRANT_URL": qdrant_server,
            "PROD_QDRANT_API_KEY": "",
        },
    )


def test_the_workflow_from_pull_request_to_drift(workflow: Workflow) -> None:
    """One comment however often it is planned; the approved plan is applied; a change by hand is found."""
    import psycopg

    assert workflow.run("plan") == 0, workflow.output
    assert workflow.run("plan") == 0, workflow.output
    assert len(workflow.bodies()) == 1
    assert "Plan: " in workflow.bodies()[0]

    assert workflow.run("apply") == 0, workflow.output
    assert "Applied " in workflow.output
    assert workflow.run("drift") == 0, workflow.output

    with psycopg.connect(workflow.environment["PROD_APP_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("ALTER TABLE documents ALTER COLUMN language SET DEFAULT 'de'")
    assert workflow.run("drift") == 2, workflow.output
    assert "app.column.public.documents.language" in workflow.summary.read_text()


def test_a_plan_that_was_not_approved_is_not_applied(workflow: Workflow) -> None:
    """The files moved after the comment: refused, and nothing is changed."""
    assert workflow.run("plan") == 0, workflow.output
    schema = workflow.project / "schema" / "vectors.yaml"
    schema.write_text(schema.read_text().replace("language: keyword", "lang: keyword"))
    assert workflow.run("apply") == 4, workflow.output
    assert "the plan's digest is" in workflow.output


def test_every_shell_step_is_free_of_expressions() -> None:
    """What others can write (titles, branches) must not become shell: values come in by the environment."""
    jobs = yaml.safe_load((ROOT / "examples" / "ci" / "reconcile.yml").read_text())["jobs"]
    for job in jobs.values():
        assert all("${{" not in step["run"] for step in job["steps"] if "run" in step)
