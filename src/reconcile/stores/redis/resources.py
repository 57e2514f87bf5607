"""What there is in a Redis server, as frozen dataclasses in the YAML's words.

Addresses: config: (parameter); family: (name); index: (name); keys: (pattern), live only: what a sample of the keys
looks like, for `import` to propose families from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar

from reconcile.model import Address, Json, Resource


class Parameter(Resource):
    """A parameter of the server's configuration, as `CONFIG GET` spells its value.

    Live ones that are not declared are the server's own: they are left as they are, without a word.
    """

    only_declared: ClassVar[bool] = True

    value: str
    rewrite: bool = field(default=False, compare=False, repr=False, metadata={"way": True})
    """Declared: whether the server is to write its configuration file anew after a change."""


class Family(Resource):
    """Keys of one pattern: what `verify` holds the keys against. Makes nothing in the store."""

    only_verified: ClassVar[bool] = True

    pattern: str
    type: str | None = None
    """As `TYPE` tells it; None: any."""
    ttl: str | None = None
    """"none", or the longest time to live: "24h"; None: any."""
    description: str | None = None
    version: int | None = None
    old: str | None = field(default=None, compare=False, repr=False)
    """`renamed_from:` of the YAML: the pattern that the keys had before."""


class RenamedFamily(Family):
    """A family of which there are keys under the old pattern: they are to be renamed."""

    only_verified: ClassVar[bool] = False


class Keys(Resource):
    """Live only: keys of a sample that look alike. Proposed by `import` as families, never planned."""

    only_declared: ClassVar[bool] = True

    name_hint: str = field(default="", compare=False)
    """What a family of them could be called."""
    type: str | None = field(default=None, compare=False)
    """None: of several types."""
    ttl: str | None = field(default=None, compare=False)
    """The rule that all of them keep, as a family has it; None: there is none."""
    count: int = field(default=0, compare=False)


class Index(Resource):
    """An index of RediSearch over hashes or JSON documents with one of the prefixes.

    `fields`: by name of the attribute `{type, path, …}` in the server's own order and words; what is at the server's
    default is left out, so that it need not be declared.
    """

    on: str
    prefixes: tuple[str, ...]
    fields: Mapping[str, Mapping[str, Json]]
    filter: str | None = None
    language: str | None = None
    stopwords: tuple[str, ...] | None = None
    contracts: Mapping[str, str] | None = field(default=None, compare=False, repr=False)
    """Vector field -> the embedding it was declared with."""


def config_address(store: str, name: str) -> Address:
    """`STORE.config.PARAMETER`."""
    return Address(store, "config", (name,))


def index_address(store: str, name: str) -> Address:
    """`STORE.index.NAME`."""
    return Address(store, "index", (name,))
