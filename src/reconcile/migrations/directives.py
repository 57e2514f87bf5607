"""What comments of a migration say to us: `reconcile: allow …`, `reconcile: depends_on …`, `verify: …`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from reconcile.errors import Problem
from reconcile.migrations.model import Permit, Verification
from reconcile.model import Json, Source
from reconcile.stores.migrating import Comment, Danger
from reconcile.suggest import meant

_OURS = re.compile(r"reconcile:\s*(\S+)\s*(.*)\Z", re.IGNORECASE)
_VERIFY = re.compile(r"verify\s*:\s*(.*)\Z", re.IGNORECASE)
_EXPECT = re.compile(r"(?:expect|expected|expects)\s*:?\s+(.+?);?\Z", re.IGNORECASE)
_INLINE = re.compile(r"(.*?);?\s*=>\s*(\S+)\Z")
_DESCRIPTION = re.compile(r"description\s*:\s*(.+)\Z", re.IGNORECASE)
_DEPENDS = re.compile(r"(?:depends(?:[ _-]?on)?|dependencies)\s*:\s*(.+?)\.?\Z", re.IGNORECASE)
"""As teams write it by themselves; what is no number or file is prose."""
_NUMBERED = re.compile(r"[Vv]?\d[\w.-]*\Z")
_FORM = "write `reconcile: allow truncate: REASON`"


def permits(comments: Sequence[Comment], file: str, problems: list[Problem]) -> Iterator[Permit]:
    """`reconcile: allow DANGER, DANGER: REASON`."""
    for comment in comments:
        match = _OURS.match(comment.text)
        if match is None:
            continue
        where = Source(file, comment.line)
        if match[1] == "allow":
            names, _, reason = match[2].partition(":")
            yield from permit([n.strip() for n in names.split(",")], reason.strip(), where, problems)
        elif match[1] != "depends_on":
            hint = meant(match[1], ("allow", "depends_on")) or _FORM
            problems.append(Problem(f'there is no directive "{match[1]}"', where=where, hint=hint))


def permit(names: Sequence[str], reason: str, where: Source, problems: list[Problem]) -> Iterator[Permit]:
    """Dangers by name with a reason; what is wrong with either is a problem."""
    known = [d.value for d in Danger]
    for name in names:
        if name not in known:
            problems.append(
                Problem(f'allow: there is no danger "{name}"', where=where, hint=meant(name, known) or ", ".join(known))
            )
    if not reason:
        problems.append(Problem("what is allowed needs a reason", where=where, hint=_FORM))
    yield Permit(frozenset(names), reason, where)


def depends_on(comments: Sequence[Comment], file: str) -> Iterator[tuple[str, Source]]:
    """`reconcile: depends_on 3, 4`, also `Depends on: 003_tags.sql`."""
    for comment in comments:
        match = _OURS.match(comment.text)
        if match is not None and match[1] == "depends_on":
            yield from ((n, Source(file, comment.line)) for n in re.split(r"[,\s]+", match[2].strip()) if n)
        elif match is None and (theirs := _DEPENDS.match(comment.text)) is not None:
            names = [n for n in re.split(r"[,;\s]+|\band\b", theirs[1].strip()) if n]
            if all(map(_NUMBERED.match, names)):
                yield from ((n, Source(file, comment.line)) for n in names)


def description(comments: Sequence[Comment]) -> str:
    """The first `Description: …`, else nothing."""
    return next((m[1].strip() for c in comments if (m := _DESCRIPTION.match(c.text))), "")


def verifications(comments: Sequence[Comment], file: str, is_query: Callable[[str], bool]) -> Iterator[Verification]:
    """`verify: QUERY`, over several comment lines where it ends in a semicolon, then `expect: VALUE`."""
    for n, comment in enumerate(comments):
        match = _VERIFY.match(comment.text)
        if match is None:
            continue
        text, end = _whole(match[1].strip(), comments, n)
        where = Source(file, comment.line)
        inline = _INLINE.match(text)
        following = comments[end + 1] if end + 1 < len(comments) else None
        said = None
        if inline is not None:
            text, said = inline[1], inline[2]
        elif following is not None and following.line == comments[end].line + 1:
            expected = _EXPECT.match(following.text)
            said = None if expected is None else expected[1]
        text = text.rstrip("; ")
        label = f"verify at line {comment.line}"
        if not is_query(text):
            yield Verification(label, where, unrunnable=f"it is no query: {text[:60] or 'nothing'}")
        else:
            yield Verification(label, where, text, _value(said), said is not None)


def _whole(text: str, comments: Sequence[Comment], n: int) -> tuple[str, int]:
    """The query that begins at comment `n`, and the number of the comment that it ends in."""
    if not text.endswith(";"):
        lines = [text]
        for m in range(n + 1, len(comments)):
            more = comments[m]
            over = more.line != comments[m - 1].line + 1 or not more.text
            if over or _VERIFY.match(more.text) or _EXPECT.match(more.text) or _OURS.match(more.text):
                break
            lines.append(more.text)
            if more.text.endswith(";") or not text:
                return "\n".join(lines).strip(), m
    return text, n


def _value(text: str | None) -> Json:
    if text is None:
        return None
    lowered = text.strip()
    try:
        return json.loads(lowered.lower() if lowered.lower() in ("true", "false", "null") else lowered)
    except ValueError:
        return lowered.strip("'\"")
