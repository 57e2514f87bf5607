"""Live -> YAML in the format's look: parameters that differ from the shipped ones, families that keys seem to be of.

A family is a proposal from a sample: somebody has to read it. Nothing is planned for it either way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconcile.model import Address, Json
from reconcile.stores.base import Live, StoreSpec
from reconcile.stores.redis.defaults import DEFAULTS
from reconcile.stores.redis.resources import Index, Keys, Parameter

FILE = "keys.yaml"


def dump(live: Live, spec: StoreSpec, only: Callable[[Address], bool]) -> Mapping[str, str]:
    """`keys.yaml`, or nothing where nothing is chosen."""
    from reconcile.yamldump import dump as to_yaml

    config: dict[str, Json] = {}
    families: dict[str, Json] = {}
    indexes: dict[str, Json] = {}
    comments: list[str] = []
    for address, resource in live.state.items():
        if not only(address):
            continue
        match resource:
            case Parameter() if resource.value != DEFAULTS.get(resource.name, resource.value):
                config[resource.name] = _value(resource.value)
            case Index():
                indexes[resource.name] = _index(resource)
            case Keys():
                families[resource.name_hint] = _family(resource)
                comments += _mixed(resource)
            case _:
                pass
    document = {"store": spec.name, "families": families, "indexes": indexes, "config": config}
    comments += [f"not modelled: {n.address}  {n.what}" for n in live.not_modelled if only(n.address)]
    if not (families or indexes or config or comments):
        return {}
    if families:
        comments.insert(0, "families are proposed from a sample of the keys: read them, and give them names")
    return {FILE: to_yaml({key: value for key, value in document.items() if value}, comments)}


def _value(text: str) -> Json:
    if text in ("yes", "no"):
        return text == "yes"
    return int(text) if text.lstrip("-").isdigit() else text


def _index(index: Index) -> Json:
    fields = {name: field["type"] if len(field) == 1 else dict(field) for name, field in index.fields.items()}
    found: dict[str, Json] = {
        "on": None if index.on == "hash" else index.on,
        "prefixes": None if index.prefixes == ("",) else list(index.prefixes),
        "filter": index.filter,
        "language": index.language,
        "stopwords": None if index.stopwords is None else list(index.stopwords),
        "fields": fields,
    }
    return {key: value for key, value in found.items() if value is not None}


def _family(keys: Keys) -> Json:
    found = {"pattern": keys.address.parts[0], "type": keys.type, "ttl": keys.ttl}
    return {key: value for key, value in found.items() if value is not None}


def _mixed(keys: Keys) -> list[str]:
    pattern = keys.address.parts[0]
    found = []
    if keys.type is None:
        found.append(f"keys like {pattern} are of several types")
    if keys.ttl is None:
        found.append(f"of the keys like {pattern} some have a time to live and some have none")
    return found
