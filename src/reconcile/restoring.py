"""A restore that is under way, or was killed: what the mark of each of its stores says meanwhile.

Only a store that is restored in one transaction needs none. The word stands in the store from before the first change
to it until all stores of the restore are compared with the manifest, so no machine and no file has to survive.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconcile.errors import RefusedError

RESTORING = "restoring"
"""The key of a mark whose value is the name of the backup."""


def refuse_half(store: str, mark: Mapping[str, str]) -> None:
    """
    Raises:
        RefusedError: the store may hold a part of a backup.
    """
    if (name := mark.get(RESTORING)) is not None:
        raise RefusedError(
            f"store {store} may hold only a part of backup {name}: its restore goes on, or ended before all was whole",
            hint=f"if nobody carries it out any more, begin it again: reconcile restore {name} (with the options it was"
            " begun with)\n  or restore another in its place: reconcile restore NAME --replace",
        )
