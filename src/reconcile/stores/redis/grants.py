"""The least rights of users that plan, look for drift and apply, and the commands that steps send. Pure.

https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconcile.change import Op, Step
from reconcile.stores.redis.patterns import Pattern
from reconcile.stores.redis.sampling import MARK

COMMANDS = ("apply", "plan", "drift")
_READ = "+info +config|get +module|list +scan +type +pttl +dbsize +exists +get +ping +select +client|setname"
_READ += " +hstrlen +client|setinfo +acl|whoami +acl|dryrun"
_SEARCH = "+ft._list +ft.info"


def of_commands(store: str, steps: Iterable[Step], prefix: str, *, search: bool) -> dict[str, str]:
    """By command the line that makes its user; see `Session.grants`."""
    steps = list(steps)
    return {command: "\n".join(_lines(store, command, steps, prefix, search)) + "\n" for command in COMMANDS}


def _lines(store: str, command: str, steps: Sequence[Step], prefix: str, search: bool) -> Iterator[str]:
    yield f"# {store}: the user of `{command}`; put a password of yours for PASSWORD"
    writes = [needed for needed in needs(steps) if command == "apply"]
    # RediSearch 2.10 takes the name of an index for a key that is written, even where it is only asked about
    keys = ["~*"] if search or (steps and command == "apply") else ["%R~*"]
    words = [f"on >PASSWORD resetkeys {' '.join(keys)} -@all {_READ}"]
    if search:
        words.append(_SEARCH)
    if command != "drift":
        # a plan asks what cannot be set at run time, by a CONFIG SET that never sets anything
        words.append("+config|set")
    if command == "apply":
        words.append("+set")
        words += [f"+{_acl(sent)}" for sent in dict.fromkeys(tuple(w[:2]) for w in writes) if sent[0] != "SET"]
    yield f"ACL SETUSER {prefix}_{command} {' '.join(dict.fromkeys(' '.join(words).split()))}"


def _acl(sent: Sequence[str]) -> str:
    """`config|rewrite`, `renamenx`."""
    return f"{sent[0]}|{sent[1]}".lower() if sent[0] == "CONFIG" else sent[0].lower()


def needs(steps: Iterable[Step]) -> list[tuple[str, ...]]:
    """What the steps send, as a command with its arguments: one of each kind, for `ACL DRYRUN`."""
    found: dict[tuple[str, ...], None] = {("SET", MARK, "{}"): None}
    for step in steps:
        for call in step.calls:
            if isinstance(call, Op):
                found |= dict.fromkeys(_sent(call))
    return list(found)


def _sent(call: Op) -> Iterator[tuple[str, ...]]:
    match call.op:
        case "config_set":
            yield "CONFIG", "SET", "timeout", "0"
        case "config_rewrite":
            yield "CONFIG", "REWRITE"
        case "command" | "add_field":
            yield tuple(map(str, call.args["words"]))
        case "drop_index":
            yield "FT.DROPINDEX", str(call.args["index"])
        case "rename_keys":
            old, new = (_example(str(call.args[key])) for key in ("from", "to"))
            yield "RENAMENX", old, new


def _example(pattern: str) -> str:
    """A key of it."""
    return "".join("x" if part.name else part.literal for part in Pattern(pattern).parts)
