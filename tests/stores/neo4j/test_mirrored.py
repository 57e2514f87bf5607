"""Ids of a label's nodes."""

from __future__ import annotations

import pytest
from tests.stores.neo4j.graph import Graph

from reconcile.errors import StoreError
from reconcile.model import Address
from reconcile.stores.base import Side


def ids(graph: Graph, label: str, key: str) -> list[str]:
    """Sorted; `-` for a node without one."""
    with graph.session() as session:
        return sorted(text or "-" for text in session.ids(Side(Address("graph", "label", (label,)), key)))


def test_values_of_any_property_of_any_label(graph: Graph) -> None:
    """Whole numbers, texts, lists; names with dots and backticks; nodes without the property are told as such."""
    graph.send("CREATE (:`A.``b` {`x.y`: 1}), (:`A.``b` {`x.y`: 2.0}), (:`A.``b`), (:Other {id: 9})")
    assert ids(graph, "A.`b", "x.y") == ["-", "1", "2"]
    graph.send("CREATE (:`A.``b` {id: 'x'}), (:`A.``b` {id: [3, 4]}), (:Other {id: []})")
    assert ids(graph, "A.`b", "id") == ["-", "-", "-", "3", "4", "x"]
    assert ids(graph, "Other", "id") == ["-", "9"]


def test_a_label_that_is_not_there(graph: Graph) -> None:
    with pytest.raises(StoreError, match="label Never is not in the graph"):
        ids(graph, "Never", "id")


def test_many_are_streamed(graph: Graph) -> None:
    """More than one fetch."""
    graph.send("UNWIND range(1, 25000) AS n CREATE (:Many {id: n})")
    assert len(set(ids(graph, "Many", "id"))) == 25000
