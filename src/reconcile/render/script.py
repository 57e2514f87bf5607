"""What an apply runs, in its order, as a shell script to read or to run by hand.

SQL goes to `psql`, Cypher to `cypher-shell`, HTTP to `curl`; the stores' URLs come from variables. What has to
hold is looked at before the first step. An apply does more: lock, freshness, journal, verification. Where only the tool
can do a step the script ends there, for what follows may need it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import chain, groupby

from reconcile.model import Json
from reconcile.render import by_hand, words

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def render(plan: Json, title: str = "What `reconcile apply` runs, in order.") -> str:
    """The script; `sh -n` accepts it, and each part can be pasted alone.

    Args:
        title: what it is, in its head.
    """
    lines = [
        "#!/bin/sh",
        f"# {plan['project']} · {plan['environment']} · plan {words.digest(plan)}",
        f"# {title} Run by hand, nothing is locked, journalled or verified:",
        "# `reconcile plan` afterwards shows what is left, `reconcile apply` records it.",
    ]
    used = _stores(plan)
    lines += [f"#   {name}   {what}" for name, what in sorted(used.items())]
    lines += ["set -eu"]
    if not plan["steps"]:
        lines += ["", f"# {'No changes.' if not plan['resource_changes'] else 'No steps.'}"]
    body = [*_conditions(plan["steps"]), *_steps(plan["steps"])]
    called = [name for name in by_hand.FUNCTIONS if by_hand.calls(body, name)]
    functions = [line for name in called for line in by_hand.FUNCTIONS[name]]
    return "\n".join([*lines, *([""] if functions else []), *functions, *body]) + "\n"


def _steps(steps: Sequence[Json]) -> list[str]:
    lines = []
    numbered = list(enumerate(steps, start=1))
    for key, parts in groupby(numbered, key=lambda pair: (pair[1]["store"], _language(pair[1]))):
        store, language = key
        own = list(parts)
        lines.append("")
        if language == "sql":
            lines += _psql(store, _sql(own))
        elif language == "cypher":
            variable = _variable(store)
            shell = f'cypher-shell -a "${variable}_URL" -u "${variable}_USER" -p "${variable}_PASSWORD"'
            lines += _heredoc(f"{shell} --fail-fast --non-interactive", "CYPHER", _cypher(own))
        else:
            lines += _shell(own)
    return lines


_SESSION = "SET client_min_messages = warning; SET check_function_bodies = off;"
"""As the tool's own sessions: a function may name what is made after it."""


def _psql(store: str, body: Iterator[str]) -> list[str]:
    return _heredoc(f'psql -X -q -v ON_ERROR_STOP=1 "${_variable(store)}_URL"', "SQL", chain([_SESSION], body))


def _conditions(steps: Sequence[Json]) -> list[str]:
    """What is looked at before anything is changed: data that a step would break on, or take along."""
    found: dict[tuple[str, bool], list[str]] = {}
    for step in steps:
        for call in step.get("preconditions", ()):
            asks = call["op"] == "holds_nothing"
            found.setdefault((step["store"], asks), []).extend(by_hand.sql_condition(call))
    lines = []
    for (store, asks), statements in found.items():
        lines += ["", "# Before anything is changed" + (": what is to be dropped is empty" if asks else "")]
        block = _psql(store, iter(statements))
        lines += ['if [ "${DROP_DATA:-}" != yes ]; then', *block, "fi"] if asks else block
    asked = [line for step in steps for call in step["calls"] for line in _empty(step["store"], call)]
    return [*lines, "", *dict.fromkeys(asked)] if asked else lines


def _empty(store: str, call: Json) -> list[str]:
    """The line that looks whether what a call drops is empty: before the first step as well as before its own."""
    lines = by_hand.http(call, *_base(store)) if call.get("op") in ("drop_if_empty", "expect_empty") else None
    return [line for line in lines or () if line.startswith("empty ")]


def _base(store: str) -> tuple[str, str]:
    """A store's URL and its key, as a script refers to them."""
    name = _variable(store)
    return f'"${name}_URL"', f"${{{name}_API_KEY:-}}"


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
    """What a step's calls are written in; "" where only the tool can do them."""
    return next((found for call in (*step["calls"], *step["after_commit"]) if (found := by_hand.language(call))), "")


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
                yield from _sql_call(call, _title(number, step))
            after += step["after_commit"]
        if transaction:
            yield "COMMIT;"
        for call in after:
            yield from _sql_call(call, "")


def _sql_call(call: Json, title: str) -> Iterator[str]:
    if "sql" in call:
        yield call["sql"].rstrip().rstrip(";") + ";"
        return
    yield f"-- {by_hand.operation(call)}"
    found = by_hand.sql(call)
    yield from found if found is not None else [by_hand.sql_stop(title)] if title else []


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
        yield f"// {by_hand.operation(call)}"
        yield from by_hand.cypher(call) or ()
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
        base, key = _base(step["store"])
        for call in (*step["calls"], *step["after_commit"]):
            if "http" in call:
                method, path = call["http"]
                yield by_hand.curl(method, base, path, key, call.get("body"))
                continue
            yield f"# {by_hand.operation(call)}"
            found = by_hand.http(call, base, key)
            if (spoken := by_hand.words_of(call)) is not None:
                found = [f"redis {base} {shlex.join(spoken)}"]
            if found is not None:
                yield from found
            elif call in step["calls"] and not _done_beside(call):
                yield f"stop {shlex.quote(_title(number, step))}"


def _done_beside(call: Json) -> bool:
    """Whether the stores serve as well without it, as marks do that only the tool reads."""
    return call["op"] in ("retire", "finish_copy")
