"""What `reconcile verify` found, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconcile.model import Json
from reconcile.render import words
from reconcile.render.text import painter

WRONG, RIGHT, SKIPPED, PARTLY = "✗", "✓", words.UNMANAGED, "~"
_RED, _GREEN, _YELLOW, _DIM, _BOLD = "31", "32", "33", "2", "1"
_ADDRESS, _WHAT = 50, 60
"""Widest columns; what is longer pushes the rest of its line to the right."""
_ONE = {"have": "has", "are": "is"}
"""Verbs after a count of one."""


def title(report: Json) -> str:
    """The first line of every format."""
    whole = [s for s in report["not_looked_at"] if s["address"] is None]
    stores = words.counted(len(report["stores"]) - len(whole), "store")
    read = f"{stores} looked at in {report['seconds']} s"
    return f"reconcile verify · {report['project']} · {report['environment']} · {read}"


def closing(report: Json) -> str:
    """The last line: how much disagrees, and what was looked at."""
    mirrors, results = report["mirrors"], report.get("checks", [])
    passed = sum(result["outcome"] == "passed" for result in results)
    agree = sum(1 for mirror in mirrors if mirror["agrees"])
    said = f"{agree} of {len(mirrors)} mirrors agree{'s' if agree == 1 else ''}"
    if agree == len(mirrors):
        said = "the mirror agrees" if agree == 1 else f"all {agree} mirrors agree"
    tail = [said] * bool(mirrors)
    if results:
        every = f"all {passed} checks passed" if passed > 1 else "the check passed"
        tail.append(every if passed == len(results) else f"{passed} of {words.counted(len(results), 'check')} passed")
    if skipped := list(dict.fromkeys(words.printable(s["address"] or s["store"]) for s in report["not_looked_at"])):
        tail.append(f"not looked at: {words.listed(skipped)}")
    if report["sampled"]:
        tail.append(f"of {words.counted(len(report['sampled']), 'thing')} a sample was looked at")
    if report["clean"]:
        return "; ".join(["Clean: what the stores hold agrees with what is declared", *tail]) + "."
    count = len(report["findings"])
    if not count and any(result["outcome"] == "failed" for result in results):
        return "; ".join(["Failed", *tail]) + "."
    if not count:
        return "; ".join(["Nothing found, but not all was looked at", *tail]) + "."
    where = len({f["address"] for f in report["findings"]})
    head = f"Found: {count} disagreement{'s' * (count != 1)} at {where} address{'es' * (where != 1)}"
    return "; ".join([head, *tail]) + "."


def said(finding: Json) -> str:
    """`12 nodes without the property name`.

    >>> said({"count": 1, "bounded": True, "what": "rows: a > 0 does not hold"})
    'at least 1 row: a > 0 does not hold'
    >>> said({"count": 3, "bounded": True, "looked": 200, "what": "nodes have no vector"})
    '3 of 200 looked at: nodes have no vector'
    >>> said({"count": 1, "bounded": False, "what": 'nodes have the label "X"'})
    '1 node has the label "X"'
    """
    what = words.printable(finding["what"])
    if not finding["count"]:
        return what
    if finding.get("looked"):
        return f"{finding['count']:,} of {finding['looked']:,} looked at: {what}"
    noun, space, rest = what.partition(" ")
    if finding["count"] == 1:
        noun = noun.removesuffix("s") if not noun.endswith("s:") else noun.removesuffix("s:") + ":"
        verb, _, object_ = rest.partition(" ")
        rest = f"{_ONE[verb]} {object_}" if verb in _ONE else rest
    return f"{'at least ' * finding['bounded']}{finding['count']:,} {noun}{space}{rest}"


def place(source: Json) -> str:
    """`schema/graph.yaml:22`."""
    return "" if source is None else f"{source['file']}:{source['line']}"


def more(finding: Json) -> Iterator[str]:
    """What stands below a finding: some of its keys, the query for all, what to do."""
    if finding["sample"]:
        yield keys(finding)
    if finding["query"]:
        yield "all of them: " + words.printable(" ".join(finding["query"].split()))
    if finding["hint"]:
        yield words.printable(finding["hint"])


def keys(part: Json) -> str:
    """A few keys, and whether there are more."""
    shown = [words.printable(key) or '""' for key in part["sample"]]
    separator = "; " if any(" " in key for key in shown) else ", "
    return separator.join([*shown, *["…"] * (part["count"] > len(shown) or bool(part.get("bounded")))])


def sides(mirror: Json) -> Iterator[tuple[str, str, str, list[str]]]:
    """For each side of a mirror: symbol, what it is, how many ids it has, and what is wrong with them."""
    compared = not mirror["sides"][0].get("problem")
    for number, side in enumerate(mirror["sides"]):
        key = f" {side['key']}" if side["key"] else ""
        name = words.printable(side["address"] + key)
        if side.get("problem"):
            yield WRONG, name, "not compared", [words.printable(side["problem"])]
            continue
        below = []
        below += [f"{side['without']:,} without {words.printable(side['key'])}"] if side.get("without") else []
        for word in ("missing", "extra", "repeated"):
            part = side.get(word)
            if part and part["count"]:
                said_ = "occurring more than once" if word == "repeated" else word
                below.append(f"{part['count']:,} {said_}" + (f": {keys(part)}" if part["sample"] else ""))
        symbol = WRONG if below else RIGHT if number and compared else " "
        yield symbol, name, f"{side['ids']:,} id{'s' * (side['ids'] != 1)}", below


def asides(report: Json) -> Iterator[tuple[str, str, str, str]]:
    """What was looked at in part or not at all: symbol, address or store, what to say of it, where it is declared."""
    for sample in report["sampled"]:
        told = f"a sample: {sample['looked']:,} of {sample['of']:,} {words.printable(sample['what'])}"
        yield PARTLY, words.printable(sample["address"]), told, place(sample["source"])
    for skipped in report["not_looked_at"]:
        about = f" {words.printable(skipped['what'])}" if skipped["what"] else ""
        name = words.printable(skipped["address"] or skipped["store"])
        yield SKIPPED, name, f"not looked at{about}: {words.printable(skipped['why'])}", place(skipped["source"])


SYMBOLS = {"passed": RIGHT, "failed": WRONG, "not run": SKIPPED}
_COLOURS = {"passed": _GREEN, "failed": _RED, "not run": _YELLOW}


def checked(result: Json) -> str:
    """`3, expected 0`, and of one that was not run that it was not."""
    head = "not run: " if result["outcome"] == "not run" else ""
    return head + words.printable(result["what"])


def checks(results: Sequence[Json], *, colour: bool = False) -> Iterator[str]:
    """A line for each declared check, query and probe."""
    paint = painter(colour)
    name = max((min(len(r["name"]), _ADDRESS) for r in results), default=0)
    what = max((min(len(checked(r)), _WHAT) for r in results), default=0)
    for result in results:
        symbol = paint(SYMBOLS[result["outcome"]], _COLOURS[result["outcome"]])
        where = paint(place(result["source"]), _DIM)
        head = f"  {symbol}  {result['kind']:<5}  {result['name']:<{name}}"
        yield f"{head}  {checked(result):<{what}}  {result['seconds']:.2f} s  {where}".rstrip()
        if result["hint"]:
            yield from (paint(f"       {words.printable(line.strip())}", _DIM) for line in result["hint"].split("\n"))


def own(report: Json) -> list[Json]:
    """The findings within one store: those of mirrors are shown with their mirror."""
    return [f for f in report["findings"] if f["rule"] != "mirror"]


def render(report: Json, *, colour: bool = False) -> str:
    """The report for the terminal."""
    paint = painter(colour)
    lines = [paint(title(report), _BOLD), ""]
    found = own(report)
    column = max((min(len(f["address"]), _ADDRESS) for f in found), default=0)
    what = max((min(len(said(f)), _WHAT) for f in found), default=0)
    for finding in found:
        address, text = words.printable(finding["address"]), said(finding)
        line = f"  {paint(WRONG, _RED)}  {address:<{column}}  {text:<{what}}  {paint(place(finding['source']), _DIM)}"
        lines.append(line.rstrip())
        lines += [paint(f"       {line}", _DIM) for line in more(finding)]
    lines += [""] * bool(found)
    for mirror in report["mirrors"]:
        lines += [*_mirror(mirror, colour=colour), ""]
    if results := report.get("checks", []):
        lines += [*checks(results, colour=colour), ""]
    for symbol, name, told, where in asides(report):
        lines.append(f"  {paint(symbol, _YELLOW)}  {name}  {told}  {paint(where, _DIM)}".rstrip())
    lines += [""] * bool(report["not_looked_at"] or report["sampled"])
    return "\n".join([*lines, paint(closing(report), _GREEN if report["clean"] else _RED)]) + "\n"


def _mirror(mirror: Json, *, colour: bool) -> Iterator[str]:
    paint = painter(colour)
    rows = list(sides(mirror))
    column = max(min(len(name), _ADDRESS) for _, name, _, _ in rows)
    count = max(len(ids) for _, _, ids, _ in rows)
    yield f"Mirror {mirror['name']}  {paint(place(mirror['source']), _DIM)}"
    for symbol, name, ids, below in rows:
        yield f"  {paint(symbol, _RED if symbol == WRONG else _GREEN)}  {name:<{column}}  {ids:>{count}}"
        yield from (f"       {line}" for line in below)
