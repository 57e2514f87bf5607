"""`reconcile import`: what it writes declares what is there, so that the plan is empty and `verify` finds nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

import yaml
from tests.projects import Folder
from tests.stores.redis.server import Commands

from reconcile import workflow

HELD = """
CONFIG SET maxmemory 64mb
CONFIG SET slowlog-log-slower-than -1
CONFIG SET notify-keyspace-events KEA
SET greeting hello
FT.CREATE odd NOOFFSETS SCORE 0.5 SCHEMA title TEXT
"""
INDEX = (
    "FT.CREATE docs PREFIX 1 doc: STOPWORDS 1 der SCHEMA title TEXT WEIGHT 2 tags AS labels TAG SEPARATOR ;"
    " v VECTOR FLAT 6 TYPE FLOAT16 DIM 2 DISTANCE_METRIC IP"
)


def test_parameters_and_proposed_families(project: Callable[..., Folder], cache: Commands) -> None:
    cache.run(HELD + INDEX)
    for n in range(30):
        cache.client.hset(f"session:{n:04x}-{n}", "user", f"u{n}")
        cache.client.expire(f"session:{n:04x}-{n}", 86_000)
        cache.client.set(f"rate:10.0.0.{n}:{1700 + n}", n, ex=100)
        cache.client.set(f"doc:{n}:{'title' if n % 2 else 'body'}", n)
    cache.client.rpush("doc:{x}", "literal braces")
    folder = project().declare()
    workflow.import_(folder.load())
    text = (folder.path / "schema" / "keys.yaml").read_text()
    assert re.search("# not modelled: cache.index.odd  index with NOOFFSETS.*, default_score", text)
    assert "# families are proposed from a sample" in text
    assert yaml.safe_load(text) == {
        "store": "cache",
        "families": {
            "doc_body": {"pattern": "doc:{id}:body", "type": "string", "ttl": "none"},
            "doc_title": {"pattern": "doc:{id}:title", "type": "string", "ttl": "none"},
            "doc_x": {"pattern": "doc:\\{x\\}", "type": "list", "ttl": "none"},
            "greeting": {"pattern": "greeting", "type": "string", "ttl": "none"},
            "rate": {"pattern": "rate:{id1}:{id2}", "type": "string", "ttl": "2min"},
            "session": {"pattern": "session:{id}", "type": "hash", "ttl": "24h"},
        },
        "indexes": {
            "docs": {
                "prefixes": ["doc:"],
                "stopwords": ["der"],
                "fields": {
                    "title": {"type": "text", "weight": 2},
                    "labels": {"type": "tag", "path": "tags", "separator": ";"},
                    "v": {
                        "type": "vector",
                        "algorithm": "flat",
                        "element": "float16",
                        "dimensions": 2,
                        "distance": "dot",
                    },
                },
            }
        },
        "config": {"maxmemory": 67108864, "notify-keyspace-events": "AKE", "slowlog-log-slower-than": -1},
    }
    assert folder.plan().steps == ()
    assert workflow.verify(folder.load())["clean"]


def test_only_what_is_asked_for(project: Callable[..., Folder], cache: Commands) -> None:
    cache.run(HELD)
    folder = project().declare()
    workflow.import_(folder.load(), ["cache.config.max*"])
    found = yaml.safe_load((folder.path / "schema" / "keys.yaml").read_text())
    assert found == {"store": "cache", "config": {"maxmemory": 67108864}}
