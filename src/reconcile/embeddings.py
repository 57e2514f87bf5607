"""The vector contract: model, dimensions, distance, element type, declared once and named by every user."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconcile.model import Source


class Distance(StrEnum):
    """How two vectors are compared. Each store package maps these to its own words, or refuses."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    DOT = "dot"
    MANHATTAN = "manhattan"


class Element(StrEnum):
    """What a vector's components are stored as."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


@dataclass(frozen=True)
class Embedding:
    """One entry of `embeddings:` in reconcile.yaml."""

    name: str
    model: str
    dimensions: int
    distance: Distance
    element: Element = Element.FLOAT32
    source: Source | None = None
