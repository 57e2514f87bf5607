"""What keeps a table, or an identity, from being described. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any


def left_out(rows: Mapping[str, list[tuple[Any, ...]]]) -> dict[int, str]:
    """By oid, why whole tables are left out: what one of their parts has would be half compared."""
    found: dict[int, list[str]] = defaultdict(list)
    for row in rows["relations"]:
        oid, _, _, kind, _, _, _, _, partition, inherits, storage, _, typed = row[:13]
        if kind not in "rp":
            continue
        words = {
            "inheritance": inherits and not partition and kind == "r",
            "tablespace or access method": storage,
            "typed table": typed,
        }
        found[oid] += [word for word, true in words.items() if true]
    return {oid: ", ".join(dict.fromkeys(reasons)) for oid, reasons in found.items() if reasons}
