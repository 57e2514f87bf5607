"""Qdrant resources as frozen dataclasses, in the YAML's words; `wire.py` knows the server's.

Addresses: collection: (name); payload_index: (collection, field); alias: (name). The collection is the container
of its payload indexes and of the aliases that point at it: the server deletes them with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, ClassVar, cast

from reconcile.model import Address, Json, Resource
from reconcile.stores.qdrant.settings import FIELDS

if TYPE_CHECKING:
    from reconcile.yamlio import Map

ON_CHANGE = ("refuse", "empty", "copy")
WRITES = ("dual", "frozen", "none_expected")
RETIRED = ("drop", "keep")


class Collection(Resource):
    """A collection, plain or one generation of a versioned one. None: left as the server has it.

    A vector is `{size, distance, datatype, multivector, on_disk, hnsw, quantization}`; a quantization is
    `"none"` or `{variant: parameters}`. Which settings there are, and what a change of each takes: `settings.py`.
    """

    unset_is_unmanaged: ClassVar[bool] = True

    generation: int | None = None
    """N of a versioned collection (its physical name is `NAME__vN`); None for a plain one."""
    vector: Mapping[str, Json] | None = None
    """The unnamed vector."""
    vectors: Mapping[str, Mapping[str, Json]] | None = None
    sparse_vectors: Mapping[str, Mapping[str, Json]] | None = None
    hnsw: Mapping[str, Json] | None = None
    quantization: Json = None
    optimizers: Mapping[str, Json] | None = None
    wal: Mapping[str, Json] | None = None
    strict_mode: Mapping[str, Json] | None = None
    metadata: Mapping[str, Json] | None = None
    """The user's own; the tool's key `reconcile` is kept apart from it."""
    shard_number: int | None = None
    sharding_method: str | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None
    read_fan_out_factor: int | None = None
    read_fan_out_delay_ms: int | None = None
    on_disk_payload: bool | None = None
    payload: Mapping[str, Json] | None = None
    id_tracker: Mapping[str, Json] | None = None

    physical: str | None = field(default=None, compare=False, repr=False)
    """The name in the server, where it is not the address's."""
    versioned: bool | None = field(default=None, compare=False, repr=False)
    """As declared; None: versioned if new, else as it is."""
    on_change: str = field(default="refuse", compare=False, repr=False, metadata={"way": True})
    """What a replacement does with stored points: one of `ON_CHANGE`."""
    contracts: Mapping[str, str] | None = field(default=None, compare=False, repr=False)
    """Vector name ("" for the unnamed one) -> the embedding it was declared with; None: none was."""
    writes: Json = field(default=None, compare=False, repr=False, metadata={"way": True})
    """What is promised about writes during a copy: `{timestamp: FIELD}` or one of `WRITES`; None where nothing is."""
    retired: str = field(default="drop", compare=False, repr=False, metadata={"way": True})
    """What later plans do with the old generation after a copy: one of `RETIRED`."""
    stage: str = field(default="", compare=False, repr=False)
    """Live only, of a generation that is not the current one: "copying", it is being filled, "retired", or
    "restored" from a snapshot, to be compared."""
    of: str | None = field(default=None, compare=False, repr=False)
    """Live only, where there is a `stage`: the logical name."""
    since: str = field(default="", compare=False, repr=False)
    """Live only: when it was retired."""
    pointed: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Live only, of a retired one: aliases that somebody has pointed at it."""
    unfinished: str | None = field(default=None, compare=False, repr=False)
    """Live only, of a current generation: the one it took over from, where the run ended before all was done."""
    copying: str | None = field(default=None, compare=False, repr=False)
    """Live only, of a current generation: the one being filled from it."""
    copying_generation: int = field(default=0, compare=False, repr=False)
    """Live only: its number."""
    copying_writes: Json = field(default=None, compare=False, repr=False)
    """Live only: under which promise."""
    leftovers: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Live only: other generations of it that hold no point and no alias, left by a broken or older run."""
    last_generation: int = field(default=0, compare=False, repr=False)
    """Live only: the highest generation in use, this one or a retired one."""
    shard_keys: tuple[str, ...] | None = field(default=None, compare=False, repr=False)
    """Live only, of custom sharding: the keys that the application has made; () where there may be some."""
    names_in_place: bool = field(default=False, compare=False, repr=False)
    """Whether this server can add and remove named vectors (`settings.NAMED_IN_PLACE`)."""
    written: Map | None = field(default=None, compare=False, repr=False)
    """As the YAML has it: knows where each setting stands."""
    brings: str | None = field(default=None, compare=False, repr=False)
    """Of something to go back to: the generation it was, whose vectors come back as far as it is still there."""

    def as_it_was(self, declared: Resource | None) -> Resource:
        """See `Resource.as_it_was`: a plain one is plain again, and vectors that it did not have go."""
        was, versioned = super().as_it_was(declared), self.generation is not None
        vectors = self.vectors or ({} if self.vector is None else None)
        was = was.replace(vectors=vectors, sparse_vectors=self.sparse_vectors or {})
        return was.replace(versioned=versioned, brings=self.name if versioned else None)

    @property
    def name(self) -> str:
        """The physical name: what requests name it by. Not `live_name`, which the core takes for a misnomer."""
        return self.physical or self.address.parts[-1]

    @property
    def leftover_of(self) -> str | None:
        """What a generation that is not current belongs to: removed by a plan that has nothing else to do with it."""
        return self.of

    def leaves(self, part: Resource) -> bool:
        """`retired: keep` leaves retired generations alone; so does an alias that points at one."""
        retired = isinstance(part, Collection) and part.stage == "retired"
        return retired and (self.retired == "keep" or bool(cast(Collection, part).pointed))

    def settings(self) -> Mapping[str, Json]:
        """What the rows of `settings.COLLECTION` are read from."""
        return {key: getattr(self, key) for key in FIELDS}

    @property
    def all_vectors(self) -> Mapping[str, Mapping[str, Json]]:
        """Dense vectors by name, the unnamed one under ""."""
        return {"": self.vector} if self.vector is not None else self.vectors or {}


class PayloadIndex(Resource):
    """The index of one payload field. None: left as the server has it; which ones a type has: `settings.INDEX`."""

    unset_is_unmanaged: ClassVar[bool] = True

    type: str
    is_tenant: bool | None = None
    is_principal: bool | None = None
    lookup: bool | None = None
    range: bool | None = None
    tokenizer: str | None = None
    min_token_len: int | None = None
    max_token_len: int | None = None
    lowercase: bool | None = None
    ascii_folding: bool | None = None
    phrase_matching: bool | None = None
    stopwords: Json = None
    stemmer: Json = None
    scoring: str | None = None
    on_disk: bool | None = None
    memory: str | None = None
    enable_hnsw: bool | None = None
    prefix: bool | None = None
    nested: str | None = None
    written: Map | None = field(default=None, compare=False, repr=False)
    """As of a collection, where it is a mapping."""

    @property
    def path(self) -> str:
        """The JSON path of the field, as the server spells it."""
        return self.address.parts[-1]


class Alias(Resource):
    """A second name. `collection` is the physical name of its target once canonical; `container` its address."""

    collection: str
    own: bool = field(default=False, compare=False, repr=False)
    """It belongs to a versioned collection: it carries its name."""

    @property
    def target(self) -> Address:
        """The address of the collection it points at."""
        return self.refers[0]


def collection_address(store: str, name: str) -> Address:
    """`STORE.collection.NAME`."""
    return Address(store, "collection", (name,))


def alias_address(store: str, name: str) -> Address:
    """`STORE.alias.NAME`."""
    return Address(store, "alias", (name,))
