"""Scripts of a run to be run by hand when the tool cannot be: what it is about to do, and how to undo it."""

from __future__ import annotations

import stat
from pathlib import Path

from reconcile.errors import ReconcileError
from reconcile.model import Json
from reconcile.render import script

FORWARD, BACK = "forward.sh", "back.sh"


def write(folder: Path, run: str, plan: Json, back: Json, why: str) -> str:
    """Write both scripts of a run into its own folder; where they are, in words.

    Args:
        back: its way back; None where there is none.
        why: there is none.

    Raises:
        ReconcileError: they cannot be written.
    """
    own = folder / run
    found = {FORWARD: script.render(plan)}
    said = f"scripts to run by hand: {own / FORWARD}"
    if back is None:
        said += f"; no {BACK}: {why}. After the run: reconcile rollback {run} --write script=FILE"
    else:
        title = f"Takes back run {run} of this plan, once it is done whole; what holds data is put aside, or stops it."
        found[BACK] = script.render({**back, "digest": plan["digest"]}, title)
        said += f", {BACK}"
    try:
        own.mkdir(parents=True, exist_ok=True)
        for name, text in found.items():
            path = own / name
            path.write_text(text, encoding="utf-8")
            path.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IXUSR)
    except OSError as error:
        raise ReconcileError(
            f"the scripts to run by hand cannot be written: {error.strerror}",
            where=str(own),
            hint="nothing was changed. Make room, or name another folder: --break-glass FOLDER, or break_glass: in"
            " reconcile.yaml",
        ) from error
    return said
