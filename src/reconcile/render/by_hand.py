"""The named operations of steps as what a person at a shell can run instead; what nobody can, stops the script there.

An operation is known by its name alone. What only looks at how far a server has come becomes a loop or a call that
waits; what deletes looks first, as the tool does.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from reconcile.model import Json
from reconcile.render import words

_FUNCTIONS = r"""
stop() { # what reconcile does by itself: do it otherwise, then run what stands below this line
  echo "stopped at $1" >&2; exit 3; }
empty() { # URL KEY: whether a collection is not there or holds nothing; DROP_DATA=yes: never mind
  [ "${DROP_DATA:-}" = yes ] && return 0
  curl -sS -X POST "$1/points/count" -H "api-key: $2" -H 'content-type: application/json' -d '{"exact": true}' |
    grep -qE '"count":0[,}]|Not found' || { echo "$1 holds points: DROP_DATA=yes deletes them" >&2; exit 3; }; }
only() { # URL KEY ALIAS...: whether no other alias points at a collection
  url=$1 key=$2; shift 2
  told=$(curl -sS --fail-with-body "$url/aliases" -H "api-key: $key") || { echo "$url: $told" >&2; exit 3; }
  for alias in $(echo "$told" | grep -o '"alias_name":"[^"]*"' | cut -d'"' -f4); do
    case " $* " in *" $alias "*) ;; *) echo "alias $alias points at $url" >&2; exit 3 ;; esac; done; }
redis() { # URL WORD...: one command; of a URL without a user redis-cli would send an empty one
  url=$1; shift
  case $url in *://:*) url="${url%%://:*}://default:${url#*://:}" ;; esac
  redis-cli -u "$url" --no-auth-warning -e "$@"; }
green() { # URL KEY: wait until a collection is green, for WAIT seconds (3600); one that is red stops the script
  left=${WAIT:-3600}
  while told=$(curl -sS --fail-with-body "$1" -H "api-key: $2" 2>&1) || left=$((left - 60)); do
    case $told in *'"status":"green"'*) return 0 ;; *'"status":"red"'*) left=0 ;; esac
    [ "$left" -gt 0 ] || { echo "$1 is not green: $told" >&2; exit 3; }
    left=$((left - 1)); sleep 1; done; }
"""
FUNCTIONS = {
    part.strip().partition("(")[0]: part.strip().split("\n") for part in re.split(r"\n(?=\w+\(\))", _FUNCTIONS) if part
}
"""Shell functions; a script has those that it calls."""


def sql(call: Json) -> list[str] | None:
    """Statements for an operation of a store that is spoken to in SQL; None: there are none."""
    args = call["args"]
    if call["op"] == "backfill":
        return [f"UPDATE {args['table']} AS {args['as']} SET {args['column']} = {args['value']} WHERE {args['left']};"]
    return None


def sql_condition(call: Json) -> list[str]:
    """What stops a script before its first step where a precondition does not hold."""
    args = call["args"]
    if "sql" not in args:
        return [f"-- {operation(call)}"]
    fix = args.get("fix") or "move them, or run this with DROP_DATA=yes, which deletes them"
    message, hint = (_literal(" ".join(str(text).split())) for text in (args["what"], fix))
    body = (
        f"BEGIN IF EXISTS ({args['sql'].rstrip().rstrip(';')}) THEN\n"
        f"  RAISE EXCEPTION USING MESSAGE = {message}, HINT = {hint}; END IF;\n"
        "  EXCEPTION WHEN undefined_table OR undefined_column OR undefined_object OR undefined_function THEN NULL; END"
    )  # what is not there yet, or no more, holds nothing
    return [_block("check", body)]


def sql_stop(title: str) -> str:
    """A statement that ends the script, saying at which step."""
    return _block("stop", f"BEGIN RAISE EXCEPTION USING MESSAGE = {_literal(f'stopped at {title}')}; END")


def _block(name: str, body: str) -> str:
    """A DO statement, between dollars that nothing in it closes."""
    tag = f"${name}$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag} {body} {tag};"


def cypher(call: Json) -> list[str] | None:
    """The same in Cypher."""
    if call["op"] == "wait_online":
        name = call["args"]["name"].replace("\\", "\\\\").replace("'", "\\'")  # as strings of Cypher have it
        return [f"CALL db.awaitIndex('{name}', 3600);"]
    return None


def http(call: Json, base: str, key: str) -> list[str] | None:
    """The same for a store that is spoken to in HTTP.

    Args:
        base: what its URL stands in, quoted: `"$VECTORS_URL"`.
        key: the same of its key.
    """
    make = HTTP.get(call["op"])
    return None if make is None else make(call["args"], base, key)


def words_of(call: Json) -> list[str] | None:
    """The words of the command, for a store that is spoken to in words."""
    make = _WORDS.get(call["op"])
    return None if make is None else make(call["args"])


def calls(lines: Sequence[str], name: str) -> bool:
    """Whether a script calls one of `FUNCTIONS`."""
    return any(line.startswith(f"{name} ") for line in lines)


def language(call: Json) -> str:
    """What a call is written in: sql, cypher, http, words; "" where only the tool can do it."""
    for name in ("sql", "cypher", "http"):
        if name in call:
            return name
    return "http" if call["op"] in HTTP else "words" if call["op"] in _WORDS else ""


def operation(call: Json) -> str:
    """An operation in words, for a comment."""
    arguments = ", ".join(f"{k} {words.value(v)}" for k, v in call.get("args", {}).items())
    return words.printable(f"then: {call['op'].replace('_', ' ')}" + (f" ({arguments})" if arguments else ""))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def curl(method: str, base: str, path: str, key: str, body: Json = None) -> str:
    """One request."""
    line = f'curl -sS --fail-with-body -X {method} {base}{shlex.quote(path)} -H "api-key: {key}"'
    if body is not None:
        line += f" -H 'content-type: application/json' -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    return line


_Make = Callable[[Mapping[str, Json], str, str], list[str]]


_WORDS: Mapping[str, Callable[[Mapping[str, Json]], list[str]]] = {
    "command": lambda args: args["words"],
    "add_field": lambda args: args["words"],
    "drop_index": lambda args: ["FT.DROPINDEX", args["index"]],
    "config_set": lambda args: ["CONFIG", "SET", args["name"], args["value"]],
    "config_rewrite": lambda args: ["CONFIG", "REWRITE"],
}


def _at(args: Mapping[str, Json], base: str, key: str) -> str:
    return f'{base}{shlex.quote("/collections/" + quote(args["collection"], safe=""))} "{key}"'


def _gone(args: Mapping[str, Json], base: str, key: str) -> list[str]:
    return [curl("DELETE", base, "/collections/" + quote(args["collection"], safe=""), key)]


def _moved(args: Mapping[str, Json], base: str, key: str) -> list[str]:
    actions = [{"create_alias": {"collection_name": args["to"], "alias_name": name}} for name in args["aliases"]]
    return [curl("POST", base, "/collections/aliases", key, {"actions": actions})] if actions else []


def _snapshot(args: Mapping[str, Json], base: str, key: str) -> list[str]:
    return [curl("POST", base, f"/collections/{quote(args['collection'], safe='')}/snapshots?wait=true", key)]


HTTP: Mapping[str, _Make] = {
    "wait_green": lambda args, base, key: [f"green {_at(args, base, key)}"],
    "expect_empty": lambda args, base, key: [f"empty {_at(args, base, key)}"],
    "drop_if_empty": lambda args, base, key: [f"empty {_at(args, base, key)}", *_gone(args, base, key)],
    "expect_aliases": lambda args, base, key: [
        " ".join([f"only {_at(args, base, key)}", *map(shlex.quote, args["aliases"])])
    ],
    "drop_generation": lambda args, base, key: [f"only {_at(args, base, key)}", *_gone(args, base, key)],
    "move_aliases": _moved,
    "snapshot": _snapshot,
}
