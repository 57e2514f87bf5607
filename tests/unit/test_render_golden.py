"""One plan with one of everything, in every format, against files; `make golden` writes them anew."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from tests.unit import plan_json

from reconcile.render import FORMATS, graph, renderer

GOLDEN = Path(__file__).parent / "golden"
ENDINGS = {"text": "txt", "json": "json", "markdown": "md", "script": "sh"}


def golden(name: str, text: str) -> None:
    """Compare with, or write, a file."""
    path = GOLDEN / name
    if os.environ.get("RECONCILE_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("format_", FORMATS)
def test_a_plan_renders_as_its_golden_file(format_: str) -> None:
    """The same plan gives the same bytes in each format."""
    golden(f"plan.{ENDINGS[format_]}", renderer(format_)(plan_json.rich()))


@pytest.mark.parametrize("format_", FORMATS)
def test_an_empty_plan_renders_as_its_golden_file(format_: str) -> None:
    """Nothing to do is said in the same words everywhere."""
    golden(f"empty.{ENDINGS[format_]}", renderer(format_)(plan_json.empty(records=214)))


def test_the_graph_renders_as_its_golden_file() -> None:
    """Mermaid text."""
    golden("plan.mmd", graph.render(plan_json.rich()))


def test_the_script_is_a_shell_script() -> None:
    """`sh -n` parses it, quotes and here-documents included."""
    script = renderer("script")(plan_json.rich())
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_fixture_is_a_valid_plan_file() -> None:
    """What is rendered here has the shape that the JSON Schema promises."""
    schema = json.loads((Path(__file__).parents[2] / "schema" / "plan.schema.json").read_text(encoding="utf-8"))
    errors = [e.message for e in Draft202012Validator(schema).iter_errors(plan_json.rich())]
    assert errors == []
