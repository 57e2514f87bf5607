"""Checksums of migration files: ours, and those that other tools have recorded."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable

OURS = "sha256 of the text"
"""The algorithm of new rows where there are none of others: line ends do not count, a checkout may change them."""
_HASHES = ("sha256", "md5", "sha1", "sha384")
SHORTEST = 8
"""Characters of a checksum that was cut off by whoever recorded it."""


def checksums(data: bytes) -> dict[str, str]:
    """By algorithm the checksum of a file, the likeliest first.

    >>> list(checksums(b"x"))[:3]
    ['sha256 of the text', 'sha256 of the bytes', 'sha256 of the stripped text']
    """
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found = {}
    for name in _HASHES:
        for what, of in (("text", text), ("bytes", data), ("stripped text", text.strip())):
            found[f"{name} of the {what}"] = hashlib.new(name, of, usedforsecurity=False).hexdigest()
    found["crc32 of the lines"] = _crc32(text)
    return found


def _crc32(text: bytes) -> str:
    """Flyway's: of the lines without their ends, as a signed number."""
    crc = 0
    for line in text.removesuffix(b"\n").split(b"\n"):
        crc = zlib.crc32(line, crc)
    return str(crc - 2**32 if crc >= 2**31 else crc)


def algorithm(recorded: str, known: dict[str, str]) -> str | None:
    """Of which algorithm a recorded checksum is; None where no one gives it: the file has changed.

    Args:
        known: what `checksums` says of the file now.
    """
    text = recorded.strip().lower().rpartition(":")[2]
    if (exact := next((name for name, value in known.items() if value == text), None)) is not None:
        return exact
    if len(text) < SHORTEST:
        return None
    return next((name for name, value in known.items() if value.startswith(text)), None)


def spelled(known: dict[str, str], recorded: str | None, how: str | None) -> str:
    """The checksum of a file in the form in which another row has it."""
    if recorded is None or how is None:
        return known[OURS]
    head, colon, text = recorded.strip().rpartition(":")
    value = known[how][: len(text)]
    return head + colon + (value.upper() if text.isupper() and not text.isdigit() else value)


def usual(found: Iterable[str | None]) -> str | None:
    """The algorithm that most rows have."""
    names = [name for name in found if name is not None]
    return max(sorted(set(names)), key=names.count) if names else None
