"""Before anything is sent: what this server's version cannot do, and what would stop a plan's steps."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection as Names
from collections.abc import Iterator, Mapping, Sequence

from reconcile.change import Http, Step
from reconcile.errors import Problem
from reconcile.model import Json, Resource, State
from reconcile.stores.qdrant import options
from reconcile.stores.qdrant.resources import Collection, PayloadIndex


def unsupported(desired: State, version: tuple[int, ...], plain: Names[str] = ()) -> list[Problem]:
    """Options that a later server has: this one would drop them without a word.

    Args:
        plain: names of live plain collections, which stay plain unless declared otherwise.
    """
    found = []
    for resource in desired.values():
        for path, option in used(resource):
            since = options.SINCE[option]
            if version < since:
                found.append(
                    Problem(
                        f"{resource.address}: {path} needs Qdrant {since[0]}.{since[1]},"
                        f" this server is {'.'.join(map(str, version))}",
                        where=resource.source,
                        hint="take it out, or update the server",
                    )
                )
        if version < options.SINCE["metadata",] and isinstance(resource, Collection):
            stays = resource.versioned is None and resource.address.parts[-1] in plain
            if resource.versioned is False or stays:
                continue
            found.append(
                Problem(
                    f"{resource.address}: versioned collections are recognised by metadata, which Qdrant has since"
                    f" 1.16; this server is {'.'.join(map(str, version))}",
                    where=resource.source,
                    hint="write `versioned: false`",
                )
            )
    return found


def used(resource: Resource) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(path in the YAML, key of `options.SINCE`) of each option that not every server has."""
    attributes = resource.declared if isinstance(resource.declared, Mapping) else resource.attributes()
    if isinstance(resource, PayloadIndex):
        for key in attributes:
            if ("payload_index", key) in options.SINCE:
                yield key, ("payload_index", key)
    elif isinstance(resource, Collection):
        yield from _walk(attributes, ())


def _walk(value: Json, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        here = (*path, str(key))
        for option in (here[-2:], here[-1:] if len(here) == 1 else ()):
            if option in options.SINCE:
                yield ".".join(here), option
        if path[:1] != ("metadata",) and here != ("metadata",):
            yield from _walk(inner, here)


def limits_of_key(api_key: str | None) -> tuple[str, bool]:
    """(why not everything is visible, whether the key may only read), from the claims of a JWT key.

    A plain key is no JWT and sees all: ("", False). The signature is the server's business.
    https://qdrant.tech/documentation/guides/security/
    """
    parts = (api_key or "").split(".")
    if len(parts) != 3:
        return "", False
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return "", False
    access = claims.get("access") if isinstance(claims, dict) else None
    if isinstance(access, list):
        names = sorted({str(a.get("collection")) for a in access if isinstance(a, dict)})
        return f"the API key sees only the collections {', '.join(names) or '(none)'}", False
    return "", access == "r"


def preflight(
    steps: Sequence[Step], infos: Mapping[str, Json], aliases: Mapping[str, str], read_only: bool
) -> list[Problem]:
    """What would stop these steps.

    Args:
        infos: physical name -> `result` of GET, of all collections.
        aliases: alias -> physical name.
        read_only: the key may not write.
    """
    found: list[Problem] = []

    def problem(step: Step, what: str, hint: str) -> None:
        found.append(Problem(f"{step.id}: {what}", where=None, hint=hint))

    if read_only and steps:
        return [Problem(f"{steps[0].address.store}: the API key may only read", hint="use one that may manage")]
    added: dict[str, int] = {}
    for step in steps:
        for call in step.calls:
            if not isinstance(call, Http):
                continue
            name, rest = _target(call.path)
            info = infos.get(name)
            if call.method == "PUT" and not rest and name in aliases:
                problem(
                    step,
                    f"an alias named {name} exists (it points at {aliases[name]})",
                    "delete it or choose another name",
                )
            if info is None:
                continue
            if call.method in ("PATCH", "PUT") and info.get("status") == "red":
                error = (info.get("optimizer_status") or {}).get("error", "unknown error")
                problem(step, f"collection {name} is red: {error}", "look at the server's log and repair it first")
            if call.method == "PUT" and rest.startswith("/index"):
                strict = info["config"].get("strict_mode_config") or {}
                limit = strict.get("max_payload_index_count")
                added[name] = added.get(name, 0) + 1
                field = (call.body or {}).get("field_name")
                there = info.get("payload_schema") or {}
                if (
                    strict.get("enabled")
                    and limit is not None
                    and field not in there
                    and len(there) + added[name] > limit
                ):
                    problem(
                        step,
                        f"strict mode of {name} allows {limit} payload indexes, and {len(there)} are there",
                        "raise strict_mode.max_payload_index_count in an apply of its own first",
                    )
    return found


def _target(path: str) -> tuple[str, str]:
    from urllib.parse import unquote

    head, _, _ = path.partition("?")
    parts = head.split("/", 3)
    if len(parts) < 3 or parts[1] != "collections" or parts[2] == "aliases":
        return "", ""
    return unquote(parts[2]), f"/{parts[3]}" if len(parts) > 3 else ""
