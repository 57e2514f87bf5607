"""Enums, domains, composite and range types, collations."""

from __future__ import annotations

import re
from typing import Any

from reconcile.model import Address, Resource, Source
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.names import generated_multirange
from reconcile.stores.postgres.parse.objects import items
from reconcile.stores.postgres.parse.scope import Scope, as_map, comment_of
from reconcile.stores.postgres.sqltokens import as_default
from reconcile.yamlio import Map


def enums(document: Map, scope: Scope) -> list[Resource]:
    """`enums: {job_state: [queued, running]}` or `{values: […], renamed_values: {…}, comment: …}`."""
    found: list[Resource] = []
    for key, value, source in items(document, "enums"):
        schema, name = scope.declared(key, source)
        settings = value if isinstance(value, Map) else Map({"values": value}, source=source)
        values = tuple(str(v) for v in settings["values"])
        doubled = {v for v in values if values.count(v) > 1}
        if doubled:
            scope.problem(source, f"enum {key!r} has the value {sorted(doubled)[0]!r} twice")
        for each in values:
            scope.short(each, source)
        found.append(
            r.Enum(
                address=scope.address("enum", schema, name),
                source=source,
                values=values,
                renamed_values=_renamed_values(key, settings, values, scope),
                renamed_from=settings.get("renamed_from"),
                comment=comment_of(value),
                comes_after=scope.after(value),
            )
        )
    return found


def _renamed_values(key: str, settings: Map, values: tuple[str, ...], scope: Scope) -> tuple[tuple[str, str], ...]:
    renamed = settings.get("renamed_values")
    if not isinstance(renamed, Map):
        return ()
    pairs = tuple((new, str(old)) for new, old in renamed.items())
    olds = [old for _, old in pairs]
    for new, old in pairs:
        wrong = None
        if new not in values:
            wrong = f"{new!r} is none of its values"
        elif old in values:
            wrong = f"{old!r} is still one of its values"
        elif olds.count(old) > 1:
            wrong = f"{old!r} has two new names"
        if wrong is not None:
            hint = "write {new: old}, the new name also in `values:`"
            scope.problem(renamed.at(new), f"renamed_values of enum {key!r}: {wrong}", hint)
    return pairs


def domains(document: Map, scope: Scope) -> list[Resource]:
    """`domains: {email: {type: text, not_null: true, checks: {email_at: "value ~ '@'"}}}`."""
    found: list[Resource] = []
    for key, value, source in items(document, "domains"):
        schema, name = scope.declared(key, source)
        settings = value if isinstance(value, Map) else Map({"type": value}, source=source)
        type_, refers = _type(settings, source, scope)
        collation, sorting = _collation(settings, scope)
        default = settings.get("default")
        if default is not None:
            default = as_default(scope.sql(default, settings.value_at("default"), f"default of domain {key!r}"))
        found.append(
            r.Domain(
                address=scope.address("domain", schema, name),
                source=source,
                type=type_,
                collation=collation,
                not_null=settings.get("not_null", False),
                default=default,
                checks=_checks(key, settings, scope),
                renamed_from=settings.get("renamed_from"),
                comment=comment_of(settings),
                comes_after=scope.after(settings),
                refers=(*refers, *sorting),
            )
        )
    return found


def _checks(key: str, settings: Map, scope: Scope) -> tuple[r.DomainCheck, ...]:
    section = as_map(settings.get("checks"))
    found = []
    for name, value in section.items():
        scope.short(name, section.at(name))
        long = value if isinstance(value, Map) else Map({"expression": value}, source=section.at(name))
        expression = scope.sql(long["expression"], section.at(name), f"check {name!r} of domain {key!r}")
        found.append(
            r.DomainCheck(
                name=name,
                expression=expression,
                not_valid=long.get("not_valid", False),
                comment=comment_of(long),
            )
        )
    return tuple(sorted(found, key=lambda c: c.name))


def composites(document: Map, scope: Scope) -> list[Resource]:
    """`composites: {postal: {fields: {street: text, zip: "varchar(10)"}}}`."""
    found: list[Resource] = []
    for key, value, source in items(document, "composites"):
        schema, name = scope.declared(key, source)
        fields, refers = [], list[Address]()
        for field, said in value["fields"].items():
            where = value["fields"].at(field)
            scope.short(field, where)
            long = said if isinstance(said, Map) else Map({"type": said}, source=where)
            type_, types = _type(long, where, scope)
            collation, sorting = _collation(long, scope)
            refers += [*types, *sorting]
            fields.append(r.Attribute(name=field, type=type_, collation=collation, comment=comment_of(long)))
        found.append(
            r.Composite(
                address=scope.address("composite", schema, name),
                source=source,
                fields=tuple(fields),
                renamed_from=value.get("renamed_from"),
                comment=comment_of(value),
                comes_after=scope.after(value),
                refers=tuple(dict.fromkeys(refers)),
            )
        )
    return found


_LENGTH = re.compile(r"\(\s*\d+\s*(,\s*-?\d+\s*)?\)(?=[^\"]*$)")
"""Of the subtype of a range the server keeps none."""


def ranges(document: Map, scope: Scope) -> list[Resource]:
    """`ranges: {floatrange: {subtype: float8, subtype_diff: float8mi}}`."""
    found: list[Resource] = []
    for key, value, source in items(document, "ranges"):
        schema, name = scope.declared(key, source)
        subtype, refers = scope.type(str(value["subtype"]))
        collation, sorting = _collation(value, scope)
        multirange = value.get("multirange")
        if multirange is not None:
            scope.short(multirange, value.value_at("multirange"))
        found.append(
            r.Range(
                address=scope.address("range", schema, name),
                source=source,
                subtype=_LENGTH.sub("", subtype),
                opclass=value.get("opclass"),
                collation=collation,
                subtype_diff=value.get("subtype_diff"),
                multirange=multirange if multirange != generated_multirange(name) else None,
                renamed_from=value.get("renamed_from"),
                comment=comment_of(value),
                comes_after=scope.after(value),
                refers=(*refers, *sorting),
            )
        )
    return found


def collations(document: Map, scope: Scope) -> list[Resource]:
    """`collations: {german: {provider: icu, locale: de-DE}}`."""
    found: list[Resource] = []
    for key, value, source in items(document, "collations"):
        schema, name = scope.declared(key, source)
        provider = value.get("provider", "libc")
        for setting, unusual in (("deterministic", value.get("deterministic") is False), ("rules", "rules" in value)):
            if unusual and provider != "icu":
                scope.problem(value.at(setting), f"collation {key!r}: {setting} needs `provider: icu`")
        found.append(
            r.Collation(
                address=scope.address("collation", schema, name),
                source=source,
                provider=provider,
                locale=value["locale"],
                deterministic=value.get("deterministic", True),
                rules=value.get("rules"),
                comment=comment_of(value),
                comes_after=scope.after(value),
            )
        )
    return found


def _type(settings: Map, source: Source | None, scope: Scope) -> tuple[str, tuple[Address, ...]]:
    text = str(settings["type"])
    if not text.strip():
        scope.problem(source, "the type is empty")
    return scope.type(text)


def _collation(settings: Map, scope: Scope) -> tuple[str | None, tuple[Address, ...]]:
    found: Any = settings.get("collation")
    return (None, ()) if found is None else scope.collation(found)
