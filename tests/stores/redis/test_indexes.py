"""Search indexes on a real server: refusals, what is told before, filling, contracts, vectors that do not fit."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from tests.projects import Folder
from tests.stores.redis.server import Commands

from reconcile import workflow
from reconcile.errors import ReconcileError

Make = Callable[..., Folder]
DOCS = 'indexes: {docs: {prefixes: ["doc:"], fields: {title: text, v: {embedding: passages}}}}'


@pytest.mark.parametrize(
    ("indexes", "message"),
    [
        ("{d: {fields: {v: {embedding: passags}}}}", 'no embedding "passags"; did you mean "passages"?'),
        ("{d: {fields: {v: {embedding: passages, dimensions: 4}}}}", "`dimensions: 4` beside `embedding: passages`"),
        ("{d: {fields: {v: {type: vector, dimensions: 4}}}}", 'vector "v" has no distance'),
        ("{d: {fields: {v: {embedding: far}}}}", "RediSearch has no distance manhattan"),
        ("{d: {fields: {v: {embedding: passages, algorithm: flat, m: 4}}}}", 'a flat vector has no "m"'),
        ("{d: {fields: {t: {type: numeric, weight: 2}}}}", 'a field of type numeric has no "weight"'),
        ("{d: {fields: {t: {type: text, unf: true}}}}", "it needs `sortable: true`"),
        ("{d: {fields: {t: {weight: 2}}}}", 'field "t" has no type'),
        ("{d: {'on': json, fields: {t: text}}}", 'field "t" of a JSON index has no path'),
        ("{d: {'on': json, fields: {t: {type: text, path: $.t}}}}", "has not loaded the module RedisJSON"),
        ("{d: {fields: {t: txt}}}", 'did you mean "text"?'),
    ],
)
@pytest.mark.usefixtures("cache")
def test_mistakes_are_told_with_their_place(project: Make, indexes: str, message: str) -> None:
    folder = project()
    far = {"model": "m", "dimensions": 3, "distance": "manhattan"}
    folder.settings["embeddings"] = {"passages": {"model": "m", "dimensions": 3, "distance": "cosine"}, "far": far}
    with pytest.raises(ReconcileError) as caught:
        folder.declare(cache=f"indexes: {indexes}").plan()
    assert message in str(caught.value) and "schema/cache.yaml:2:" in str(caught.value)


def test_an_index_is_filled_when_the_run_ends(project: Make, cache: Commands) -> None:
    for n in range(2000):
        cache.client.hset(f"doc:{n}", mapping={"title": f"word{n}", "v": struct.pack("<3f", n, 1, 1)})
    folder = project().declare(cache=DOCS)
    folder.apply()
    assert "doc:1999" in str(cache("FT.SEARCH", "docs", "word1999", "NOCONTENT"))
    query = struct.pack("<3f", 3, 1, 1)
    near = cache("FT.SEARCH", "docs", "*=>[KNN 1 @v $q]", "NOCONTENT", "PARAMS", 2, "q", query, "DIALECT", 2)
    assert "doc:3" in str(near)
    assert folder.plan().steps == ()


def test_vectors_that_an_index_leaves_out_are_found(project: Make, cache: Commands) -> None:
    cache.client.hset("doc:1", mapping={"title": "fits", "v": struct.pack("<3f", 1, 2, 3)})
    cache.client.hset("doc:2", mapping={"title": "too short", "v": struct.pack("<2f", 1, 2)})
    cache.client.hset("doc:3", mapping={"title": "none"})
    folder = project().declare(cache=DOCS)
    folder.apply()
    report = workflow.verify(folder.load())
    told = [(f["address"], f["rule"], f["what"], f["count"], f["sample"]) for f in report["findings"]]
    assert told == [("cache.index.docs", "vector", "keys have in v 8 bytes, not the 12 of 3 float32", 1, ["doc:2"])]
