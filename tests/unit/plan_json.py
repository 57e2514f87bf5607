"""A small plan in its JSON form, with one of everything that renderers show."""

from __future__ import annotations

from typing import Any

from reconcile.planfile import digest

Json = dict[str, Any]


def change(address: str, *actions: str, **more: Any) -> Json:
    """One entry of `resource_changes`."""
    before, after = more.pop("before", None), more.pop("after", None)
    return {
        "address": address,
        "type": address.split(".")[1],
        "change": {
            "actions": list(actions),
            "before": before,
            "after": after,
            "replace_paths": more.pop("replace_paths", []),
        },
        "action_reason": None,
        "describe": "",
        "strategy": None,
        "declared": None,
        "companion_of": None,
        "part_of": None,
        "reversible": True,
        **more,
    }


def step(id_: str, *calls: Json, **more: Any) -> Json:
    """One entry of `steps`."""
    address = id_.rpartition("/")[0]
    return {
        "id": id_,
        "store": address.split(".")[0],
        "phase": "expand",
        "group": None,
        "address": address,
        "calls": list(calls),
        "needs": [],
        "gives": [f"ok {address}"],
        "debris": [],
        "transactional": True,
        "commit_before": False,
        "journalled": False,
        "after_commit": [],
        "hazards": [],
        "timeouts": {},
        "retry": True,
        **more,
    }


def plan(changes: list[Json], steps: list[Json], **observed: Any) -> Json:
    """A whole plan file."""
    document = {
        "format_version": "1.0",
        "tool": {"name": "reconcile", "version": "0.1.0"},
        "project": "rag-platform",
        "environment": "staging",
        "complete": True,
        "selection": {"only": [], "exclude": [], "prune": "none", "allow": []},
        "stores": [
            {"name": name, "kind": kind, "version": version, "edition": None, "identity": "x", "ledger": name == "app"}
            for name, kind, version in (
                ("app", "postgres", "18.4"),
                ("graph", "neo4j", "5.26.12"),
                ("vectors", "qdrant", "1.16.3"),
            )
        ],
        "resource_changes": changes,
        "steps": steps,
        "fingerprints": {c["address"]: "absent" for c in changes},
        "observed": {
            "at": "2026-11-21T07:00:00Z",
            "read_seconds": "0.4",
            "summary": {"add": 0, "change": 0, "rebuild": 0, "replace": 0, "drop": 0},
            "sources": {},
            "causes": {},
            "costs": {},
            "drift": [],
            "blocked": [],
            "records": 0,
            **observed,
        },
    }
    return {"digest": digest(document), **document}


def empty(**observed: Any) -> Json:
    """Nothing to do."""
    return plan([], [], **observed)


def rich() -> Json:
    """One of everything: a new table with children, a rebuild, a replacement, drift, what is left alone."""
    notes = "app.table.public.notes"
    hnsw, text = "app.index.public.documents_embedding_hnsw", "graph.index.passage_text"
    changes = [
        change(notes, "create", describe="2 columns", after={}),
        change("app.column.public.notes.id", "create", describe="bigint identity always", part_of=notes, after={}),
        change("app.column.public.notes.body", "create", describe="text not null", part_of=notes, after={}),
        change(
            hnsw,
            "rebuild",
            describe="m 16 → 32",
            strategy="options set, then reindexed concurrently",
            action_reason="rebuild_for_options",
            before={"method": "hnsw", "with": {"m": "16"}},
            after={"method": "hnsw", "with": {"m": "32"}},
        ),
        change(
            text,
            "delete",
            "create",
            describe="analyzer english → standard-no-stop-words",
            action_reason="replace_because_cannot_update",
            replace_paths=[["analyzer"]],
            before={"kind": "fulltext", "analyzer": "english"},
            after={"kind": "fulltext", "analyzer": "standard-no-stop-words"},
        ),
        change(
            "vectors.collection.passages",
            "update",
            describe="hnsw.m 20 → 32",
            before={"hnsw": {"m": 20}},
            after={"hnsw": {"m": 32}},
        ),
    ]
    steps = [
        step(
            f"{notes}/1-create",
            {"sql": 'CREATE TABLE "public"."notes" ("id" bigint, "body" text NOT NULL)'},
            group="g1",
            timeouts={"lock": "2s", "statement": "60s"},
        ),
        step(
            f"{hnsw}/1-set",
            {"sql": 'ALTER INDEX "public"."documents_embedding_hnsw" SET (m = 32)'},
            group="g1",
            gives=[f"done {hnsw}/1-set"],
            timeouts={"lock": "2s", "statement": "60s"},
        ),
        step(
            f"{hnsw}/2-reindex",
            {"sql": 'REINDEX INDEX CONCURRENTLY "public"."documents_embedding_hnsw"'},
            needs=[f"done {hnsw}/1-set"],
            transactional=False,
            hazards=["builds-index", "not-transactional"],
        ),
        step(
            "vectors.collection.passages/1-update",
            {"http": ["PATCH", "/collections/passages?timeout=60"], "body": {"hnsw_config": {"m": 32}}},
            {"op": "wait_green", "args": {"collection": "it's"}},
            transactional=False,
            hazards=["not-transactional"],
        ),
        step(
            f"{text}/1-replace",
            {"cypher": "DROP INDEX $name", "params": {"name": "passage_text"}},
            {
                "cypher": "CREATE FULLTEXT INDEX $name FOR (n:`Passage`) ON EACH [n.`text`] OPTIONS $options",
                "params": {"name": "passage_text", "options": {"indexConfig": {"fulltext.analyzer": "a'b"}}},
            },
            group="g2",
            phase="contract",
            after_commit=[{"op": "wait_online", "args": {"name": "passage_text"}}],
            hazards=["index-gap"],
        ),
    ]
    where = {notes: ("schema/notes.yaml", 3), hnsw: ("schema/documents.yaml", 31), text: ("schema/graph.yaml", 22)}
    return plan(
        changes,
        steps,
        summary={"add": 1, "change": 1, "rebuild": 1, "replace": 1, "drop": 0, "rename": 0},
        sources={a: {"file": f, "line": n, "column": 3} for a, (f, n) in where.items()},
        costs={f"{hnsw}/2-reindex": {"rows": 4_100_000, "bytes": 6_710_886_400}},
        drift=["vectors.collection.passages"],
        causes={"vectors.collection.passages": [{"path": ["hnsw", "m"], "cause": "both", "applied": 16}]},
        extra=[{"address": "app.index.public.documents_adhoc_idx"}],
        not_modelled=[{"address": "app.function.public.touch()", "what": "function"}],
        unmanaged=[{"address": "app.table.public.tmp_import"}],
        blocked=[
            {
                "step": f"{text}/1-replace",
                "address": text,
                "hazard": "index-gap",
                "allow": f"--allow index-gap={text}",
            },
            {
                "step": None,
                "address": "vectors.collection.passages",
                "hazard": "reverts-drift",
                "allow": "--allow reverts-drift=vectors.collection.passages",
            },
        ],
    )
