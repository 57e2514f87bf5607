"""Exit codes: one table for the whole tool, one meaning each, never reused."""

from enum import IntEnum


class Exit(IntEnum):
    """What the process says when it ends; the sentence of each is `meaning`."""

    CLEAN = 0
    ERROR = 1
    FINDINGS = 2
    PARTIAL = 3
    REFUSED = 4

    @property
    def meaning(self) -> str:
        """One sentence for `--help` and the documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.CLEAN: "Clean: nothing to report, or all of it done.",
    Exit.ERROR: "Error, nothing was changed (usage errors too).",
    Exit.FINDINGS: "Changes, drift or findings (`plan` only with --detailed-exitcode).",
    Exit.PARTIAL: "Stopped part-way: stores were changed, and the message says what is done and what is not.",
    Exit.REFUSED: "Refused for now, retry is safe: lock held, stale plan, unfinished run, or the policy's window.",
}
