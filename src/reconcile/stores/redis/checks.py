"""Before anything runs: what this server cannot do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reconcile.errors import Problem
from reconcile.model import State
from reconcile.stores.redis import values
from reconcile.stores.redis.resources import Parameter
from reconcile.suggest import meant


def unsupported(
    desired: State,
    info: Mapping[str, str],
    config: Mapping[str, str],
    why_fixed: Callable[[str, str], str | None],
) -> list[Problem]:
    """What is declared and cannot be had here, each with its YAML line.

    Args:
        info: what INFO tells.
        config: what CONFIG GET tells.
        why_fixed: what the server says against setting a parameter at run time.
    """
    return [
        problem
        for resource in desired.values()
        if isinstance(resource, Parameter)
        for problem in _parameter(resource, info, config, why_fixed)
    ]


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
