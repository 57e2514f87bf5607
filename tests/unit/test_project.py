"""reconcile.yaml to a Project: environments, ledger, policy, selection, and what is told of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconcile import schemas, starter
from reconcile.embeddings import Distance, Element
from reconcile.errors import ProjectError
from reconcile.model import Address, Resource
from reconcile.project import LedgerSpec, Project, Selection, environments

TEXT = """\
version: 1
name: rag-platform
default_environment: development
stores:
  app:     {kind: postgres, url: "${APP_URL}", schemas: [public, audit], role: app_owner, ignore: ["public.tmp_*"]}
  graph:   {kind: neo4j, url: "${NEO4J_URL}", password: "${NEO4J_PASSWORD}"}
  vectors: {kind: qdrant, url: "${QDRANT_URL}"}
embeddings:
  passages: {model: all-MiniLM-L6-v2, dimensions: 384, distance: cosine}
  images: {model: clip, dimensions: 512, distance: dot, element: float16}
policy: {names: accept, on_drift: refuse, allow: [builds-index]}
environments:
  development: {}
  production:
    shared: true
    stores: {app: {url: "${PROD_URL}", role: null}}
    policy: {require_backup: true, on_drift: keep}
    variables: {hnsw_m: 32}
variables: {hnsw_m: 16, language: german}
"""


def load(directory: Path, text: str = TEXT, environment: str | None = None) -> Project:
    (directory / "reconcile.yaml").write_text(text, encoding="utf-8")
    return Project.load(directory, environment)


def problems(directory: Path, text: str, environment: str | None = None) -> str:
    with pytest.raises(ProjectError) as caught:
        load(directory, text, environment)
    return str(caught.value)


def test_a_project_as_its_default_environment_sees_it(tmp_path: Path) -> None:
    project = load(tmp_path)
    assert (project.name, project.environment, project.shared) == ("rag-platform", "development", False)
    assert list(project.stores) == ["app", "graph", "vectors"]
    assert project.stores["app"].settings["url"] == "${APP_URL}"
    assert str(project.stores["app"].source) == "reconcile.yaml:5:3"
    assert project.embeddings["passages"].distance is Distance.COSINE
    assert project.embeddings["images"].element is Element.FLOAT16
    assert str(project.embeddings["images"].source) == "reconcile.yaml:10:3"
    assert project.policy.allow == ("builds-index",)
    assert project.ledger == LedgerSpec(store="app", schema="reconcile")
    assert project.variables == {"hnsw_m": 16, "language": "german"}


def test_an_environment_merges_over_the_project(tmp_path: Path) -> None:
    project = load(tmp_path, environment="production")
    settings = project.stores["app"].settings
    assert (project.environment, project.shared) == ("production", True)
    assert settings["url"] == "${PROD_URL}"
    assert settings["schemas"] == ["public", "audit"]
    assert "role" not in settings
    assert (project.policy.require_backup, project.policy.on_drift, project.policy.names) == (True, "keep", "accept")
    assert project.policy.allow == ("builds-index",)
    assert project.variables == {"hnsw_m": 32, "language": "german"}
    assert environments(tmp_path) == ("development", "production")


def test_loading_reads_no_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APP_URL", "NEO4J_URL", "NEO4J_PASSWORD", "QDRANT_URL", "PROD_URL"):
        monkeypatch.delenv(name, raising=False)
    load(tmp_path)


def test_which_environment(tmp_path: Path) -> None:
    without_default = TEXT.replace("default_environment: development\n", "")
    assert "say which: -e development or -e production" in problems(tmp_path, without_default)
    assert load(tmp_path, without_default, "production").environment == "production"
    assert 'no environment "prodution"; did you mean "production"?' in problems(tmp_path, TEXT, "prodution")
    assert 'there is no environment "dev"' in problems(tmp_path, TEXT.replace("t: development", "t: dev"))
    alone = without_default[: without_default.index("environments:")]
    assert load(tmp_path, alone).environment == "default"
    assert load(tmp_path, alone, "default").environment == "default"
    assert 'there is no environment "production"' in problems(tmp_path, alone, "production")
    assert load(tmp_path, alone + "environments: {test: {shared: true}}\n").environment == "test"


@pytest.mark.parametrize("kinds", [(), ("neo4j",), ("qdrant", "postgres"), ("neo4j", "qdrant")])
def test_what_init_writes_can_be_read(kinds: tuple[str, ...], tmp_path: Path) -> None:
    starter.write(tmp_path, kinds, name="begun")
    found = Project.load(tmp_path, "production")
    assert found.shared == (not kinds or "postgres" in kinds) and found.desired()


def test_where_the_ledger_is(tmp_path: Path) -> None:
    def of(line: str, text: str = TEXT) -> LedgerSpec:
        return load(tmp_path, text + line).ledger

    assert of("ledger: {store: app, schema: ops}") == LedgerSpec(store="app", schema="ops")
    assert of("ledger: {schema: ops}") == LedgerSpec(store="app", schema="ops")
    alone = TEXT.replace("    shared: true\n", "")
    assert of("ledger: {file: .reconcile/ledger.db}", alone) == LedgerSpec(file=tmp_path / ".reconcile/ledger.db")
    several = TEXT.replace("  graph:", '  other: {kind: postgres, url: "${O}"}\n  graph:')
    message = "4:1: several stores can hold the ledger; write one of: `ledger: {store: app}`, `ledger: {store: other}`"
    assert message in problems(tmp_path, several)
    assert of("ledger: {store: other}", several).store == "other"
    none = "\n".join(line for line in TEXT.splitlines() if "app" not in line) + "\n"
    assert "no store can hold the ledger; write `ledger: {file: .reconcile/ledger.db}`" in problems(tmp_path, none)
    assert 'store "graph" cannot hold it; write `ledger: {store: app}`' in problems(
        tmp_path, TEXT + "ledger: {store: graph}"
    )
    assert 'there is no store "ap"' in problems(tmp_path, TEXT + "ledger: {store: ap}")
    assert "store and file cannot stand together" in problems(tmp_path, TEXT + "ledger: {store: app, file: x}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("distance: cosine", "distance: cosin",
         '9:66: "distance" of embedding "passages": expected cosine, euclidean, dot or manhattan, '
         'got the text "cosin"; did you mean "cosine"?'),
        ("dimensions: 384", "dimensions: '384'", "expected a whole number, got the text \"384\""),
        ("dimensions: 384", "dimensions: 0", "expected at least 1, got 0"),
        ("element: float16", "element: f16", '"element" of embedding "images": expected float32 or float16'),
        (", distance: dot", "", '10:3: missing key "distance" in embedding "images"'),
        ("kind: qdrant", "kind: qdrnt", '7:19: "kind" of store "vectors": expected postgres, neo4j, qdrant or redis, '
         'got the text "qdrnt"; did you mean "qdrant"?'),
        ("{kind: qdrant, ", "{", '7:3: missing key "kind" in store "vectors"'),
        ("role: app_owner", "rol: app_owner", 'unknown key "rol" in store "app"; did you mean "role"?'),
        ("kind: neo4j,", "kind: neo4j, schemas: [a],", 'unknown key "schemas" in store "graph"'),
        ("schemas: [public, audit]", "schemas: public",
         '"schemas" of store "app": expected a list of schema names, got the text "public"; write [public]'),
        ("schemas: [public, audit]", "schemas: [public, public]", '"public" is there twice'),
        (', url: "${QDRANT_URL}"', "", '7:3: missing key "url" or "host" in store "vectors"'),
        ("${QDRANT_URL}", "${QDRANT-URL}", "7:32: ${QDRANT-URL} is no reference; one of: ${NAME}"),
        ("${PROD_URL}", "${PROD_URL", "${ is not closed"),
        ("{app: {url", "{ap: {url", 'environment "production": there is no store "ap"; did you mean "app"?'),
        ("{app: {url", "{app: {urll: x, url", '16:20: unknown key "urll" in store "app"'),
        ("[builds-index]", "[build-index]", 'unknown hazard "build-index" in allow; did you mean "builds-index"?'),
        ("shared: true", "shared: yes", 'expected true or false, got the text "yes"; write true'),
        ("version: 1\n", "version: 1\nledger: {file: x.db}\n",
         '2:16: environment "production" is shared, and a ledger in a file is not; write `ledger: {store: app}`'),
        ("on_drift: keep", "on_drift: reverted", 'did you mean "revert"?'),
        ("name: rag-platform", 'name: "rag platform"', "expected a name of letters, digits"),
        ("name: rag-platform\n", "", '1:1: missing key "name"'),
        ("version: 1", "version: 2", '"version": expected 1, got the number 2'),
        ("hnsw_m: 16", "hnsw_m: [16]", "expected text, a number, true or false, got a list"),
        ("hnsw_m: 16", 'hnsw_m: "${X}"', "references are read under stores: and notify:"),
        ("policy: {names: accept", 'policy: {names: accept, nams: x', 'unknown key "nams" in "policy"; did you mean'),
        ("environments:", "enviroments:", 'unknown key "enviroments"; did you mean "environments"?'),
        ("stores:\n", "stores: {}\nx:\n", '"stores": is empty'),
        ("  graph: ", "  gr.aph: ", 'the name "gr.aph" cannot be: expected a name of letters, digits, - and _'),
        ("dimensions: 384", "dimensions: 1.5", "expected a whole number, got the number 1.5"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_place_and_way_out(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    assert message in problems(tmp_path, TEXT.replace(old, new, 1))


def test_mistakes_of_any_environment_come_at_once(tmp_path: Path) -> None:
    text = (
        TEXT.replace("${PROD_URL}", "${").replace("role: app_owner", "rol: x").replace("{names: accept", "{names: no")
    )
    assert len(problems(tmp_path, text.replace("{names: no", "{names: accept")).splitlines()) == 2


def test_a_password_in_the_wrong_place_is_not_printed(tmp_path: Path) -> None:
    found = problems(tmp_path, TEXT.replace("kind: qdrant", 'kind: "http://u:hidden@h"'))
    assert 'got the text "http://u:***@h"' in found


def test_no_project_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"there is no reconcile\.yaml in .*`reconcile init`"):
        Project.load(tmp_path)
    with pytest.raises(ProjectError, match="there is no folder"):
        Project.load(tmp_path / "absent")
    (tmp_path / "reconcile.yml").write_text(TEXT)
    with pytest.raises(ProjectError, match=r"rename reconcile\.yml"):
        Project.load(tmp_path)
    assert "is empty" in problems(tmp_path, "# nothing\n")
    assert "holds several documents" in problems(tmp_path, f"{TEXT}---\na: 1\n")


def address(text: str) -> Address:
    return Address.parse(text)


def test_selection_covers_what_is_inside() -> None:
    some = Selection(ignore=("public.tmp_*", "public.migrations", "audit"), external=("auth.users",))
    assert some.classify(address("app.table.public.documents")) == "managed"
    assert some.classify(address("app.table.public.tmp_x")) == "ignored"
    assert some.classify(address("app.column.public.migrations.version")) == "ignored"
    assert some.classify(address("app.table.audit.log")) == "ignored"
    assert some.classify(address("app.schema.audit")) == "ignored"
    assert some.classify(address("app.table.public.migrations_old")) == "managed"
    index = address("app.index.public.users_idx")
    assert some.classify(index) == "managed"
    assert some.classify(index, address("app.table.public.tmp_x")) == "ignored"
    assert some.classify(index, address("app.table.auth.users")) == "external"
    resource = Resource(address=index, container=address("app.table.auth.users"))
    assert some.classify(resource) == "external"
    narrow = Selection(manage=("public.rag_*",))
    assert narrow.classify(address("app.table.public.rag_docs")) == "managed"
    assert narrow.classify(address("app.table.public.other")) == "ignored"
    assert narrow.classify(address("app.table.public.RAG_x")) == "ignored"
    odd = Selection(ignore=("tags[]",))
    assert odd.classify(Address("v", "payload_index", ("c", "tags[]"))) == "managed"
    assert odd.classify(Address("v", "collection", ("tags[]",))) == "ignored"


def described(schema: Any, path: str = "") -> list[str]:
    """Properties without a description, `$ref`s aside, which have it where they lead."""
    found = []
    if isinstance(schema, dict):
        for key, inner in schema.items():
            if key in ("properties", "patternProperties"):
                found += [
                    f"{path}/{name}"
                    for name, of in inner.items()
                    if isinstance(of, dict) and "description" not in of and "$ref" not in of
                ]
                for name, of in inner.items():
                    found += described(of, f"{path}/{name}")
            elif key not in ("examples", "enum", "const", "default"):
                found += described(inner, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            found += described(inner, f"{path}/{index}")
    return found


FILES = sorted(path.name for path in schemas.FOLDERS[1].glob("*.json"))


@pytest.mark.parametrize("name", FILES)
def test_every_key_of_every_schema_has_a_description(name: str) -> None:
    from jsonschema import Draft202012Validator

    schema = schemas.load(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert described(schema) == []


def test_the_examples_of_the_project_schema_fit_it() -> None:
    from jsonschema import Draft202012Validator

    root = schemas.load("project.schema.json")

    def check(schema: Any) -> None:
        if isinstance(schema, dict):
            for example in schema.get("examples", []) if isinstance(schema.get("examples"), list) else []:
                Draft202012Validator({**schema, "$defs": root["$defs"]}).validate(json.loads(json.dumps(example)))
            for inner in schema.values():
                check(inner)
        elif isinstance(schema, list):
            for inner in schema:
                check(inner)

    check(root)
