"""Functions, procedures, aggregates and event triggers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconcile.model import Address, Resource, Source
from reconcile.stores.base import Context
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.parse.objects import items
from reconcile.stores.postgres.parse.scope import Scope, comment_of
from reconcile.stores.postgres.sqlroutines import (
    Header,
    NotRoutine,
    bare_type,
    clauses,
    header,
    signature,
    split_key,
)
from reconcile.stores.postgres.sqltypes import read as read_type
from reconcile.yamlio import Map

SECTIONS = {"functions": "function", "procedures": "procedure", "aggregates": "aggregate"}
_CLASSES: dict[str, type[r.Routine]] = {"function": r.Function, "procedure": r.Procedure, "aggregate": r.Aggregate}


def routine_names(documents: Sequence[Map], scope: Scope) -> dict[tuple[str, str], list[Address]]:
    """Addresses by (schema, name) of what is declared; wrong keys are reported where they are read."""
    quiet = Scope(Context(scope.context.spec, scope.context.embeddings), scope.types)
    quiet.extension_schemas = scope.extension_schemas
    found: dict[tuple[str, str], list[Address]] = {}
    for document in documents:
        for section, kind in SECTIONS.items():
            for key, _, source in items(document, section):
                address = _address(key, kind, source, quiet)
                if address is not None:
                    found.setdefault((address.parts[0], address.parts[1].partition("(")[0]), []).append(address)
    return found


def routines(document: Map, scope: Scope) -> list[Resource]:
    """`functions: {"touch()": {file: sql/touch.sql}}`, likewise `procedures` and `aggregates`; or `definition:`."""
    found: list[Resource] = []
    for section, kind in SECTIONS.items():
        for key, value, source in items(document, section):
            address = _address(key, kind, source, scope)
            if address is None:
                continue
            text, where = _definition(key, value, scope)
            if text is None:
                continue
            try:
                stated = header(text)
            except NotRoutine as error:
                scope.problem(where, f"{kind} {key!r}: {error}", "write one CREATE [OR REPLACE] statement")
                continue
            _agrees(address, key, source, stated, where, scope)
            if any(c.lower().startswith("set ") and c.lower().endswith(" from current") for c in clauses(stated)):
                what = f"{kind} {key!r} takes a setting FROM CURRENT, which is another with each session"
                scope.problem(where, what, "write its value: SET name TO value")
            found.append(
                _CLASSES[kind](
                    address=address,
                    source=source,
                    definition_=text.strip().rstrip(";").rstrip(),
                    comment=comment_of(value),
                    comes_after=scope.after(value),
                )
            )
    return found


def _address(key: str, kind: str, source: Source, scope: Scope) -> Address | None:
    try:
        name, types = split_key(key)
    except ValueError as error:
        scope.problem(source, str(error))
        return None
    schema, bare = scope.declared(name, source)
    return scope.address(kind, schema, bare + signature((argument_type(t, scope) for t in types), kind))


def argument_type(text: str, scope: Scope) -> str:
    """The type of an argument as the server spells it in a signature."""
    spelled, declared = scope.type(text)
    if read_type(spelled).schema in scope.extension_schemas and not declared:
        spelled = spelled.partition(".")[2]  # introspection leaves the schema of an extension's type out
    return bare_type(spelled)


def _definition(key: str, value: Map, scope: Scope) -> tuple[str | None, Source]:
    if ("file" in value) == ("definition" in value):
        scope.problem(value.at(), f"{key!r} needs either file or definition", "keep one of the two")
        return None, value.at()
    if "definition" in value:
        return str(value["definition"]), value.value_at("definition")
    where = value.value_at("file")
    try:
        text = scope.context.read(value["file"]).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        scope.problem(where, f"file {value['file']!r} of {key!r} cannot be read: {reason}")
        return None, where
    return text, where


def _agrees(address: Address, key: str, source: Source, stated: Header, where: Source, scope: Scope) -> None:
    """Report where the statement makes something else than the key says."""
    if stated.kind != address.kind:
        scope.problem(
            where,
            f"{address.kind} {key!r} has a CREATE {stated.kind.upper()} statement",
            f"declare it under `{stated.kind}s:`, or change the statement",
        )
        return
    named = (stated.schema or scope.first, stated.name)
    if named != (address.parts[0], address.parts[1].partition("(")[0]):
        scope.problem(
            where,
            f"{address.kind} {key!r} ({source}): the statement creates {'.'.join(named)}",
            "names without a schema are in the first of `schemas:`; make key and statement agree",
        )
        return
    types = [argument_type(a.type, scope) for a in stated.inputs]
    expected = address.parts[1].partition("(")[2][:-1]
    written = ", ".join(types) or ("*" if stated.kind == "aggregate" else "")
    if written != expected and not any("%" in t for t in types):
        scope.problem(
            where,
            f"{address.kind} {key!r} ({source}): the statement takes ({written})",
            f'key it "{split_key(key)[0]}({written})": types of IN, INOUT and VARIADIC arguments, without their names',
        )


def references(stated: Header, scope: Scope) -> Iterable[Address]:
    """The declared types of arguments and result."""
    for text in (*(a.type for a in stated.arguments), stated.returns or "table"):
        words = text.split(None, 1)
        bare = words[1] if words[0].lower() == "setof" and len(words) > 1 else text
        if bare != "table" and "%" not in bare:
            yield from scope.type(bare)[1]


def routine_called(text: str, where: Source, scope: Scope) -> tuple[str, str]:
    """(schema, "name()") of the function that a trigger or an event trigger names; `touch` is `touch()`."""
    schema, name = scope.name(text.strip().removesuffix("()"), where)
    return schema, f"{name}()"


def event_triggers(document: Map, scope: Scope) -> list[Resource]:
    """`event_triggers: {log_ddl: {event: ddl_command_end, tags: [CREATE TABLE], function: "audit.ddl()"}}`."""
    found: list[Resource] = []
    for name, value, source in items(document, "event_triggers"):
        scope.short(name, source)
        found.append(
            r.EventTrigger(
                address=scope.address("event_trigger", name),
                source=source,
                event=value["event"],
                tags=tuple(sorted({str(t).upper() for t in value.get("tags") or ()})),
                function=routine_called(value["function"], value.value_at("function"), scope),
                enabled=value.get("enabled", "origin"),
                comment=comment_of(value),
                comes_after=scope.after(value),
            )
        )
    return found
