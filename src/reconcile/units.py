"""Sizes and durations as people read them. Pure."""

from __future__ import annotations

_BINARY = ("bytes", "kB", "MB", "GB", "TB", "PB")


def size(count: int) -> str:
    """Bytes as PostgreSQL's `pg_size_pretty` rounds them.

    >>> size(512), size(6710886400)
    ('512 bytes', '6.2 GB')
    """
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_BINARY) - 1:
        value, unit = value / 1024, unit + 1
    return f"{count} bytes" if not unit else f"{value:.1f}".removesuffix(".0") + f" {_BINARY[unit]}"


def duration(seconds: float) -> str:
    """
    >>> duration(0.4), duration(1400), duration(9000)
    ('0.4 s', '23 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
