"""Plans for people and machines: every format is made from the plan's JSON and cannot say more than it."""

from __future__ import annotations

from collections.abc import Callable

from reconcile.model import Json

FORMATS = ("text", "json", "markdown", "script")
"""What `--format` and `--write` take."""


def renderer(name: str) -> Callable[[Json], str]:
    """The function that turns a plan's JSON form into the format `name` of `FORMATS`."""
    if name == "text":
        from reconcile.render import text

        return text.render
    if name == "json":
        from reconcile.render import json_

        return json_.render
    if name == "markdown":
        from reconcile.render import markdown

        return markdown.render
    from reconcile.render import script

    return script.render
