"""What of a hand-written statement is about the server as a whole, or about its own tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.stores.postgres.scripts import Piece

_OF_SERVER = frozenset(("DATABASE", "TABLESPACE", "SUBSCRIPTION"))
"""Made, they are of the server, or have it connect elsewhere; settings of a database are its own."""
_NAMES = """
attrdef attribute authid auth_members cast class constraint database db_role_setting depend enum extension index
inherits language largeobject namespace operator policy proc rewrite shadow trigger type
"""
_CATALOGS = frozenset(f"pg_{name}" for name in _NAMES.split())
"""What only the server writes; others may have names with `pg_` too."""


def of_server(words: Sequence[str], n: int) -> bool:
    """Whether CREATE, ALTER or DROP at a place is about the server; of ALTER DATABASE a new name or owner only."""
    if words[n + 1 : n + 2] == [] or words[n + 1] not in _OF_SERVER:
        return False
    return words[n : n + 2] != ["ALTER", "DATABASE"] or words[n + 3 : n + 4] in (["RENAME"], ["OWNER"])


def is_catalog(tokens: Sequence[Piece], n: int) -> bool:
    """Whether a table of the server itself is named there."""
    n += bool(tokens[n : n + 1]) and tokens[n].word == "ONLY"
    names = [t.name for t in tokens[n : n + 3]]
    if len(tokens) > n + 2 and tokens[n + 1].text == ".":
        return names[0] == "pg_catalog"
    return bool(names) and names[0] in _CATALOGS
