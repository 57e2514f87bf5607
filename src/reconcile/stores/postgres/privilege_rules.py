"""Which privileges a statement needs: one table of rules, read in two spellings. Pure.

Statements of the tool have quoted names in known places; of hand-written ones the tokens are joined with one space
between them. What a statement needs is said in the *Notes* of its page:
https://www.postgresql.org/docs/current/sql-commands.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

OWNER, DROP, MEMBER, SUPERUSER = "OWNER", "DROP", "MEMBER", "SUPERUSER"
"""Beside the server's own words for privileges: to own it; to own it or its schema; to be in the role; to be one."""
RELATION = "(?:TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE|INDEX|FOREIGN TABLE)"
ROUTINE = "(?:FUNCTION|PROCEDURE|AGGREGATE|ROUTINE)"
TYPE = "(?:TYPE|DOMAIN)"
_SAME = {
    "@IF": "(?:IF (?:NOT )?EXISTS )?",
    "@RELATION": RELATION,
    "@ROUTINE": ROUTINE,
    "@TYPE": TYPE,
}

_Q = r'"(?:[^"]|"")+"'
_QN = rf"{_Q}\.{_Q}"
_I = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_IN = rf"{_I}(?: \. {_I})*"
_INSIDE = r"\([^()]*(?:\([^()]*\)[^()]*)*\)"
OWN: Mapping[str, str] = {
    **_SAME,
    "@NAMES": f"(?P<a>{_QN})",
    "@ROUTINES": f"(?P<a>{_QN}{_INSIDE})",
    "@N": _QN,
    "@Q": _Q,
    "@TABLE": rf"{_QN}(?=\.)",
    "@OF": r"\.",
}
"""How the tool writes: `"public"."t"`, `"public"."f"(integer)`."""
WRITTEN: Mapping[str, str] = {
    **_SAME,
    "@NAMES": rf"(?P<a>{_IN}(?: \* )?(?: , {_IN})*)",
    "@ROUTINES": rf"(?P<a>{_IN}(?: {_INSIDE})?(?: , {_IN}(?: {_INSIDE})?)*)",
    "@N": _IN,
    "@Q": _I,
    "@TABLE": rf"{_I}(?: \. {_I})?",
    "@OF": r" \. ",
}
"""How people do, one space between tokens: `public . t`, `f ( int )`."""


class _Rule(NamedTuple):
    pattern: str
    needs: tuple[tuple[str, str, str], ...]
    """(group, kind, privilege). Kind `in`: the schema that the name says, or the first; `beside`: the schema that the
    thing of that name is in."""


def _rule(pattern: str, *needs: tuple[str, str, str]) -> _Rule:
    return _Rule(pattern, needs)


RULES: Mapping[str, Sequence[_Rule]] = {
    "CREATE": (
        _rule(
            "CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?(?:@IF@Q )?ON (?:ONLY )?(?P<a>@N)",
            ("a", "relation", OWNER),
            ("a", "beside", "CREATE"),
        ),
        _rule("CREATE (?:UNLOGGED )?TABLE @IF(?P<a>@N)", ("a", "in", "CREATE")),
        _rule("CREATE (?:UNLOGGED )?TABLE @IF@N PARTITION OF (?P<a>@N)", ("a", "relation", OWNER)),
        _rule(r"CREATE (?:UNLOGGED )?TABLE @IF@N \(\s*LIKE (?P<a>@N)", ("a", "relation", "SELECT")),
        _rule(
            "CREATE (?:OR REPLACE )?(?:RECURSIVE )?(?:VIEW|MATERIALIZED VIEW|SEQUENCE|TYPE|DOMAIN|COLLATION)"
            " @IF(?P<a>@N)",
            ("a", "in", "CREATE"),
        ),
        _rule("CREATE OR REPLACE (?:RECURSIVE )?VIEW (?P<a>@N)", ("a", "relation", OWNER)),
        _rule("CREATE (?:OR REPLACE )?@ROUTINE (?P<a>@N)", ("a", "in", "CREATE")),
        _rule("CREATE STATISTICS @IF(?P<a>@N) .* FROM (?P<b>@N)$", ("a", "in", "CREATE"), ("b", "relation", OWNER)),
        _rule("CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER @Q .*? ON (?P<a>@N)", ("a", "relation", "TRIGGER")),
        _rule(
            "CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER @Q .* EXECUTE (?:FUNCTION|PROCEDURE) (?P<a>@N) ?\\(",
            ("a", "function()", "EXECUTE"),
        ),
        _rule("CREATE POLICY @Q ON (?P<a>@N)", ("a", "relation", OWNER)),
        _rule(r"CREATE (?:OR REPLACE )?RULE @Q AS ON \w+ TO (?P<a>@N)", ("a", "relation", OWNER)),
        _rule("CREATE SCHEMA @IF(?!AUTHORIZATION)(?P<a>@Q)", ("a", "new schema", "CREATE")),
        _rule("CREATE SCHEMA @Q AUTHORIZATION (?P<a>@Q)", ("a", "role", MEMBER)),
        _rule("CREATE EXTENSION (?!IF )(?P<a>@Q)", ("a", "extension", "CREATE")),
        _rule("CREATE EVENT TRIGGER (?P<a>@Q)", ("a", "server", SUPERUSER)),
    ),
    "ALTER": (
        _rule("ALTER @RELATION @IF(?:ONLY )?(?P<a>@N)", ("a", "relation", OWNER)),
        _rule("ALTER @RELATION @IF(?:ONLY )?(?P<a>@N) RENAME TO ", ("a", "beside", "CREATE")),
        _rule("ALTER @RELATION @IF@N SET SCHEMA (?P<a>@Q)", ("a", "schema", "CREATE")),
        _rule("ALTER @RELATION @IF@N (?:ATTACH|DETACH) PARTITION (?P<a>@N)", ("a", "relation", OWNER)),
        _rule(
            r"ALTER TABLE @IF(?:ONLY )?(?P<a>@N) ADD (?:CONSTRAINT @Q )?(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b[^(),]*\(",
            ("a", "beside", "CREATE"),
        ),
        _rule("ALTER @TYPE (?P<a>@N)", ("a", "type", OWNER)),
        _rule("ALTER @TYPE @N SET SCHEMA (?P<a>@Q)", ("a", "schema", "CREATE")),
        _rule("ALTER @ROUTINE @ROUTINES", ("a", "routine", OWNER)),
        _rule("ALTER @ROUTINE @ROUTINES RENAME TO ", ("a", "beside routine", "CREATE")),
        _rule("ALTER @ROUTINE .*? SET SCHEMA (?P<a>@Q)", ("a", "schema", "CREATE")),
        _rule("ALTER STATISTICS (?P<a>@N)", ("a", "statistics", OWNER)),
        _rule("ALTER COLLATION (?P<a>@N)", ("a", "collation", OWNER)),
        _rule("ALTER SCHEMA (?P<a>@Q)", ("a", "schema", OWNER)),
        _rule("ALTER (?:POLICY|TRIGGER|RULE) @Q ON (?P<a>@N)", ("a", "relation", OWNER)),
        _rule("ALTER EXTENSION (?P<a>@Q)", ("a", "extension", OWNER)),
        _rule("ALTER PUBLICATION (?P<a>@Q)", ("a", "publication", OWNER)),
        _rule("ALTER EVENT TRIGGER (?P<a>@Q)", ("a", "server", SUPERUSER)),
        _rule("ALTER DEFAULT PRIVILEGES FOR ROLE (?P<a>@Q)", ("a", "role", MEMBER)),
        _rule("ALTER .* OWNER TO (?P<a>@Q)$", ("a", "role", MEMBER)),
    ),
    "DROP": (
        _rule("DROP @RELATION (?:CONCURRENTLY )?@IF@NAMES", ("a", "relation", DROP)),
        _rule("DROP @TYPE @IF@NAMES", ("a", "type", DROP)),
        _rule("DROP @ROUTINE @IF@ROUTINES", ("a", "routine", DROP)),
        _rule("DROP STATISTICS @IF@NAMES", ("a", "statistics", DROP)),
        _rule("DROP COLLATION @IF@NAMES", ("a", "collation", DROP)),
        _rule("DROP SCHEMA @IF(?P<a>@Q(?: , @Q)*)", ("a", "schema", OWNER)),
        _rule("DROP (?:POLICY|TRIGGER|RULE) @IF@Q ON (?P<a>@N)", ("a", "relation", OWNER)),
        _rule("DROP EXTENSION @IF(?P<a>@Q(?: , @Q)*)", ("a", "extension", OWNER)),
        _rule("DROP EVENT TRIGGER @IF(?P<a>@Q)", ("a", "server", SUPERUSER)),
    ),
    "COMMENT": (
        _rule("COMMENT ON @RELATION (?P<a>@N) IS", ("a", "relation", OWNER)),
        _rule("COMMENT ON COLUMN (?P<a>@TABLE)@OF@Q IS", ("a", "relation", OWNER)),
        _rule("COMMENT ON (?:CONSTRAINT|TRIGGER|POLICY|RULE) @Q ON (?!DOMAIN )(?P<a>@N)", ("a", "relation", OWNER)),
        _rule("COMMENT ON (?:@TYPE|CONSTRAINT @Q ON DOMAIN) (?P<a>@N)", ("a", "type", OWNER)),
        _rule("COMMENT ON @ROUTINE @ROUTINES", ("a", "routine", OWNER)),
        _rule("COMMENT ON STATISTICS (?P<a>@N)", ("a", "statistics", OWNER)),
        _rule("COMMENT ON COLLATION (?P<a>@N)", ("a", "collation", OWNER)),
        _rule("COMMENT ON SCHEMA (?P<a>@Q)", ("a", "schema", OWNER)),
        _rule("COMMENT ON EXTENSION (?P<a>@Q)", ("a", "extension", OWNER)),
    ),
    "TRUNCATE": (_rule("TRUNCATE (?:TABLE )?(?:ONLY )?@NAMES", ("a", "relation", "TRUNCATE")),),
    "COPY": (
        _rule(r"COPY (?P<a>@N) (?:\([^()]*\) )?FROM ", ("a", "rows", "INSERT")),
        _rule(r"COPY (?P<a>@N) (?:\([^()]*\) )?TO ", ("a", "rows", "SELECT")),
    ),
}
"""By the first word of a statement."""
ONLY_OWN: Mapping[str, Sequence[_Rule]] = {
    "REINDEX": (_rule("REINDEX INDEX (?:CONCURRENTLY )?(?P<a>@N)", ("a", "relation", OWNER)),),
    "SET": (_rule("SET LOCAL ROLE (?P<a>@Q)", ("a", "role", MEMBER)),),
    "DO": (
        _rule("DO .* CREATE SCHEMA (?P<a>@Q)", ("a", "new schema", "CREATE")),
        _rule("DO .* ALTER SEQUENCE (?P<a>@N)", ("a", "relation", OWNER)),
    ),
}
"""What of the tool's own statements alone is known: others may REINDEX too, and any block does what it likes."""
_TABLE = re.compile(r"\w+ (?:UNLOGGED )?(?:FOREIGN )?TABLE ", re.I)


class Asked(NamedTuple):
    """A name as it stands in a statement, and what is needed of it."""

    kind: str
    text: str
    privilege: str


def asked(word: str, text: str, *, own: bool) -> Iterator[Asked]:
    """What a statement needs.

    Args:
        word: its first.
        own: whether it is one of the tool's; else its tokens are joined with one space.
    """
    for rule in (*RULES.get(word, ()), *(ONLY_OWN.get(word, ()) if own else ())):
        if match := _compiled(rule.pattern, own).match(text):
            for group, kind, privilege in rule.needs:
                yield from (Asked(kind, name, privilege) for name in ([match[group]] if own else _names(match[group])))
    if word in ("CREATE", "ALTER") and _TABLE.match(text):
        for match in _compiled(r"\bREFERENCES (?P<a>@N)", own).finditer(text):
            yield Asked("relation", match["a"], "REFERENCES")


@cache
def _compiled(pattern: str, own: bool) -> re.Pattern[str]:
    """When first needed: all of them take 15 ms, and most plans need none."""
    spelling = OWN if own else WRITTEN
    return re.compile(re.sub("@[A-Z]+", lambda m: spelling[m[0]], pattern), re.S if own else re.S | re.I)


def _names(text: str) -> Iterator[str]:
    """Each of a list; commas between the types of a routine part nothing."""
    depth, begin = 0, 0
    for n, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0 and text[:n].count('"') % 2 == 0:
            yield text[begin:n].strip()
            begin = n + 1
    yield text[begin:].strip()
