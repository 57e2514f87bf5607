"""Payload indexes: every type and parameter, fields of any name, changes by PUT."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.stores.qdrant.store import Store, lines

from reconcile.change import Http
from reconcile.stores.qdrant import settings

HEAD = "vector: {dimensions: 4, distance: cosine}, payload_indexes: "

VALUES: dict[str, tuple[str, str]] = {
    "is_tenant": ("true", "false"),
    "is_principal": ("true", "false"),
    "lookup": ("true", "false"),
    "range": ("false", "true"),
    "tokenizer": ("prefix", "multilingual"),
    "min_token_len": ("2", "0"),
    "max_token_len": ("20", "30"),
    "lowercase": ("false", "true"),
    "ascii_folding": ("true", "false"),
    "phrase_matching": ("true", "false"),
    "stopwords": ("{languages: [german, english, german], custom: [zz, aa]}", "english"),
    "stemmer": ("{type: snowball, language: german}", "none"),
    "on_disk": ("true", "false"),
}
"""Of every parameter, before and after."""
CASES = [(kind, name) for kind in settings.TYPES for name, p in settings.INDEX[kind].items() if p.since <= (1, 16)]

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
    '""',
]


def schema(store: Store) -> Any:
    return store.send("GET", "/collections/c__v1")["payload_schema"]


def indexes(fields: dict[str, str]) -> str:
    keys = {path: "'" + path.replace("'", "''") + "'" for path in fields}
    return HEAD + "{" + ", ".join(f"{keys[path]}: {text}" for path, text in fields.items()) + "}"


def test_every_type_and_parameter_is_built_read_rebuilt_and_read(store: Store) -> None:
    def declared(which: int) -> str:
        fields = {f"{k}_{n}": f"{{type: {k}, {n}: {VALUES[n][which]}}}" for k, n in CASES}
        return indexes(fields | {f"from_{k}": k if which == 0 else "integer" for k in settings.TYPES})

    store.collection(declared(0))
    store.apply()
    store.fill()
    for which in (0, 1):
        if which:
            store.collection(declared(1))
            made = store.apply()
            assert {c.actions for c in made.resource_changes} == {("rebuild",)}
            assert {str(c.address) for c in made.resource_changes} == {
                f"v.payload_index.c.{name}" for name in schema(store) if name != "from_integer"
            }
            assert all("index-gap" in s.hazards for s in made.steps)
            for step in made.steps:
                put = step.calls[0]
                assert isinstance(put, Http)
                assert "timeout" not in put.path  # 1.16 cannot read it here
        for kind, name in CASES:
            found = schema(store)[f"{kind}_{name}"]
            asked = yaml.safe_load(VALUES[name][which])
            if name == "stopwords" and which == 0:
                asked = {"languages": ["english", "german"], "custom": ["aa", "zz"]}
            assert found["data_type"] == kind
            assert found["params"].get(name, "none") == asked, f"{kind}.{name}"
    store.collection(
        indexes({f"{k}_{n}": k for k, n in CASES} | dict.fromkeys((f"from_{k}" for k in settings.TYPES), "integer"))
    )
    assert lines(store.plan()) == [], "a parameter taken out of the YAML is left"


def test_a_change_is_shown_as_a_replacement_with_its_gap(store: Store) -> None:
    store.collection(HEAD + "{k: keyword, n: integer}")
    store.apply()
    store.collection(HEAD + "{k: {type: keyword, is_tenant: true}, n: float}")
    made = store.plan()
    assert lines(made) == [
        "rebuild v.payload_index.c.k is_tenant false → true",
        "rebuild v.payload_index.c.n integer → float",
    ]
    for change in made.resource_changes:
        assert change.action_reason == "rebuild_for_options"
        assert "until then filters on it scan, or strict mode refuses them" in (change.strategy or "")


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
