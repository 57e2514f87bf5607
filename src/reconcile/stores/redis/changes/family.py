"""A family of keys gets other names; the only change of a family there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from reconcile.change import Action, Change, Irreversible, Op, Phase, Step, Timeouts, World
from reconcile.facts import ok
from reconcile.hazards import Hazard
from reconcile.stores.redis.resources import RenamedFamily


@dataclass(frozen=True)
class RenameKeys(Change):
    """All keys of the old pattern, one by one and in batches: there is no way to do it at once."""

    action: ClassVar[Action] = Action.RENAME

    @property
    def reason(self) -> str | None:
        """The YAML says so."""
        return "rename_declared"

    def describe(self) -> str:
        """Old and new pattern."""
        family = cast(RenamedFamily, self.resource)
        return f"keys {family.old} → {family.pattern}"

    def steps(self, world: World) -> Sequence[Step]:
        """One step, journalled: no reading of the store shows what has become of a key."""
        del world
        family = cast(RenamedFamily, self.resource)
        return [
            Step(
                id=f"{self.address}/1-rename",
                address=self.address,
                calls=(Op("rename_keys", {"from": family.old, "to": family.pattern}),),
                phase=Phase.CONTRACT,
                gives=frozenset({ok(self.address)}),
                transactional=False,
                journalled=True,
                hazards=frozenset({Hazard.BREAKS_CLIENTS, Hazard.NOT_TRANSACTIONAL, Hazard.LONG_RUNNING}),
                timeouts=Timeouts(),
            )
        ]

    def remarks(self, world: World) -> Iterable[str]:
        """What clients have to do meanwhile."""
        del world
        family = cast(RenamedFamily, self.resource)
        yield (
            f"{self.address}: while keys are renamed, let clients read {family.pattern} first and {family.old} if there"
            " is none, and write new names only; what they still write under old names, the next plan renames"
        )

    def reverse(self) -> Change | Irreversible:
        """There is none: which keys had the new name before, nothing says."""
        return Irreversible("keys that had a new name before cannot be told from those that were given one")
