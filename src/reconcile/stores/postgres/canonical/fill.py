"""What a declaration leaves to the server, taken from the live object; settings that are spelled in several ways."""

from __future__ import annotations

from dataclasses import replace

from reconcile.model import Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.sqltables import not_null_name

Pairs = tuple[tuple[str, str], ...]


def filled(x: Resource, y: Resource | None) -> Resource:
    """`x` with what it leaves open filled from `y`, and options of equal value in `y`'s words."""
    match x, y:
        case r.Extension(), r.Extension():
            return x.replace(in_schema=x.in_schema or y.in_schema, version=x.version or y.version)
        case r.ForeignKey(references_columns=()), r.ForeignKey() if x.references == y.references:
            return x.replace(references_columns=y.references_columns)
        case r.Table(), r.Table() if x.with_:
            return x.replace(with_=_in_words_of(x.with_, y.with_))
        case r.Key(), r.Key() if x.with_:
            return x.replace(with_=_in_words_of(x.with_, y.with_))
        case r.Exclusion(), r.Exclusion() if x.with_:
            return x.replace(with_=_in_words_of(x.with_, y.with_))
        case r.Index(), r.Index() if x.with_:
            return x.replace(with_=_in_words_of(x.with_, y.with_))
        case r.Column(), r.Column() if x.options or x.not_null or x.identity:
            return _column(x, y)
        case r.View(), r.View() if x.with_:
            return x.replace(with_=_in_words_of(x.with_, y.with_))
        case r.MaterializedView(), r.MaterializedView() if x.with_:
            return x.replace(with_=_in_words_of(x.with_, y.with_))
        case r.Composite(), r.Composite():
            return x.replace(fields=_in_order_of(x.fields, y.fields))
    return x


def _column(x: r.Column, y: r.Column) -> r.Column:
    if x.identity and y.identity:
        x = _sequence_kept(x, y)
    if x.options and x.options != y.options:
        x = replace(x, options=_in_words_of(x.options, y.options))
    if x.not_null and y.not_null and x.not_null_name != y.not_null_name:
        # what it is called counts where that is declared
        same = x.not_null_name is None or x.not_null_name == not_null_name(y)
        x = replace(x, not_null_name=y.not_null_name) if same else x
    return x


def _sequence_kept(x: r.Column, y: r.Column) -> r.Column:
    """An identity whose sequence is not named keeps the one it has: that outlives renames of the table."""
    ours, theirs = dict(x.identity_options), dict(y.identity_options)
    if "sequence_name" in ours or "sequence_name" not in theirs:
        return x
    return replace(x, identity_options=tuple(sorted({**ours, "sequence_name": theirs["sequence_name"]}.items())))


def _in_order_of(ours: tuple[r.Attribute, ...], theirs: tuple[r.Attribute, ...]) -> tuple[r.Attribute, ...]:
    """As columns do, fields stand where they were added; new ones last."""
    places = {a.name: n for n, a in enumerate(theirs)}
    return tuple(sorted(ours, key=lambda a: places.get(a.name, len(places))))


def _in_words_of(ours: Pairs, theirs: Pairs) -> Pairs:
    known = dict(theirs)
    return tuple((k, known[k] if k in known and _value(known[k]) == _value(v) else v) for k, v in ours)


def _value(text: str) -> object:
    word = text.lower()
    if word in ("true", "on", "yes", "t", "y"):
        return True
    if word in ("false", "off", "no", "f", "n"):
        return False
    try:
        return float(word)
    except ValueError:
        return word
