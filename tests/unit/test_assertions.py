"""`checks:` and `probes:` of reconcile.yaml: what is wrong with one is told with its place and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile.errors import ProjectError
from reconcile.project import Project

HEAD = """version: 1
name: trial
stores:
  app: {kind: postgres, url: "${APP_URL}"}
  graph: {kind: neo4j, url: "${GRAPH_URL}"}
  vectors: {kind: qdrant, url: "${QDRANT_URL}"}
"""


def loaded(folder: Path, text: str, environment: str | None = None) -> Project:
    (folder / "reconcile.yaml").write_text(HEAD + text)
    return Project.load(folder, environment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "checks: {a: {store: ap, sql: select 1, expect: 1}}",
            'reconcile.yaml:7:21: check "a": there is no store "ap"; did you mean "app"?',
        ),
        (
            "checks: {a: {store: graph, sql: select 1, expect: 1}}",
            '7:28: check "a": store "graph" takes no sql: it is of kind neo4j; write cypher: …, or store: app',
        ),
        ("checks: {a: {sql: select 1, expect: 1}}", 'check "a": says not which store sql is for; write store: app'),
        (
            "checks: {a: {store: app, sql: select 1, cypher: RETURN 1, expect: 1}}",
            '7:41: check "a": has sql and cypher; write one of',
        ),
        ("checks: {a: {store: app, expect: 1}}", 'check "a": has nothing to ask; write one of: {store: NAME, cypher'),
        ("checks: {a: {store: app, sql: select 1}}", 'check "a": says not what is expected; write expect: VALUE'),
        ("checks: {a: {http: 'http://x', expect: 1}}", 'check "a": expect has no meaning beside http; take it out'),
        ("checks: {a: {store: app, sql: select 1, filter: {}, expect: 1}}", "filter has no meaning beside sql"),
        (
            "checks: {a: {store: app, sql: drop table x, expect: 1}}",
            '7:31: check "a": begins with "drop"; what only reads',
        ),
        ("checks: {a: {store: app, sql: select 1; select 2, expect: 1}}", "has several statements in one text"),
        ("checks: {a: {store: app, sql: commit, expect: 1}}", 'begins with "commit"'),
        ("probes: {a: {store: app, sql: [insert into x values (1), commit]}}", '7:58: probe "a": begins with "commit"'),
        ("probes: {a: {store: graph, cypher: 'CALL { CREATE () } IN TRANSACTIONS'}}", "commits by itself"),
        ("checks: {a: {http: x}}\nprobes: {a: {store: app, sql: select 1}}", "there is a check of that name"),
        ("checks: {a: {http: '${X'}}", "7:20: ${ is not closed"),
        ("checks: {a: {command: ['${X}']}}", "in http: and headers: of checks, only"),
        ("checks: {a: {http: x, when: [sometimes]}}", "when"),
        ("checks: {a: {http: x, retries: 3}}", 'unknown key "retries"'),
        (
            "environments: {p: {checks: {a: {store: app, cypher: RETURN 1, expect: 1}}}}",
            'check "a": store "app" takes no cypher',
        ),
    ],
)
def test_mistakes_are_told_with_place_and_way_out(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        loaded(tmp_path, text)
    assert message in str(caught.value)


def test_an_environment_lays_over(tmp_path: Path) -> None:
    """It changes one key, adds one, takes one away."""
    text = """
checks:
  a: {store: app, sql: select 1, expect: 1, when: [before, after]}
  b: {http: "${URL}/health"}
environments:
  staging: {}
  production:
    checks: {a: {timeout: 2min}, b: null, c: {command: ['true']}}
"""
    assert [a.name for a in loaded(tmp_path, text, "staging").assertions] == ["a", "b"]
    first, third = loaded(tmp_path, text, "production").assertions
    assert (first.name, first.seconds, len(first.when), third.name) == ("a", 120.0, 2, "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("queries: {q: {store: app, files: ['none/*.sql']}}", '7:35: query "q": none/*.sql matches no file'),
        ("queries: {q: {store: app, sql: select 1, files: [x]}}", '7:27: query "q": has files and sql'),
        ("queries: {q: {files: [x]}}", 'query "q": says not which store; write store: NAME'),
        ("queries: {q: {store: app, sql: drop table x}}", 'query "q": begins with "drop"'),
        ("queries: {q: {store: app, sql: select 1, expect: 1}}", 'unknown key "expect"'),
        ("queries: {q: {store: vectors, collection: c, types: [x]}}", "types has no meaning beside collection"),
    ],
)
def test_mistakes_in_queries(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        loaded(tmp_path, text)
    assert message in str(caught.value)
