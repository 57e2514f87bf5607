"""The steps of a plan as a Mermaid flowchart, which pull requests show as a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from reconcile.model import Json


def render(plan: Json) -> str:
    """One node a step, by store; an arrow from the giver of a fact to whoever needs it."""
    steps = plan["steps"]
    lines = ["flowchart LR"]
    by_store: dict[str, list[int]] = defaultdict(list)
    for n, step in enumerate(steps):
        by_store[step["store"]].append(n)
    for store, numbers in by_store.items():
        lines.append(f"  subgraph {store}")
        lines += [f'    s{n + 1}["{n + 1} {_text(steps[n]["id"])}"]' for n in numbers]
        lines.append("  end")
    lines += [f"  s{a + 1} --> s{b + 1}" for a, b in _edges(steps)]
    return "\n".join(lines) + "\n"


def _edges(steps: Json) -> Iterator[tuple[int, int]]:
    givers: dict[str, list[int]] = defaultdict(list)
    for n, step in enumerate(steps):
        for fact in step["gives"]:
            givers[fact].append(n)
            if fact.startswith("ok "):  # what is ready exists
                givers[f"has {fact[3:]}"].append(n)
    for n, step in enumerate(steps):
        found = {giver for fact in step["needs"] for giver in givers.get(fact, ()) if giver < n}
        yield from ((giver, n) for giver in sorted(found))


def _text(name: str) -> str:
    return name.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
