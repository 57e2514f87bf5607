"""`plan --explain-equal`: what is spelled differently but judged equal, so that "no changes" can be checked."""

from __future__ import annotations

from reconcile.model import Json
from reconcile.render import words

HOW = {
    "text": "the same but for white space and type aliases",
    "known": "the ledger knows how the server spells it",
    "server": "the server spelled it so in a scratch build",
    "temp": "the server spelled it so in a scratch build of temporary objects",
    "sandbox": "a server of the same major version spelled it so in the sandbox",
    "default": "the server's default",
    "unset": "not declared: left as the server has it",
}
"""What each way of judging means."""


def render(plan: Json) -> str:
    """One block a pair: declared, live, and how it was judged."""
    receipts = plan["observed"].get("equal", ())
    if not receipts:
        return "\nJudged equal: nothing is spelled differently.\n"
    lines = ["", f"Judged equal ({len(receipts)}):"]
    for receipt in receipts:
        path = f" {receipt['path']}" if receipt.get("path") else ""
        lines.append(words.printable(f"  =  {receipt['address']}{path}: {HOW.get(receipt['how'], receipt['how'])}"))
        if receipt["how"] != "unset":  # there is no declared spelling to show
            lines += [
                f"       {side:<8}  {words.printable(words.value(receipt[side]))}" for side in ("declared", "live")
            ]
    return "\n".join(lines) + "\n"
