"""What does not fit a JSON Schema, as problems in human words, each at its line and column.

A schema may give its `title` as a noun ("a list of column names"): it is then what was expected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconcile.errors import Problem
from reconcile.model import Source
from reconcile.references import masked
from reconcile.schemas import part, quick
from reconcile.suggest import deeper, meant, nearest
from reconcile.yamlio import Map, Seq

_TYPES = {
    "object": "keys and values",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "null": "nothing",
    "integer": "a whole number",
    "number": "a number",
}
_SINGULAR = {
    "indexes": "index", "payload_indexes": "payload index", "policies": "policy", "aliases": "alias",
    "statistics": "statistics", "unique": "unique constraint", "properties": "property",
    "procedures": "procedure", "environments": "environment", "vocabulary": "vocabulary",
}  # fmt: skip


def problems(document: Map, schema: str, definition: str | None = None) -> list[Problem]:
    """All that does not fit the schema file (or one of its `$defs`), in no order; [] where it fits."""
    test = quick(schema, definition)
    if test is not None and test(document):
        return []
    from jsonschema import Draft202012Validator  # only to explain: it costs 0.1 s to import

    validator = Draft202012Validator(part(schema, definition))
    found: dict[tuple[Source, str], Problem] = {}
    errors = list(validator.iter_errors(document))
    mistyped = {tuple(e.absolute_path) for e in errors if e.validator == "type"}
    for error in errors:
        if error.validator != "type" and tuple(error.absolute_path) in mistyped:
            continue  # too small, too: says nothing to who wrote text for a number
        for problem in _words(error, document):
            assert isinstance(problem.where, Source)
            found.setdefault((problem.where, problem.what), problem)
    return list(found.values())


def _words(error: Any, root: Map) -> Iterator[Problem]:
    method = _METHODS.get(error.validator)
    if error.validator in ("anyOf", "oneOf"):
        yield from _alternatives(error, root)
    elif method is not None:
        yield from method(error, root)
    else:
        yield _problem(error, root, _shortened(error.message))


def _problem(error: Any, root: Map, what: str, hint: str | None = None, *, name: bool = True) -> Problem:
    path = list(error.absolute_path)
    subject = f"{_subject(error)}: " if name and path else ""
    return Problem(f"{subject}{what}", where=place(root, path), hint=hint)


def place(root: Map, path: Sequence[str | int]) -> Source:
    """Where the value at `path` is written."""
    here: Any = root
    where = root.at()
    for step in path:
        if isinstance(here, Map) and step in here:
            where = here.value_at(str(step))
        elif isinstance(here, Seq) and isinstance(step, int) and step < len(here):
            where = here.at(step)
        else:
            break
        here = here[step]
    return where


def _owner_place(root: Map, path: Sequence[str | int]) -> Source:
    """Where the key of the mapping at `path` is written: what a missing key belongs to."""
    here: Any = root
    for step in path[:-1]:
        here = here[step]
    return here.at(str(path[-1])) if path and isinstance(here, Map) else place(root, path)


def _subject(error: Any) -> str:
    """What the error is about: `"type" of column "id"`, `column "id"`, `"version"`."""
    path = list(error.absolute_path)
    named = _named(error)
    for i in range(len(path) - 1, 0, -1):
        if named[i] and isinstance(path[i - 1], str):
            owner = f'{_singular(path[i - 1])} "{path[i]}"'
            rest = path[i + 1 :]
            if len(rest) == 1 and isinstance(rest[0], int):
                return f"item {rest[0] + 1} of {owner}"
            return f'"{_dotted(rest)}" of {owner}' if rest else owner
    return f'"{_dotted(path)}"'


def _named(error: Any) -> list[bool]:
    """For each step of the path, whether it is a name the author gave (a column's), not a key of the format."""
    steps, found = list(error.absolute_schema_path)[:-1], []
    while steps:
        step = steps.pop(0)
        if step in ("properties", "patternProperties", "prefixItems") and steps:
            steps.pop(0)
            found.append(step == "patternProperties")
        elif step in ("additionalProperties", "items"):
            found.append(step == "additionalProperties")
        elif step in ("allOf", "anyOf", "oneOf") and steps:
            steps.pop(0)
    count = len(error.absolute_path)
    return (found + [False] * count)[:count]


def _dotted(path: Sequence[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _singular(group: str) -> str:
    if found := _SINGULAR.get(group):
        return found
    name = group.replace("_", " ")
    return f"{name.removesuffix('ies')}y" if name.endswith("ies") else name.removesuffix("s")


def _got(value: Any) -> str:
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'the text "{_shortened(masked(value), 40)}"'
    return f"the number {_shortened(str(value), 40)}"


def _shortened(text: str, width: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _expected(schema: Any) -> str:
    """A schema as a noun."""
    return _choice(_nouns(schema))


def _nouns(schema: Any) -> list[str]:
    """What a schema allows, as nouns."""
    if not isinstance(schema, dict):
        return ["something else"]
    if "title" in schema:
        return [str(schema["title"])]
    if "enum" in schema:
        return list(map(_shown, schema["enum"]))
    if "const" in schema:
        return [_shown(schema["const"])]
    kinds = schema.get("type", [])
    words = [_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    if words == ["a list"] and isinstance(schema.get("items"), dict):
        inner = schema["items"]
        if "title" in inner or inner.get("type") == "string":
            return [f"a list of {inner.get('title', 'text')}"]
    return words or ["something else"]


def _choice(words: Iterable[str]) -> str:
    found = list(dict.fromkeys(words))
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _quote_hint(value: Any, schema: Any) -> str | None:
    kinds = schema.get("type", []) if isinstance(schema, dict) else []
    text_wanted = "string" in ([kinds] if isinstance(kinds, str) else kinds)
    if text_wanted and isinstance(value, bool | int | float):
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        return f'write it in quotes: "{shown}"'
    if kinds == "array" and isinstance(value, str | int) and not isinstance(value, bool):
        return f"write [{value}]" if len(str(value)) < 30 else "write it as a list: […]"
    if kinds == "boolean" and isinstance(value, str) and value.casefold() in _YES_NO:
        return f"write {_YES_NO[value.casefold()]}"
    return None


_YES_NO = {"yes": "true", "on": "true", "y": "true", "true": "true",
           "no": "false", "off": "false", "n": "false", "false": "false"}  # fmt: skip


def _type(error: Any, root: Map) -> Iterator[Problem]:
    yield _problem(
        error, root, f"expected {_expected(error.schema)}, got {_got(error.instance)}",
        _quote_hint(error.instance, error.schema),
    )  # fmt: skip


def _extra(error: Any, root: Map) -> Iterator[Problem]:
    if error.schema.get("additionalProperties") is not False:
        yield _problem(error, root, _shortened(error.message))
        return
    known = list(error.schema.get("properties", {}))
    patterns = [re.compile(p) for p in error.schema.get("patternProperties", {})]
    path = list(error.absolute_path)
    for key in error.instance:
        if key in known or any(p.search(key) for p in patterns):
            continue
        inside = f" in {_subject(error)}" if path else ""
        where = error.instance.at(key) if isinstance(error.instance, Map) else place(root, path)
        near = deeper(key, error.instance[key], error.schema)
        near = near or nearest(key, [name for name in known if name not in error.instance])
        yield Problem(
            f'unknown key "{_shortened(key, 80)}"{inside}',
            where=where,
            hint=f'did you mean "{near}"?' if near else meant(key, known),
        )


def _required(error: Any, root: Map) -> Iterator[Problem]:
    path = list(error.absolute_path)
    for name in error.validator_value:
        if name not in error.instance:
            inside = f" in {_subject(error)}" if path else ""
            yield Problem(f'missing key "{name}"{inside}', where=_owner_place(root, path))


def _dependent(error: Any, root: Map) -> Iterator[Problem]:
    path = list(error.absolute_path)
    owner = place(root, path)
    for name, needed in error.validator_value.items():
        for other in needed if name in error.instance else ():
            if other not in error.instance:
                inside = f" in {_subject(error)}" if path else ""
                yield Problem(
                    f'"{name}" needs "{other}"{inside}',
                    where=error.instance.at(name) if isinstance(error.instance, Map) else owner,
                )


def _enum(error: Any, root: Map) -> Iterator[Problem]:
    values = error.validator_value if error.validator == "enum" else [error.validator_value]
    shown = [_shown(v) for v in values]
    hint = meant(error.instance, shown, list_up_to=0) if isinstance(error.instance, str) else None
    hint = hint or _quote_hint(error.instance, error.schema)
    yield _problem(error, root, f"expected {_choice(shown)}, got {_got(error.instance)}", hint)


def _pattern(error: Any, root: Map) -> Iterator[Problem]:
    title = error.schema.get("title")
    expected = title if title else f"text of the form {error.validator_value}"
    path = list(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path and error.instance not in path[-1:]:
        here: Any = root
        for step in path:
            here = here[step]
        where = here.at(error.instance) if isinstance(here, Map) else place(root, path)
        yield Problem(f'the name "{_shortened(error.instance, 80)}" cannot be: expected {expected}', where=where)
        return
    yield _problem(error, root, f"expected {expected}, got {_got(error.instance)}")


def _bound(error: Any, root: Map) -> Iterator[Problem]:
    words = {
        "minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than",
        "exclusiveMaximum": "less than",
    }  # fmt: skip
    limit = f"{words[error.validator]} {error.validator_value}"
    yield _problem(error, root, f"expected {limit}, got {_shortened(str(error.instance), 40)}")


def _count(error: Any, root: Map) -> Iterator[Problem]:
    if error.validator_value == 1 and error.validator.startswith("min"):
        yield _problem(error, root, "is empty")
        return
    words = "at least" if error.validator.startswith("min") else "at most"
    unit = {"Items": "items", "Length": "characters", "Properties": "keys"}[error.validator[3:]]
    yield _problem(error, root, f"expected {words} {error.validator_value} {unit}, got {len(error.instance)}")


def _unique(error: Any, root: Map) -> Iterator[Problem]:
    path = list(error.absolute_path)
    for i, item in enumerate(error.instance):
        if item in error.instance[:i]:
            where = place(root, [*path, i])
            yield Problem(f"{_subject(error)}: {_got(item).removeprefix('the text ')} is there twice", where=where)


def _not(error: Any, root: Map) -> Iterator[Problem]:
    forbidden = error.validator_value
    if isinstance(forbidden, Mapping) and "description" in forbidden:
        yield _problem(error, root, str(forbidden["description"]))
    elif isinstance(forbidden, Mapping) and set(forbidden) == {"required"}:
        yield _problem(error, root, f"{' and '.join(forbidden['required'])} cannot stand together")
    else:
        yield _problem(error, root, "is not allowed here")


def _alternatives(error: Any, root: Map) -> Iterator[Problem]:
    """For anyOf and oneOf: explain the branch the author was writing, told by the type of the value."""
    depth = len(error.absolute_path)
    branches: dict[int, list[Any]] = {i: [] for i in range(len(error.validator_value))}
    for inner in error.context:
        branches[inner.schema_path[0]].append(inner)
    if not all(branches.values()):  # oneOf, and more than one fits
        fitting = [error.validator_value[i] for i, errors in branches.items() if not errors]
        keys = [" and ".join(s["required"]) for s in fitting if isinstance(s, dict) and s.get("required")]
        what = f"{' and '.join(keys)} cannot stand together" if len(keys) > 1 else "can be read in two ways"
        yield _problem(error, root, what)
        return
    only_required = [e for e in branches.values() if all(x.validator == "required" for x in e)]
    if len(only_required) == len(branches):
        keys = [" and ".join(x.validator_value) for errors in branches.values() for x in errors[:1]]
        path = list(error.absolute_path)
        inside = f" in {_subject(error)}" if path else ""
        yield Problem(f"missing key {_choice(map(json.dumps, keys))}{inside}", where=_owner_place(root, path))
        return
    closed = ("type", "enum", "const")
    meant_here = {
        i: errors
        for i, errors in branches.items()
        if not any(e.validator in closed and len(e.absolute_path) == depth for e in errors)
    }
    if not meant_here:
        wanted = _choice(noun for s in _leaves(branches.values(), depth) for noun in _nouns(s))
        words = [v for s in _leaves(branches.values(), depth) for v in s.get("enum", [s.get("const")])]
        hint = meant(error.instance, [w for w in words if isinstance(w, str)], list_up_to=0) if isinstance(
            error.instance, str
        ) else None  # fmt: skip
        hint = hint or next(
            (h for s in _leaves(branches.values(), depth) if (h := _quote_hint(error.instance, s))), None
        )
        yield _problem(error, root, f"expected {wanted}, got {_got(error.instance)}", hint)
        return

    def misfit(errors: list[Any]) -> tuple[int, int]:
        unknown = sum(
            sum(k not in e.schema.get("properties", {}) for k in e.instance)
            for e in errors
            if e.validator == "additionalProperties" and len(e.absolute_path) == depth
        )
        missing = sum(e.validator == "required" and len(e.absolute_path) == depth for e in errors)
        return unknown + missing, len(errors)

    for inner in min(meant_here.values(), key=misfit):
        yield from _words(inner, root)


def _leaves(branches: Iterable[list[Any]], depth: int) -> list[dict[str, Any]]:
    """The schemas whose type or values the value itself missed."""
    found = []
    for errors in branches:
        for error in errors:
            if error.validator in ("type", "enum", "const") and len(error.absolute_path) == depth:
                found.append(error.schema)
            elif error.context:
                found += _leaves([list(error.context)], depth)
    return found


_METHODS = {
    "type": _type, "additionalProperties": _extra, "required": _required, "dependentRequired": _dependent,
    "enum": _enum, "const": _enum, "pattern": _pattern, "minimum": _bound, "maximum": _bound,
    "exclusiveMinimum": _bound, "exclusiveMaximum": _bound, "minItems": _count, "maxItems": _count,
    "minLength": _count, "maxLength": _count, "minProperties": _count, "maxProperties": _count,
    "uniqueItems": _unique, "not": _not,
}  # fmt: skip
