"""The moments of a run at which others may act: hooks, recovery points, notifications. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconcile.change import Phase
from reconcile.model import Json


class Moment(StrEnum):
    """When; the names are those of `hooks:` in reconcile.yaml."""

    BEFORE = "before"
    """The lock is held and the plan is fresh; nothing is changed yet."""
    BEFORE_EXPAND = "before_expand"
    AFTER_EXPAND = "after_expand"
    BEFORE_MIGRATE = "before_migrate"
    AFTER_MIGRATE = "after_migrate"
    BEFORE_CONTRACT = "before_contract"
    AFTER_CONTRACT = "after_contract"
    AFTER = "after"
    """All is done, proved and recorded."""
    FAILURE = "failure"
    """The run has stopped, or failed before anything was changed."""
    BEFORE_ROLLBACK = "before_rollback"
    """In place of `before`, where the run undoes another."""
    AFTER_ROLLBACK = "after_rollback"


def around(phase: Phase) -> tuple[Moment, Moment]:
    """Before and after a phase."""
    return Moment(f"before_{phase}"), Moment(f"after_{phase}")


@dataclass(frozen=True)
class Hook:
    """A command that runs at a moment."""

    at: Moment
    command: tuple[str, ...]
    timeout: str = "1min"
    stops: bool = True
    """Whether its failure stops the run; else it is only told."""

    def to_json(self) -> dict[str, Json]:
        """As in the plan file."""
        on_failure = "stop" if self.stops else "warn"
        return {"at": self.at.value, "command": list(self.command), "timeout": self.timeout, "on_failure": on_failure}

    @classmethod
    def from_json(cls, entry: Mapping[str, Json]) -> Hook:
        """What `to_json` came from."""
        return cls(Moment(entry["at"]), tuple(entry["command"]), entry["timeout"], entry["on_failure"] == "stop")

    @property
    def shown(self) -> str:
        """The command as one would type it."""
        return shlex.join(self.command)


def declared(entries: Mapping[str, Iterable[Mapping[str, Json]]]) -> Iterator[Hook]:
    """`hooks:` of reconcile.yaml."""
    for at, commands in entries.items():
        for entry in commands or ():
            yield Hook(
                Moment(at),
                tuple(entry["command"]),
                entry.get("timeout", "1min"),
                entry.get("on_failure", "stop") == "stop",
            )


def of_run(hooks: Iterable[Hook], phases: Iterable[Phase], *, rollback: bool = False) -> tuple[Hook, ...]:
    """Those of a run whose steps have these phases, in the order of the moments; none where there are no steps."""
    present = set(phases)
    if not present:
        return ()
    ends = (Moment.BEFORE_ROLLBACK, Moment.AFTER_ROLLBACK) if rollback else (Moment.BEFORE, Moment.AFTER)
    wanted = {*ends, Moment.FAILURE, *(m for phase in present for m in around(phase))}
    order = list(Moment)
    return tuple(sorted((hook for hook in hooks if hook.at in wanted), key=lambda hook: order.index(hook.at)))
