"""Indexes that queries call by their name, replaced by one built beside: who else has the name or the place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from neo4j.exceptions import ClientError
from tests.stores.neo4j.graph import Graph, lines

from reconcile import planfile, workflow
from reconcile.change import Op, Timeouts
from reconcile.errors import ProjectError, ReconcileError
from reconcile.hazards import Hazard
from reconcile.render import text as text_format
from reconcile.stores.neo4j.session import Neo4jSession
from reconcile.stores.neo4j.transaction import Neo4jTransaction

DOCS = "indexes:\n  docs: {{kind: fulltext, labels: [Doc], properties: [title, body], analyzer: {}}}"
BY_HAND = (
    "CREATE FULLTEXT INDEX {} FOR (n:Doc) ON EACH [n.{}, n.{}] OPTIONS {{indexConfig: {{`fulltext.analyzer`: '{}'}}}}"
)


def names(graph: Graph) -> list[str]:
    return sorted(r.name for r in graph.live().values())


@pytest.mark.parametrize(
    ("by_hand", "ignored"),
    [
        ("CREATE INDEX docs__v2 FOR (n:Other) ON (n.x)", True),
        ("CREATE CONSTRAINT docs__v2 FOR (n:Other) REQUIRE n.x IS UNIQUE", False),
    ],
    ids=["ignored index", "unmanaged constraint"],
)
def test_a_name_that_somebody_has_is_passed_over(graph: Graph, by_hand: str, ignored: bool) -> None:
    graph.send(by_hand)
    graph.settings["ignore"] = ["docs__v2"] if ignored else []
    graph.configure()
    graph.declare(DOCS.format("simple"))
    graph.apply()
    graph.declare(DOCS.format("english"))
    assert "docs__v3" in graph.apply().resource_changes[0].strategy  # type: ignore[operator]
    assert [name for name in names(graph) if name != "docs__v2"] == ["docs__v3"]
    graph.declare(DOCS.format("german"))
    graph.apply()
    assert [name for name in names(graph) if name != "docs__v2"] == ["docs"]
    assert graph.send("SHOW INDEXES YIELD name WHERE name = 'docs__v2'"), "nobody touched it"


@pytest.mark.parametrize("ignored", [True, False], ids=["ignored", "unmanaged"])
def test_where_somebody_has_the_other_place_it_is_replaced_where_it_stands(graph: Graph, ignored: bool) -> None:
    graph.declare(DOCS.format("simple"))
    graph.apply()
    graph.send(BY_HAND.format("theirs", "body", "title", "czech"))
    graph.settings["ignore"] = ["theirs"] if ignored else []
    graph.configure()
    graph.declare(DOCS.format("english"))
    assert lines(graph.apply()) == ["delete/create index.docs analyzer simple → english"]
    assert graph.config("theirs")["fulltext.analyzer"] == "czech"


def test_one_that_is_as_declared_already_takes_over_and_the_plan_says_so(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.declare(DOCS.format("simple"))
    graph.apply()
    graph.send(BY_HAND.format("mine", "body", "title", "english"))
    graph.declare(DOCS.format("english"))
    plan = graph.plan("all", prune="all")
    first, _ = plan.steps
    assert first.id == "graph.index.docs/0-wait", "nothing is made, and that is shown"
    assert (first.calls, first.after_commit) == ((), (Op("wait_online", {"name": "mine"}),))
    assert Hazard.BUILDS_INDEX not in first.hazards
    assert "mine, which is as declared, takes over; docs is dropped" in text_format.render(planfile.to_json(plan))
    with broken_off(graph, monkeypatch):
        workflow.apply(graph.project, plan)
    graph.declare(DOCS.format("simple"))
    assert lines(graph.plan()) == [], "what a run only waited for it did not leave behind"
    graph.declare(DOCS.format("english"))
    graph.apply(prune="all")
    assert names(graph) == ["mine"]


def test_an_ignored_object_in_the_way_is_named_with_the_line_that_wants_its_place(graph: Graph) -> None:
    graph.send(
        "CREATE INDEX legacy FOR (n:A) ON (n.a)",
        "CREATE CONSTRAINT legacy2 FOR (n:A) REQUIRE n.b IS UNIQUE",
        "CREATE FULLTEXT INDEX legacy3 FOR (n:A) ON EACH [n.t]",
    )
    graph.settings["ignore"] = ["legacy*"]
    graph.configure()
    graph.declare(
        "constraints:\n  one: {label: A, unique: [a]}\n  two: {label: A, unique: [c]}\n"
        "indexes:\n  three: {label: A, properties: [b]}\n  four: {kind: fulltext, labels: [A], properties: [t]}"
    )
    with pytest.raises(ProjectError) as error:
        graph.plan()
    said = str(error.value).splitlines()
    for line, what in (
        (3, 'constraint "one" cannot be made: graph.index.legacy, which the project ignores, is on (:A).a already'),
        (6, 'index "three" cannot be made: graph.constraint.legacy2, which the project ignores, is on (:A).b already'),
        (7, 'index "four" cannot be made: graph.index.legacy3, which the project ignores'),
    ):
        assert any(text.startswith(f"schema/graph.yaml:{line}:") and what in text for text in said)
    assert "two" not in str(error.value)


@contextmanager
def broken_off(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An apply inside is interrupted when it waits for an index, and the run abandoned."""

    def waiting(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(ReconcileError, match="interrupted"):
        broken.setattr(Neo4jSession, "_wait_online", waiting)
        yield
    run = workflow.status(graph.project)["unfinished"]["run"]
    workflow.abandon(graph.project, run)


@pytest.mark.parametrize(
    ("then", "left"),
    [
        (DOCS.format("simple"), ["docs"]),
        (DOCS.format("german"), ["docs__v2"]),
        (DOCS.format("english"), ["docs__v2"]),
        (DOCS.format("german").replace("}", ", replace: in_place}"), ["docs"]),
        (DOCS.format("german").replace("title, body", "title"), ["docs__v2"]),
        ("", []),
    ],
    ids=["as it was", "other options", "again", "in place", "other properties", "no more"],
)
def test_what_an_abandoned_run_built_beside_is_removed(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, then: str, left: list[str]
) -> None:
    graph.declare(DOCS.format("simple"))
    graph.apply()
    graph.declare(DOCS.format("english"))
    with broken_off(graph, monkeypatch):
        workflow.apply(graph.project, graph.plan("all"))
    assert names(graph) == ["docs", "docs__v2"]
    graph.declare(then)
    graph.apply()
    assert names(graph) == left


def test_what_only_looks_like_a_leftover_stays(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removed by hand after the run was abandoned, and made by hand for something else."""
    graph.declare(DOCS.format("simple"))
    graph.apply()
    graph.declare(DOCS.format("english"))
    with broken_off(graph, monkeypatch):
        workflow.apply(graph.project, graph.plan("all"))
    graph.send("DROP INDEX docs__v2", BY_HAND.format("docs__v2", "body", "title", "czech"))
    graph.declare(DOCS.format("simple"))
    assert lines(graph.plan()) == []
    graph.send("DROP INDEX docs__v2", BY_HAND.format("docs__v2", "body", "title", "english"))
    (gone,) = graph.plan().resource_changes
    assert gone.action_reason == "delete_because_leftover"
    assert not graph.plan().observed["blocked"], "nobody was told of its name"
    graph.apply()
    graph.send(BY_HAND.format("docs__v2", "body", "title", "english"))
    assert lines(graph.plan()) == [], "what was left behind is gone: this is another"


def test_a_full_text_index_answers_all_the_while_it_is_replaced_beside(graph: Graph) -> None:
    graph.send("UNWIND range(1, 20000) AS i CREATE (:Doc {title: 'house ' + i, body: 'the houses of ' + i})")
    text = "indexes:\n  docs: {{kind: fulltext, labels: [Doc], properties: [title, body], analyzer: {}}}"
    graph.declare(text.format("simple"))
    graph.apply()
    graph.declare(text.format("english"))
    plan = graph.plan("all")
    assert [Hazard.INDEX_GAP in s.hazards for s in plan.steps] == [False, False]
    stop, failures, answers = threading.Event(), list[str](), list[int]()

    def reader() -> None:
        query = "CALL db.index.fulltext.queryNodes($name, 'house') YIELD node RETURN count(node) AS rows"
        with graph.driver() as driver:
            while not stop.is_set():
                found = []
                for called in ("docs", "docs__v2"):  # as a client does that is told of the new name
                    try:
                        found.append(driver.execute_query(query, name=called).records[0]["rows"])
                    except ClientError as error:  # one of the two has to answer in full
                        found.append(str(error))
                if 20000 not in found:
                    failures.append(str(found))
                answers.append(1)

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        workflow.apply(graph.project, plan)
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert answers
    assert lines(graph.plan()) == []
    assert list(graph.live()) == ["index.docs__v2"]
    graph.declare(text.format("german"))
    assert lines(graph.apply()) == ["create/delete index.docs analyzer english → german"]
    assert list(graph.live()) == ["index.docs"], "and back to the declared name"


@pytest.mark.parametrize("ledger", ["kept", "lost"])
@pytest.mark.parametrize("moment", ["building", "before the drop", "after the drop"])
def test_a_replacement_beside_that_was_broken_off_ends_as_if_it_had_not_been(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, moment: str, ledger: str
) -> None:
    graph.send("UNWIND range(1, 100) AS i CREATE (:Doc {title: 'house ' + i, body: 'b'})")
    text = "indexes:\n  docs: {{kind: fulltext, labels: [Doc], properties: [title, body], analyzer: {}}}"
    graph.declare(text.format("simple"))
    graph.apply()
    graph.declare(text.format("english"))
    plan = graph.plan("all")
    run, commit = Neo4jTransaction.run, Neo4jTransaction.commit

    def waiting(*_: object) -> None:
        raise KeyboardInterrupt

    def dropping(self: Neo4jTransaction, call: Any, timeouts: Timeouts) -> None:
        if "DROP" in call.cypher:
            raise KeyboardInterrupt
        run(self, call, timeouts)

    def dropped(self: Neo4jTransaction) -> None:
        commit(self)
        if set(graph.live()) == {"index.docs__v2"}:
            raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        if moment == "building":
            broken.setattr(Neo4jSession, "_wait_online", waiting)
        elif moment == "before the drop":
            broken.setattr(Neo4jTransaction, "run", dropping)
        else:
            broken.setattr(Neo4jTransaction, "commit", dropped)
        with pytest.raises(ReconcileError, match="interrupted"):
            workflow.apply(graph.project, plan)
    assert "index.docs__v2" in graph.live()
    if ledger == "kept":
        workflow.resume(graph.project)
    else:
        for file in graph.folder.glob("ledger.db*"):
            file.unlink()
        graph.apply()
    assert list(graph.live()) == ["index.docs__v2"]
    assert graph.config("docs__v2")["fulltext.analyzer"] == "english"
    assert lines(graph.plan()) == []


@pytest.mark.parametrize("chosen", ["", ", analyzer: german"], ids=["unset", "set"])
def test_an_index_of_another_tool_does_not_take_the_place_of_one_built_beside(graph: Graph, chosen: str) -> None:
    """Like the declared one but for its analyzer, and first in the alphabet: nothing is to be done."""
    declared = "indexes:\n  docs: {kind: fulltext, labels: [Doc], properties: [title, body]%s}"
    for analyzer in (", analyzer: english", ", analyzer: german", chosen):
        graph.declare(declared % analyzer)
        graph.apply()
    graph.send(
        "CREATE FULLTEXT INDEX aaa FOR (n:Doc) ON EACH [n.title, n.body]"
        " OPTIONS {indexConfig: {`fulltext.analyzer`: 'czech'}}"
    )
    assert lines(graph.plan()) == []
    assert lines(graph.plan(prune="all")) == ["delete index.aaa fulltext (:Doc).(title, body) analyzer czech"]


def test_another_definition_of_what_was_built_beside_leaves_nothing_behind(graph: Graph) -> None:
    graph.send("CREATE (:Doc {a: 'x', b: 'y', c: 'z'})")
    text = "indexes:\n  docs: {{kind: fulltext, labels: [Doc], properties: {}}}"
    for properties in ("[a]", "[a, b]", "[b, c]", "[c]"):
        graph.declare(text.format(properties))
        graph.apply()
        assert len(graph.live()) == 1
    graph.declare("")
    graph.apply()
    assert graph.live() == {}


@pytest.mark.parametrize("how", ["beside", "in_place"])
def test_a_rollback_leads_back_to_the_old_name(graph: Graph, how: str) -> None:
    graph.declare(DOCS.format("simple"))
    graph.apply()
    graph.declare(DOCS.format(f"english, replace: {how}"))
    project = graph.project
    run = workflow.apply(project, workflow.plan(project, workflow.Options(allow=("all",)))).run
    assert names(graph) == ["docs__v2" if how == "beside" else "docs"]
    workflow.apply(project, workflow.rollback(project, run, allow=("all",)))
    assert [(r.name, r.analyzer) for r in graph.live().values()] == [("docs", "simple")]  # type: ignore[attr-defined]
    assert not workflow.plan(project).steps
