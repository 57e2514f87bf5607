"""What makes types and collations in a scratch schema. Of `statements`, the half about types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from reconcile.model import Address
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.names import join, split
from reconcile.stores.postgres.sqltext import ident
from reconcile.stores.postgres.sqltokens import tokens
from reconcile.stores.postgres.typetext import (
    collation_statement,
    composite_statement,
    domain_statement,
    range_statement,
    takes_default,
)


class Names(Protocol):
    """See `statements.Names`."""

    def home(self, schema: str, name: str) -> tuple[str, str]:
        """See `statements.Names`."""

    def name(self, address: Address) -> str:
        """The quoted scratch name of what a schema holds."""

    def sql(self, text: str) -> str:
        """`text` with the schemas of what is built replaced."""


def built_collation(names: Names, name: str | None) -> str | None:
    """What a collation is called where a declared one is built."""
    if name is None:
        return None
    _, *moved = tokens(names.sql(f"COLLATE {ident(*split(name))}"))
    return join(*(t.name for t in moved if t.name is not None))


def _here(names: Names, x: Any, **changes: Any) -> Any:
    """`x` under its scratch name."""
    return x.replace(
        address=Address(x.address.store, x.address.kind, names.home(*x.address.parts)),
        declared=None,
        **changes,
    )


def collation(names: Names, x: r.Collation) -> str:
    """As declared."""
    return collation_statement(_here(names, x))


def domain(names: Names, x: r.Domain) -> str:
    """The type alone."""
    type_, sorting = names.sql(x.type), built_collation(names, x.collation)
    return domain_statement(_here(names, x, type=type_, collation=sorting, default=None, not_null=False, checks=()))


def domain_texts(names: Names, x: r.Domain) -> Sequence[str]:
    """The default and the checks; not valid, since adding others looks at the columns that are there."""
    found = ["DROP DEFAULT"] if takes_default(x) else []
    found += [] if x.default is None else [f"SET DEFAULT {names.sql(x.default)}"]
    found += [f"ADD CONSTRAINT {ident(c.name)} CHECK ({names.sql(c.expression)}) NOT VALID" for c in x.checks]
    return [f"ALTER DOMAIN {names.name(x.address)} {what}" for what in found]


def composite(names: Names, x: r.Composite) -> str:
    """All fields."""
    fields = (replace(a, type=names.sql(a.type), collation=built_collation(names, a.collation)) for a in x.fields)
    return composite_statement(_here(names, x, fields=tuple(fields)))


def range_type(names: Names, x: r.Range) -> str:
    """All settings."""
    texts = {k: names.sql(text) for k in ("opclass", "subtype_diff") if (text := getattr(x, k)) is not None}
    sorting = built_collation(names, x.collation)
    return range_statement(_here(names, x, subtype=names.sql(x.subtype), collation=sorting, **texts))
