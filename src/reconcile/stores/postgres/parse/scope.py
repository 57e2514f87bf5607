"""What all parsers share: the store, its schemas, how names are read and problems reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from reconcile.embeddings import Embedding
from reconcile.errors import Problem
from reconcile.model import Address, Source, Wait
from reconcile.selection import Selection
from reconcile.stores.base import Context
from reconcile.stores.postgres.names import BYTES, identifier, join, split
from reconcile.stores.postgres.sqltokens import faithful, fault
from reconcile.stores.postgres.sqltypes import read
from reconcile.suggest import meant
from reconcile.yamlio import Map

DEFAULT_SCHEMAS = ("public",)


class Scope:
    """The store that is being parsed."""

    def __init__(
        self,
        context: Context,
        types: Mapping[tuple[str, str], str] | None = None,
        routines: Mapping[tuple[str, str], Sequence[Address]] | None = None,
        *,
        multiranges: Mapping[tuple[str, str], tuple[str, str]] | None = None,
        collations: Collection[tuple[str, str]] = (),
    ) -> None:
        self.context = context
        self.store = context.spec.name
        self.schemas = scope_schemas(context)
        self.first = self.schemas[0]
        self.types = dict(types or {})
        """Kind by (schema, name) of every type that is declared, in any document; also tables and views."""
        self.multiranges = dict(multiranges or {})
        """The range by its multirange's (schema, name)."""
        self.types |= dict.fromkeys(self.multiranges, "range")
        self.collations = frozenset(collations)
        self.routines = dict(routines or {})
        """Addresses, one an overload, by (schema, name)."""
        self.extension_schemas: frozenset[str] = frozenset()
        """Schemas that declared extensions are in: on the search path of all that is read and run."""
        self._spelled = {f"{schema}.{name}": (schema, name) for schema, name in self.types}
        self._spelled.update({name: (schema, name) for schema, name in self.types if schema == self.first})
        self._read: dict[str, tuple[str, tuple[Address, ...]]] = {}
        """Types by their text: the same few stand in every table."""
        self.columns: dict[object, Mapping[str, Any]] = {}
        """Columns without their name and place, by what is written of them: the same few stand in every table."""
        self.identities: list[tuple[Address, str, Map]] = []
        """Identity columns whose sequence has `grants:`, its name, and the settings."""
        external = context.spec.settings.get("external") or ()
        self.selection = Selection(external=tuple(str(g) for g in external))

    def after(self, value: Any) -> tuple[Wait, ...]:
        """`after:` of a long form."""
        return self.context.after(value) if isinstance(value, Map) else ()

    def problem(self, where: Source | None, what: str, hint: str | None = None) -> None:
        """Report and go on."""
        self.context.problems.append(Problem(what, where=where, hint=hint))

    def name(self, text: str, where: Source | None) -> tuple[str, str]:
        """(schema, name) of `audit.events` or `documents`; wrong ones are reported and taken as they stand."""
        try:
            parts = split(text)
        except ValueError as error:
            self.problem(where, str(error))
            return self.first, text
        if len(parts) > 2:
            self.problem(where, f"{text!r} has more than schema and name", "quote a part that holds a dot")
            return self.first, text
        schema, name = parts if len(parts) == 2 else (self.first, parts[0])
        self.short(name, where)
        return schema, name

    def declared(self, text: str, where: Source | None) -> tuple[str, str]:
        """`name` of something that this store is to hold: its schema has to be in scope."""
        schema, name = self.name(text, where)
        if schema not in self.schemas:
            self.problem(
                where,
                f"schema {schema!r} of {text!r} is not in the scope of store {self.store!r}",
                meant(schema, self.schemas) or f"add it to `schemas:` of store {self.store!r}",
            )
        return schema, name

    def short(self, name: str, where: Source | None) -> None:
        """Report a name that the server would cut."""
        if len(name) > BYTES // 4 and (size := len(name.encode())) > BYTES:
            self.problem(where, f"name {name!r} has {size} bytes; PostgreSQL keeps {BYTES}", "shorten it")

    def address(self, kind: str, *parts: str) -> Address:
        """An address in this store."""
        return Address(self.store, kind, parts)

    def is_external(self, schema: str, name: str) -> bool:
        """Whether the project says that somebody else looks after it."""
        return self.selection.classify(Address(self.store, "table", (schema, name))) == "external"

    def sql(self, text: Any, where: Source | None, what: str) -> str:
        """An SQL value as text; what could not stand inside a statement is reported."""
        if isinstance(text, bool):
            return str(text).lower()
        sql = str(text).strip()
        wrong = fault(sql) if sql else "it is empty"
        if wrong is not None:
            self.problem(where, f"{what} is no SQL expression: {wrong}", "write a single expression")
        return faithful(sql)

    def type(self, text: str) -> tuple[str, tuple[Address, ...]]:
        """A type as the server spells it, and the address of what declares it, if that is in the project."""
        if text not in self._read:
            self._read[text] = self._type(text)
        return self._read[text]

    def _type(self, text: str) -> tuple[str, tuple[Address, ...]]:
        type_ = read(text)
        exact = text.strip().removesuffix("[]").strip()
        found = None if type_.builtin and exact == type_.name else self._spelled.get(exact)
        if found is None and (type_.schema or self.first, type_.name) in self.types:
            found = (type_.schema or self.first, type_.name)
        if found is not None:
            parts = found[1:] if found[0] == self.first else found
            return read(identifier(*parts) + ("[]" if type_.array else "")).text, (self.declares(found),)
        if type_.schema == self.first and not type_.builtin:
            inner = f"({','.join(type_.modifiers)})" if type_.modifiers else ""
            return read(identifier(type_.name) + inner + ("[]" if type_.array else "")).text, ()
        return type_.text, ()

    def declares(self, name: tuple[str, str]) -> Address:
        """The address of what declares the type of that (schema, name); of a multirange, its range."""
        return self.address(self.types[name], *self.multiranges.get(name, name))

    def collation(self, text: str) -> tuple[str | None, tuple[Address, ...]]:
        """A collation as introspection shows it, None for the default one, and what declares it, if anything does."""
        try:
            parts = split(text)
        except ValueError:
            return text, ()
        if len(parts) == 2 and parts[0] == "pg_catalog":
            return join(parts[1]), ()
        found = (parts[0], parts[1]) if len(parts) == 2 else (self.first, parts[0])
        if found in self.collations:
            return join(*found), (self.address("collation", *found),)
        return None if text == "default" else text, ()

    def embedding(self, name: str, where: Source | None) -> Embedding | None:
        """The contract of that name; None, reported, where there is none."""
        found = self.context.embeddings.get(name)
        if found is None:
            self.problem(
                where,
                f"embedding {name!r} is not declared in reconcile.yaml",
                meant(name, self.context.embeddings) or "declare it under `embeddings:`",
            )
        return found


def scope_schemas(context: Context) -> tuple[str, ...]:
    """`schemas:` of the store, `public` where there is none."""
    named = context.spec.settings.get("schemas")
    return tuple(str(s) for s in named) if named else DEFAULT_SCHEMAS


def as_map(value: Any) -> Map:
    """`value`, or an empty mapping where there is none."""
    return value if isinstance(value, Map) else Map()


def comment_of(value: Any) -> str | None:
    """`comment:` of a long form; an empty one is none."""
    return (value.get("comment") or None) if isinstance(value, Map) else None


def option_text(value: Any) -> str:
    """A storage parameter or option as the server keeps it: text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
