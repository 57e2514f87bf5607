"""Servers that cannot be reached, keys that may not, options that are dropped: said clearly, no secret shown."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.stores.qdrant.store import Store

from reconcile.change import Http, Op, Step, Timeouts
from reconcile.errors import ReconcileError, StoreError
from reconcile.model import Address, Source, State
from reconcile.sandbox.qdrant import Qdrant
from reconcile.stores.base import StoreSpec
from reconcile.stores.qdrant import PACKAGE, checks, wire
from reconcile.stores.qdrant.lane import Lane
from reconcile.stores.qdrant.resources import Collection, PayloadIndex
from reconcile.stores.qdrant.session import QdrantSession
from reconcile.stores.qdrant.transport import QdrantError


def session(url: str, key: str | None = None) -> QdrantSession:
    settings = {"url": url, **({"api_key": key} if key else {})}
    spec = StoreSpec("v", "qdrant", settings, Source("reconcile.yaml", 4, 3), Path())
    return QdrantSession(spec, "test", "default")


def refusal(url: str, key: str | None = None) -> str:
    opened = session(url, key)
    with pytest.raises(ReconcileError) as error:
        opened.server()
        opened.introspect()
    opened.close()
    opened.close()
    return str(error.value)


def test_nothing_is_sent_before_the_first_call() -> None:
    PACKAGE.connect(session("http://127.0.0.1:1").spec, "p", "e").close()


def test_no_server() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        said = refusal(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert "v: cannot connect to http://127.0.0.1:" in said
    assert "is the server running" in said


def test_no_such_host() -> None:
    assert "cannot connect to http://no-such-host.invalid:6333" in refusal("http://no-such-host.invalid")


def test_tls_where_there_is_none(qdrant_server: str) -> None:
    assert "write the URL with http://" in refusal(qdrant_server.replace("http://", "https://"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://u.example/?api_key=geheim", "has a query or a fragment (`?…`, `#…`), and Qdrant knows neither"),
        ("postgresql://app:geheim@db.example/app", "postgresql://db.example"),
        ("bolt://graph:7687", "bolt://graph:7687"),
        ("vectors.example:6333", "http://vectors.example:6333"),
        ("grpc://vectors.example:6334", "http://vectors.example:6333"),
        ("http://host:port", "http://HOST:6333"),
    ],
)
def test_an_address_of_another_kind(url: str, said: str) -> None:
    found = refusal(url)
    assert said in found
    assert "geheim" not in found


def test_something_else_answers() -> None:
    """A port where another protocol is spoken, as 6334 (gRPC) or a database."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            connection.recv(1000)
            connection.sendall(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        said = refusal(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.join()
    assert "6334 is gRPC" in said


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        ({"hnsw_config": {"new_option": 7}}, "`hnsw_config.new_option`: asked 7, shows nothing"),
        ({"wal_config": {"wal_capacity_mb": 16}}, "`wal.wal_capacity_mb`: asked 16, shows 32"),
        ({"replication_factor": 2}, "`replication_factor`: asked 2, shows 1"),
        ({"vectors": {"": {"size": 9}}}, "`vector.size`: asked 9, shows 4"),
    ],
)
def test_what_a_patch_drops_without_a_word_is_an_error(store: Store, body: dict[str, Any], lost: str) -> None:
    from reconcile.stores.qdrant import settings

    store.send("PUT", "/collections/c", {"vectors": {"size": 4, "distance": "Dot"}})
    shown = {
        "hnsw_config": body,
        "vectors": {"params": {"vectors": {"size": 9}}},
    }.get(next(iter(body)), wire.expected(settings.COLLECTION, body))
    expect = {"config": shown}
    with pytest.raises(StoreError, match="answered PATCH /collections/c with success, but did not take") as error:
        session(store.url).run(Http("PATCH", "/collections/c", body, "/collections/c", expect), Timeouts())
    assert lost in str(error.value)
    assert session(store.url).server().version in str(error.value)


def test_a_put_that_was_carried_out_already_is_done(store: Store) -> None:
    path, body = "/collections/c", {"vectors": {"size": 4, "distance": "Dot"}}
    expect = {"config": {"params": body}}
    opened = session(store.url)
    opened.run(Http("PUT", path, body, path, expect), Timeouts(wall="1m"))
    opened.run(Http("PUT", path, body, path, expect), Timeouts(wall="1m"))
    other = {"vectors": {"size": 5, "distance": "Dot"}}
    with pytest.raises(StoreError, match="already exists"):
        opened.run(Http("PUT", path, other, path, {"config": {"params": other}}), Timeouts())


def test_debris_is_removed_unless_it_is_of_use(store: Store) -> None:
    opened = session(store.url)
    for name in ("bare", "filled", "aliased"):
        store.send("PUT", f"/collections/{name}", {"vectors": {"size": 4, "distance": "Dot"}})
    store.fill("filled")
    action = {"create_alias": {"collection_name": "aliased", "alias_name": "a"}}
    store.send("POST", "/collections/aliases", {"actions": [action]})
    for name in ("c__v2", "copy_of_c", "d__v2"):
        mark = {"reconcile": {"name": name[0], "generation": 2}}
        store.send("PUT", f"/collections/{name}", {"vectors": {}, "metadata": mark})
    action = {"create_alias": {"collection_name": "d__v2", "alias_name": "d"}}
    store.send("POST", "/collections/aliases", {"actions": [action]})
    names = ["bare", "filled", "aliased", "absent", "c__v2", "copy_of_c", "d__v2"]
    opened.clean([Address("v", "collection", (n,)) for n in names])
    assert store.names() == sorted({*names} - {"absent", "c__v2"}), "only what its metadata says a generation is"


def test_an_empty_one_is_counted_again_before_it_goes(store: Store) -> None:
    opened = session(store.url)
    store.send("PUT", "/collections/c", {"vectors": {"size": 4, "distance": "Dot"}})
    store.fill()
    with pytest.raises(StoreError, match=r"holds points now \(1\)"):
        opened.run(Op("drop_if_empty", {"collection": "c"}), Timeouts())
    assert store.names() == ["c"]
    opened.run(Op("drop_if_empty", {"collection": "absent"}), Timeouts())


def test_waiting_ends_when_the_optimizers_are_done_or_at_the_limit(store: Store) -> None:
    opened = session(store.url)
    body = {"vectors": {"size": 64, "distance": "Dot"}, "optimizers_config": {"indexing_threshold": 1}}
    store.send("PUT", "/collections/c", body)
    points = [{"id": i, "vector": [float((i * 7 + k) % 13) for k in range(64)]} for i in range(3000)]
    store.send("PUT", "/collections/c/points?wait=true", {"points": points})
    opened.run(Op("wait_green", {"collection": "c"}), Timeouts(wall="2m"))
    assert store.send("GET", "/collections/c")["status"] == "green"
    store.send("PATCH", "/collections/c", {"hnsw_config": {"m": 60, "ef_construct": 500}})
    with pytest.raises(StoreError, match="is still yellow after 0 s"):
        opened.run(Op("wait_green", {"collection": "c"}), Timeouts(wall="1ms"))
    address = Address("v", "collection", ("c",))
    step = Step("s", address, (Op("copy_points", {"from": "c", "to": "d"}), Op("wait_green", {"collection": "c"})))
    assert re.fullmatch(r"status yellow, [\d,]+ vectors of 3,000 points indexed", opened.progress([step])["s"])
    store.send("PUT", "/collections/d", body)
    store.send("PUT", "/collections/d/points?wait=true", {"points": points[:2000]})
    assert opened.progress([step]) == {"s": "2,000 of 3,000 points copied"}


def test_emptiness_and_size(store: Store) -> None:
    store.declare("collections:\n  c: {vectors: {a: {embedding: passages}, b: {embedding: passages}}}")
    store.apply()
    opened = session(store.url)
    opened.introspect()
    address = Address("v", "collection", ("c",))
    assert opened.is_empty(address)
    store.fill("c", {"a": [1, 2, 3, 4]})
    assert not opened.is_empty(address)
    assert opened.measure([address]) == {address: {"points": 1, "vectors": 2}}
    assert opened.is_empty(Address("v", "collection", ("absent",)))


def test_a_refusal_that_passes_is_tried_again(store: Store) -> None:
    opened = session(store.url)
    strict = {"enabled": True, "write_rate_limit": 1}
    store.send("PUT", "/collections/c", {"vectors": {"size": 4, "distance": "Dot"}, "strict_mode_config": strict})
    point = {"points": [{"id": 1, "vector": [1, 2, 3, 4]}]}
    with pytest.raises(StoreError) as error:
        for _ in range(5):
            opened.run(Http("PUT", "/collections/c/points?wait=true", point), Timeouts())
    assert opened.transient(error.value)
    with pytest.raises(StoreError) as error:
        opened.run(Http("PUT", "/collections/absent/points?wait=true", point), Timeouts())
    assert not opened.transient(error.value)
    assert not opened.transient(ValueError("no"))


def test_options_of_later_servers_are_refused_before_planning() -> None:
    where = Source("v.yaml", 7, 5)
    address = Address("v", "collection", ("c",))
    old = State.of(
        [
            Collection(address=address, source=where, versioned=False, hnsw={"inline_storage": True}),
            Collection(address=Address("v", "collection", ("d",)), source=where),
            PayloadIndex(address=address.child("payload_index", "k"), source=where, type="keyword", prefix=True),
        ]
    )
    said = [str(p) for p in checks.unsupported(old, (1, 15, 2))]
    assert len(said) == 3
    assert "v.yaml:7:5: v.collection.c: hnsw.inline_storage needs Qdrant 1.16, this server is 1.15.2" in said[0]
    assert "write `versioned: false`" in said[1]
    assert [s for s in said if "prefix needs Qdrant 1.19" in s]
    assert len(checks.unsupported(old, (1, 16, 3))) == 1
    assert checks.unsupported(old, (1, 19, 0)) == []
    assert len(checks.unsupported(old, (1, 15, 2), plain={"d"})) == 2


def test_a_turbo_quantization_is_refused_here(store: Store) -> None:
    store.collection("vector: {embedding: passages}, quantization: {turbo: {bits: bits4}}")
    with pytest.raises(ReconcileError, match=r"v\.yaml:3:\d+: .*quantization\.turbo needs Qdrant 1\.18"):
        store.plan()


def test_reading_goes_on_when_its_connection_breaks(store: Store) -> None:
    for name in ("a b", "größe", "🦀"):
        path = wire.collection_path(name)
        store.send("PUT", path, {"vectors": {"size": 4, "distance": "Dot"}})
        opened, shown = session(store.url), store.send("GET", path)
        for _ in range(2):
            assert opened.http.get(path)["config"] == shown["config"]
        lane = opened.http._lane
        assert lane is not None and lane.connection is not None
        lane.connection.sock.shutdown(socket.SHUT_RDWR)
        for _ in range(2):
            assert opened.http.get(path)["config"] == shown["config"]
        with pytest.raises(QdrantError, match="doesn't exist"):
            opened.http.get("/collections/absent")
        opened.close()


@pytest.mark.parametrize(
    ("url", "proxy", "direct", "taken"),
    [
        ("http://db.example:6333", "", False, True),
        ("http://db.example:6333/under", "", False, True),
        ("https://db.example", "", False, False),
        ("http://user:word@db.example:6333", "", False, False),
        ("http://db.example:6333", "http://proxy.example:3128", False, False),
        ("http://127.0.0.1:6333", "http://proxy.example:3128", True, True),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_ordinary_client(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str, direct: bool, taken: bool
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("http_proxy", proxy)
    assert (Lane(url, {}, 1.0, direct).connection is not None) is taken


def test_a_collection_left_grey_is_nudged(tmp_path: Path) -> None:
    """A server that died while it rebuilt an index leaves the collection so for ever, with optimizers that are "ok"."""
    server = Qdrant(tmp_path / "qdrant")
    server.start()

    def opened() -> QdrantSession:
        login = server.login()
        assert login is not None
        return session(f"http://127.0.0.1:{login.port}")

    body = {"vectors": {"size": 32, "distance": "Dot"}, "optimizers_config": {"indexing_threshold": 1}}
    points = [{"id": i, "vector": [float((i * 7 + k * i) % 13) for k in range(32)]} for i in range(2000)]
    try:
        before = opened()
        before.run(Http("PUT", "/collections/c", body), Timeouts())
        before.run(Http("PUT", "/collections/c/points?wait=true", {"points": points}), Timeouts())
        before.run(Op("wait_green", {"collection": "c"}), Timeouts(wall="2m"))
        before.run(Http("PATCH", "/collections/c", {"hnsw_config": {"m": 32, "ef_construct": 400}}), Timeouts())
        while before.http.get("/collections/c")["status"] != "yellow":
            pass
        pid = server.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        before.close()
        while server.pid() is not None:
            time.sleep(0.05)
        server.start()
        after = opened()
        assert after.http.get("/collections/c")["status"] == "grey"
        assert after.http.get("/collections/c")["optimizer_status"] == "ok"
        after.run(Op("wait_green", {"collection": "c"}), Timeouts(wall="2m"))
        assert after.http.get("/collections/c")["config"]["hnsw_config"]["m"] == 32
        after.close()
    finally:
        server.stop(keep_data=False)
