"""The options of a sequence in SQL, of its own or of an identity column."""

from __future__ import annotations

from collections.abc import Mapping

from reconcile.stores.postgres.resources import sequence_limits

_WORDS = {"start": "START WITH", "increment": "INCREMENT BY", "min": "MINVALUE", "max": "MAXVALUE", "cache": "CACHE"}


def given_settings(options: Mapping[str, object]) -> list[str]:
    """What is not the default.

    >>> given_settings({"start": "100", "cycle": "true"})
    ['START WITH 100', 'CYCLE']
    """
    found = [f"{word} {options[key]}" for key, word in _WORDS.items() if options.get(key) is not None]
    return [*found, *(["CYCLE"] if str(options.get("cycle")).lower() == "true" else [])]


def all_settings(type_: str, options: Mapping[str, object]) -> list[str]:
    """Every option, defaults spelled out, so that ALTER gives the same as CREATE; START too, which restarts nothing.

    >>> all_settings("bigint", {"min": "5"})
    ['INCREMENT BY 1', 'MINVALUE 5', 'NO MAXVALUE', 'START WITH 5', 'CACHE 1', 'NO CYCLE']
    """
    increment = _number(options, "increment") or 1
    low, high = bounds(type_, options)
    start = _number(options, "start")
    return [
        f"INCREMENT BY {increment}",
        "NO MINVALUE" if options.get("min") is None else f"MINVALUE {options['min']}",
        "NO MAXVALUE" if options.get("max") is None else f"MAXVALUE {options['max']}",
        f"START WITH {start if start is not None else low if increment > 0 else high}",
        f"CACHE {_number(options, 'cache') or 1}",
        "CYCLE" if str(options.get("cycle")).lower() == "true" else "NO CYCLE",
    ]


def bounds(type_: str, options: Mapping[str, object]) -> tuple[int, int]:
    """The lowest and the highest value."""
    lowest, highest = sequence_limits(type_, _number(options, "increment") or 1)
    low, high = _number(options, "min"), _number(options, "max")
    return lowest if low is None else low, highest if high is None else high


def _number(options: Mapping[str, object], key: str) -> int | None:
    found = options.get(key)
    return None if found is None else int(str(found))
