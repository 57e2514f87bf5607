"""References of store settings, and secrets kept out of messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile.errors import ReconcileError
from reconcile.model import Source
from reconcile.references import check, database_url, masked, names, secrets
from reconcile.stores.base import StoreSpec
from reconcile.yamlio import parse

WHERE = Source("reconcile.yaml", 3)


def spec(text: str, directory: Path = Path()) -> StoreSpec:
    (settings,) = parse(text, "reconcile.yaml")
    return StoreSpec("app", "postgres", settings, Source("reconcile.yaml", 1), directory)


def test_references_are_read_when_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = spec(
        'url: "postgresql://${H}:${P:-5432}/${D:-}x"\nport: 6333\npassword: "${file:secret}"\n'
        'user: "$${H}"\ndatabase: "${E}"\nhost: "${E:-fallback}"\nflag: true\n',
        tmp_path,
    )
    monkeypatch.setenv("H", "db")
    monkeypatch.setenv("E", "")
    (tmp_path / "secret").write_text("s3cret\n")
    assert store.resolve("url") == "postgresql://db:5432/x"
    monkeypatch.setenv("H", "other")
    assert store.resolve("url") == "postgresql://other:5432/x"
    assert store.resolve("password") == "s3cret"
    assert store.resolve("user") == "${H}"
    assert store.resolve("port") == "6333"
    assert store.resolve("flag") == "true"
    assert store.resolve("database") is None
    assert store.resolve("host") == "fallback"
    assert store.resolve("absent") is None
    assert names(store) == ("H", "P", "D", "E")


def test_what_is_missing_is_named_with_store_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    store = spec('kind: postgres\nurl: "x://${NOT_SET}"\npassword: "${file:nowhere}"')
    with pytest.raises(ReconcileError) as caught:
        store.resolve("url")
    assert str(caught.value).startswith(
        'reconcile.yaml:2:6: store "app": url needs the environment variable NOT_SET, which is not set\n'
        "  export NOT_SET="
    )
    with pytest.raises(ReconcileError, match=r'yaml:3:11: store "app": password .* file nowhere.*: No such file'):
        store.resolve("password")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${}", "${} is no reference"),
        ("${A-B}", "${A-B} is no reference"),
        ("${A:-b", "${ is not closed"),
        ("${file:}", "${file:} is no reference"),
        ("${var.x}", "variables are for schema files"),
    ],
)
def test_wrong_references_are_found_without_reading_any(text: str, message: str) -> None:
    (problem,) = check(f"a {text} b", WHERE)
    assert message in str(problem)


def test_right_references_are_no_problem() -> None:
    assert check("${A}${B:-}${C:-postgresql://x}${file:/run/x y}$${literal", WHERE) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://abcd.supabase.co", "is https://abcd.supabase.co, not an address of a postgres server"),
        ("https://u:hidden@h.example/x", "https://h.example, not"),
        ("localhost:5432/db", "has no scheme"),
        ("bolt://h:7687", "is bolt://h:7687, not"),
        ("postgresql://u:p/w@h:x/db", "percent-encoded"),
    ],
)
def test_an_address_of_another_kind_is_answered_with_the_right_form(url: str, message: str) -> None:
    forms = {r"https?://([a-z0-9]+)\.supabase\.co": r"postgresql://USER:PASSWORD@db.\1.supabase.co:5432/postgres"}
    with pytest.raises(ReconcileError) as caught:
        database_url(spec(f"url: {url}"), ("postgresql", "postgres"), "postgresql://USER@HOST/DB", forms)
    assert message in str(caught.value)
    assert "reconcile.yaml:1:6" in str(caught.value)
    assert "hidden" not in str(caught.value)
    form = "db.abcd.supabase.co:5432/postgres" if "supabase" in url else "postgresql://USER@HOST/DB"
    assert form in (caught.value.hint or "")


@pytest.mark.parametrize("url", ["postgresql://u:p@h:5432/d", "POSTGRES://h", "postgresql://a:1,b:2/d?x=y"])
def test_right_addresses_pass(url: str) -> None:
    assert database_url(spec(f"url: {url}"), ("postgresql", "postgres"), "form") == url
    assert database_url(spec("host: x"), ("postgresql",), "form") is None


SECRET = "Xy-hidden_42"


@pytest.mark.parametrize(
    "text",
    [
        f"connection to postgresql://app:{SECRET}@db:5432/app failed",
        f"bolt://neo4j:{SECRET}@h, http://:{SECRET}@h",
        f"postgresql://app:a@{SECRET}@db/x",
        f"postgresql://app:a/{SECRET}@db/x",
        f"host=db password={SECRET} user=x",
        f"password='{SECRET} with blank'",
        f"http://h/x?api_key={SECRET}&y=1",
        f'{{"api-key": "{SECRET}"}}',
        f"Authorization: Bearer {SECRET}",
        f"Authorization: Basic {SECRET}=",
        f"PGPASSWORD={SECRET}",
        f"NEO4J_PASSWORD: {SECRET}",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    assert SECRET not in masked(text)
    assert "***" in masked(text)


def test_what_is_no_secret_stays() -> None:
    text = "cannot reach http://127.0.0.1:6333/collections: connection refused; mail a@b.example"
    assert masked(text) == text


def test_known_secrets_are_masked_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "one%40two")
    monkeypatch.delenv("NOT_SET", raising=False)
    store = spec('url: "postgresql://app:${PW}@db/x"\npassword: "${NOT_SET}"')
    assert masked("role one@two / one%40two", secrets(store)) == "role *** / ***"
