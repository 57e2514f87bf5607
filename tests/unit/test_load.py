"""Schema files to desired state. The store kind here is made up: two kinds of things, one in the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconcile import load, schemas
from reconcile.embeddings import Distance, Embedding
from reconcile.errors import ProjectError
from reconcile.model import Address, Resource, Source, State
from reconcile.policy import Policy
from reconcile.project import LedgerSpec, Project, Selection
from reconcile.stores.base import Context, StoreSpec
from reconcile.yamlio import Map

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["store"],
    "properties": {
        "store": {"type": "string"},
        "tables": {"type": "object", "additionalProperties": {"$ref": "#/$defs/table"}},
        "default_grants": {"type": "array", "items": {"type": "object", "required": ["role"], "minProperties": 2}},
    },
    "$defs": {
        "table": {
            "type": "object",
            "additionalProperties": False,
            "required": ["columns"],
            "dependentRequired": {"key": ["comment"]},
            "properties": {
                "comment": {"type": "string"},
                "key": {"title": "a list of column names", "type": "array", "items": {"type": "string"}, "minItems": 1},
                "columns": {
                    "type": "object",
                    "propertyNames": {"pattern": "^[a-z_]+$", "title": "small letters"},
                    "additionalProperties": {"$ref": "#/$defs/column"},
                },
                "m": {"type": "integer", "minimum": 2, "exclusiveMaximum": 100},
            },
        },
        "column": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "type": {"type": "string"},
                        "not_null": {"type": "boolean"},
                        "default": {"type": ["string", "number", "boolean"]},
                        "identity": {"anyOf": [{"enum": ["always", "by_default"]}, {"type": "object"}]},
                        "embedding": {"type": "string", "maxLength": 20},
                    },
                    "oneOf": [{"required": ["type"]}, {"required": ["embedding"]}],
                },
            ]
        },
    },
}


class Thing(Resource):
    settings: str = ""


@dataclass
class Widgets:
    """A package as far as the loader asks."""

    schema: str = "widget.schema.json"
    seen: list[Map] = field(default_factory=list)

    def parse(self, documents: Sequence[Map], context: Context) -> list[Resource]:
        self.seen += documents
        found: list[Resource] = []
        for document in documents:
            for name, table in document.get("tables", {}).items():
                address = Address(context.spec.name, "table", ("public", name))
                source = document["tables"].at(name)
                if name == "wrong":
                    context.problem(source, "tables named wrong are wrong")
                found.append(Thing(address=address, source=source, settings=json.dumps(table)))
                found += [
                    Thing(address=address.child("column", c), source=table["columns"].at(c), container=address)
                    for c in table["columns"]
                ]
        return found


@pytest.fixture
def widgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Widgets]:
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats/widget.schema.json").write_text(json.dumps(SCHEMA))
    monkeypatch.setattr(schemas, "FOLDERS", (tmp_path / "formats", *schemas.FOLDERS))
    made = Widgets()
    monkeypatch.setattr(load, "package", lambda _: made)
    _forget()
    yield made
    _forget()


def _forget() -> None:
    schemas.load.cache_clear()
    schemas.quick.cache_clear()


def project(directory: Path, *, include: Sequence[str] = ("schema/**/*.yaml",), variables: Any = None) -> Project:
    where = Source("reconcile.yaml", 4)
    specs = {name: StoreSpec(name, "widget", {}, where, directory) for name in ("app", "other")}
    return Project(
        name="p",
        directory=directory,
        environment="default",
        stores=specs,
        embeddings={"e": Embedding("e", "m", 3, Distance.COSINE)},
        policy=Policy(),
        ledger=LedgerSpec(store="app"),
        selections={"app": Selection(ignore=("public.tmp_*",)), "other": Selection(external=("public.theirs",))},
        variables=variables,
        include=tuple(include),
        source=where,
    )


def desired(directory: Path, files: dict[str, str], **variables: object) -> State:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    return project(directory, variables=variables).desired()


def problems(directory: Path, files: dict[str, str] | str, **variables: object) -> str:
    with pytest.raises(ProjectError) as caught:
        desired(directory, {"schema/a.yaml": files} if isinstance(files, str) else files, **variables)
    return str(caught.value)


def table(rest: str) -> str:
    return f"store: app\ntables:\n  t: {{{rest}}}\n"


def test_files_and_documents_become_one_state(tmp_path: Path, widgets: Widgets) -> None:
    state = desired(
        tmp_path,
        {
            "schema/b/c.yaml": "store: other\ntables: {x: {columns: {id: text}}}\n",
            "schema/a.yaml": "store: app\ntables: {a: {columns: {}}}\n---\nstore: app\ntables: {b: {columns: {}}}\n",
            "schema/empty.yaml": "# nothing\n",
            "elsewhere.yaml": "not read: [",
        },
    )
    assert list(map(str, state)) == [
        "app.table.public.a",
        "app.table.public.b",
        "other.table.public.x",
        "other.column.public.x.id",
    ]
    assert str(state[Address.parse("other.column.public.x.id")].source) == "schema/b/c.yaml:2:24"
    assert len(widgets.seen) == 3


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("columns: {path: {type: text, notnull: true}}",
         'schema/a.yaml:3:36: unknown key "notnull" in column "path"; did you mean "not_null"?'),
        ("columns: {path: {type: text, zzz: true}}",
         'unknown key "zzz" in column "path"; there are: type, not_null, default, identity, embedding'),
        ("columns: {}, comment: x, key: id",
         '3:37: "key" of table "t": expected a list of column names, got the text "id"; write [id]'),
        ("columns: {}, comment: x, key: [1]", 'expected text, got the number 1; write it in quotes: "1"'),
        ("columns: {}, comment: x, key: []", '"key" of table "t": is empty'),
        ("columns: {}, key: [a]", '"key" needs "comment" in table "t"'),
        ("columns: {a: 1}", 'column "a": expected text or keys and values, got the number 1; write it in quotes: "1"'),
        ("columns: {a: null}", 'column "a": expected text or keys and values, got nothing'),
        ("columns: {a: []}", 'column "a": expected text or keys and values, got a list'),
        ("columns: {a: {type: text, not_null: yes}}",
         '3:43: "not_null" of column "a": expected true or false, got the text "yes"; write true'),
        ("columns: {a: {type: 1.10}}", 'expected text, got the number 1.10; write it in quotes: "1.10"'),
        ("columns: {a: {type: true}}", 'expected text, got true; write it in quotes: "true"'),
        ("columns: {a: {type: t, identity: alway}}",
         '"identity" of column "a": expected always, by_default or keys and values, got the text "alway"; '
         'did you mean "always"?'),
        ("columns: {a: {not_null: true}}", '3:17: missing key "type" or "embedding" in column "a"'),
        ("columns: {a: {type: x, embedding: e}}", 'column "a": type and embedding cannot stand together'),
        ("columns: {A: text}", '3:17: the name "A" cannot be: expected small letters'),
        ("columns: {a: {embedding: aaaaaaaaaaaaaaaaaaaaaaaaa}}", "expected at most 20 characters, got 25"),
        ("comment: x", '3:3: missing key "columns" in table "t"'),
        ("columns: {}, m: 1", '"m" of table "t": expected at least 2, got 1'),
        ("columns: {}, m: 100", '"m" of table "t": expected less than 100, got 100'),
        ("columns: {}, m: 1.5", '"m" of table "t": expected a whole number, got the number 1.5'),
        ("columns: []", '"columns" of table "t": expected keys and values, got a list'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_words(tmp_path: Path, widgets: Widgets, rest: str, message: str) -> None:
    del widgets
    found = problems(tmp_path, table(rest))
    assert message in found
    assert len(found.splitlines()) == 1


def test_items_of_lists_are_counted_from_one(tmp_path: Path, widgets: Widgets) -> None:
    del widgets
    text = "store: app\ndefault_grants: [{role: a, to: b}, {to: b}]\n"
    assert problems(tmp_path, text).splitlines() == [
        'schema/a.yaml:2:36: missing key "role" in "default_grants[2]"',
        'schema/a.yaml:2:36: "default_grants[2]": expected at least 2 keys, got 1',
    ]


def test_all_problems_of_all_files_come_at_once_in_order(tmp_path: Path, widgets: Widgets) -> None:
    files = {
        "schema/a.yaml": "store: ap\n---\ntables: {}\n---\nstor: app\n",
        "schema/b.yaml": "a: [\n",
        "schema/c.yaml": table("columns: {a: 1}, x: 1"),
        "schema/d.yaml": "store: other\ntables: {t: {columns: {a: '${var.x}'}}}\n",
    }
    assert problems(tmp_path, files, y=1).splitlines() == [
        'schema/a.yaml:1:8: there is no store "ap"; did you mean "app"?',
        'schema/a.yaml:3:1: missing key "store"; begin the document with `store: app` or `store: other`',
        'schema/a.yaml:5:1: missing key "store"; did you mean "store" where it says "stor"?',
        "schema/b.yaml:2:1: expected a value or the closing bracket (the bracket on line 1 is open)",
        'schema/c.yaml:3:20: column "a": expected text or keys and values, got the number 1; write it in quotes: "1"',
        'schema/c.yaml:3:24: unknown key "x" in table "t"; there are: comment, key, columns, m',
        'schema/d.yaml:2:27: there is no variable "x"; there is: y',
    ]
    assert widgets.seen == []


def test_two_declarations_of_one_address_name_both_lines(tmp_path: Path, widgets: Widgets) -> None:
    del widgets
    files = {"schema/a.yaml": table("columns: {a: x}"), "schema/b.yaml": "\n" + table("columns: {}")}
    assert problems(tmp_path, files).splitlines()[0] == (
        "schema/b.yaml:4:3: app.table.public.t is declared twice; the other is at schema/a.yaml:3:3; "
        "keep one of the two"
    )


def test_what_the_project_leaves_alone_cannot_be_declared(tmp_path: Path, widgets: Widgets) -> None:
    del widgets
    text = "store: app\ntables: {tmp_x: {columns: {}}}\n---\nstore: other\ntables: {theirs: {columns: {}}}\n"
    found = problems(tmp_path, text)
    assert 'app.table.public.tmp_x is declared, but `manage or ignore:` of store "app" leaves it alone' in found
    assert "other.table.public.theirs is declared, but `external:`" in found


def test_what_the_package_says_is_told_too(tmp_path: Path, widgets: Widgets) -> None:
    del widgets
    text = "store: app\ntables: {wrong: {columns: {}}}\n"
    assert problems(tmp_path, text) == "schema/a.yaml:2:10: tables named wrong are wrong"


def test_variables_keep_their_type_alone_and_become_text_inside(tmp_path: Path, widgets: Widgets) -> None:
    text = table(
        'columns: {a: {type: "${var.t}(${var.n})", default: "${var.n}", not_null: "${var.b}"}, '
        'b: {type: t, default: "$${var.n} $${x}"}, c: {type: "a ${var.b} ${var.f}"}}, m: "${var.n}"'
    )
    desired(tmp_path, {"schema/a.yaml": text}, t="numeric", n=16, b=True, f=1.5)
    found = widgets.seen[0]["tables"]["t"]
    assert found["columns"]["a"] == {"type": "numeric(16)", "default": 16, "not_null": True}
    assert found["columns"]["b"]["default"] == "${var.n} ${x}"
    assert found["columns"]["c"]["type"] == "a true 1.5"
    assert found["m"] == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${var.hnsw}", '3:27: there is no variable "hnsw"; did you mean "hnsw_m"?'),
        ("a ${var.zzz} b", 'there is no variable "zzz"; there is: hnsw_m'),
        ("${HOME}", "${HOME} is not replaced here: the environment is read under stores: in reconcile.yaml"),
        ("${hnsw_m}", "${hnsw_m} is not replaced here; write ${var.hnsw_m}"),
        ("${var.hnsw_m", "${ is not closed"),
        ("${", "${ is not closed"),
    ],
)
def test_wrong_variables(tmp_path: Path, widgets: Widgets, text: str, message: str) -> None:
    del widgets
    assert message in problems(tmp_path, table(f'columns: {{a: {{type: "{text}"}}}}'), hnsw_m=16)


def test_includes(tmp_path: Path, widgets: Widgets) -> None:
    del widgets
    where = tmp_path / "project"
    (where / "x").mkdir(parents=True)
    for name in ("x/b.yaml", "x/a.yaml", "reconcile.yaml", "../shared.yaml", "x/c.yml"):
        (where / name).write_text("store: app\n")
    found: list[Any] = []
    several = project(where, include=("x/*.yaml", "**/*.yaml", "../*.yaml", str(where / "x/a.yaml")))
    names = [shown for _, shown in load.files(several, found)]
    assert names == ["../shared.yaml", str(where / "x/a.yaml"), "x/a.yaml", "x/b.yaml"]
    assert found == []
    load.files(project(where, include=("schema/*.yaml", "x/c.yaml")), found)
    assert [str(problem) for problem in found] == [
        "reconcile.yaml:4:1: no file matches schema/*.yaml; write one, or have `reconcile import` write it "
        "from the stores, or mend `include:`",
        'reconcile.yaml:4:1: no file matches x/c.yaml; there are .yml files: add "x/c.yml" to `include:`',
    ]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 200)
    | st.floats(-3, 3)
    | st.sampled_from(["a", "always", "B", "x" * 25])
)
KEYS = st.sampled_from(
    ["a", "B", "type", "not_null", "default", "identity", "embedding", "columns", "key", "comment", "m"]
)
COLUMNS: st.SearchStrategy[Any] = SCALARS | st.dictionaries(KEYS, SCALARS | st.just({}), max_size=3)
TABLES: st.SearchStrategy[Any] = SCALARS | st.fixed_dictionaries(
    {"columns": SCALARS | st.dictionaries(KEYS, COLUMNS, max_size=3)},
    optional={"comment": SCALARS, "key": SCALARS | st.lists(SCALARS, max_size=2), "m": SCALARS, "a": SCALARS},
)
DOCUMENTS = st.fixed_dictionaries(
    {}, optional={"store": SCALARS, "tables": SCALARS | st.dictionaries(KEYS, TABLES, max_size=2), "a": SCALARS}
)


@given(DOCUMENTS)
@settings(max_examples=300, deadline=None)
def test_the_quick_test_agrees_with_jsonschema(document: dict[str, Any]) -> None:
    quick = schemas.Compiler(SCHEMA).compile(SCHEMA)
    assert quick(document) == Draft202012Validator(SCHEMA).is_valid(document)


def test_a_keyword_the_quick_test_does_not_know_is_left_to_jsonschema() -> None:
    with pytest.raises(schemas.Unknown):
        schemas.Compiler({}).compile({"contains": {"type": "string"}})


@pytest.mark.parametrize("name", sorted(path.name for path in schemas.FOLDERS[1].glob("*.json")))
def test_the_quick_test_knows_every_keyword_of_our_schemas(name: str) -> None:
    assert schemas.quick(name) is not None
