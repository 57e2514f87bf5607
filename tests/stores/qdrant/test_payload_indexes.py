"""Payload indexes: every type and parameter, fields of any name, changes by PUT."""

from __future__ import annotations

from typing import Any

import pytest
from tests.stores.qdrant.store import Store, lines

HEAD = "vector: {dimensions: 4, distance: cosine}, payload_indexes: "

CHANGES: list[tuple[str, str]] = [
    ("keyword", "{type: keyword, is_tenant: true}"),
    ("{type: keyword, on_disk: true}", "{type: keyword, on_disk: false}"),
    ("integer", "{type: integer, is_principal: true}"),
    ("{type: integer, lookup: true, range: true}", "{type: integer, lookup: false}"),
    ("float", "{type: float, is_principal: true, on_disk: true}"),
    ("datetime", "{type: datetime, is_principal: true}"),
    ("uuid", "{type: uuid, is_tenant: true}"),
    ("geo", "{type: geo, on_disk: true}"),
    ("bool", "{type: bool, on_disk: true}"),
    ("text", "{type: text, tokenizer: whitespace, min_token_len: 2, max_token_len: 20, lowercase: false}"),
    ("{type: text, tokenizer: prefix}", "{type: text, tokenizer: multilingual, phrase_matching: true}"),
    ("text", "{type: text, ascii_folding: true, stopwords: english}"),
    (
        "{type: text, stopwords: {languages: [english], custom: [foo]}}",
        "{type: text, stopwords: {languages: [english, german], custom: [foo]}}",
    ),
    ("text", "{type: text, stemmer: {type: snowball, language: german}}"),
    ("keyword", "integer"),
    ("text", "keyword"),
]

FIELDS = [
    "a.b",
    "a[].b",
    "a[0].b",
    '"a b".c',
    '"a.b"."c,d"[].e',
    '"🦀"',
    "größe",
    "日本",
    "user-id",
    '"{x}"',
    '"a/b?c%d&e"',
]


def schema(store: Store) -> Any:
    return store.send("GET", "/collections/c__v1")["payload_schema"]


def indexes(fields: dict[str, str]) -> str:
    keys = {path: "'" + path.replace("'", "''") + "'" for path in fields}
    return HEAD + "{" + ", ".join(f"{keys[path]}: {text}" for path, text in fields.items()) + "}"


def test_indexes_are_built_and_rebuilt(store: Store) -> None:
    names = [f"f{i}" for i in range(len(CHANGES))]
    store.collection(indexes({n: before for n, (before, _) in zip(names, CHANGES, strict=True)}))
    store.apply()
    store.fill()
    store.collection(indexes({n: after for n, (_, after) in zip(names, CHANGES, strict=True)}))
    made = store.apply()
    found = {c.address.parts[-1]: c.actions for c in made.resource_changes}
    assert found == dict.fromkeys(names, ("rebuild",))
    assert all("index-gap" in s.hazards for s in made.steps)


def test_fields_of_any_name(store: Store) -> None:
    store.collection(HEAD + "{}")
    store.apply()
    store.collection(indexes(dict.fromkeys(FIELDS, "keyword")))
    store.apply()
    assert sorted(schema(store)) == sorted(FIELDS)
    store.collection(indexes(dict.fromkeys(FIELDS, "integer")))
    store.apply()
    assert {s["data_type"] for s in schema(store).values()} == {"integer"}
    store.collection(HEAD + "{}")
    store.apply()
    assert schema(store) == {}


def test_needless_quotes_name_the_same_field(store: Store) -> None:
    store.collection(HEAD + """{'"a"."b"': keyword}""")
    store.apply()
    assert list(schema(store)) == ["a.b"]


def test_the_plain_form_made_by_hand_is_equal(store: Store) -> None:
    store.collection(HEAD + "{}")
    store.apply()
    for field, kind in (("k", "keyword"), ("t", "text"), ("n", "integer")):
        store.send("PUT", "/collections/c/index?wait=true", {"field_name": field, "field_schema": kind})
    store.collection(HEAD + "{k: {type: keyword, is_tenant: false}, t: {type: text, tokenizer: word}, n: integer}")
    assert lines(store.plan()) == []


def test_an_unset_parameter_is_left(store: Store) -> None:
    store.collection(HEAD + "{k: {type: keyword, is_tenant: true}}")
    store.apply()
    store.collection(HEAD + "{k: keyword}")
    assert lines(store.plan()) == []


def test_an_index_made_by_hand_is_extra(store: Store) -> None:
    store.collection(HEAD + "{k: keyword}")
    store.apply()
    store.send("PUT", "/collections/c/index?wait=true", {"field_name": "x", "field_schema": "bool"})
    assert lines(store.plan()) == []
    assert lines(store.plan(prune="extra")) == ["delete v.payload_index.c.x bool"]
    store.apply(prune="extra")
    assert list(schema(store)) == ["k"]


def test_a_dropped_index_breaks_clients_where_strict_mode_wants_one(store: Store) -> None:
    strict = "strict_mode: {enabled: true, unindexed_filtering_retrieve: false}, "
    store.collection(strict + HEAD + "{k: keyword}")
    store.apply()
    store.collection(strict + HEAD + "{}")
    assert "breaks-clients" in {h for s in store.plan().steps for h in s.hazards}


def test_strict_mode_limit_is_seen_before_anything_is_sent(store: Store) -> None:
    from reconcile import workflow
    from reconcile.errors import ReconcileError

    strict = "strict_mode: {enabled: true, max_payload_index_count: 1}, "
    store.collection(strict + HEAD + "{k: keyword}")
    store.apply()
    store.collection(strict + HEAD + "{k: keyword, l: keyword}")
    with pytest.raises(ReconcileError, match="allows 1 payload indexes"):
        workflow.apply(store.project, store.plan())
    assert list(schema(store)) == ["k"]
