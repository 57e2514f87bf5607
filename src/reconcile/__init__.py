"""Declare the schemas of PostgreSQL, Neo4j and Qdrant in YAML; review one plan over all of them; apply it safely.

>>> from reconcile import Project                                    # doctest: +SKIP
>>> planned = Project.load("examples/rag-platform").plan()           # doctest: +SKIP
>>> print(planned)                                                   # doctest: +SKIP
>>> planned.apply()                                                  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Project", "__version__"]

if TYPE_CHECKING:
    from reconcile.api import Project


def __getattr__(name: str) -> Any:
    """`Project` is imported when it is asked for: the command line starts without it."""
    if name == "Project":
        from reconcile.api import Project

        return Project
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
