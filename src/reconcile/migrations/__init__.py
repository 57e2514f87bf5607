"""Hand-written migrations as they lie in folders: found, ordered, looked into. Pure: no store is asked."""

KIND = "migration"
"""Of their addresses."""
