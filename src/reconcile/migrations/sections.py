"""Files that hold both ways: what is under `-- migrate:up` runs, what is under `-- migrate:down` is the way back."""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconcile.stores.migrating import Comment

_MARKS = re.compile(
    r"(?:migrate:(?P<dbmate>up|down)|\+\s*(?:goose|migrate)\s+(?P<goose>up|down)|rambler\s+(?P<rambler>up|down)"
    r"|(?P<pg>up|down)\s+migration\Z|//\s*@(?P<mybatis>undo))\b",
    re.IGNORECASE,
)
"""How dbmate, goose and sql-migrate, rambler, node-pg-migrate and MyBatis mark them."""


def split(content: str, comments: Iterable[Comment]) -> tuple[str, str | None]:
    """The way up and the way back of a file, each with the lines of the other left empty; None: it holds the one alone.

    >>> split("-- migrate:up\\na;\\n-- migrate:down\\nb;", [Comment("migrate:up", 1), Comment("migrate:down", 3)])
    ('-- migrate:up\\na;\\n\\n', '\\n\\n-- migrate:down\\nb;')
    """
    marks = {c.line: next(filter(None, m.groups())).lower() for c in comments if (m := _MARKS.match(c.text))}
    if not marks:
        return content, None
    ways: dict[bool, list[str]] = {True: [], False: []}
    up = True
    for number, line in enumerate(content.split("\n"), 1):
        if number in marks:
            up = marks[number] == "up"
        ways[up].append(line)
        ways[not up].append("")
    return "\n".join(ways[True]), "\n".join(ways[False])
