"""API keys that see or may do only a part: never taken for a store where everything is missing. On a real server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.stores.qdrant.store import Store, lines

from reconcile import workflow
from reconcile.backfills.change import asked_besides
from reconcile.change import Op, Step
from reconcile.errors import ReconcileError
from reconcile.model import Address
from reconcile.sandbox.qdrant import Qdrant
from reconcile.sandbox.server import Login
from reconcile.stores.qdrant import checks, options

KEY = "a-key-nobody-may-see-0123456789"
READER = "another-key-that-only-reads-987"
MAY_ONLY_READ = "the API key may only read"

TENANT = "{type: keyword, is_tenant: true}"
DECLARED = """
collections:
  mine: {vector: {embedding: passages}, hnsw: {m: 16}, payload_indexes: {tenant: keyword}}
  theirs: {vector: {embedding: passages}, payload_indexes: {tenant: keyword}}
  plain: {versioned: false, vector: {embedding: passages}}
aliases: {live: mine}
"""


class Protected(Qdrant):
    """The same server, asking for an API key."""

    def prepare(self, login: Login) -> None:
        super().prepare(login)
        path = self.folder / "config.yaml"
        config = json.loads(path.read_text())
        config["service"] |= {"api_key": KEY, "read_only_api_key": READER, "jwt_rbac": True}
        path.write_text(json.dumps(config))


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Protected(tmp_path_factory.mktemp("protected"))
    login = server.start()
    try:
        yield f"http://127.0.0.1:{login.port}"
    finally:
        server.stop(keep_data=False)


@pytest.fixture
def store(tmp_path: Path, protected: str) -> Iterator[Store]:
    """A project over that server with all of `DECLARED` applied, by the key that may everything."""
    made = Store(tmp_path, protected, key=KEY)
    made.declare(DECLARED)
    made.apply()
    yield made
    for name in (*made.names(), options.MARK):
        made.send("DELETE", f"/collections/{name}")


def token(claims: Any, key: str = KEY) -> str:
    """A JWT as the server's manual describes it: HS256 with the API key."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = part(json.dumps(claims).encode())
    sign = hmac.new(key.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{part(sign)}"


def limited(**access: str) -> str:
    return token({"access": [{"collection": name, "access": level} for name, level in access.items()]})


def everything(store: Store) -> Any:
    """All there is on the server."""
    names = [c["name"] for c in store.send("GET", "/collections")["collections"]]
    return {n: store.send("GET", f"/collections/{n}") for n in names}, store.aliases()


def refused(store: Store, *allow: str) -> str:
    """What applying the plan of the key in use is refused with, before anything is changed."""
    made, before = store.plan(*allow), everything(store)
    with pytest.raises(ReconcileError) as error:
        workflow.apply(store.project, made)
    assert everything(store) == before
    assert KEY not in str(error.value)
    assert "nothing was changed" in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("level", ["r", "prw"])
def test_what_a_key_for_some_collections_does_not_see_is_unknown(store: Store, level: str) -> None:
    store.use(limited(mine__v1=level))
    made = store.plan(prune="all")
    assert lines(made) == []
    assert made.observed["partial"] == {"v": ["the API key sees only the collections mine__v1, and no aliases"]}
    unknown = {"collection.theirs", "collection.plain", "payload_index.theirs.tenant", "alias.mine", "alias.theirs"}
    assert set(made.observed["unknown"]) == {f"v.{name}" for name in (*unknown, "alias.live")}
    store.declare("collections: {}")
    assert lines(store.plan()) == [], "what is no longer declared is not dropped where not all is seen"
    imported = workflow.import_(store.project, out=Path("again"))
    assert imported.partial == (("v", "the API key sees only the collections mine__v1, and no aliases"),)
    assert "theirs" not in imported.files[0].read_text()


def test_a_key_for_no_collection_sees_nothing_missing(store: Store) -> None:
    store.use(limited())
    assert lines(store.plan(prune="all")) == []
    store.use(limited(live="rw"))  # an alias is not what it points at
    assert lines(store.plan(prune="all")) == []


def test_a_generation_that_is_not_the_current_one_is_not_taken_for_it(store: Store) -> None:
    """Only the old generation is seen, and no alias that would tell."""
    store.declare(DECLARED.replace("m: 16}", "m: 16}, on_change: copy, writes: frozen, shard_number: 2"))
    workflow.apply(store.project, store.plan("all"))
    assert store.aliases()["mine"] == "mine__v2"
    store.use(limited(mine__v1="rw"))
    store.declare(DECLARED.replace("m: 16", "m: 99"))
    assert lines(store.plan(prune="all")) == []
    store.use(limited(mine__v2="rw"))
    assert lines(store.plan()) == ["update v.collection.mine hnsw.m 16 → 99"]


@pytest.mark.parametrize("key", [READER, token({"access": "r"}), limited(mine__v1="r")], ids=["key", "all", "one"])
def test_a_key_that_may_only_read_plans_and_is_refused_before_anything_changes(store: Store, key: str) -> None:
    store.use(key)
    store.declare(DECLARED.replace("m: 16", "m: 24").replace("tenant: keyword", f"tenant: {TENANT}"))
    assert "update v.collection.mine hnsw.m 16 → 24" in lines(store.plan())
    said = refused(store, "all")
    assert MAY_ONLY_READ in said if "." not in key else "the API key may" in said
    assert "use one that may manage the server: its `api_key`, or a JWT with access m" in said


def test_a_key_that_may_write_a_collection_may_not_change_its_settings(store: Store) -> None:
    store.use(limited(mine__v1="rw"))
    store.declare(DECLARED.replace("m: 16", "m: 24"))
    said = refused(store, "all")
    assert "may not make or change collections and aliases, as these steps do: v.collection.mine/1-alter" in said


def test_a_key_that_may_write_a_collection_builds_its_payload_indexes(store: Store) -> None:
    """Where it also sees the store's mark, which tells whose store it is."""
    changed = DECLARED.replace("tenant: keyword}}\n  theirs", f"tenant: {TENANT}}}}}\n  theirs")
    store.use(limited(mine__v1="rw"))
    store.declare(changed)
    assert "may not write the store's mark, the metadata of the collection _reconcile" in refused(store, "all")
    store.use(limited(mine__v1="rw", _reconcile="r"))
    store.declare(changed)
    workflow.apply(store.project, store.plan("all"))
    assert lines(store.plan()) == []
    store.use(KEY)
    assert lines(store.plan()) == []
    assert store.send("GET", "/collections/mine")["payload_schema"]["tenant"]["params"]["is_tenant"] is True


def test_a_key_that_has_expired_or_is_forged_is_said_to_be(store: Store) -> None:
    store.use(token({"access": "m", "exp": int(time.time()) - 1000}))
    with pytest.raises(ReconcileError, match="the API key has expired"):
        store.plan()
    forged = token({"access": "m"}, key="guessed")
    store.use(forged)
    with pytest.raises(ReconcileError, match="the API key is not accepted") as error:
        store.plan()
    assert forged not in str(error.value)


def test_a_key_that_may_manage_does_everything(store: Store) -> None:
    store.use(token({"access": "m"}))
    store.declare(DECLARED.replace("m: 16", "m: 24"))
    store.apply()


def test_what_is_no_token_says_nothing_of_itself() -> None:
    for text in (None, "", "plain", "a.b.c", "a.e30.c", f"a.{base64.urlsafe_b64encode(b'[]').decode()}.c"):
        assert checks.Key.read(text).unseen == ""


def test_a_wrong_or_missing_key(protected: str, tmp_path: Path) -> None:
    store = Store(tmp_path, protected)
    store.declare("collections: {}")
    for key, said in ((None, "the server wants an API key"), ("wrong-key-1234567", "the API key is not accepted")):
        store.use(key)
        with pytest.raises(ReconcileError, match=said) as error:
            store.plan()
        assert "wrong-key-1234567" not in str(error.value)
    store.use("bröken\nkey")
    with pytest.raises(ReconcileError, match="no HTTP header can carry"):
        store.plan()


def test_check_says_what_the_key_may_and_grants_what_is_enough(store: Store) -> None:
    wanted = DECLARED.replace("payload_indexes: {tenant: keyword}", "payload_indexes: {tenant: keyword, lang: keyword}")
    store.declare(wanted)
    ((_, claims),) = workflow.grants(store.project, "any").items()
    said = {}
    for command in ("plan", "apply"):
        access = next(line for line in claims[command].splitlines() if line.startswith("{"))
        store.use(token(json.loads(access)))
        assert len(store.plan().steps) == 2
        ((checks,),) = [[s["checks"]] for s in workflow.check(store.project)["stores"]]
        said[command] = [(c["verdict"], c["what"]) for c in checks if c["topic"] == "privileges"]
    assert said == {
        "plan": [("stops", f"v: {MAY_ONLY_READ}")],
        "apply": [("good", "the key may do what the steps do")],
    }
    few = [line for line in claims["apply"].splitlines() if line.startswith("{")][1]
    assert {entry["collection"]: entry["access"] for entry in json.loads(few)["access"]} == {
        "mine__v1": "rw",
        "theirs__v1": "rw",
    }
    store.apply()
    assert store.plan().steps == ()


def test_verify_says_which_collections_the_key_does_not_show(store: Store) -> None:
    store.use(limited(plain="r"))
    report = workflow.verify(store.project)
    skipped = {found["address"]: found["why"] for found in report["not_looked_at"]}
    assert set(skipped) == {"v.collection.mine", "v.collection.theirs"}
    assert all("API key" in why or "forbidden" in why.lower() for why in skipped.values()), skipped


@pytest.mark.parametrize(
    "what", [{"into": "vectors.collection.mine"}, {"truncate": {"place": "vectors.collection.mine"}}]
)
def test_what_another_stores_backfill_puts_into_or_empties_takes_a_key_that_writes(what: dict[str, Any]) -> None:
    call = Op("backfill_rows", {"select": "SELECT id FROM t", "copy": {"id": "id"}, **what})
    step = Step(id="app.backfill.x/1-run", address=Address("app", "backfill", ("x",)), calls=(call,))
    (put,) = asked_besides(step)
    assert str(put.address) == "vectors.collection.mine"
    assert [MAY_ONLY_READ in str(p) for p in checks.may_not(checks.Key(), [put], marked=True)] == [True]
    assert checks.may_not(checks.Key({"mine": "rw"}), [put], marked=True) == []
    assert checks.may_not(checks.Key({"mine": "r", "theirs": "rw"}), [put], marked=True)
