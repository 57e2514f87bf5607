"""Statements that make types and collations, and the clauses of their parts. Of `sqltext`, the half about types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconcile.model import Json
from reconcile.stores.postgres.resources import (
    Attribute,
    Collation,
    Composite,
    Domain,
    DomainCheck,
    Enum,
    PostgresResource,
    Range,
)
from reconcile.stores.postgres.sqltext import (
    as_written,
    comment_statement,
    dotted,
    enum_statement,
    ident,
    literal,
    object_name,
)
from reconcile.stores.postgres.sqltypes import read


def type_statement(x: Enum | Domain | Composite | Range) -> str:
    """CREATE TYPE or CREATE DOMAIN; of a domain without what is not valid."""
    match x:
        case Domain():
            return domain_statement(x)
        case Composite():
            return composite_statement(x)
        case Range():
            return range_statement(x)
    return enum_statement(x)


def domain_statement(x: Domain) -> str:
    """CREATE DOMAIN with its default and checks, but those that are not valid."""
    parts = [f"CREATE DOMAIN {object_name(x)} AS {as_written(x, 'type')}"]
    parts += [f"COLLATE {dotted(x.collation)}"] if x.collation else []
    if x.default is not None:
        parts.append(f"DEFAULT {as_written(x, 'default')}")
    parts += ["NOT NULL"] if x.not_null else []
    parts += [domain_check_clause(x, c) for c in x.checks if not c.not_valid]
    return " ".join(parts)


def domain_check_clause(x: Domain, check: DomainCheck) -> str:
    """`CONSTRAINT "email_at" CHECK (value ~ '@')`, in the words of the YAML where those are kept."""
    return f"CONSTRAINT {ident(check.name)} CHECK ({check_expression(x, check)})"


def check_expression(x: Domain, check: DomainCheck) -> str:
    """The condition, in the words of the YAML where those are kept."""
    return _written(x, "checks", check, "expression")


def _written(x: PostgresResource, key: str, part: DomainCheck | Attribute, attribute: str) -> str:
    found: Iterable[Json] = as_written(x, key)
    for each in found:
        if isinstance(each, Mapping) and each.get("name") == part.name:
            return str(each[attribute])
    return str(getattr(part, attribute))


def takes_default(x: Domain) -> bool:
    """Whether it has to be told that it has no default: a domain over another takes over the other's."""
    return x.default is None and not read(x.type).builtin


def alter_domain(x: Domain, what: str) -> str:
    """ALTER DOMAIN …."""
    return f"ALTER DOMAIN {object_name(x)} {what}"


def composite_statement(x: Composite) -> str:
    """CREATE TYPE … AS (…)."""
    return f"CREATE TYPE {object_name(x)} AS ({', '.join(attribute_clause(x, a) for a in x.fields)})"


def attribute_clause(x: Composite, attribute: Attribute) -> str:
    """`"zip" varchar(10) COLLATE "C"`."""
    collation = f" COLLATE {dotted(attribute.collation)}" if attribute.collation else ""
    return f"{ident(attribute.name)} {attribute_type(x, attribute)}{collation}"


def attribute_type(x: Composite, attribute: Attribute) -> str:
    """The type of a field, in the words of the YAML where those are kept."""
    return _written(x, "fields", attribute, "type")


def range_statement(x: Range) -> str:
    """CREATE TYPE … AS RANGE (…)."""
    parts = [f"SUBTYPE = {as_written(x, 'subtype')}"]
    parts += [f"SUBTYPE_OPCLASS = {as_written(x, 'opclass')}"] if x.opclass else []
    parts += [f"COLLATION = {dotted(x.collation)}"] if x.collation else []
    parts += [f"SUBTYPE_DIFF = {as_written(x, 'subtype_diff')}"] if x.subtype_diff else []
    parts += [f"MULTIRANGE_TYPE_NAME = {ident(x.schema, x.multirange)}"] if x.multirange else []
    return f"CREATE TYPE {object_name(x)} AS RANGE ({', '.join(parts)})"


def collation_statement(x: Collation) -> str:
    """CREATE COLLATION …."""
    parts = [f"PROVIDER = {x.provider}", f"LOCALE = {literal(x.locale)}"]
    parts += [] if x.deterministic else ["DETERMINISTIC = false"]
    parts += [f"RULES = {literal(x.rules)}"] if x.rules else []
    return f"CREATE COLLATION {object_name(x)} ({', '.join(parts)})"


def type_comments(x: PostgresResource) -> list[str]:
    """COMMENT ON the type and on its parts, as far as there are any."""
    found = [comment_statement(x)] if x.comment is not None else []
    if isinstance(x, Domain):
        found += [check_comment(x, c) for c in x.checks if c.comment is not None]
    elif isinstance(x, Composite):
        found += [attribute_comment(x, a) for a in x.fields if a.comment is not None]
    return found


def check_comment(x: Domain, check: DomainCheck) -> str:
    """COMMENT ON CONSTRAINT … ON DOMAIN …; None removes it."""
    return f"COMMENT ON CONSTRAINT {ident(check.name)} ON DOMAIN {object_name(x)} IS {_text(check.comment)}"


def attribute_comment(x: Composite, attribute: Attribute) -> str:
    """COMMENT ON COLUMN of a type; None removes it."""
    return f"COMMENT ON COLUMN {ident(x.schema, x.name, attribute.name)} IS {_text(attribute.comment)}"


def _text(comment: str | None) -> str:
    return "NULL" if comment is None else literal(comment)
