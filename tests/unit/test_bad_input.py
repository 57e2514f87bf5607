"""Whatever is in the files: a project loads, or its problems are told. Never anything else is raised."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconcile import starter
from reconcile.errors import Problem, ProjectError
from reconcile.model import Source
from reconcile.validation import validate
from reconcile.yamldump import dump
from reconcile.yamlio import parse

EXAMPLES = Path(__file__).parents[2] / "examples"
ROUNDS = 60
"""Mutated projects for each way and each project; the seed is the round."""

RICH = {
    "reconcile.yaml": """\
version: 1
name: rich
ledger: {store: app, schema: reconcile}
default_environment: development
stores:
  app:     {kind: postgres, url: "${APP_DATABASE_URL}", password: "${APP_PASSWORD:-}", schemas: [public, audit],
            role: app_owner, lock_timeout: 2s, manage: ["*"], ignore: ["public.tmp_*"], external: [auth.users]}
  graph:   {kind: neo4j, url: "${NEO4J_URL}", user: "${NEO4J_USER:-neo4j}", password: "${NEO4J_PASSWORD}"}
  vectors: {kind: qdrant, url: "${QDRANT_URL}", api_key: "${file:key}"}
embeddings:
  passages: {model: all-MiniLM-L6-v2, dimensions: 384, distance: cosine}
policy: {names: accept, on_drift: refuse, allow: [builds-index, "index-gap=graph.index.*"]}
environments:
  development: {}
  production: {shared: true, stores: {app: {url: "${PROD}"}}, policy: {require_backup: true}, variables: {hnsw_m: 32}}
variables: {hnsw_m: 16}
""",
    "schema/app.yaml": """\
store: app
extensions: {vector: {}, pg_trgm: {}}
enums: {job_state: [queued, running, done]}
tables:
  users: {columns: {id: {type: uuid, not_null: true}, email: text}, primary_key: [id]}
  documents:
    comment: Source documents, one row a file.
    columns:
      id:        {type: bigint, identity: always}
      path:      {type: text, not_null: true}
      title:     text
      tags:      {type: "text[]", default: "'{}'", comment: User-defined tags}
      size:      {type: bigint, not_null: true, default: 0}
      price:     "numeric(10,2)"
      state:     {type: job_state, default: "'queued'"}
      embedding: {embedding: passages}
      search:    {type: tsvector, generated: "to_tsvector('english', title)"}
      owner_id:  uuid
    primary_key: [id]
    unique: {documents_path_key: [path]}
    checks: {documents_size_check: size >= 0}
    foreign_keys:
      documents_owner_fkey: {columns: [owner_id], references: users, on_delete: cascade}
    indexes:
      documents_hnsw: {method: hnsw, columns: [embedding], embedding: passages, with: {m: "${var.hnsw_m}"}}
      documents_tags_idx: {method: gin, columns: [tags]}
      documents_title_trgm: {method: gin, columns: [{column: title, opclass: gin_trgm_ops}]}
      documents_recent_idx:
        columns: [{expression: lower(path)}, {column: id, order: desc, nulls: last}]
        include: [size]
        where: size > 0
views:
  recent_documents: {query: "select id, path from documents where id > 100"}
""",
    "schema/other.yaml": """\
store: graph
constraints:
  person_id: {label: Person, unique: [id]}
indexes:
  product_rating: {label: PowerSource, properties: [rating]}
  person_bio: {kind: text, label: Person, properties: [bio]}
  doc_fulltext: {kind: fulltext, labels: [Doc, Note], properties: [title, body], analyzer: english}
  chunk_vector: {kind: vector, label: Chunk, properties: [embedding], embedding: passages, hnsw: {m: 16}}
---
store: vectors
collections:
  passages:
    vector: {embedding: passages, on_disk: true}
    sparse_vectors: {bm25: {modifier: idf}}
    hnsw: {m: 16, ef_construct: 100}
    quantization: {scalar: {type: int8, quantile: 0.99, always_ram: true}}
    payload_indexes:
      tenant: {type: keyword, is_tenant: true}
      year: integer
      "meta.tags[].id": keyword
      body: {type: text, tokenizer: word, lowercase: true}
  legacy: {versioned: false, vector: {dimensions: 128, distance: dot}}
aliases: {passages_live: passages}
""",
}

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**70, 1.5, "", " ", "x", "${", "${var.hnsw_m}", "${HOME}", "é", "a.b", '"', "a" * 200,
    [], {}, [None], [[]], {"": None}, {"type": "text"}, [{"column": "x"}], "public.documents", "%", "'", "--", "f(",
)  # fmt: skip


def rich(directory: Path) -> None:
    for name, text in RICH.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")


def begun(directory: Path) -> None:
    starter.write(directory, name="begun")


def example(name: str) -> Callable[[Path], None]:
    def copy(directory: Path) -> None:
        shutil.copytree(EXAMPLES / name, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))

    return copy


PROJECTS = {"rich": rich, "begun": begun} | {
    path.parent.name: example(path.parent.name) for path in sorted(EXAMPLES.glob("*/reconcile.yaml"))
}


PARTS = st.sampled_from(["store", "tables", "collections", "indexes", "constraints", "enums", "views", "extensions"])
KEYS = st.sampled_from(["a", "columns", "type", "vector", "query", "label", "primary_key", "foreign_keys", "documents"])
VALUES = st.recursive(
    st.sampled_from([*ODD, "app", "graph", "vectors"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def settle(directory: Path) -> list[Problem]:
    """Load in every environment; the problems. Anything but a `ProjectError` fails the test."""
    try:
        validate(directory)
    except ProjectError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.what
            assert "\n" not in str(problem)
            assert len(str(problem)) < 2000
            assert isinstance(problem.where, Source), str(problem)
        return error.problems
    return []


@pytest.fixture(params=sorted(PROJECTS))
def project(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[Path, str]]:
    PROJECTS[request.param](tmp_path)
    files = {path: path.read_text(encoding="utf-8") for path in sorted(tmp_path.rglob("*.yaml"))}
    return tmp_path, files


def test_the_projects_to_be_mutated_are_right(project: tuple[Path, dict[Path, str]]) -> None:
    assert settle(project[0]) == []


def line_mutations(text: str, rng: random.Random) -> bytes:
    """Lines and tokens removed, doubled, swapped, indented; the file cut off; bytes put in."""
    lines = text.splitlines(keepends=True)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(8):
            case 0:
                del lines[i]
            case 1:
                lines.insert(j, lines[i])
            case 2:
                lines[i], lines[j] = lines[j], lines[i]
            case 3:
                lines[i] = " " * rng.randrange(4) + lines[i].lstrip(rng.choice((" ", "")))
            case 4:
                lines[i] = re.sub(
                    r"[{}\[\],:\"'&*|>#-]", rng.choice(("", ":", "'", "[", "}", "*", "\t")), lines[i], count=1
                )
            case 5:
                tokens = re.findall(r"\w+", lines[j]) or ["x"]
                lines[i] = re.sub(r"\w+", rng.choice(tokens), lines[i], count=1)
            case 6:
                words = list(re.finditer(r"\w+", lines[i]))
                if words:
                    word = rng.choice(words)
                    lines[i] = lines[i][: word.start()] + str(rng.choice(ODD)) + lines[i][word.end() :]
            case 7:
                where = rng.randrange(len(lines[i]))
                lines[i] = lines[i][:where] + lines[i][where + 1 :]
        lines = lines or ["\n"]
    data = "".join(lines).encode()
    match rng.randrange(6):
        case 0:
            data = data[: rng.randrange(len(data) + 1)]
        case 1:
            at = rng.randrange(len(data) + 1)
            data = data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at:]
        case 2:
            at = rng.randrange(len(data) + 1)
            data = (
                data[:at]
                + rng.choice(("\x00", "\x1b", "\ufeff", "\u2028", "\x85", "\r", "\t", "👻")).encode()
                + data[at:]
            )
    return data


def nodes(value: Any) -> list[Any]:
    """Every mapping and list in it."""
    found = [value] if isinstance(value, dict | list) else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += nodes(inner)
    return found


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def tree_mutations(text: str, rng: random.Random) -> bytes:
    """Keys removed, renamed, moved; values of another type; values swapped."""
    documents = [plain(document) for document in parse(text, "f")]
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = [node for document in documents for node in nodes(document) if node]
        if not places:
            break
        one, two = rng.choice(places), rng.choice(places)
        a = rng.choice(list(one) if isinstance(one, dict) else range(len(one)))
        b = rng.choice(list(two) if isinstance(two, dict) else range(len(two)))
        match rng.randrange(6):
            case 0:
                del one[a]
            case 1:
                one[a] = plain(rng.choice(ODD))
            case 2:
                one[a], two[b] = plain(two[b]), plain(one[a])
            case 3:
                if isinstance(one, dict):
                    one[rng.choice((f"{a}x", str(a).upper(), str(a)[1:], "", "é", "type", "a.b", 'a"b'))] = one.pop(a)
            case 4:
                one[a] = [plain(one[a])]
            case 5:
                one[a] = {str(b): plain(one[a])}
    return "---\n".join(dump(document) for document in documents).replace("$${", "${").encode()


@pytest.mark.parametrize("mutate", [line_mutations, tree_mutations])
def test_mutated_projects_load_or_tell(
    project: tuple[Path, dict[Path, str]], mutate: Callable[[str, random.Random], bytes]
) -> None:
    directory, files = project
    told = 0
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        path = rng.choice(list(files))
        path.write_bytes(mutate(files[path], rng))
        try:
            told += bool(settle(directory))
        except Exception as error:
            error.add_note(f"seed {seed}, {path.name}:\n{path.read_bytes()!r}")
            raise
        path.write_text(files[path], encoding="utf-8")
    assert told > ROUNDS // 3


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["reconcile.yaml", "schema/app.yaml"])
def test_any_bytes_load_or_tell(tmp_path: Path, name: str, data: bytes) -> None:
    rich(tmp_path)
    (tmp_path / name).write_bytes(data)
    settle(tmp_path)


@given(st.dictionaries(PARTS, VALUES, min_size=1))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_values_load_or_tell(tmp_path: Path, document: dict[str, Any]) -> None:
    rich(tmp_path)
    (tmp_path / "schema/app.yaml").write_text(dump({"store": "app", **document}), encoding="utf-8")
    settle(tmp_path)


def test_what_is_declared_twice_across_files_and_files_that_cannot_be_read(tmp_path: Path) -> None:
    rich(tmp_path)
    (tmp_path / "schema/copy.yaml").write_text(RICH["schema/app.yaml"], encoding="utf-8")
    found = [str(problem) for problem in settle(tmp_path)]
    assert any(
        "app.table.public.documents is declared twice; the other is at schema/app.yaml:" in text for text in found
    )
    (tmp_path / "schema/copy.yaml").unlink()
    (tmp_path / "schema/copy.yaml").symlink_to(tmp_path / "schema")
    settle(tmp_path)
    shutil.rmtree(tmp_path / "schema")
    (problem,) = settle(tmp_path)
    assert "reconcile import" in str(problem)
