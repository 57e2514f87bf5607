"""What libyaml complains about, in words that say what to do."""

from __future__ import annotations

import yaml

from reconcile.errors import Problem
from reconcile.model import Source


def syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str, bracket: int | None = None) -> Problem:
    """libyaml's complaint in words that say what to do.

    Args:
        bracket: the line of the outermost bracket that is open.
    """
    mark = error.problem_mark or error.context_mark
    where = Source(file, mark.line + 1, mark.column + 1) if mark else Source(file, 1)
    what = (error.problem or "is not YAML").strip()
    opened = (
        f" (begun on line {error.context_mark.line + 1})"
        if error.context_mark and mark and error.context_mark.line != mark.line
        else ""
    )
    char = text[mark.index : mark.index + 1] if mark and mark.index < len(text) else ""
    context = error.context or ""
    if "cannot start any token" in what:
        if char == "\t":
            return Problem("a tab cannot indent", where=where, hint="use spaces")
        return Problem(f"a value cannot begin with {char}", where=where, hint="write it in quotes")
    if "values are not allowed" in what:
        return Problem("a colon where none can be", where=where,
                       hint="write a value that holds a colon in quotes, or mend the indentation")  # fmt: skip
    if "expected ':'" in what and error.context_mark:
        begin = Source(file, error.context_mark.line + 1, error.context_mark.column + 1)
        return Problem("a key without a colon", where=begin, hint="write `key: value`, or mend the indentation")
    if "<document start>" in what:
        return Problem("the document has ended before this", where=where,
                       hint="mend the indentation, or begin another document with ---")  # fmt: skip
    if "end of stream" in what and "quoted" in context and error.context_mark:
        begin = Source(file, error.context_mark.line + 1, error.context_mark.column + 1)
        return Problem("the quote that begins here is not closed", where=begin)
    if bracket is not None and mark and bracket != mark.line + 1:
        opened = f" (the bracket on line {bracket} is open)"
    if "node content" in what:
        return Problem(f"expected a value{' or the closing bracket' if bracket else ''}{opened}", where=where)
    if "expected ',' or" in what:
        closing = what.rsplit("or ", 1)[-1].strip("'\"")
        return Problem(f"expected , or {closing}{opened}", where=where,
                       hint="close it, or write a value with brackets or quotes in quotes")  # fmt: skip
    if "alphabetic or numeric" in what and ("alias" in context or "anchor" in context):
        sign = "*" if "alias" in context else "&"
        return Problem(f"a value that begins with {sign}", where=where, hint="write it in quotes")
    if "expected key" in what or "<block end>" in what or "'-' indicator" in what:
        return Problem(f"expected a key or the end of the block{opened}", where=where,
                       hint="mend the indentation, or write the value above in quotes")  # fmt: skip
    if "block sequence entries" in what:
        return Problem("a list item where none can be", where=where,
                       hint="begin the list on its own line, or write text that begins with - in quotes")  # fmt: skip
    if ("tag" in context and "tag" in what) or "tag handle" in what:
        return Problem("tags are not read", where=where, hint="write text that begins with ! in quotes")
    return Problem(f"{what}{opened}", where=where)
