"""Before anything is sent: what this server's version cannot do, and what would stop a plan's steps."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection as Names
from collections.abc import Iterator, Mapping, Sequence

from reconcile.change import Http, Step
from reconcile.errors import Problem
from reconcile.model import Json, Resource, Source, State
from reconcile.stores.qdrant import settings
from reconcile.stores.qdrant.resources import Collection, PayloadIndex
from reconcile.stores.qdrant.settings import ANY, Parameter, Path, Setting, Version


def unsupported(desired: State, version: Version, plain: Names[str] = ()) -> list[Problem]:
    """Settings, and values of settings, that a later server has: this one would drop them without a word.

    Args:
        plain: names of live plain collections, which stay plain unless declared otherwise.
    """
    found = []
    here = ".".join(map(str, version))
    for resource in desired.values():
        for path, words, since in used(resource):
            if version < since:
                found.append(
                    Problem(
                        f"{resource.address}: {words} needs Qdrant {'.'.join(map(str, since))}, this server is {here}",
                        where=_place(resource, path),
                        hint="take it out, or update the server",
                    )
                )
        if version < settings.V16 and isinstance(resource, Collection):
            stays = resource.versioned is None and resource.address.parts[-1] in plain
            if resource.versioned is False or stays:
                continue
            found.append(
                Problem(
                    f"{resource.address}: versioned collections are recognised by metadata, which Qdrant has since"
                    f" 1.16; this server is {here}",
                    where=resource.source,
                    hint="write `versioned: false`",
                )
            )
    return found


def used(resource: Resource) -> Iterator[tuple[Path, str, Version]]:
    """(path in the YAML, the setting or value in words, first version) of all that not every server has."""
    if isinstance(resource, PayloadIndex):
        if (since := settings.TYPES_SINCE.get(resource.type)) is not None:
            yield ("type",), f"type {resource.type}", since
        for name, parameter in settings.INDEX[resource.type].items():
            yield from _since(parameter, getattr(resource, name), (name,))
    elif isinstance(resource, Collection):
        # What was filled from the live server is its own: only what is declared counts.
        own = resource.declared if isinstance(resource.declared, Mapping) else resource.attributes()
        yield from _used(settings.COLLECTION, own, ())
        if own.get("vector") is not None:
            yield from _used(settings.VECTOR, own["vector"], ("vector",))
        for name, vector in (own.get("vectors") or {}).items():
            yield from _used(settings.VECTOR, vector, ("vectors", name))
        for name, vector in (own.get("sparse_vectors") or {}).items():
            yield from _used(settings.SPARSE, vector, ("sparse_vectors", name))


def _used(rows: tuple[Setting, ...], values: Mapping[str, Json], where: Path) -> Iterator[tuple[Path, str, Version]]:
    for row in rows:
        value = row.of(values)
        yield from _since(row, value, (*where, *row.path))
        if row.name == "quantization" and isinstance(value, Mapping):
            for variant, parameters in value.items():
                here = (*where, *row.path, variant)
                if (since := settings.VARIANTS_SINCE.get(variant)) is not None:
                    yield here, ".".join(here), since
                yield from _used(settings.QUANTIZATION[variant], parameters, here)


def _since(row: Setting | Parameter, value: Json, path: Path) -> Iterator[tuple[Path, str, Version]]:
    if value is None:
        return
    if row.since != ANY:
        yield path, ".".join(path), row.since
    if isinstance(value, str) and (since := row.later.get(value)) is not None:
        yield path, f"{'.'.join(path)} {value}", since


def _place(resource: Resource, path: Path) -> Source | None:
    """Where the setting is written, or what it belongs to."""
    source, body = resource.source, resource.written if isinstance(resource, Collection | PayloadIndex) else None
    for key in path:
        if body is None or key not in body:
            break
        source, body = body.at(key), body[key] if isinstance(body[key], Mapping) else None
    return source


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
