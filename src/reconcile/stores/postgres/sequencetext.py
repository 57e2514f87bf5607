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


def changed_settings(before: tuple[str, Mapping[str, object]], after: tuple[str, Mapping[str, object]]) -> list[str]:
    """What differs between two (type, options), each value spelled out; START restarts nothing.

    NO MINVALUE and NO MAXVALUE are not written: in ALTER SEQUENCE they may keep what was the default before. Another
    type moves bounds that were those of the old one, so both are written then.

    >>> changed_settings(("bigint", {"min": "5"}), ("bigint", {"cache": 2}))
    ['MINVALUE 1', 'CACHE 2', 'START WITH 1']
    """
    old, new = _effective(*before), _effective(*after)
    always = {"min", "max"} if before[0] != after[0] else set()
    found = [f"{word} {new[key]}" for key, word in _WORDS.items() if new[key] != old[key] or key in always]
    found.sort(key=lambda setting: setting.startswith("START"))
    if new["cycle"] != old["cycle"]:
        found.append("CYCLE" if new["cycle"] else "NO CYCLE")
    return found


def _effective(type_: str, options: Mapping[str, object]) -> dict[str, int | bool]:
    increment, start = _number(options, "increment") or 1, _number(options, "start")
    low, high = bounds(type_, options)
    return {
        "start": start if start is not None else low if increment > 0 else high,
        "increment": increment,
        "min": low,
        "max": high,
        "cache": _number(options, "cache") or 1,
        "cycle": str(options.get("cycle")).lower() == "true",
    }


def bounds(type_: str, options: Mapping[str, object]) -> tuple[int, int]:
    """The lowest and the highest value."""
    lowest, highest = sequence_limits(type_, _number(options, "increment") or 1)
    low, high = _number(options, "min"), _number(options, "max")
    return lowest if low is None else low, highest if high is None else high


def _number(options: Mapping[str, object], key: str) -> int | None:
    found = options.get(key)
    return None if found is None else int(str(found))
