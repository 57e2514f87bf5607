"""YAML to resources: every problem with its line and what to do."""

from __future__ import annotations

import pytest
from tests.stores.qdrant.store import context

from reconcile import wording
from reconcile.model import Address
from reconcile.stores.qdrant import PACKAGE
from reconcile.stores.qdrant.resources import Alias, Collection, PayloadIndex
from reconcile.yamlio import parse

CASES: list[tuple[str, str]] = [
    # settings of a collection c (line 3), what is said
    ("vector: {embedding: passage}", '3:27: no embedding "passage"; did you mean "passages"?'),
    (
        "vector: {embedding: passages, dimensions: 8}",
        "3:37: `dimensions: 8` beside `embedding: passages` (declared at reconcile.yaml:9:3), which says"
        " dimensions 384; delete `dimensions`",
    ),
    (
        "vector: {embedding: half, datatype: float32}",
        "3:33: `datatype: float32` beside `embedding: half` (declared at reconcile.yaml:9:3), which says"
        " datatype float16",
    ),
    (
        "vector: {embedding: passages, distance: dot}",
        "3:37: `distance: dot` beside `embedding: passages` (declared at reconcile.yaml:9:3), which says"
        " distance cosine",
    ),
    (
        "vector: {embedding: huge}",
        "3:27: a Qdrant vector has at most 65536 dimensions, not 70000 (declared at reconcile.yaml:9:3)",
    ),
    ("vector: {dimensions: 65537, distance: dot}", "a Qdrant vector has at most 65536 dimensions, not 65537"),
    ("vector: {distance: dot}", "3:7: the vector has no dimensions; name an `embedding:`"),
    ("vectors: {a: {}}", '3:17: vector "a" has no dimensions and no distance'),
    (
        "vector: {embedding: passages}, vectors: {a: {embedding: passages}}",
        'collection "c" has `vector` (v.yaml:3:7) and `vectors`',
    ),
    (
        "vectors: {a: {embedding: passages}}, sparse_vectors: {a: {}}",
        '"a" is a sparse vector here and a dense one in v.yaml:3:17',
    ),
    ("payload_indexes: {a b: keyword}", '3:25: "a b" is no JSON path of a payload field; put a key'),
    ("payload_indexes: {'': keyword}", '"" is no JSON path of a payload field'),
    ("payload_indexes: {'a..b': keyword}", '"a..b" is no JSON path'),
    (
        "payload_indexes: {n: {type: integer, is_tenant: true}}",
        'a payload index of type integer has no "is_tenant": keyword, uuid have; integer takes: lookup, range',
    ),
    (
        "payload_indexes: {n: {type: integer, lookup: false, range: false}}",
        "an integer index needs lookup or range",
    ),
    ("metadata: {reconcile: {}}", 'the metadata key "reconcile" is the tool\'s own'),
]

NAMES: list[tuple[str, str]] = [
    ("collections: {a/b: {}}", "a collection name cannot contain '/'"),
    ("collections: {_reconcile: {}}", '"_reconcile" is the tool\'s own collection'),
    (f"collections: {{{'x' * 250}: {{}}}}", "a collection name has at most 249 bytes"),
    (f"collections: {{{'x' * 256}: {{versioned: false}}}}", "a collection name has at most 255 bytes"),
    ("collections: {c: {}}\naliases: {c: c}", 'there is a collection "c": an alias cannot share its name'),
    ("collections: {c: {}}\naliases: {a: c, b: a}", '"a" is an alias: an alias cannot point at an alias'),
    ("collections: {c: {}}\naliases: {'a:b': c}", "an alias name cannot contain ':'"),
]

SHAPES: list[tuple[str, str]] = [
    ("collections:\n  c: {vector: {dimension: 3, distance: dot}}", 'did you mean "dimensions"?'),
    ("collections:\n  c: {hnsw: {M: 3}}", 'did you mean "m"?'),
    ("collections:\n  c: {vector: {dimensions: 3, distance: cos}}", "expected cosine, euclidean, dot or manhattan"),
    ("collections:\n  c: {payload_indexes: {a: keywrd}}", "keyword"),
    ("collections:\n  c: {quantization: {scalar: {type: int8}, binary: {}}}", "at most 1 key"),
    ("collections:\n  c: {hnsw: {ef_construct: 3}}", "4"),
    ("collections:\n  c: {shard_number: 0}", "1"),
    ("collections:\n  c: {hnsw: {full_scan_threshold: 9}}", "10"),
    ("collections:\n  c: {strict_mode: {max_points_count: 0}}", "1"),
    ("collections:\n  c: {optimizers: {vacuum_min_vector_number: 99}}", "100"),
    ("collections:\n  c: {init_from: {collection: other}}", 'unknown key "init_from"'),  # taken with 200, ignored
    ("collections:\n  c: {vector: {dimensions: 3, distance: dot, memory: pinned}}", "cold or cached"),
    ("collections:\n  c: {payload_indexes: {t: {type: text, stemmer: snowball}}}", "none"),
    ("collections:\n  c: {on_change: drop}", "copy"),
]


def problems(text: str) -> list[str]:
    (document,) = parse(f"store: v\n{text}\n", "v.yaml")
    shape = wording.problems(document, PACKAGE.schema)
    if shape:
        return [str(p) for p in shape]
    asked = context()
    PACKAGE.parse([document], asked)
    return [str(p) for p in asked.problems]


@pytest.mark.parametrize(("settings", "said"), CASES, ids=[c[0][:40] for c in CASES])
def test_what_is_wrong_is_said_with_its_line(settings: str, said: str) -> None:
    found = problems(f"collections:\n  c: {{{settings}}}")
    assert len(found) == 1
    assert said in found[0]
    assert found[0].startswith("v.yaml:3:")


@pytest.mark.parametrize(("text", "said"), NAMES, ids=[c[0][:40] for c in NAMES])
def test_names_the_server_would_refuse(text: str, said: str) -> None:
    (found,) = problems(text)
    assert said in found


@pytest.mark.parametrize(("text", "said"), SHAPES, ids=[c[0][-40:] for c in SHAPES])
def test_the_schema_file_says_what_was_meant(text: str, said: str) -> None:
    (found,) = problems(text)
    assert said in found
    assert found.startswith("v.yaml:3:")


def test_all_of_it() -> None:
    (document,) = parse(
        """
store: v
collections:
  passages:
    vector: {embedding: half, on_disk: true}
    sparse_vectors: {bm25: {modifier: idf}, plain: }
    payload_indexes:
      tenant: {type: keyword, is_tenant: true}
      '"a"."b c"[].d': integer
    on_change: empty
  legacy: {versioned: false, vectors: {t: {dimensions: 8, distance: euclidean, multivector: max_sim}}}
aliases: {live: passages}
""",
        "v.yaml",
    )
    assert wording.problems(document, PACKAGE.schema) == []
    asked = context()
    found = {str(r.address): r for r in PACKAGE.parse([document], asked)}
    assert asked.problems == []
    passages = found["v.collection.passages"]
    assert isinstance(passages, Collection)
    assert passages.vector == {"size": 8, "distance": "Manhattan", "datatype": "float16", "on_disk": True}
    assert passages.sparse_vectors == {"bm25": {"modifier": "idf"}, "plain": {}}
    assert (passages.on_change, passages.contracts) == ("empty", {"": "half"})
    assert str(passages.source) == "v.yaml:4:3"
    index = found['v.payload_index.passages."a.""b c""[].d"']
    assert isinstance(index, PayloadIndex)
    assert (index.type, index.path, index.container) == ("integer", 'a."b c"[].d', passages.address)
    legacy = found["v.collection.legacy"]
    assert isinstance(legacy, Collection)
    assert legacy.vectors == {"t": {"size": 8, "distance": "Euclid", "multivector": "max_sim"}}
    aliases = {a.parts[-1]: r for a, r in ((r.address, r) for r in found.values()) if isinstance(r, Alias)}
    assert {n: (a.collection, a.own) for n, a in aliases.items()} == {
        "passages": ("passages", True),
        "live": ("passages", False),
    }
    assert aliases["live"].container == Address("v", "collection", ("passages",))


def test_every_key_of_the_schema_is_described() -> None:
    from typing import Any

    from reconcile.schemas import load

    def walk(schema: Any, path: str) -> list[str]:
        if not isinstance(schema, dict):
            return []
        lacking = []
        for key, value in schema.get("properties", {}).items():
            lacking += [] if value.get("description") else [f"{path}.{key}"]
            lacking += walk(value, f"{path}.{key}")
        for key in ("additionalProperties", "items"):
            lacking += walk(schema.get(key), path)
        for value in (*schema.get("anyOf", ()), *schema.get("$defs", {}).values()):
            lacking += walk(value, path)
        return lacking

    assert walk(load(PACKAGE.schema), "") == []
