"""YAML documents as resources. The JSON Schema has checked shapes and types; what spans keys is checked here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reconcile.embeddings import Distance
from reconcile.model import Address, Json, Resource, Source
from reconcile.stores.base import Context
from reconcile.stores.neo4j import options, types
from reconcile.stores.neo4j.resources import (
    BY_NAME,
    EXISTS,
    FULLTEXT,
    KEY,
    LOOKUP,
    ONE_PROPERTY,
    RANGE,
    TYPE,
    UNIQUE,
    VECTOR,
    Check,
    Constraint,
    Index,
    SchemaObject,
    Vocabulary,
    constraint_address,
    index_address,
)

if TYPE_CHECKING:
    from reconcile.yamlio import Map

_SIMILARITY = {Distance.COSINE: "cosine", Distance.EUCLIDEAN: "euclidean"}
_OPTION_KEYS = {o.path[0]: o.kind for o in options.OPTIONS} | {"embedding": VECTOR, "filter": VECTOR}
_RULES = (UNIQUE, KEY, EXISTS, "property")


def parse(documents: Sequence[Map], context: Context) -> list[Resource]:
    """The constraints and indexes of one store's documents; problems go to `context`.

    Constraints with `enforce: check` and `vocabulary:` are `Check` and `Vocabulary`: they make nothing in the server.
    """
    found: list[SchemaObject] = []
    for document in documents:
        for key, word, read in (("constraints", "constraint", _constraint), ("indexes", "index", _index)):
            for name, entry in (document.get(key) or {}).items():
                source = document[key].at(name)
                made = (
                    read(name, entry, source, context) if _storable(f'{word} "{name}"', name, source, context) else None
                )
                found += [made] if made is not None and _spellable(made, context) else []
    _clashes(found, context)
    return [*found, *_vocabularies(documents, context)]


def _vocabularies(documents: Sequence[Map], context: Context) -> Iterator[Vocabulary]:
    seen: dict[str, Source] = {}
    for document in documents:
        listed = document.get("vocabulary") or {}
        for kind, names in listed.items():
            source = document["vocabulary"].at(kind)
            if kind in seen:
                what = f"vocabulary: {kind} is listed twice (the other: {seen[kind]})"
                context.problem(source, what, "list all names in one place")
                continue
            seen[kind] = source
            yield Vocabulary(
                address=Address(context.spec.name, "vocabulary", (kind,)), source=source, kind=kind, names=tuple(names)
            )


_TRIMMED = "".join(map(chr, range(33)))


def _storable(what: str, name: str, source: Source, context: Context) -> bool:
    """Whether the server keeps the name as it is: it cuts off blanks and control characters at both ends."""
    if "\0" in name or name.strip(_TRIMMED) != name:
        hint = f'write "{name.strip(_TRIMMED)}"' if "\0" not in name.strip(_TRIMMED) else "choose another name"
        context.problem(source, f"{what}: Neo4j cuts off white space around names, and takes none with a NUL", hint)
        return False
    return True


def _spellable(resource: SchemaObject, context: Context) -> bool:
    """Whether labels, types and properties can be stored."""
    if any("\0" in name for name in (*resource.tokens, *resource.properties)):
        context.problem(resource.source, f"{resource.name}: Neo4j takes no label, type or property name with a NUL")
        return False
    return True


def _constraint(name: str, entry: Map, source: Source, context: Context) -> Constraint | Check | None:
    rules = [key for key in _RULES if key in entry]
    if len(rules) != 1:
        hint = "one of: unique: [id] · key: [id] · exists: name · property: born with type: DATE"
        said = f"both {rules[0]} and {rules[1]}" if rules else "no rule"
        context.problem(entry.at(rules[1]) if rules else source, f'constraint "{name}" has {said}', hint)
        return None
    place = _place(f'constraint "{name}"', entry, source, plural=False, context=context)
    if place is None:
        return None
    kind = TYPE if rules[0] == "property" else rules[0]
    if (kind == TYPE) != ("type" in entry):
        where = source if kind == TYPE else entry.at("type")
        context.problem(where, f'constraint "{name}": property and type go together', "property: born, type: DATE")
        return None
    value = entry[rules[0]]
    properties = (value,) if isinstance(value, str) else tuple(value)
    type_ = None
    if kind == TYPE:
        try:
            type_ = types.normal(entry["type"])
        except ValueError as error:
            context.problem(entry.value_at("type"), f'constraint "{name}": {error}', types.HINT)
            return None
    if entry.get("enforce") == "check":
        if kind == UNIQUE:
            context.problem(
                entry.at("enforce"), f'constraint "{name}": every edition enforces uniqueness', "leave `enforce` out"
            )
            return None
        if "VECTOR<" in (type_ or ""):
            hint = "leave `enforce` out: only the Enterprise Edition stores such values, and it enforces their type"
            context.problem(entry.at("enforce"), f'constraint "{name}": vectors are not looked at one by one', hint)
            return None
        address = Address(context.spec.name, "check", (name,))
        return Check(address=address, source=source, kind=kind, properties=properties, type=type_, **place)
    return Constraint(
        address=constraint_address(context.spec.name, name),
        source=source,
        kind=kind,
        properties=properties,
        type=type_,
        comes_after=context.after(entry),
        **place,
    )


def _index(name: str, entry: Map, source: Source, context: Context) -> Index | None:
    what = f'index "{name}"'
    kind = entry.get("kind", RANGE)
    several = kind == FULLTEXT or (kind == VECTOR and ("labels" in entry or "relationships" in entry))
    if kind == LOOKUP:
        return _lookup(name, entry, source, context)
    place = _place(what, entry, source, plural=several, context=context)
    if "on" in entry or "properties" not in entry:
        word = entry.at("on") if "on" in entry else source
        said = "on is for lookup indexes" if "on" in entry else "has no properties"
        context.problem(word, f"{what}: {said}", "declare the properties it is over: properties: [id]")
        return None
    properties = tuple(entry["properties"])
    good = place is not None
    if kind in ONE_PROPERTY and len(properties) != 1:
        where = entry["properties"].at(1)
        context.problem(where, f"{what}: a {kind} index is over one property", "declare one index for each")
        good = False
    for filtered in entry.get("filter", ()):
        if filtered in properties:
            context.problem(entry.at("filter"), f"{what}: {filtered} holds the vectors", "filter by other properties")
            good = False
    if kind not in BY_NAME and "replace" in entry:
        hint = "queries find it whatever it is called: leave `replace` out"
        context.problem(entry.at("replace"), f"{what}: replace is for full-text and vector indexes", hint)
        good = False
    for key in entry:
        if _OPTION_KEYS.get(key, kind) != kind:
            context.problem(entry.at(key), f"{what}: {key} is for {_OPTION_KEYS[key]} indexes, this one is {kind}")
            good = False
    if not good:
        return None
    assert place is not None
    chosen = _vector(what, entry, context) if kind == VECTOR else _plain(entry, kind)
    return Index(
        address=index_address(context.spec.name, name),
        source=source,
        kind=kind,
        properties=(*properties, *entry.get("filter", ())),
        replace_how=entry.get("replace"),
        comes_after=context.after(entry),
        **place,
        **chosen,
    )


def _lookup(name: str, entry: Map, source: Source, context: Context) -> Index | None:
    """A token lookup index: nothing but `on`."""
    what = f'index "{name}"'
    others = [key for key in entry if key not in ("kind", "on", "after")]
    for key in others:
        context.problem(entry.at(key), f"{what}: a lookup index has no {key}", "write kind: lookup, on: nodes")
    if "on" not in entry:
        context.problem(source, f"{what}: a lookup index is on nodes or relationships", "kind: lookup, on: nodes")
    if others or "on" not in entry:
        return None
    return Index(
        address=index_address(context.spec.name, name),
        source=source,
        kind=LOOKUP,
        entity=entry["on"],
        comes_after=context.after(entry),
    )


def _place(what: str, entry: Map, source: Source, *, plural: bool, context: Context) -> dict[str, Json] | None:
    """`labels` or `relationships` as fields; None after a problem."""
    given = [key for key in ("label", "labels", "relationship", "relationships") if key in entry]
    if len(given) != 1:
        said = f"both {given[0]} and {given[1]}" if given else "neither a label nor a relationship"
        hint = "labels: [Doc, Note], or relationships: [CITES]" if plural else "label: Person, or relationship: RATED"
        context.problem(entry.at(given[1]) if given else source, f"{what} has {said}", hint)
        return None
    key = given[0]
    value = entry[key]
    if key.endswith("s") != plural:
        wanted = f"{key}s" if plural else key.removesuffix("s")
        example = f"[{value}]" if plural else (value[0] if isinstance(value, list) and value else "Person")
        context.problem(entry.at(key), f"{what}: {key} is {'one name' if plural else 'for full-text indexes'}",
                        f"write {wanted}: {example}")  # fmt: skip
        return None
    field = "labels" if key.startswith("label") else "relationships"
    return {field: tuple(value) if plural else (value,)}


def _plain(entry: Map, kind: str) -> dict[str, Json]:
    """The options as they stand."""
    values: dict[tuple[str, ...], Json] = {}
    for option in options.of_kind(kind):
        found: Json = entry
        for key in option.path:
            found = found.get(key) if isinstance(found, dict) else None
        values[option.path] = tuple(float(n) for n in found) if isinstance(found, list) else found
    return options.fields(values)


def _vector(what: str, entry: Map, context: Context) -> dict[str, Json]:
    """Options of a vector index, dimensions and similarity from the contract it names."""
    chosen = _plain(entry, VECTOR)
    name = entry.get("embedding")
    if name is None:
        return chosen
    for key in ("dimensions", "similarity"):
        if key in entry:
            context.problem(entry.at(key), f"{what}: {key} comes from embedding {name}", f"remove {key}, or embedding")
    contract = context.embeddings.get(name)
    where = entry.value_at("embedding")
    if contract is None:
        from reconcile.suggest import meant

        context.problem(where, f'{what}: there is no embedding "{name}"', meant(name, context.embeddings))
        return chosen
    declared = f" (embedding {name}, {contract.source})" if contract.source else f" (embedding {name})"
    if contract.distance not in _SIMILARITY:
        hint = "Neo4j compares by cosine or euclidean; for normalised vectors cosine ranks like dot"
        context.problem(where, f"{what}: Neo4j cannot compare vectors by {contract.distance}{declared}", hint)
        return chosen
    if contract.dimensions > options.MAX_DIMENSIONS:
        limit = f"a vector index has at most {options.MAX_DIMENSIONS} dimensions"
        context.problem(where, f"{what}: {limit}, not {contract.dimensions}{declared}")
        return chosen
    return chosen | {
        "embedding": name,
        "dimensions": contract.dimensions,
        "similarity": _SIMILARITY[contract.distance],
    }


def _clashes(found: Sequence[SchemaObject], context: Context) -> None:
    """Pairs that the server would refuse: one namespace, and one object for a kind and schema."""
    names: dict[str, SchemaObject] = {}
    definitions: dict[object, SchemaObject] = {}
    for resource in found:
        name = resource.address.parts[0]
        other = names.setdefault(name, resource)
        if other.address.kind != resource.address.kind:
            context.problem(
                resource.source,
                f'"{name}" is a constraint and an index: they share one namespace (the other: {other.source})',
                "rename one of them",
            )
        for slot in slots(resource):
            other = definitions.setdefault(slot, resource)
            if other is resource or other.address == resource.address:
                continue
            brings = next((r for r in (resource, other) if isinstance(r, Constraint)), None)
            index = next((r for r in (resource, other) if isinstance(r, Index)), None)
            hint = (
                f"remove index {index.name}: constraint {brings.name} brings that index"
                if index and brings
                else "keep one of them"
            )
            context.problem(
                resource.source,
                f"{resource.name} and {other.name} ({other.source}) are the same for the server: {resource.says()}",
                hint,
            )
            break


def slots(resource: SchemaObject) -> Iterator[tuple[object, ...]]:
    """What the resource takes that no second object can have: its definition, and its index's."""
    if isinstance(resource, Check):
        return
    if isinstance(resource, Constraint):
        if resource.has_index:
            yield (RANGE, *resource.schema)
        else:
            yield ("constraint", resource.kind, *resource.schema)
        return
    definition = resource.definition()
    if definition is not None:
        yield definition
