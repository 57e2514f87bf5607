"""What the session says when something is wrong, waits for, and leaves alone."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.stores.neo4j.graph import Graph, lines

from reconcile import workflow
from reconcile.change import Cypher, Op, Step, Timeouts
from reconcile.errors import ReconcileError, StoreError
from reconcile.stores.neo4j import faults
from reconcile.stores.neo4j.resources import Index, constraint_address, index_address

FAST = Timeouts(lock="700ms", wall="20s")


def create(name: str, label: str = "A", property_: str = "a") -> Cypher:
    return Cypher(f"CREATE INDEX $name FOR (n:`{label}`) ON (n.`{property_}`)", {"name": name})


@contextmanager
def writer(graph: Graph) -> Iterator[Any]:
    """An open transaction that has written to label A."""
    with graph.driver() as driver, driver.session() as session, session.begin_transaction() as transaction:
        transaction.run("CREATE (:A {a: 1})").consume()
        yield transaction


def test_the_server_is_known(graph: Graph) -> None:
    with graph.session() as session:
        server = session.server()
        assert (server.name, server.kind, server.edition) == ("graph", "neo4j", "community")
        assert server.numbers >= (5,)
        assert server.identity.startswith("neo4j:")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": "bolt://127.0.0.1:1"}, "cannot be reached: connection refused"),
        ({"url": "bolt://nowhere.invalid:7687"}, "cannot be reached: the host name is not known"),
        ({"url": "http://127.0.0.1:7474"}, "write it as bolt://127.0.0.1:7687"),
        ({"url": "https://u:geheim7@db.example.org/x"}, "not an address of a neo4j server"),
        ({"database": "nope"}, "there is no such database"),
    ],
)
def test_what_cannot_be_reached_says_why(graph: Graph, settings: dict[str, str], says: str) -> None:
    wrong = {} if "database" in settings else {"password": "geheim7"}
    with graph.session(**wrong, **settings) as session, pytest.raises(ReconcileError) as error:
        session.server()
    assert says in str(error.value)
    assert "geheim7" not in str(error.value)


def test_what_does_not_speak_bolt_is_told(graph: Graph) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            for _ in range(8):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(64)
                    connection.sendall(b"HTTP")

        threading.Thread(target=answer, daemon=True).start()
        with graph.session(url=f"bolt://127.0.0.1:{port}") as session, pytest.raises(StoreError) as error:
            session.server()
    assert f"bolt://127.0.0.1:{port}" in str(error.value)


def test_user_and_password_may_be_in_the_url(graph: Graph) -> None:
    scheme, _, host = graph.database.url.partition("://")
    password = graph.database.password or "any"
    with graph.session(url=f"{scheme}://neo4j:{password}@{host}", user="", password="") as session:
        assert session.server().kind == "neo4j"


def test_a_wrong_password_is_refused_where_the_server_asks_for_one(graph: Graph) -> None:
    with graph.session(password="wrong-geheim7") as session, pytest.raises(StoreError) as error:
        session.server()
    assert "does not accept user and password" in str(error.value)
    assert "geheim7" not in str(error.value)


def test_a_statement_that_waits_for_a_writer_gives_up_and_names_it(graph: Graph) -> None:
    with graph.session() as session:
        session.server()
        with writer(graph):
            with pytest.raises(faults.LockWaitError) as error, session.transaction(()) as transaction:
                transaction.run(create("first", "Other"), FAST)
                transaction.run(create("x"), FAST)
            assert "neo4j-transaction-" in str(error.value)
            assert "TERMINATE TRANSACTION 'neo4j-transaction-" in str(error.value)
            assert session.transient(error.value)
            graph.send("CREATE (:A {a: 2})")  # a writer that came later is not held up any more
        assert graph.live() == {}, "the whole group was taken back"
        with session.transaction(()) as transaction:
            transaction.run(create("x"), FAST)
    assert list(graph.live()) == ["index.x"]


def test_a_statement_waits_for_readers_by_an_index_on_the_label_only(graph: Graph) -> None:
    graph.send("CREATE (:A {a: 1})", "CREATE INDEX old FOR (n:A) ON (n.a)", "CREATE INDEX FOR (n:B) ON (n.a)")
    waits: dict[str, bool] = {}
    queries = ("MATCH (n:A) RETURN n", "MATCH (n:B) WHERE n.a = 1 RETURN n", "MATCH (n:A) WHERE n.a = 1 RETURN n")
    with graph.session() as ours, graph.driver() as driver:
        ours.server()
        for query in queries:
            with driver.session() as session, session.begin_transaction() as reader:
                reader.run(query).consume()
                try:
                    ours.run(create(f"x{len(waits)}", property_=f"b{len(waits)}"), FAST)
                    waits[query] = False
                except faults.LockWaitError as error:
                    assert "or read it by an index: neo4j-transaction-" in str(error)
                    waits[query] = True
    assert list(waits.values()) == [False, False, True]


def test_a_statement_goes_on_when_the_writer_ends_in_time(graph: Graph) -> None:
    with graph.session() as session:
        session.server()
        with writer(graph) as open_one:
            threading.Timer(0.6, open_one.rollback).start()
            session.run(create("x"), Timeouts(lock="10s"))
            time.sleep(0.3)
    assert list(graph.live()) == ["index.x"]


def test_what_is_there_already_counts_as_done_and_the_rest_is_sent_again(graph: Graph) -> None:
    graph.send("CREATE INDEX x FOR (n:A) ON (n.a)")
    with graph.session() as session:
        session.server()
        with session.transaction(()) as transaction:
            transaction.run(create("before", "B"), FAST)
            transaction.run(create("x"), FAST)
            transaction.run(Cypher("DROP INDEX $name", {"name": "gone"}), FAST)
            transaction.run(create("after", "C"), FAST)
    assert set(graph.live()) == {"index.before", "index.x", "index.after"}


def test_a_name_taken_by_something_else_is_an_error_and_takes_all_back(graph: Graph) -> None:
    graph.send("CREATE INDEX x FOR (n:A) ON (n.other)")
    with graph.session() as session:
        session.server()
        with pytest.raises(StoreError, match="plan again"), session.transaction(()) as transaction:
            transaction.run(create("before", "B"), FAST)
            transaction.run(create("x"), FAST)
    assert set(graph.live()) == {"index.x"}


def test_dropping_what_belongs_to_a_constraint_is_an_error(graph: Graph) -> None:
    graph.send("CREATE CONSTRAINT x FOR (n:A) REQUIRE n.a IS UNIQUE")
    with graph.session() as session, pytest.raises(StoreError, match="belongs to constraint"):
        session.run(Cypher("DROP INDEX $name", {"name": "x"}), FAST)


def test_waiting_for_an_index_that_is_gone_is_an_error(graph: Graph) -> None:
    with graph.session() as session, pytest.raises(StoreError, match="index x is gone"):
        session.run(Op("wait_online", {"name": "x"}), FAST)


def test_waiting_has_a_limit(graph: Graph) -> None:
    graph.send("UNWIND range(1, 60000) AS i CREATE (:A {a: 'word ' + i, b: 'other ' + i})")
    with graph.session() as session:
        session.run(Cypher("CREATE FULLTEXT INDEX $name FOR (n:A) ON EACH [n.a, n.b]", {"name": "x"}), FAST)
        with pytest.raises(StoreError, match=r"index x is still being built after 0 s \(\d+ %\)"):
            session.run(Op("wait_online", {"name": "x"}), Timeouts(wall="1us"))
        step = Step("s", index_address("graph", "x"), (), after_commit=(Op("wait_online", {"name": "x"}),))
        assert re.fullmatch(r"populating, \d+ %", session.progress([step])["s"])
        session.run(Op("wait_online", {"name": "x"}), Timeouts(wall="60s"))
        assert session.progress([step]) == {}
    assert graph.send("SHOW INDEXES YIELD name, state WHERE name = 'x' RETURN state") == [{"state": "ONLINE"}]


def test_emptiness_and_size(graph: Graph) -> None:
    graph.send(
        "CREATE INDEX full FOR (n:A) ON (n.a)",
        "CREATE INDEX none FOR (n:B) ON (n.a)",
        "CREATE CONSTRAINT rel FOR ()-[r:R]-() REQUIRE r.a IS UNIQUE",
        "CREATE VECTOR INDEX v FOR (n:A) ON (n.e)",
        "CREATE FULLTEXT INDEX several FOR (n:A|B) ON EACH [n.t]",
        "CREATE (a:A)-[:R]->(:A), (a)-[:R]->(a)",
    )
    with graph.session() as session:
        session.introspect()
        full, none, vector, several = (index_address("graph", n) for n in ("full", "none", "v", "several"))
        rel = constraint_address("graph", "rel")
        assert [session.is_empty(a) for a in (full, none, vector, several, rel)] == [False, True, True, False, False]
        assert session.is_empty(index_address("graph", "unheard")) is False, "unknown is not empty"
        assert session.measure([full, none, rel, several]) == {
            full: {"rows": 2},
            none: {"rows": 0},
            rel: {"rows": 2},
            several: {"rows": 2},
        }


def test_debris_is_removed_only_where_it_is_unusable(graph: Graph) -> None:
    graph.send("CREATE INDEX good FOR (n:B) ON (n.a)", "CREATE (:A {a: $text})", text="x" * 40_000)
    with graph.session() as session:
        session.run(create("bad"), FAST)
        with pytest.raises(StoreError, match="failed while it was built"):
            session.run(Op("wait_online", {"name": "bad"}), FAST)
        found = session.introspect().state[index_address("graph", "bad")]
        assert isinstance(found, Index)
        assert found.failure is not None
        assert found.failure.startswith("Property value is too large")
        session.clean([index_address("graph", n) for n in ("good", "bad", "unheard")])
    assert set(graph.live()) == {"index.good"}


def test_the_mark_is_one_node(graph: Graph) -> None:
    with graph.session() as session:
        assert session.mark(None) == {}
        first = {"project": "a", "environment": "it's"}
        assert session.mark(first) == first
        assert session.mark({"project": "b"}) == {"project": "b"}
        assert session.mark(None) == {"project": "b"}
    assert graph.send("MATCH (m:__Reconcile) RETURN count(m) AS marks") == [{"marks": 1}]


@pytest.mark.parametrize(
    ("declared", "statement"),
    [
        (
            "constraints:\n  x: {label: A, unique: [a]}",
            "CREATE CONSTRAINT $name FOR (n:`A`) REQUIRE (n.`a`) IS UNIQUE",
        ),
        ("indexes:\n  x: {label: A, properties: [a]}", "CREATE INDEX $name FOR (n:`A`) ON (n.`a`)"),
    ],
    ids=["constraint", "index"],
)
def test_six_clients_make_the_same_at_once(graph: Graph, declared: str, statement: str) -> None:
    graph.declare(declared)
    failures: list[BaseException] = []

    def client() -> None:
        with graph.session() as session:
            for pause in (0.1, 0.2, 0.4, 0.8, 1.6):  # as apply does: six at once run into deadlocks
                try:
                    session.run(Cypher(statement, {"name": "x"}), Timeouts(lock="20s"))
                    return
                except StoreError as error:
                    if not session.transient(error):
                        failures.append(error)
                        return
                    last = error
                    time.sleep(pause)
            failures.append(last)

    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert lines(graph.plan()) == []


def test_an_apply_tries_again_after_a_lock_wait(graph: Graph) -> None:
    graph.declare("indexes:\n  x: {label: A, properties: [a]}")
    seen = []
    with writer(graph) as open_one:
        made = graph.plan("all")

        def on_event(event: Any) -> None:
            seen.append(event.kind)
            if event.kind == "retry":
                open_one.rollback()

        workflow.apply(graph.project, made, on_event)
    assert "retry" in seen
    assert lines(graph.plan()) == []
