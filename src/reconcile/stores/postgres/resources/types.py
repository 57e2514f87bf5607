"""Types: enums, domains, composites, ranges."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from reconcile.model import Json, Resource
from reconcile.stores.postgres.names import generated_multirange
from reconcile.stores.postgres.resources.base import PostgresResource


class Enum(PostgresResource):
    """Values in sort order."""

    values: tuple[str, ...] = ()
    renamed_values: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """(new, old)"""
    renamed_from: str | None = field(default=None, compare=False)

    def renames_parts_of(self, live: Resource) -> bool:
        """See `Resource.renames_parts_of`."""
        return isinstance(live, Enum) and any(old in live.values for _, old in self.renamed_values)

    def with_parts_renamed(self, before: Json, after: Json) -> Resource:
        """See `Resource.with_parts_renamed`."""
        pairs = zip(before["values"], after["values"], strict=True) if before and after else ()
        return replace(self, renamed_values=tuple((was, now) for was, now in pairs if was != now))


@dataclass(frozen=True)
class DomainCheck:
    """A constraint of a domain."""

    name: str
    expression: str
    not_valid: bool = False
    comment: str | None = None


class Domain(PostgresResource):
    """A type with conditions. `checks` is sorted by name; NOT NULL has no name here."""

    type: str
    collation: str | None = None
    not_null: bool = False
    default: str | None = None
    checks: tuple[DomainCheck, ...] = ()
    renamed_from: str | None = field(default=None, compare=False)

    def renamed_checks(self, live: Domain) -> dict[str, str]:
        """Declared name by live name, of checks that say the same under names that only one of the two has."""
        names = {c.name for c in self.checks}, {c.name for c in live.checks}
        left = {c.expression: c.name for c in live.checks if c.name not in names[0]}
        new = {c.expression: c.name for c in self.checks if c.name not in names[1]}
        return {left[text]: new[text] for text in left if text in new}

    def with_names_of(self, live: Resource) -> Resource:
        """See `Resource.with_names_of`."""
        assert isinstance(live, Domain)
        kept = {new: old for old, new in self.renamed_checks(live).items()}
        if not kept:
            return self
        checks = (replace(c, name=kept.get(c.name, c.name)) for c in self.checks)
        written = self.declared
        if isinstance(written, dict) and "checks" in written:
            said = [{**c, "name": kept.get(c["name"], c["name"])} for c in written["checks"]]
            written = {**written, "checks": said}
        return replace(self, checks=tuple(sorted(checks, key=lambda c: c.name)), declared=written)


@dataclass(frozen=True)
class Attribute:
    """A field of a composite type."""

    name: str
    type: str
    collation: str | None = None
    comment: str | None = None


class Composite(PostgresResource):
    """CREATE TYPE … AS (…). The order of fields counts where the type is made; later they stand as they were added."""

    fields: tuple[Attribute, ...] = ()
    renamed_from: str | None = field(default=None, compare=False)


class Range(PostgresResource):
    """CREATE TYPE … AS RANGE. None: the server's default; names of functions and classes as the server shows them.

    One with a canonical function is not modelled: that is written in C, for the type before it is complete.
    """

    subtype: str
    opclass: str | None = None
    collation: str | None = None
    subtype_diff: str | None = None
    multirange: str | None = None
    """The multirange type's name, where it is not the generated one; in the schema of the range."""
    renamed_from: str | None = field(default=None, compare=False)

    @property
    def occupies(self) -> tuple[tuple[str, ...], ...]:
        """See `Resource.occupies`: its own and that of its multirange."""
        return (*super().occupies, ("type", self.schema, self.multirange or generated_multirange(self.name)))
