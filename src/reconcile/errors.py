"""The error tree. Every error says what is wrong, where, and what to do next.

The command line prints `ReconcileError` as text and exits with its `exit`; any other exception that
reaches it is a bug of ours and says so.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconcile.exits import Exit
from reconcile.model import Source


class ReconcileError(Exception):
    """Base of every error a user may meet.

    Args:
        what: one sentence, no trailing line break.
        where: a `Source`, an address, a store, or nothing.
        hint: what to do next, with the line to paste where there is one.
    """

    exit = Exit.ERROR

    def __init__(self, what: str, *, where: Source | str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


class Problem(ReconcileError):
    """One thing wrong with what was declared; prints as `file:line:col: what; did you mean …`."""

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}; {self.hint}" if self.hint else head


class Unchecked(Problem):
    """Something that could not be looked at before an apply. It is told and stops nothing: the step will decide."""


class ProjectError(ReconcileError):
    """All problems of all files at once, in file and line order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        def place(problem: Problem) -> tuple[str, int, int]:
            where = problem.where
            return (where.file, where.line, where.column) if isinstance(where, Source) else (str(where or ""), 0, 0)

        self.problems = sorted(problems, key=place)
        super().__init__("\n".join(map(str, self.problems)))


class StoreError(ReconcileError):
    """A store could not be reached, read or changed; `where` names the store."""


class UnsupportedError(StoreError):
    """What is declared cannot be had on this server: edition, version or extension."""


class PlanError(ReconcileError):
    """The changes cannot be ordered or carried out as declared."""


class UnmetError(PlanError):
    """A step needs what neither the store has nor the plan makes."""


class BlockedError(ReconcileError):
    """The plan holds steps that policy does not allow; the hint is the line to paste."""


class PartialError(ReconcileError):
    """A run stopped after stores were changed."""

    exit = Exit.PARTIAL


class HookError(ReconcileError):
    """A command of `hooks:` failed that is to stop the run."""


class RefusedError(ReconcileError):
    """Not now: lock held, plan stale, or another run unfinished."""

    exit = Exit.REFUSED


class BusyError(RefusedError):
    """Another run holds the lock."""


class StaleError(RefusedError):
    """What a plan was made from has moved since."""
