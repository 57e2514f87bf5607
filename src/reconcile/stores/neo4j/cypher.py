"""Cypher texts: quoting, the statements that make and drop schema objects, and reading the former back.

Names go as parameters; labels, relationship types and property names cannot, so they are quoted here and nowhere
else. Manual: https://neo4j.com/docs/cypher-manual/5/syntax/naming/
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconcile.change import Cypher, Server
from reconcile.stores.neo4j import options, versions
from reconcile.stores.neo4j.resources import (
    EXISTS,
    FULLTEXT,
    KEY,
    LOOKUP,
    RANGE,
    TYPE,
    UNIQUE,
    VECTOR,
    Check,
    Constraint,
    Index,
    SchemaObject,
)

_REQUIRES = {UNIQUE: "IS UNIQUE", EXISTS: "IS NOT NULL"}
_CREATE_CONSTRAINT = re.compile(
    r"(?:CYPHER \d+ )?CREATE CONSTRAINT \$name FOR "
    r"(?:\(n:(?P<label>`(?:[^`]|``)*`)\)|\(\)-\[n:(?P<relationship>`(?:[^`]|``)*`)\]-\(\)) "
    r"REQUIRE \((?P<properties>n\.`(?:[^`]|``)*`(?:, n\.`(?:[^`]|``)*`)*)\) IS "
    r"(?P<rule>UNIQUE|NODE KEY|RELATIONSHIP KEY|NOT NULL|:: (?P<type>.+))\Z",
    re.S,
)
_QUOTED = re.compile(r"`((?:[^`]|``)*)`", re.S)


def quote(name: str) -> str:
    r"""A label, type or property name in backticks.

    Cypher 5 decodes `\uXXXX` before it parses, inside backticks too, so that a name holding the six characters
    `\u0060` would end the quotes. It does so after an even number of backslashes only, hence every backslash is
    written as its own escape (measured on 5.26).

    >>> quote("a`b")
    '`a``b`'
    >>> print(quote(r"x\u0060"))
    `x\u005Cu0060`
    """
    return "`" + name.replace("\\", "\\u005C").replace("`", "``") + "`"


def unquote(quoted: str) -> str:
    r"""What `quote` was given.

    >>> unquote(quote(r"a`\u0060 .")) == r"a`\u0060 ."
    True
    """
    return quoted[1:-1].replace("``", "`").replace("\\u005C", "\\")


def prefix(server: Server, version: int = 5) -> str:
    """`CYPHER 5 ` where the server knows a later Cypher too (documented: 2025.06 on), which may be the default."""
    return f"CYPHER {version} " if versions.numbers(server)[:2] >= versions.BOTH_CYPHERS else ""


def pattern(resource: SchemaObject, variable: str = "n") -> str:
    """`(n:`A`|`B`)` or `()-[n:`T`]-()`."""
    names = "|".join(map(quote, resource.tokens))
    return f"({variable}:{names})" if resource.on_nodes else f"()-[{variable}:{names}]-()"


def match(resource: SchemaObject) -> str:
    """The pattern for MATCH, relationships once each: what the count store answers."""
    text = pattern(resource)
    return text if resource.on_nodes else text.removesuffix("-()") + "->()"


def _properties(resource: SchemaObject) -> str:
    return ", ".join(f"n.{quote(p)}" for p in resource.properties)


def create(resource: SchemaObject, name: str, server: Server) -> Cypher:
    """The statement that makes the object under `name`; never `IF NOT EXISTS`, which would hide a conflict."""
    head = prefix(server, versions.cypher_of(resource))
    if isinstance(resource, Constraint):
        required = f"REQUIRE ({_properties(resource)}) {_rule(resource)}"
        return Cypher(f"{head}CREATE CONSTRAINT $name FOR {pattern(resource)} {required}", {"name": name})
    assert isinstance(resource, Index)
    kind = "" if resource.kind == RANGE else f"{resource.kind.upper()} "
    text = f"{head}CREATE {kind}INDEX $name FOR {_on(resource)}"
    config = options.to_server(resource)
    if not config:
        return Cypher(text, {"name": name})
    return Cypher(f"{text} OPTIONS $options", {"name": name, "options": {"indexConfig": config}})


def _on(index: Index) -> str:
    """The pattern and what of it is indexed."""
    properties = [f"n.{quote(p)}" for p in index.properties]
    if index.kind == LOOKUP:
        return "(n) ON EACH labels(n)" if index.on_nodes else "()-[n]-() ON EACH type(n)"
    if index.kind == FULLTEXT:
        return f"{pattern(index)} ON EACH [{', '.join(properties)}]"
    if index.kind == VECTOR and len(properties) > 1:
        return f"{pattern(index)} ON ({properties[0]}) WITH [{', '.join(properties[1:])}]"
    return f"{pattern(index)} ON ({', '.join(properties)})"


def _rule(constraint: Constraint) -> str:
    if constraint.kind == KEY:
        return "IS NODE KEY" if constraint.on_nodes else "IS RELATIONSHIP KEY"
    return f"IS :: {constraint.type}" if constraint.kind == TYPE else _REQUIRES[constraint.kind]


def drop(resource: SchemaObject, name: str, server: Server) -> Cypher:
    """The statement that drops the object called `name`."""
    word = "CONSTRAINT" if isinstance(resource, Constraint) else "INDEX"
    return Cypher(f"{prefix(server)}DROP {word} $name", {"name": name})


@dataclass(frozen=True)
class Required:
    """What a `CREATE CONSTRAINT` of ours asks of the data."""

    name: str
    kind: str
    label: str | None
    relationship: str | None
    properties: tuple[str, ...]
    type: str | None = None

    @property
    def pattern(self) -> str:
        """What to MATCH."""
        return f"(n:{quote(self.label)})" if self.label is not None else f"()-[n:{quote(self.relationship or '')}]->()"

    @property
    def rows(self) -> str:
        """`nodes` or `relationships`."""
        return "nodes" if self.label is not None else "relationships"

    @property
    def says(self) -> str:
        """`Person.id`, `RATED.(user, item)`: for people."""
        inner = ", ".join(self.properties)
        owner = self.label if self.label is not None else self.relationship
        return f"{owner}.{inner}" if len(self.properties) == 1 else f"{owner}.({inner})"


def required_by(check: Check) -> Required:
    """What a constraint that the server does not enforce asks of the data."""
    token = check.tokens[0]
    label, relationship = (token, None) if check.on_nodes else (None, token)
    return Required(check.name, check.kind, label, relationship, check.properties, check.type)


def read_constraint(call: Cypher) -> Required | None:
    """Read what `create` wrote of a constraint; None for any other statement.

    A saved plan holds statements only, and what they ask of the data has to be looked at before an apply.
    """
    found = _CREATE_CONSTRAINT.match(call.cypher)
    if found is None:
        return None
    rule = found["rule"]
    kind = TYPE if found["type"] else {"UNIQUE": UNIQUE, "NOT NULL": EXISTS}.get(rule, KEY)
    properties = tuple(unquote(f"`{p}`") for p in _QUOTED.findall(found["properties"]))
    label, relationship = (unquote(q) if q else None for q in (found["label"], found["relationship"]))
    return Required(str(call.params["name"]), kind, label, relationship, properties, found["type"])
