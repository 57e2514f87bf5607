"""What a store package may provide for the end of a run: what queries are planned by, brought up to date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from reconcile.change import Step


@runtime_checkable
class Refreshes(Protocol):
    """A session whose server plans queries by figures that changes leave without."""

    def refresh(self, steps: Sequence[Step]) -> Sequence[str]:
        """Gather the figures that are missing of what `steps` changed.

        Returns:
            What could not be, each with the line to paste; nothing is wrong with the schema then.

        Raises:
            StoreError: the server does not answer.
        """
