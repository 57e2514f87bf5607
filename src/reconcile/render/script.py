"""What an apply runs, in its order, as a shell script to read or to run by hand.

SQL goes to `psql`, Cypher to `cypher-shell`, HTTP to `curl`; the stores' URLs come from variables. An apply
does more: lock, freshness, journal, waiting, verification. What has no statement is a comment.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby

from reconcile.model import Json
from reconcile.render import words

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def render(plan: Json) -> str:
    """The script; `sh -n` accepts it, and each part can be pasted alone."""
    lines = [
        "#!/bin/sh",
        f"# {plan['project']} · {plan['environment']} · plan {words.digest(plan)}",
        "# What `reconcile apply` runs, in order. Run by hand, nothing is locked, journalled or verified:",
        "# `reconcile plan` afterwards shows what is left, `reconcile apply` records it.",
    ]
    used = _stores(plan)
    lines += [f"#   {name}   {what}" for name, what in sorted(used.items())]
    lines += ["set -eu"]
    if not plan["steps"]:
        lines += ["", f"# {'No changes.' if not plan['resource_changes'] else 'No steps.'}"]
    numbered = list(enumerate(plan["steps"], start=1))
    for key, parts in groupby(numbered, key=lambda pair: (pair[1]["store"], _language(pair[1]))):
        store, language = key
        steps = list(parts)
        lines.append("")
        if language == "sql":
            lines += _heredoc(f'psql -X -v ON_ERROR_STOP=1 "${_variable(store)}_URL"', "SQL", _sql(steps))
        elif language == "cypher":
            variable = _variable(store)
            shell = f'cypher-shell -a "${variable}_URL" -u "${variable}_USER" -p "${variable}_PASSWORD"'
            lines += _heredoc(f"{shell} --fail-fast --non-interactive", "CYPHER", _cypher(steps))
        else:
            lines += _shell(steps)
    return "\n".join(lines) + "\n"


def _variable(store: str) -> str:
    return re.sub(r"\W", "_", store).upper()


def _stores(plan: Json) -> dict[str, str]:
    """The environment variables the script reads."""
    found = {}
    for step in plan["steps"]:
        name, language = _variable(step["store"]), _language(step)
        if language:
            found[f"{name}_URL"] = f"URL of store {step['store']}"
        if language == "cypher":
            found |= {f"{name}_USER": "its user", f"{name}_PASSWORD": "and password"}
        if language == "http":
            found[f"{name}_API_KEY"] = "its key, may be unset"
    return found


def _language(step: Json) -> str:
    """What a step's calls are written in; "" where all are named operations."""
    for call in (*step["calls"], *step["after_commit"]):
        for language in ("sql", "cypher", "http"):
            if language in call:
                return language
    return ""


def _heredoc(command: str, word: str, body: Iterator[str]) -> list[str]:
    lines = list(body)
    while word in "\n".join(lines).split("\n"):  # a statement may have many lines
        word += "_"
    return [f"{command} <<'{word}'", *lines, word]


def _title(number: int, step: Json) -> str:
    hazards = f"  [{', '.join(step['hazards'])}]" if step["hazards"] else ""
    return f"step {number}: {words.printable(step['id'])} ({step['phase']}){hazards}"


def _grouped(steps: Sequence[tuple[int, Json]]) -> Iterator[tuple[bool, list[tuple[int, Json]]]]:
    """Neighbours of one group together; whether they are a transaction."""
    for key, part in groupby(steps, key=lambda pair: pair[1]["group"] or pair[0]):
        members = list(part)
        yield isinstance(key, str) and members[0][1]["transactional"], members


def _sql(steps: Sequence[tuple[int, Json]]) -> Iterator[str]:
    limits: dict[str, str] = {}
    for transaction, members in _grouped(steps):
        if transaction:
            yield "BEGIN;"
        after: list[Json] = []
        for number, step in members:
            yield f"-- {_title(number, step)}"
            for name in ("lock", "statement"):
                wanted = step["timeouts"].get(name, "0")
                if limits.get(name, "0") != wanted:
                    limits[name] = wanted
                    yield f"SET {name}_timeout = '{wanted}';"
            for call in step["calls"]:
                yield from _sql_call(call)
            after += step["after_commit"]
        if transaction:
            yield "COMMIT;"
        for call in after:
            yield from _sql_call(call)


def _sql_call(call: Json) -> Iterator[str]:
    if "sql" in call:
        yield call["sql"].rstrip().rstrip(";") + ";"
    else:
        yield f"-- {_operation(call)}"


def _cypher(steps: Sequence[tuple[int, Json]]) -> Iterator[str]:
    for transaction, members in _grouped(steps):
        if transaction:
            yield ":begin"
        after: list[Json] = []
        for number, step in members:
            yield f"// {_title(number, step)}"
            for call in step["calls"]:
                yield from _cypher_call(call)
            after += step["after_commit"]
        if transaction:
            yield ":commit"
        for call in after:
            yield from _cypher_call(call)


def _cypher_call(call: Json) -> Iterator[str]:
    if "cypher" not in call:
        yield f"// {_operation(call)}"
        return
    if call.get("params"):
        yield f":param {_literal(call['params'])};"
    yield call["cypher"].rstrip().rstrip(";") + ";"


def _literal(value: Json) -> str:
    """A JSON value as a Cypher literal.

    >>> _literal({"name": "x", "indexConfig": {"a.b": [1, True, None]}})
    "{name: 'x', indexConfig: {`a.b`: [1, true, null]}}"
    """
    if isinstance(value, dict):
        names = (k if _NAME.match(k) else "`" + k.replace("`", "``") + "`" for k in value)
        return "{" + ", ".join(f"{n}: {_literal(v)}" for n, v in zip(names, value.values(), strict=True)) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value)


def _shell(steps: Sequence[tuple[int, Json]]) -> Iterator[str]:
    for number, step in steps:
        yield f"# {_title(number, step)}"
        for call in (*step["calls"], *step["after_commit"]):
            if "http" not in call:
                yield f"# {_operation(call)}"
                continue
            method, path = call["http"]
            name = _variable(step["store"])
            line = f'curl -sS --fail-with-body -X {method} "${name}_URL"{shlex.quote(path)}'
            line += f' -H "api-key: ${{{name}_API_KEY:-}}"'
            if call.get("body") is not None:
                body = json.dumps(call["body"], ensure_ascii=False)
                line += f" -H 'content-type: application/json' -d {shlex.quote(body)}"
            yield line


def _operation(call: Json) -> str:
    arguments = ", ".join(f"{k} {words.value(v)}" for k, v in call.get("args", {}).items())
    return words.printable(f"then: {call['op'].replace('_', ' ')}" + (f" ({arguments})" if arguments else ""))
