"""The JSON Schemas of the file formats: where they are, and a quick test whether a document fits.

The test is compiled once from the schema into plain functions, ten times as fast as a general validator, and
only says yes or no; what is wrong is told by `wording`, with jsonschema, when the answer is no.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

Test: TypeAlias = Callable[[Any], bool]

_HERE = Path(__file__).resolve().parent
# The wheel carries them inside the package; a checkout (editable installs too) has them at its root.
FOLDERS = (_HERE / "schema", _HERE.parents[1] / "schema")
_ANNOTATIONS = frozenset(
    ("$schema", "$id", "$defs", "$comment", "title", "description", "examples", "default", "deprecated", "format")
)


class Unknown(Exception):
    """The quick test does not know a keyword; ask jsonschema."""


@cache
def load(name: str) -> dict[str, Any]:
    """A schema by file name, as JSON; that of the project has the settings of every kind of store.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for folder in FOLDERS:
        if (path := folder / name).is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return _with_kinds(found) if name == "project.schema.json" else found
    raise FileNotFoundError(f"{name} is in none of {', '.join(map(str, FOLDERS))}")


def _with_kinds(project: dict[str, Any]) -> dict[str, Any]:
    """The project's schema with the kinds of store that its file does not have yet."""
    known = project["$defs"]["store"]["properties"]["kind"]["enum"]
    kinds = sorted(path.parent.name for path in (_HERE / "stores").glob("*/__init__.py"))
    for kind in kinds:
        if kind not in known:
            project = with_kind(project, kind, load(f"{kind}.schema.json")["$defs"]["store"])
    return project


def with_kind(project: dict[str, Any], kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The project's schema with the settings of a kind of store: what its own schema says under `$defs.store`.

    The file has those of the kinds that come with the tool, for editors that read it: scripts/docs.py writes them.
    """
    found: dict[str, Any] = json.loads(json.dumps(project))
    store, partial = found["$defs"]["store"], found["$defs"]["partial_store"]
    if kind not in store["properties"]["kind"]["enum"]:
        for one in (store, partial):
            one["properties"]["kind"]["enum"].append(kind)
        chosen = {"properties": {"kind": {"const": kind, "description": "The kind of store."}}, "required": ["kind"]}
        store["allOf"].append({"if": chosen, "then": {"$ref": f"#/$defs/{kind}"}})
    found["$defs"][kind] = settings
    return found


@cache
def quick(name: str, definition: str | None = None) -> Test | None:
    """The compiled test of a schema file, or of one of its `$defs`; None where it has unknown keywords."""
    root = load(name)
    try:
        return Compiler(root).compile(root["$defs"][definition] if definition else root)
    except Unknown:
        return None


def part(name: str, definition: str | None = None) -> dict[str, Any]:
    """The schema, or one of its `$defs` as a schema of its own that still finds its neighbours."""
    root = load(name)
    return root if definition is None else {"$ref": f"#/$defs/{definition}", "$defs": root["$defs"]}


_TYPES: dict[str, Test] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": lambda v: (isinstance(v, int) and not isinstance(v, bool)) or (isinstance(v, float) and v.is_integer()),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
}


class Compiler:
    """Makes the quick test of a schema within `root`, which `$ref`s lead into."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.refs: dict[str, Test] = {}

    def compile(self, schema: Any) -> Test:
        """One function that says whether a value fits."""
        if schema is True:
            return lambda _: True
        if schema is False:
            return lambda _: False
        tests = [test for key, value in schema.items() if (test := self.keyword(key, value, schema)) is not None]
        if len(tests) == 1:
            return tests[0]
        fixed = tuple(tests)

        def every(value: Any) -> bool:
            for test in fixed:  # noqa: SIM110  # all() with a generator costs twice as much here
                if not test(value):
                    return False
            return True

        return every

    def keyword(self, key: str, value: Any, schema: Mapping[str, Any]) -> Test | None:
        """The test of one keyword; None for what only annotates or is read together with another."""
        if key in _ANNOTATIONS or key in ("then", "else"):
            return None
        if key in ("patternProperties", "additionalProperties", "properties"):
            first = next(k for k in ("properties", "patternProperties", "additionalProperties") if k in schema)
            return self.properties(schema) if key == first else None
        if key == "$ref":
            return self.reference(value)
        method = getattr(self, f"_{key}", None)
        if method is None:
            raise Unknown(key)
        test: Test = method(value, schema)
        return test

    def reference(self, ref: str) -> Test:
        """The test of a `$ref` within the file; made once, and found while it is being made."""
        if not ref.startswith("#"):
            raise Unknown(ref)
        if ref not in self.refs:
            self.refs[ref] = lambda value: self.refs[ref](value)
            target: Any = self.root
            for step in ref[1:].split("/")[1:]:
                target = target[step.replace("~1", "/").replace("~0", "~")]
            self.refs[ref] = self.compile(target)
        return self.refs[ref]

    def properties(self, schema: Mapping[str, Any]) -> Test:
        """`properties`, `patternProperties` and `additionalProperties` in one pass over the keys."""
        known = {name: self.compile(inner) for name, inner in schema.get("properties", {}).items()}
        patterns = [(re.compile(p), self.compile(inner)) for p, inner in schema.get("patternProperties", {}).items()]
        rest = self.compile(schema.get("additionalProperties", True))

        def test(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            for name, inner in value.items():
                check = known.get(name)
                if check is not None and not check(inner):
                    return False
                matched = check is not None
                for pattern, other in patterns:
                    if pattern.search(name):
                        matched = True
                        if not other(inner):
                            return False
                if not matched and not rest(inner):
                    return False
            return True

        return test

    def _type(self, value: str | Sequence[str], _: object) -> Test:
        if isinstance(value, str):
            return _TYPES[value]
        tests = [_TYPES[name] for name in value]
        return lambda v: any(test(v) for test in tests)

    def _enum(self, value: Sequence[Any], _: object) -> Test:
        return lambda v: any(type(v) is type(e) and v == e for e in value)

    def _const(self, value: Any, _: object) -> Test:
        return lambda v: type(v) is type(value) and bool(v == value)

    def _required(self, value: Sequence[str], _: object) -> Test:
        return lambda v: not isinstance(v, dict) or all(name in v for name in value)

    def _dependentRequired(self, value: Mapping[str, Sequence[str]], _: object) -> Test:
        return lambda v: (
            not isinstance(v, dict) or all(name in v for key, names in value.items() if key in v for name in names)
        )

    def _propertyNames(self, value: Any, _: object) -> Test:
        inner = self.compile(value)
        return lambda v: not isinstance(v, dict) or all(map(inner, v))

    def _minProperties(self, value: int, _: object) -> Test:
        return lambda v: not isinstance(v, dict) or len(v) >= value

    def _maxProperties(self, value: int, _: object) -> Test:
        return lambda v: not isinstance(v, dict) or len(v) <= value

    def _items(self, value: Any, schema: Mapping[str, Any]) -> Test:
        inner, skip = self.compile(value), len(schema.get("prefixItems", ()))
        return lambda v: not isinstance(v, list) or all(map(inner, v[skip:]))

    def _prefixItems(self, value: Sequence[Any], _: object) -> Test:
        inner = [self.compile(one) for one in value]
        return lambda v: not isinstance(v, list) or all(test(x) for test, x in zip(inner, v, strict=False))

    def _minItems(self, value: int, _: object) -> Test:
        return lambda v: not isinstance(v, list) or len(v) >= value

    def _maxItems(self, value: int, _: object) -> Test:
        return lambda v: not isinstance(v, list) or len(v) <= value

    def _uniqueItems(self, value: bool, _: object) -> Test:
        return lambda v: not value or not isinstance(v, list) or all(x not in v[:i] for i, x in enumerate(v))

    def _pattern(self, value: str, _: object) -> Test:
        search = re.compile(value).search
        return lambda v: not isinstance(v, str) or search(v) is not None

    def _minLength(self, value: int, _: object) -> Test:
        return lambda v: not isinstance(v, str) or len(v) >= value

    def _maxLength(self, value: int, _: object) -> Test:
        return lambda v: not isinstance(v, str) or len(v) <= value

    def _minimum(self, value: float, _: object) -> Test:
        return lambda v: not _TYPES["number"](v) or v >= value

    def _maximum(self, value: float, _: object) -> Test:
        return lambda v: not _TYPES["number"](v) or v <= value

    def _exclusiveMinimum(self, value: float, _: object) -> Test:
        return lambda v: not _TYPES["number"](v) or v > value

    def _exclusiveMaximum(self, value: float, _: object) -> Test:
        return lambda v: not _TYPES["number"](v) or v < value

    def _allOf(self, value: Sequence[Any], _: object) -> Test:
        inner = [self.compile(one) for one in value]
        return lambda v: all(test(v) for test in inner)

    def _anyOf(self, value: Sequence[Any], _: object) -> Test:
        inner = [self.compile(one) for one in value]
        return lambda v: any(test(v) for test in inner)

    def _oneOf(self, value: Sequence[Any], _: object) -> Test:
        inner = [self.compile(one) for one in value]
        return lambda v: sum(test(v) for test in inner) == 1

    def _not(self, value: Any, _: object) -> Test:
        inner = self.compile(value)
        return lambda v: not inner(v)

    def _if(self, value: Any, schema: Mapping[str, Any]) -> Test:
        condition = self.compile(value)
        then, otherwise = self.compile(schema.get("then", True)), self.compile(schema.get("else", True))
        return lambda v: then(v) if condition(v) else otherwise(v)
