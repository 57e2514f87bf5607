"""The reader: YAML 1.2 core, every value with its place; and the writer, whose text reads back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.errors import ProjectError
from reconcile.yamldump import dump
from reconcile.yamlio import MAX_ALIASED, MAX_DEPTH, Map, Seq, merge, parse, read_documents


def one(text: str) -> Map:
    (document,) = parse(text, "f.yaml")
    return document


def problems(text: str) -> str:
    with pytest.raises(ProjectError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True), ("false", False), ("null", None), ("~", None), ("", None),
        ("12", 12), ("-3", -3), ("+4", 4), ("010", 10), ("1.5", 1.5), ("-.5", -0.5), ("1e3", 1000.0), ("2.", 2.0),
        ("yes", "yes"), ("No", "No"), ("on", "on"), ("True", "True"), ("NULL", "NULL"), ("1:20", "1:20"),
        ("0x1F", "0x1F"), ("0o17", "0o17"), ("1_000", "1_000"), ("2024-01-31", "2024-01-31"), (".nan", ".nan"),
        (".inf", ".inf"), ("=", "="), ("1.2.3", "1.2.3"), ("'12'", "12"), ('"true"', "true"), ("! 12", "12"),
        ("!!str 12", "12"), ("size >= 0", "size >= 0"), ("nextval('x'::regclass)", "nextval('x'::regclass)"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_rules(written: str, value: object) -> None:
    found = one(f"a: {written}\n")["a"]
    assert found == value
    assert type(found) is type(value) or isinstance(found, float)


def test_a_float_keeps_its_spelling_for_sql() -> None:
    assert str(one("a: 1.10")["a"]) == "1.10"


def test_keys_are_text_as_written() -> None:
    assert list(one("on: 1\n1: 2\nnull: 3\n2024-01-01: 4\n1.50: 5\n")) == ["on", "1", "null", "2024-01-01", "1.50"]


def test_every_value_has_its_place() -> None:
    document = one("store: app\ntables:\n  a:\n    columns: {id: bigint, n: [x, y]}\n")
    columns = document["tables"]["a"]["columns"]
    assert str(document.at()) == "f.yaml:1:1"
    assert str(document.at("tables")) == "f.yaml:2:1"
    assert str(document["tables"].at("a")) == "f.yaml:3:3"
    assert str(document["tables"]["a"].value_at("columns")) == "f.yaml:4:14"
    assert str(columns.at("n")) == "f.yaml:4:27"
    assert str(columns["n"].at(1)) == "f.yaml:4:34"
    assert str(columns.at("absent")) == "f.yaml:4:14"
    assert str(columns["n"].at(7)) == "f.yaml:4:30"


def test_columns_count_characters_not_bytes() -> None:
    assert one("ü: {é: 1}")["ü"].at("é").column == 5


def test_documents_are_split_and_empty_ones_left_out() -> None:
    assert parse("--- {a: 1}\n---\n# nothing\n---\nb: 2\n...\n", "f") == [{"a": 1}, {"b": 2}]
    assert parse("", "f") == parse("# nothing\n", "f") == parse("---\n", "f") == []


def test_aliases_are_copies_and_merge_keys_yield_to_what_is_written() -> None:
    document = one("a: &a {x: 1, y: 2}\nb: {first: 0, <<: *a, y: 3}\nc: *a\nd: &t text\ne: *t\n")
    assert document["b"] == {"first": 0, "x": 1, "y": 3}
    assert list(document["b"]) == ["first", "x", "y"]
    assert document["c"] == document["a"]
    assert document["c"] is not document["a"]
    assert document["e"] == "text"
    assert str(document["b"].at("x")) == "f.yaml:1:8"
    assert one("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n")["c"] == {"x": 1, "y": 2}
    assert one('"<<": 1') == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {type: numeric(10,2)}",
         'f.yaml:1:22: "2)" has no colon and no value; a comma splits this; write the SQL in quotes: "numeric(10,2)"'),
        ("a: {not_null}", 'f.yaml:1:5: "not_null" has no colon and no value; a comma splits this'),
        ("a: [lower(a, b), c]", "f.yaml:1:5: lower(a, b) is two items; a comma splits this; write the SQL in quotes"),
        ("a: 1\nb: 2\na: 3\n", 'f.yaml:3:1: key "a" is already on line 1'),
        ("a: !!python/object:os.system {}", "f.yaml:1:4: tags are not read: !!python/object:os.system"),
        ("a: !!binary aGk=", "f.yaml:1:4: tags are not read: !!binary"),
        ("a: !x 1", "f.yaml:1:4: tags are not read"),
        ("a:\n\tb: 1", "f.yaml:2:1: a tab cannot indent; use spaces"),
        ("a: b: c", "f.yaml:1:5: a colon where none can be"),
        ("a: *x", "f.yaml:1:4: *x refers to nothing"),
        ("a: &x [*x]", "f.yaml:1:8: *x refers to itself"),
        ("a: [1", "expected , or ]"),
        ("a: {b: 1", "expected , or }"),
        ("a: 1\nb: 'x\nc: 2", "f.yaml:2:4: the quote that begins here is not closed"),
        ("- 1", "f.yaml:1:1: expected keys and values, got a list"),
        ("text", "f.yaml:1:1: expected keys and values, got text"),
        ("7", "f.yaml:1:1: expected keys and values, got 7"),
        ("[a]: 1", "f.yaml:1:1: a key must be text"),
        ("? {a: 1}\n: 1", "f.yaml:1:3: a key must be text"),
        ("a: @b", "f.yaml:1:4: a value cannot begin with @; write it in quotes"),
        ("a: %b", "f.yaml:1:4: a value cannot begin with %; write it in quotes"),
        ("a: * b", "a value that begins with *; write it in quotes"),
        ("a: 'x' y", "f.yaml:1:8: expected a key or the end of the block"),
        ("a: \x07", "f.yaml:1:4: character U+0007 cannot be in a YAML file"),
        ("a: " + "9" * 5000, "f.yaml:1:4: is too large for a number; write it in quotes"),
        ("a: 1e999", "f.yaml:1:4: is too large for a number"),
        ("a: {<<: 1}", '"<<" takes keys and values'),
        ("a: 1\n   b: 2", "a colon where none can be"),
        ("a: - 1", "a list item where none can be"),
        ("%YAML 3.0\n---\na: 1", "f.yaml:1:1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, message: str) -> None:
    assert message in problems(text)


def test_a_colon_without_value_is_null_but_a_missing_colon_is_not() -> None:
    assert one("a: {b: , c: }")["a"] == {"b": None, "c": None}
    assert one("a: {b: # x\n }")["a"] == {"b": None}
    assert "no colon" in problems("a: {b # :\n }")


def test_all_problems_of_a_file_come_at_once() -> None:
    lines = problems("a: 1\na: 2\nb: !x 1\nc: {d}\n").splitlines()
    assert [line.split(": ")[0] for line in lines] == ["f.yaml:2:1", "f.yaml:3:4", "f.yaml:4:5"]


def test_alias_bombs_and_depth_are_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert f"more than {MAX_ALIASED} values" in problems("\n".join(levels))
    assert f"deeper than {MAX_DEPTH} levels" in problems("a: " + "[" * 100_000)
    assert f"deeper than {MAX_DEPTH} levels" in problems("- " * 100_000)
    deep = "\n".join(
        [f"a0: &a0 {'[' * 30}{']' * 30}", f"a1: &a1 {'[' * 30}*a0{']' * 30}", f"a2: {'[' * 30}*a1{']' * 30}"]
    )
    assert "deeper" in problems(deep)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: \xff", "f.yaml:1:4: byte 0xff is not UTF-8; save the file as UTF-8"),
        ("a: é\nb: é".encode("latin-1"), "f.yaml:1:4: byte 0xe9"),
        ("a: 1".encode("utf-16"), "looks like UTF-16"),
        (b"a: 1\x00", "f.yaml:1:5: character U+0000"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(data)
    with pytest.raises(ProjectError, match=r"f\.yaml") as caught:
        read_documents(path, "f.yaml")
    assert message in str(caught.value)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.yaml"):
        with pytest.raises(ProjectError, match=r"f\.yaml:1:1: cannot be read: "):
            read_documents(path, "f.yaml")


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: 2\r\n")
    (document,) = read_documents(path, "f.yaml")
    assert document == {"a": 1, "b": {"c": 2}}
    assert str(document["b"].at("c")) == "f.yaml:3:3"


def test_merge_lays_mappings_over_each_other_with_places() -> None:
    base, over = one("a: {b: 1, c: 2}\nd: [1]\n"), one("\na: {c: 3, b: null}\nd: [2]\n")
    merged = merge(base, over)
    assert merged == {"a": {"c": 3}, "d": [2]}
    assert str(merged["a"].value_at("c")) == "f.yaml:2:8"
    assert base["a"] == {"b": 1, "c": 2}


def test_without_libyaml_the_python_parser_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: {b: [1, x y], 'c': null}\nd: |\n  text\n---\ne: &x {f: 1}\ng: {<<: *x}\n"
    fast = parse(text, "f")
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    slow = parse(text, "f")
    assert fast == slow
    assert fast[0]["a"].value_at("b") == slow[0]["a"].value_at("b")
    assert "a comma splits this" in problems("a: {type: numeric(10,2)}")
    assert "a tab cannot indent" in problems("a:\n\tb: 1")
    assert "refers to nothing" in problems("a: *x")


def test_dump_has_the_look_of_the_format() -> None:
    columns = {"id": {"type": "bigint", "identity": "always"}, "on": {"type": "numeric(10,2)", "default": "'yes'"}}
    document = {
        "store": "app",
        "tables": {
            "documents": {
                "columns": columns,
                "primary_key": ["id"],
                "indexes": {"i": {"columns": [{"expression": "lower(path)"}], "with": {"m": 16}}},
            }
        },
        "views": {"recent": {"query": "select id\nfrom documents"}},
    }
    assert dump(document, ["not modelled: trigger x"]) == (
        "# not modelled: trigger x\n"
        "store: app\n"
        "tables:\n"
        "  documents:\n"
        "    columns:\n"
        "      id: {type: bigint, identity: always}\n"
        '      "on": {type: "numeric(10,2)", default: "\'yes\'"}\n'
        "    primary_key: [id]\n"
        "    indexes:\n"
        "      i: {columns: [{expression: lower(path)}], with: {m: 16}}\n"
        "views:\n"
        "  recent:\n"
        "    query: |-\n"
        "      select id\n"
        "      from documents\n"
    )


AWKWARD = [
    "yes", "No", "~", "null", "1:20", "0x1f", "1_0", "1e3", ".5", "2024-01-01", "=", "<<", "- a", "a: b", "a #b",
    " a", "a ", "a\n", "\na", "a\n\nb\n", "  a\nb", "#", "*x", "&x", "!x", "%x", "@x", "`x", "'", '"', "\\",
    "a'b\"c", "{a}", "[a]", "a,b", "---", "--- a", "...", "?", "? a", ":", ":a", "\t", "a\tb", "\u2028", "\x85",
    "\ufeff", "\U0001f600", "${var.x}", "$${x}", "f(a, b)", "(", "0b1", "+1", "1.", "1.10", "+.inf", ".NaN", "Y",
    "n", "12e03", "1,000", "|", ">", "| a", "a\r\nb",
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=30)
    | st.sampled_from(AWKWARD)
)
KEYS = st.text(max_size=8) | st.sampled_from(AWKWARD)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def plain(value: Any) -> Any:
    """As reading gives it, `$${` undone as the loader does."""
    if isinstance(value, Map):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, Seq):
        return [plain(inner) for inner in value]
    return value.replace("$${", "${") if isinstance(value, str) else value


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5))
@settings(max_examples=400, deadline=None)
def test_what_is_dumped_reads_back_in_this_and_in_older_readers(value: dict[str, Any]) -> None:
    text = dump(value)
    assert plain(one(text)) == value
    older = yaml.load(text, yaml.CSafeLoader)  # YAML 1.1: strings must be strings there too
    assert _strings(older) == _strings(value)


def _strings(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _strings(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [_strings(inner) for inner in value]
    if isinstance(value, str):
        return "text"
    return isinstance(value, float | int) and not isinstance(value, bool) and not math.isnan(value)
