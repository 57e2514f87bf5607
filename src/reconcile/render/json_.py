"""A plan, a drift report or a status as JSON: sorted keys, indent 1, so that two can be compared by line."""

from __future__ import annotations

import json

from reconcile.model import Json


def render(document: Json) -> str:
    """The document; the same input gives the same bytes."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
