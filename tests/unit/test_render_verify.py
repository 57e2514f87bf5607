"""What `verify` prints."""

from __future__ import annotations

from typing import Any

from reconcile.render import markdown, verify

PART: dict[str, Any] = {"count": 0, "sample": []}
NOWHERE: dict[str, Any] = {"address": None, "what": None, "source": None}
SOURCE = {"file": "reconcile.yaml", "line": 20, "column": 3}


def side(address: str, ids: int, **parts: Any) -> dict[str, Any]:
    return {"address": address, "key": "id", "source": SOURCE, "ids": ids, "without": 0, "repeated": PART, **parts}


def report(findings: list[dict[str, Any]], *sides: dict[str, Any], skipped: str | None = None) -> dict[str, Any]:
    mirror = {"name": "passages", "source": SOURCE, "agrees": not findings, "sides": list(sides)}
    return {
        "at": "2026-11-21T07:00:00Z",
        "seconds": "0.4",
        "project": "rag-platform",
        "environment": "staging",
        "stores": [{"name": name, "kind": "postgres", "version": "18.4"} for name in ("app", "more")],
        "findings": findings,
        "mirrors": [mirror] if sides else [],
        "sampled": [],
        "not_looked_at": [{**NOWHERE, "store": skipped, "why": "this version cannot"}] if skipped else [],
        "clean": not findings,
    }


def finding(rule: str, what: str, count: int, **more: Any) -> dict[str, Any]:
    found = {"address": "app.check.public.documents.sized", "rule": rule, "what": what, "count": count}
    return {**found, "bounded": False, "sample": [], "query": None, "hint": None, "source": SOURCE, **more}


def test_what_agrees_is_one_line() -> None:
    assert verify.render(report([])) == (
        "reconcile verify · rag-platform · staging · 2 stores looked at in 0.4 s\n"
        "\n"
        "Clean: what the stores hold agrees with what is declared.\n"
    )
    assert "not looked at: cache." in verify.render(report([], skipped="cache"))


def test_findings_and_mirrors() -> None:
    """Keys of a few, the query for all, what to do; ids in both directions."""
    found = [
        finding("constraint", "rows: size > 0 does not hold", 3, sample=["id = 1", "id = 2"], query="SELECT\n  id",
                hint="delete these rows"),
        finding("mirror", "ids missing", 1200),
    ]  # fmt: skip
    left = {"missing": {"count": 1200, "sample": ["1", "2"]}, "extra": {"count": 1, "sample": ["x"]}, "without": 7}
    shown = report(found, side("app.table.public.passages", 1_000_000), side("graph.label.P", 998_801, **left))
    assert verify.render(shown) == (
        "reconcile verify · rag-platform · staging · 2 stores looked at in 0.4 s\n"
        "\n"
        "  ✗  app.check.public.documents.sized  3 rows: size > 0 does not hold  reconcile.yaml:20\n"
        "       id = 1; id = 2; …\n"
        "       all of them: SELECT id\n"
        "       delete these rows\n"
        "\n"
        "Mirror passages  reconcile.yaml:20\n"
        "     app.table.public.passages id  1,000,000 ids\n"
        "  ✗  graph.label.P id                998,801 ids\n"
        "       7 without id\n"
        "       1,200 missing: 1, 2, …\n"
        "       1 extra: x\n"
        "\n"
        "Found: 2 disagreements at 1 address; 0 of 1 mirrors agree.\n"
    )
    written = markdown.verify(shown)
    assert written.startswith("<!-- reconcile-verify:rag-platform/staging -->")
    assert "| ✗ | `graph.label.P id` | 998,801 ids | 7 without id<br>1,200 missing: 1, 2, …<br>1 extra: x |" in written


def test_bounds_and_control_characters_are_told() -> None:
    """A count that stopped at a bound says so; an id cannot move the cursor."""
    bounded = finding("vector", "vectors of 3 dimensions", 1, bounded=True, sample=["a\x1b[2J"])
    shown = verify.render(report([bounded]))
    assert "at least 1 vector of 3 dimensions" in shown
    assert "a\\x1b[2J, …" in shown


def test_what_was_looked_at_in_part_or_not_at_all_is_told() -> None:
    """Also where nothing was found; and what was not looked at is not clean."""
    made = report([])
    made["sampled"] = [
        {"address": "graph.index.v", "what": "nodes with (:C).e", "looked": 1000, "of": 50000, "source": SOURCE}
    ]
    assert verify.render(made).splitlines()[2:] == [
        "  ~  graph.index.v  a sample: 1,000 of 50,000 nodes with (:C).e  reconcile.yaml:20",
        "",
        "Clean: what the stores hold agrees with what is declared; of 1 thing a sample was looked at.",
    ]
    assert "- ~ `graph.index.v` a sample: 1,000 of 50,000 nodes with (:C).e reconcile.yaml:20" in markdown.verify(made)
    query = {"address": "graph.check.c", "what": "whether nodes break it", "why": "too much", "source": SOURCE}
    made |= {"sampled": [], "not_looked_at": [{"store": "app", **query}], "clean": False}
    assert verify.render(made).splitlines()[2:] == [
        "  ?  graph.check.c  not looked at whether nodes break it: too much  reconcile.yaml:20",
        "",
        "Nothing found, but not all was looked at; not looked at: graph.check.c.",
    ]
    found = finding("vector", "nodes have no vector", 3, bounded=True, looked=200)
    assert "3 of 200 looked at: nodes have no vector" in verify.render(report([found]))


def test_without_its_original_nothing_is_compared() -> None:
    """And so nothing agrees."""
    gone = {**side("app.table.public.t", 0), "ids": None, "problem": "table public.t is not there"}
    shown = verify.render(report([finding("mirror", "not compared", 0)], gone, side("graph.label.T", 4)))
    assert "  ✗  app.table.public.t id  not compared\n       table public.t is not there\n" in shown
    assert "     graph.label.T id" in shown
    assert "✓" not in shown
