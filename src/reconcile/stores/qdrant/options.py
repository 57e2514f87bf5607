"""Names and limits of Qdrant; its settings are in `settings.py`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from reconcile.embeddings import Distance

MAX_DIMENSIONS = 65536
"""Larger sizes are answered with 422."""
MAX_NAME = 255
MARK = "_reconcile"
"""The tool's own collection: empty, its metadata holds the world stamp; never introspected."""
OURS = "reconcile"
"""The metadata key by which a versioned collection is recognised, whatever its name."""

DISTANCES: Mapping[str, str] = MappingProxyType(
    {
        Distance.COSINE: "Cosine",
        Distance.EUCLIDEAN: "Euclid",
        Distance.DOT: "Dot",
        Distance.MANHATTAN: "Manhattan",
    }
)
"""The contract's word -> Qdrant's."""
