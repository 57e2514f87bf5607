"""PostgreSQL's YAML as resources: what is filled in, what is reported and where."""

# ruff: noqa: E501 - one case a line
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconcile import wording
from reconcile.embeddings import Distance, Element, Embedding
from reconcile.model import Resource, Source
from reconcile.stores.base import Context, StoreSpec
from reconcile.stores.postgres import PACKAGE
from reconcile.yamlio import parse as read_yaml

EMBEDDINGS = {
    e.name: e
    for e in (
        Embedding("passages", "m", 384, Distance.COSINE, source=Source("reconcile.yaml", 9)),
        Embedding("halves", "m", 384, Distance.EUCLIDEAN, Element.FLOAT16, Source("reconcile.yaml", 10)),
        Embedding("blocks", "m", 8, Distance.MANHATTAN, source=Source("reconcile.yaml", 11)),
        Embedding("wide", "m", 3072, Distance.DOT, source=Source("reconcile.yaml", 12)),
    )
}


def parse(text: str, directory: Path = Path(), **settings: Any) -> tuple[dict[str, Resource], list[str]]:
    """Resources by address and problems as text; the text passes the JSON Schema."""
    documents = read_yaml("store: app\n" + text, "s.yaml")
    assert [str(p) for d in documents for p in wording.problems(d, PACKAGE.schema)] == []
    spec = StoreSpec("app", "postgres", settings, Source("reconcile.yaml", 3), directory)
    context = Context(spec, EMBEDDINGS)
    found = PACKAGE.parse(documents, context)
    return {str(r.address): r for r in found}, [str(p) for p in context.problems]


def good(text: str, **settings: Any) -> dict[str, Resource]:
    found, problems = parse(text, **settings)
    assert problems == []
    return found


def attributes(text: str, address: str, **settings: Any) -> Any:
    return good(text, **settings)[address].attributes()


def in_table(text: str) -> str:
    return "tables:\n  t:\n    columns: {id: bigint, a: text, v: {embedding: passages}}\n" + text


@pytest.mark.parametrize(
    ("written", "type_"),
    [
        ("int", "integer"),
        ("INT8", "bigint"),
        ("varchar(10)", "character varying(10)"),
        ("char", "character(1)"),
        ("'\"char\"'", '"char"'),
        ("'numeric(10, 2)'", "numeric(10,2)"),
        ("decimal(8)", "numeric(8,0)"),
        ("'numeric(3,-2)'", "numeric(3,-2)"),
        ("timestamptz", "timestamp with time zone"),
        ("timestamp(3)", "timestamp(3) without time zone"),
        ("float(24)", "real"),
        ("float", "double precision"),
        ("bool", "boolean"),
        ("'text[]'", "text[]"),
        ("'int[3][]'", "integer[]"),
        ("text array", "text[]"),
        ("bit", "bit(1)"),
        ("varbit(5)", "bit varying(5)"),
        ("pg_catalog.int4", "integer"),
        ("public.email", "email"),
        ("audit.kind", "audit.kind"),
        ("interval(3)", "interval(3)"),
        ("vector(3)", "vector(3)"),
    ],
)
def test_types_are_spelled_as_the_server_spells_them(written: str, type_: str) -> None:
    found = attributes(f"tables: {{t: {{columns: {{a: {written}}}}}}}", "app.column.public.t.a")
    assert found == {"type": type_}


def test_primary_key_and_identity_imply_not_null_and_the_key_gets_the_servers_name() -> None:
    long = "t" * 70
    found = good(
        f"tables: {{{long[:63]}: {{columns: {{a: text, b: {{type: int, identity: always}}}}, primary_key: [a]}}}}"
    )
    columns = {a.split(".")[-1]: r.attributes() for a, r in found.items() if ".column." in a}
    assert columns == {
        "a": {"type": "text", "not_null": True},
        "b": {"type": "integer", "not_null": True, "identity": "always"},
    }
    assert f"app.primary_key.public.{long[:63]}.{long[:58]}_pkey" in found


def test_foreign_key_without_columns_means_the_primary_key() -> None:
    text = """
tables:
  users: {columns: {id: uuid}, primary_key: [id]}
  documents:
    columns: {owner_id: uuid}
    foreign_keys:
      plain: {columns: [owner_id], references: users, on_delete: cascade}
      long: {columns: [owner_id], references: {table: public.users, columns: [id]}, on_delete: {set_null: [owner_id]},
             on_update: restrict, match: full, deferrable: initially_deferred, not_valid: true, comment: c}
"""
    found = good(text)
    plain = found["app.foreign_key.public.documents.plain"]
    assert plain.attributes() == {
        "columns": ["owner_id"],
        "references": ["public", "users"],
        "references_columns": ["id"],
        "on_delete": "cascade",
    }
    assert [str(a) for a in plain.refers] == [
        "app.column.public.documents.owner_id",
        "app.table.public.users",
        "app.column.public.users.id",
    ]
    assert found["app.foreign_key.public.documents.long"].attributes() == {
        "columns": ["owner_id"],
        "references": ["public", "users"],
        "references_columns": ["id"],
        "on_delete": "set_null",
        "on_delete_columns": ["owner_id"],
        "on_update": "restrict",
        "match": "full",
        "deferrable": "initially_deferred",
        "not_valid": True,
        "comment": "c",
    }


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ("{columns: [a]}", {"columns": [{"column": "a"}]}),
        (
            "{method: hnsw, columns: [v], embedding: passages, with: {m: 16, ef_construction: 64}}",
            {
                "method": "hnsw",
                "columns": [{"column": "v", "opclass": "vector_cosine_ops"}],
                "with": [["ef_construction", "64"], ["m", "16"]],
            },
        ),
        (
            '{method: hnsw, columns: [{expression: "v::halfvec(384)"}], embedding: passages}',
            {"method": "hnsw", "columns": [{"expression": "v::halfvec(384)", "opclass": "halfvec_cosine_ops"}]},
        ),
        (
            "{columns: [{column: a, order: desc, nulls: first}, {column: id, nulls: last}]}",
            {"columns": [{"column": "a", "order": "desc"}, {"column": "id"}]},
        ),
        (
            "{columns: [{column: a, order: desc, nulls: last, collation: pg_catalog.C}], unique: true, "
            "nulls_not_distinct: true, include: [id], where: (id > 0), with: {fillfactor: 70, deduplicate_items: false}}",
            {
                "columns": [{"column": "a", "order": "desc", "nulls": "last", "collation": "C"}],
                "unique": True,
                "nulls_not_distinct": True,
                "include": ["id"],
                "where": "id > 0",
                "with": [["deduplicate_items", "false"], ["fillfactor", "70"]],
            },
        ),
        (
            "{method: gist, columns: [{column: a, opclass: gist_trgm_ops, parameters: {siglen: 32}}]}",
            {
                "method": "gist",
                "columns": [{"column": "a", "opclass": "gist_trgm_ops", "parameters": [["siglen", "32"]]}],
            },
        ),
    ],
)
def test_indexes(index: str, expected: object) -> None:
    assert attributes(in_table(f"    indexes: {{i: {index}}}"), "app.index.public.i") == expected


def test_the_rest_of_the_kinds() -> None:
    text = """
schemas: {audit: {comment: Audit trail}, other: }
extensions: {vector: {}, pg_trgm: {schema: audit, version: "1.6"}}
enums:
  job_state: [queued, done]
  audit.Kind: {values: [a], comment: c}
sequences: {no: {type: int, start: 1000, increment: 2, owned_by: t.a}, audit.plain: }
tables:
  t:
    comment: T
    columns:
      a: {type: bigint, default: "nextval('no')", comment: ""}
      state: {type: job_state, default: "'queued'", renamed_from: was}
      kinds: 'audit.Kind[]'
      search: {type: text, generated: "lower(state::text)", collation: C}
    unique: {u: [a], w: {columns: [a], include: [state], nulls_not_distinct: true}}
    checks: {c: a > 0, d: {expression: a < 9, not_valid: true, no_inherit: true}}
views:
  recent: {query: "select a from t;", with: {security_invoker: true}, check_option: local}
"""
    found = good(text, schemas=["public", "audit", "other"])
    wanted = {
        "app.schema.audit": {"comment": "Audit trail"},
        "app.schema.other": {},
        "app.extension.vector": {},
        "app.extension.pg_trgm": {"schema": "audit", "version": "1.6"},
        "app.enum.public.job_state": {"values": ["queued", "done"]},
        "app.enum.audit.Kind": {"values": ["a"], "comment": "c"},
        "app.sequence.public.no": {
            "type": "integer",
            "start": 1000,
            "increment": 2,
            "owned_by": ["public", "t", "a"],
        },
        "app.sequence.audit.plain": {},
        "app.table.public.t": {"comment": "T"},
        "app.column.public.t.a": {"type": "bigint", "default": "nextval('no')"},
        "app.column.public.t.state": {"type": "job_state", "default": "'queued'"},
        "app.column.public.t.kinds": {"type": 'audit."Kind"[]'},
        "app.column.public.t.search": {"type": "text", "generated": "lower(state::text)", "collation": "C"},
        "app.unique.public.t.u": {"columns": ["a"]},
        "app.unique.public.t.w": {"columns": ["a"], "include": ["state"], "nulls_not_distinct": True},
        "app.check.public.t.c": {"expression": "a > 0"},
        "app.check.public.t.d": {"expression": "a < 9", "not_valid": True, "no_inherit": True},
        "app.view.public.recent": {
            "query": "select a from t",
            "with": [["security_invoker", "true"]],
            "check_option": "local",
        },
    }
    assert {a: r.attributes() for a, r in found.items()} == wanted
    refers = {a: [str(x) for x in r.refers] for a, r in found.items() if r.refers}
    assert refers["app.column.public.t.a"] == ["app.sequence.public.no"]
    assert refers["app.column.public.t.kinds"] == ["app.enum.audit.Kind"]
    assert refers["app.column.public.t.search"] == ["app.column.public.t.state"]
    assert refers["app.view.public.recent"] == ["app.table.public.t", "app.column.public.t.a"]
    assert refers["app.enum.audit.Kind"] == ["app.schema.audit"]
    column = found["app.column.public.t.state"]
    assert (str(column.source), column.container, getattr(column, "position", None)) == (
        "s.yaml:14:7",
        found["app.table.public.t"].address,
        2,
    )


def test_a_view_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "v.sql").write_text("select 1 as a;\n")
    (tmp_path / "c.sql").write_text("CREATE VIEW v AS select 1")
    found, problems = parse("views: {v: {file: v.sql}}", tmp_path)
    assert (found["app.view.public.v"].attributes(), problems) == ({"query": "select 1 as a"}, [])
    assert parse("views: {v: {file: c.sql}}", tmp_path)[1] == [
        "s.yaml:2:19: view 'v' has a CREATE statement; write only the query: select …"
    ]
    assert parse("views: {v: {file: no.sql}}", tmp_path)[1] == [
        "s.yaml:2:19: file 'no.sql' of view 'v' cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "tables: {t: {columns: {a: {type: text, default: draft}}}}",
            "s.yaml:2:49: default 'draft' is no SQL constant; did you mean `default: \"'draft'\"`?",
        ),
        (
            "tables: {t: {columns: {a: serial}}}",
            "serial of column 'a' is a shorthand, not a type; write {type: integer, identity: by_default}",
        ),
        (
            "tables: {t: {columns: {a: {type: text, identity: always}}}}",
            "identity column 'a' cannot be text",
        ),
        (
            "tables: {t: {columns: {a: {type: int, identity: always, default: 1}}}}",
            "column 'a' has both default and identity",
        ),
        (
            "tables: {t: {columns: {a: {type: int, not_null: false}}, primary_key: [a]}}",
            "column 'a' is NOT NULL because of the primary key",
        ),
        (
            in_table("    primary_key: [idd]"),
            "column 'idd' of primary key 't_pkey' is not declared in table 'public.t'; did you mean \"id\"?",
        ),
        (in_table("    unique: {u: [a, a]}"), "column 'a' stands twice in unique 'u'"),
        (in_table("    indexes: {i: {columns: [b, a]}}"), "column 'b' of index 'i' is not declared in table"),
        (in_table("    indexes: {i: {columns: [a], include: [idx]}}"), "column 'idx' of index 'i' is not declared"),
        (
            "tables: {t: {columns: {a: int}, foreign_keys: {f: {columns: [a], references: userz}}}, users: {columns: {a: int}}}",
            "references table 'userz', which is neither declared nor external; did you mean \"users\"?",
        ),
        (
            "tables: {t: {columns: {a: int}, foreign_keys: {f: {columns: [a], references: u}}}, u: {columns: {a: int}}}",
            "foreign key 'f' references table 'u', which has no primary key",
        ),
        (
            "tables: {t: {columns: {a: int}, foreign_keys: {f: {columns: [a], references: {table: t, columns: [a]}}}}}",
            "foreign key 'f' references a of 't', which is not unique",
        ),
        (
            "tables: {t: {columns: {a: int, b: int}, primary_key: [a], foreign_keys: {f: {columns: [a, b], references: t}}}}",
            "foreign key 'f' has 2 columns and references 1",
        ),
        ("sequences: {s: {owned_by: t.a}}", "owned_by of sequence 's' names table 't', which is not declared"),
        ("enums: {e: [a, a]}", "enum 'e' has the value 'a' twice"),
        ("tables: {audit.t: {columns: {}}}", "schema 'audit' of 'audit.t' is not in the scope of store 'app'"),
        ("tables: {a.b.c: {columns: {}}}", "'a.b.c' has more than schema and name"),
        (f"tables: {{{'x' * 64}: {{columns: {{}}}}}}", "has 64 bytes; PostgreSQL keeps 63"),
        (
            "tables: {t: {columns: {a: int}, indexes: {t: {columns: [a]}}}}",
            "index 't' has the name of the table at s.yaml:2:10",
        ),
        (
            "tables: {t: {columns: {a: int}, unique: {x: [a]}, checks: {x: a > 0}}}",
            "check 'x' has the name of the unique at s.yaml:2:42",
        ),
        (
            in_table(
                "    indexes: {i: {method: hnsw, columns: [{column: v, opclass: vector_l2_ops}], embedding: passages}}"
            ),
            "the index names both embedding 'passages' and opclass 'vector_l2_ops'",
        ),
        (
            in_table("    indexes: {i: {method: hnsw, columns: [{column: v, opclass: vector_l2_ops}]}}"),
            "opclass 'vector_l2_ops' disagrees with the cosine distance of embedding 'passages', "
            "which column 'v' names (s.yaml:4:36)",
        ),
        (
            in_table("    indexes: {i: {method: hnsw, columns: [v], embedding: blocks}}"),
            "embedding 'blocks' has 8 dimensions (reconcile.yaml:11:1), what is indexed has 384 (s.yaml:4:36)",
        ),
        (
            in_table("    indexes: {i: {method: hnsw, columns: [v], embedding: passage}}"),
            "embedding 'passage' is not declared in reconcile.yaml; did you mean \"passages\"?",
        ),
        (
            "tables: {t: {columns: {v: {embedding: blocks}}, indexes: {i: {method: ivfflat, columns: [v], embedding: blocks}}}}",
            "ivfflat has no manhattan distance (reconcile.yaml:11:1); use method: hnsw",
        ),
        (
            "tables: {t: {columns: {v: {embedding: wide}}, indexes: {i: {method: hnsw, columns: [v], embedding: wide}}}}",
            "hnsw indexes up to 2000 dimensions of vector; what is indexed has 3072",
        ),
        (
            in_table("    indexes: {i: {columns: [v], embedding: passages}}"),
            "an index of method btree has no embedding; use method: hnsw or ivfflat",
        ),
    ],
)
def test_problems_have_their_place_and_a_way_out(text: str, problem: str) -> None:
    problems = parse(text)[1]
    assert len([p for p in problems if problem in p and p.startswith("s.yaml:")]) >= 1, problems


def test_a_foreign_key_may_go_to_what_is_external() -> None:
    text = "tables: {t: {columns: {a: int}, foreign_keys: {f: {columns: [a], references: auth.users}}}}"
    assert good(text, external=["auth.*"])["app.foreign_key.public.t.f"].attributes() == {
        "columns": ["a"],
        "references": ["auth", "users"],
    }


@pytest.mark.parametrize(
    "value", ["current_timestamp", "CURRENT_DATE", "true", "0", "1.10", "now()", "'\"a\"'", "\"'x'\""]
)
def test_defaults_that_are_sql(value: str) -> None:
    good(f"tables: {{t: {{columns: {{a: {{type: text, default: {value}}}}}}}}}")


def test_an_embedding_gives_the_column_its_type() -> None:
    found = good("tables: {t: {columns: {a: {embedding: passages}, b: {embedding: halves}}}}")
    assert [found[f"app.column.public.t.{c}"].attributes()["type"] for c in "ab"] == ["vector(384)", "halfvec(384)"]


def test_every_key_of_the_schema_is_described() -> None:
    from reconcile.schemas import part

    def undescribed(node: Any, path: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        missing = []
        for name, inner in node.get("properties", {}).items():
            if not inner.get("description"):
                missing.append(f"{path}.{name}")
        for key, inner in node.items():
            if isinstance(inner, dict):
                missing += undescribed(inner, f"{path}.{key}")
            elif isinstance(inner, list):
                for each in inner:
                    missing += undescribed(each, f"{path}.{key}")
        if node.get("type") == "object" and "additionalProperties" not in node:
            missing.append(f"{path}: open")
        return missing

    assert undescribed(part(PACKAGE.schema, None), "") == []
