"""The table of settings, the JSON Schema and the words of the documentation agree. No server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconcile.stores.qdrant import PACKAGE, settings
from reconcile.stores.qdrant.settings import ANY, Setting

SCHEMA = json.loads((Path(__file__).parents[3] / "schema" / PACKAGE.schema).read_text())
DEFINITIONS = SCHEMA["$defs"]
NOT_SETTINGS = {
    "collection": {
        "versioned",
        "vector",
        "vectors",
        "sparse_vectors",
        "payload_indexes",
        "on_change",
        "writes",
        "retired",
        "after",
    },
    "vector": {"embedding", "dimensions"},  # `embedding` gives size, distance and datatype; dimensions is size
}


def resolved(node: Any) -> Any:
    """A node of the schema with its reference followed; the description next to the reference wins."""
    if "$ref" in node:
        return {
            **resolved(DEFINITIONS[node["$ref"].rpartition("/")[2]]),
            **{k: v for k, v in node.items() if k != "$ref"},
        }
    return node


def leaves(node: Any, rows: tuple[Setting, ...], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, node) of each setting: what has a row is one, however much is inside."""
    known = {row.path for row in rows}
    for key, value in node.get("properties", {}).items():
        inner = resolved(value)
        here = (*path, key)
        if here in known or not inner.get("properties"):
            yield here, inner
        else:
            yield from leaves(inner, rows, here)


OBJECTS: list[tuple[str, Any, tuple[Setting, ...]]] = [
    ("collection", DEFINITIONS["collection"], settings.COLLECTION),
    ("vector", DEFINITIONS["vector"], settings.VECTOR),
    ("sparse_vector", DEFINITIONS["sparse_vector"], settings.SPARSE),
]


@pytest.mark.parametrize(("name", "node", "rows"), OBJECTS, ids=[o[0] for o in OBJECTS])
def test_every_row_is_a_key_that_says_how_it_changes_and_since_when(
    name: str, node: Any, rows: tuple[Setting, ...]
) -> None:
    described = dict(leaves(node, rows))
    for row in rows:
        path = ("dimensions",) if row.path == ("size",) else row.path
        text = described.pop(path)["description"]
        assert ("In place." if row.in_place else "New generation.") in text, path
        assert ("New generation." if row.in_place else "In place.") not in text, path
        above = node["properties"].get(path[0], {}).get("description", "")
        if row.since > (1, 15):
            assert f"Qdrant 1.{row.since[1]} and later" in text + above, path
        elif row.since == ANY and not row.later:
            assert "and later" not in text, path
    assert {path[0] for path in described} <= NOT_SETTINGS.get(name, set()), "a key of the format without a row"


def test_quantizations_and_payload_indexes_have_the_keys_of_the_table() -> None:
    variants = DEFINITIONS["quantization"]["anyOf"][1]["properties"]
    assert {v: set(node["properties"]) for v, node in variants.items()} == {
        v: {row.name for row in rows} for v, rows in settings.QUANTIZATION.items()
    }
    kinds, mapping = DEFINITIONS["payload_index"]["anyOf"]
    assert tuple(sorted(kinds["enum"])) == tuple(sorted(settings.TYPES))
    assert set(mapping["properties"]) - {"type", "after"} == {p.name for p in settings.PARAMETERS}
    for parameter in settings.PARAMETERS:
        text = mapping["properties"][parameter.name]["description"]
        if len(settings.takers(parameter.name)) == 1:
            assert text.startswith(f"{parameter.types[0]}: "), parameter.name
        if parameter.since > (1, 15):
            assert f"Qdrant 1.{parameter.since[1]} and later" in text, parameter.name


def test_values_that_came_later_are_named_with_their_version() -> None:
    keys = {
        "datatype": DEFINITIONS["vector"]["properties"]["datatype"],
        "bits": DEFINITIONS["quantization"]["anyOf"][1]["properties"]["turbo"]["properties"]["bits"],
        "tokenizer": DEFINITIONS["payload_index"]["anyOf"][1]["properties"]["tokenizer"],
    }
    rows: list[Setting | settings.Parameter] = [
        *settings.VECTOR,
        *settings.QUANTIZATION["turbo"],
        *settings.PARAMETERS,
    ]
    later = [(row.name, value, since) for row in rows for value, since in row.later.items()]
    assert {name for name, _, _ in later} == set(keys)
    for name, value, since in later:
        assert value in keys[name]["enum"]
        assert f"1.{since[1]}" in keys[name]["description"]


def test_a_group_of_a_patch_has_settings_of_one_place_alone() -> None:
    """Else two PATCHes would be one, and one not be found again in the answer."""
    for rows in (settings.COLLECTION, settings.VECTOR, settings.SPARSE):
        for part in ("path", "get"):
            paths = [getattr(row, part) for row in rows]
            assert len(paths) == len(set(paths))
