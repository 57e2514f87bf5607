"""Before anything runs: what this server cannot do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from reconcile.change import Step
from reconcile.errors import Problem
from reconcile.model import State
from reconcile.stores.redis import values
from reconcile.stores.redis.families import printable
from reconcile.stores.redis.resources import Family, Index, Parameter
from reconcile.suggest import meant


def taken(step: Step, count: int, sample: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    """New names that are in use already, of one step."""
    if count:
        more = ", …" if count > len(sample) else ""
        named = ", ".join(f"{printable(old)} → {printable(new)}" for old, new in sample)
        yield Problem(
            f"{count} new {'name is' if count == 1 else 'names are'} in use already: {named}{more}",
            where=str(step.address),
            hint="delete one of the two keys each, or give it another name",
        )


def unsupported(
    desired: State,
    info: Mapping[str, str],
    config: Mapping[str, str] | None,
    why_fixed: Callable[[str, str], str | None],
    modules: Mapping[str, str],
    listed: bool,
) -> list[Problem]:
    """What is declared and cannot be had here, each with its YAML line.

    Args:
        info: what INFO tells.
        config: what CONFIG GET tells; None where it is not allowed.
        why_fixed: what the server says against setting a parameter at run time.
        modules: by name their versions; none where they are not shown.
        listed: whether the server told which indexes there are.
    """
    problems = []
    for resource in desired.values():
        if isinstance(resource, Parameter) and config is None:
            problems.append(
                Problem(
                    "the configuration cannot be read: CONFIG GET is not allowed",
                    where=resource.source,
                    hint="let the user ask (reconcile check --grants), or take `config:` out where a service sets it",
                )
            )
        elif isinstance(resource, Parameter) and config is not None:
            problems += list(_parameter(resource, info, config, why_fixed))
        elif isinstance(resource, Index):
            problems += list(_index(resource, modules, listed))
        elif isinstance(resource, Family) and resource.old is not None and info.get("redis_mode") == "cluster":
            problems.append(
                Problem(
                    "keys of a cluster are not renamed: the new name may be of another slot",
                    where=resource.source,
                    hint="take `renamed_from` out, and move the keys with your own means",
                )
            )
    return problems


def _parameter(
    wanted: Parameter,
    info: Mapping[str, str],
    config: Mapping[str, str],
    why_fixed: Callable[[str, str], str | None],
) -> Iterator[Problem]:
    name = wanted.address.parts[0]
    live = config.get(name)
    if live is None:
        version = info["redis_version"]
        hint = meant(name, config) or "see what there is: CONFIG GET '*'"
        yield Problem(f'Redis {version} has no parameter "{name}"', where=wanted.source, hint=hint)
        return
    if values.same(name, wanted.value, live):
        return
    if why_fixed(name, wanted.value) is not None or name in values.FIXED:
        yield Problem(
            f'"{name}" is {live} and cannot be set at run time',
            where=wanted.source,
            hint=f"write `{name} {wanted.value}` into its configuration file and restart it, or declare {live}",
        )
    elif wanted.rewrite and not info.get("config_file"):
        yield Problem(
            "the server runs without a configuration file, so there is none to rewrite",
            where=wanted.source,
            hint="start it with one, or take `config_file: rewrite` out",
        )


def _index(wanted: Index, modules: Mapping[str, str], listed: bool) -> Iterator[Problem]:
    name = wanted.address.parts[0]
    if not listed and "search" in modules:
        yield Problem(
            f'whether there is an index "{name}" is not known: FT._LIST is not allowed',
            where=wanted.source,
            hint="let the user ask (reconcile check --grants), or take `indexes:` out",
        )
        return
    if not listed:
        yield Problem(
            f'index "{name}" needs the module RediSearch, which the server has not loaded',
            where=wanted.source,
            hint="Redis 8 comes with it; before, start the server with `loadmodule …/redisearch.so` (Redis Stack)",
        )
        return
    if wanted.on == "json" and modules and "ReJSON" not in modules:
        what = f'index "{name}" is on JSON documents, and the server has not loaded the module RedisJSON'
        yield Problem(what, where=wanted.source, hint="load it, or index hashes: `on: hash`")
    told = modules.get("search", "2.10")
    version = tuple(int(part) for part in told.split("."))
    half = [field for field, made in wanted.fields.items() if made.get("element") == "float16"]
    if half and version < (2, 10):
        what = f'index "{name}": vectors of float16 ({", ".join(half)}) need RediSearch 2.10, this is {told}'
        yield Problem(what, where=wanted.source, hint="take an embedding with `element: float32`")
