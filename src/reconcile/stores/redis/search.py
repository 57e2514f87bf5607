"""What RediSearch says of an index, and what it is told to make one. Pure.

Only what FT.INFO shows is modelled: what it does not show could never be proved to be as declared.
Measured on RediSearch 2.10.5; JSON documents are from the manual and were not run:
https://redis.io/docs/latest/commands/ft.create/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconcile.model import Json
from reconcile.stores.base import NotModelled
from reconcile.stores.redis.resources import Index, index_address
from reconcile.stores.redis.wire import Answer, pairs, text

DISTANCES = {"cosine": "COSINE", "euclidean": "L2", "dot": "IP"}
VECTOR = "vector"
UNKNOWN = "nknown index name"
"""In the answer about an index that is not there."""
FLAGS = {
    "sortable": "SORTABLE",
    "unf": "UNF",
    "no_stem": "NOSTEM",
    "no_index": "NOINDEX",
    "case_sensitive": "CASESENSITIVE",
    "suffix_trie": "WITHSUFFIXTRIE",
    "index_empty": "INDEXEMPTY",
    "index_missing": "INDEXMISSING",
}
"""By key of the YAML the word; each is false where it is not there."""
DEFAULTS: Mapping[str, Json] = {
    "weight": 1.0,
    "separator": ",",
    "coordinates": "spherical",
    "m": 16,
    "ef_construction": 200,
    "element": "float32",
}
_NAMED = {
    "WEIGHT": "weight",
    "SEPARATOR": "separator",
    "coord_system": "coordinates",
    "algorithm": "algorithm",
    "data_type": "element",
    "dim": "dimensions",
    "distance_metric": "distance",
    "M": "m",
    "ef_construction": "ef_construction",
}
_ORDER = ("WEIGHT", "SEPARATOR")
_METRICS = {metric: name for name, metric in DISTANCES.items()}
_KNOWN = {"key_type", "prefixes", "filter", "default_language", "default_score"}


def read(store: str, name: str, info: Answer) -> Index | NotModelled:
    """An index as `FT.INFO` shows it."""
    told = pairs(info)
    definition = pairs(told["index_definition"])
    odd = [text(option) for option in told.get("index_options") or ()]
    odd += [key for key in definition if key not in _KNOWN]
    if text(definition.get("default_score", b"1")) != "1":
        odd.append("default_score")
    fields: dict[str, Mapping[str, Json]] = {}
    for attribute in told["attributes"]:
        field, unknown = _field([text(word) for word in attribute])
        odd += unknown
        fields[field.pop("attribute")] = field
    if odd:
        return NotModelled(index_address(store, name), f"index with {', '.join(dict.fromkeys(odd))}")
    words = told.get("stopwords_list")
    return Index(
        address=index_address(store, name),
        on=text(definition["key_type"]).lower(),
        prefixes=tuple(map(text, definition.get("prefixes") or [b""])),
        fields=fields,
        filter=text(definition["filter"]) if definition.get("filter") else None,
        language=text(definition["default_language"]) if definition.get("default_language") else None,
        stopwords=None if words is None else tuple(sorted(map(text, words))),
    )


def _field(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """An attribute, and what of it is not known here."""
    found: dict[str, Any] = {}
    unknown = []
    flags = {word: key for key, word in FLAGS.items()}
    items = iter(words)
    for word in items:
        if word in flags:
            found[flags[word]] = True
        elif word in ("identifier", "attribute", "type"):
            found[word] = next(items)
        elif word in _NAMED:
            found[_NAMED[word]] = _value(_NAMED[word], next(items))
        else:
            unknown.append(word)
    path = found.pop("identifier")
    found["type"] = found["type"].lower()
    if path != found["attribute"]:
        found["path"] = path
    return plain(found), unknown


def _value(key: str, said: str) -> Json:
    if key in ("dimensions", "m", "ef_construction"):
        return int(said)
    if key == "weight":
        return float(said)
    if key == "distance":
        return _METRICS.get(said, said)
    return said if key == "separator" else said.lower()


def plain(field: Mapping[str, Json]) -> dict[str, Json]:
    """Without what is at the server's default; numbers in one form.

    UNF is about texts: the server says it of sorted numbers without being told to.
    """
    kept = {key: float(value) if key == "weight" else value for key, value in field.items()}
    if field["type"] not in ("text", "tag"):
        kept.pop("unf", None)
    return {key: value for key, value in kept.items() if value is not False and value != DEFAULTS.get(key)}


def create(index: Index) -> list[str]:
    """`FT.CREATE`, word by word."""
    words = ["FT.CREATE", index.name, "ON", index.on.upper(), "PREFIX", str(len(index.prefixes)), *index.prefixes]
    if index.filter is not None:
        words += ["FILTER", index.filter]
    if index.language is not None:
        words += ["LANGUAGE", index.language]
    if index.stopwords is not None:
        words += ["STOPWORDS", str(len(index.stopwords)), *index.stopwords]
    return [*words, "SCHEMA", *(word for name in index.fields for word in _schema(name, index.fields[name]))]


def add(index: Index, names: Sequence[str]) -> list[list[str]]:
    """`FT.ALTER … ADD`, one for each field."""
    return [["FT.ALTER", index.name, "SCHEMA", "ADD", *_schema(name, index.fields[name])] for name in names]


def _schema(name: str, field: Mapping[str, Json]) -> Iterator[str]:
    if (path := field.get("path")) is not None:
        yield from (str(path), "AS", name)
    else:
        yield name
    yield str(field["type"]).upper()
    if field["type"] == VECTOR:
        settings = {
            "TYPE": str(field.get("element", DEFAULTS["element"])).upper(),
            "DIM": str(field["dimensions"]),
            "DISTANCE_METRIC": DISTANCES[field["distance"]],
        }
        for key, word in (("m", "M"), ("ef_construction", "EF_CONSTRUCTION")):
            if key in field:
                settings[word] = str(field[key])
        yield str(field["algorithm"]).upper()
        yield str(2 * len(settings))
        yield from (word for pair in settings.items() for word in pair)
    if field["type"] == "geoshape" and "coordinates" in field:
        yield str(field["coordinates"]).upper()
    for word in _ORDER:
        if (value := field.get(_NAMED[word])) is not None:
            yield from (word, f"{value:g}" if isinstance(value, float) else str(value))
    # UNF belongs to SORTABLE, and both stand before NOINDEX
    yield from (word for key, word in FLAGS.items() if key not in ("sortable", "unf", "no_index") and field.get(key))
    yield from (word for key, word in FLAGS.items() if key in ("sortable", "unf", "no_index") and field.get(key))
