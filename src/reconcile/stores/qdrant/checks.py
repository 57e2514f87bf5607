"""Before anything is sent: what this server's version cannot do, and what would stop a plan's steps."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection as Names
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconcile.change import Call, Http, Op, Step
from reconcile.errors import Problem
from reconcile.model import Json, Resource, Source, State
from reconcile.stores.filling import PUT
from reconcile.stores.qdrant import health, options, settings
from reconcile.stores.qdrant.resources import Collection, PayloadIndex
from reconcile.stores.qdrant.settings import ANY, Parameter, Path, Setting, Version
from reconcile.stores.truncating import EMPTY


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


@dataclass(frozen=True)
class Key:
    """What an API key says of itself. A plain key says nothing; the server decides.

    https://qdrant.tech/documentation/guides/security/
    """

    collections: Mapping[str, str] | None = None
    """Of a JWT for some collections: name -> r, rw or prw. It lists no others, and no aliases (1.16)."""

    @classmethod
    def read(cls, text: str | None) -> Key:
        """The claims of a JWT; its signature is the server's business."""
        parts = (text or "").split(".")
        if len(parts) != 3:
            return cls()
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except ValueError:
            return cls()
        access = claims.get("access") if isinstance(claims, dict) else None
        if not isinstance(access, list):
            return cls()
        entries = [entry for entry in access if isinstance(entry, dict)]
        return cls({str(entry.get("collection")): str(entry.get("access")) for entry in entries})

    @property
    def unseen(self) -> str:
        """Why not everything is visible, or ""."""
        if self.collections is None:
            return ""
        return (
            f"the API key sees only the collections {', '.join(sorted(self.collections)) or '(none)'}, and no aliases"
        )

    def allows(self, call: Call) -> bool:
        """Whether it is enough for a call where it may not manage the server: payload indexes and snapshots are."""
        if isinstance(call, Op):
            return call.op == "wait_green" or (call.op in _WRITING and self._writes(collection_of(call)))
        if not isinstance(call, Http):
            return False
        name, rest = target(call.path)
        return rest.startswith("/index") and self._writes(name)

    def _writes(self, name: str) -> bool:
        return (self.collections or {}).get(name) == "rw"


_WRITING = frozenset({"snapshot", "backfill_rows", PUT, EMPTY})
"""Operations for which write access to their collection is enough."""


def may_not(key: Key, steps: Sequence[Step], marked: bool) -> list[Problem]:
    """What stops `steps` under a key that may not manage the server.

    Args:
        marked: the store's mark is there and ours, so that it need not be written.
    """
    short = [step for step in steps if not all(map(key.allows, step.calls))]
    if not short and marked:
        return []
    store = steps[0].address.store
    if not key.collections:
        what = f"{store}: the API key may only read"
    elif short:
        names = ", ".join(step.id for step in short)
        what = f"{store}: the API key may not make or change collections and aliases, as these steps do: {names}"
    else:
        what = f"{store}: the API key may not write the store's mark, the metadata of the collection {options.MARK}"
    return [Problem(what, hint="use one that may manage the server: its `api_key`, or a JWT with access m")]


_ON_GREEN = frozenset({"copy_points", "settle_copy", "wait_green"})


def preflight(steps: Sequence[Step], infos: Mapping[str, Json], aliases: Mapping[str, str]) -> list[Problem]:
    """What would stop these steps.

    Args:
        infos: physical name -> `result` of GET, of all collections.
        aliases: alias -> physical name.
    """
    found: list[Problem] = []

    def problem(step: Step, what: str, hint: str) -> None:
        found.append(Problem(f"{step.id}: {what}", where=None, hint=hint))

    custom: set[str] = set()
    added: dict[str, int] = {}
    for step in steps:
        for call in step.calls:
            name = collection_of(call)
            if _needs_health(call) and (error := health.red(infos.get(name) or {})) is not None:
                problem(step, f"collection {name} is red: {error}", health.REMEDY)
            if not isinstance(call, Http):
                continue
            name, rest = target(call.path)
            info = infos.get(name)
            if call.method == "PUT" and not rest and (call.body or {}).get("sharding_method") == "custom":
                custom.add(name)
            if call.method == "PUT" and rest.startswith("/index") and name in custom:
                custom.discard(name)
                problem(
                    step,
                    f"{name} is made with custom sharding, and takes payload indexes only once it has a shard key",
                    "declare payload_indexes after the application has made one",
                )
            if call.method == "PUT" and not rest and name in aliases:
                problem(
                    step,
                    f"an alias named {name} exists (it points at {aliases[name]})",
                    "delete it or choose another name",
                )
            if info is None:
                continue
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


def _needs_health(call: Call) -> bool:
    """Whether it changes or copies a collection; one that is red may still be saved and deleted."""
    return call.method in ("PATCH", "PUT") if isinstance(call, Http) else isinstance(call, Op) and call.op in _ON_GREEN


def target(path: str) -> tuple[str, str]:
    """The collection that a path is about, and what follows; ("", "") for another path."""
    from urllib.parse import unquote

    head, _, _ = path.partition("?")
    parts = head.split("/", 3)
    if len(parts) < 3 or parts[1] != "collections" or parts[2] == "aliases":
        return "", ""
    return unquote(parts[2]), f"/{parts[3]}" if len(parts) > 3 else ""


def collection_of(call: Call) -> str:
    """The collection that a call is about, by its physical name; "" for none."""
    if isinstance(call, Http):
        return target(call.path)[0]
    if not isinstance(call, Op):
        return ""
    return str(
        call.args["into"][0] if call.op in (PUT, EMPTY) else call.args.get("collection") or call.args.get("from") or ""
    )
