"""Is what the database holds as it is declared? Keys and their families, from a sample whose size is told.

The sample is the same for all families: one bounded SCAN, types and times to live in batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from reconcile.findings import Finding, Rule, Sample, Verified
from reconcile.model import Address, Json, State
from reconcile.selection import Selection
from reconcile.stores.redis import families, proposing, sampling
from reconcile.stores.redis.resources import Family, Index
from reconcile.stores.redis.search import DEFAULTS, VECTOR
from reconcile.stores.redis.wire import Wire, raw


def verified(
    wire: Wire, store: str, settings: Mapping[str, Json], chosen: State, declared: State, shown: int
) -> Verified:
    """What there is to say of the chosen families and indexes; of keys of no family where all families are looked at.

    Args:
        declared: all that is declared for the store: a key may be of a family that was not chosen.
        shown: how many keys of each finding to name.
    """
    every = [r for r in declared.values() if isinstance(r, Family)]
    own = [r for r in chosen.values() if isinstance(r, Family)]
    indexes = [r for r in chosen.values() if isinstance(r, Index) and any(map(_size, r.fields.values()))]
    if not own and not indexes:
        return Verified()
    sample = visible(sampling.look(wire, *sampling.bounds(settings)), store, settings)
    found = list(_answers(sample, store, every, own, shown)) if own else []
    if not own and not sample.whole:
        found.append(Sample(indexes[0].address, "keys", len(sample.keys), sample.of, indexes[0].source))
    return Verified.of([*found, *_misfits(wire, sample, indexes, shown)])


def _answers(
    sample: sampling.Sample, store: str, every: list[Family], own: list[Family], shown: int
) -> Iterator[Finding | Sample]:
    known = families.Families(every)
    if not sample.whole:
        first = own[0]
        yield Sample(first.address, "keys", len(sample.keys), sample.of, first.source)
    yield from families.found(sample, known, [r.address for r in own], shown)
    if len(own) == len(every):
        yield from families.strangers(sample, strange(sample, known), store, shown)


def strange(sample: sampling.Sample, known: families.Families) -> list[proposing.Proposal]:
    """Keys of no family, by what they have in common."""
    return proposing.proposals(key for key in sample.keys if known.of(key.name) is None)


def visible(sample: sampling.Sample, store: str, settings: Mapping[str, Json]) -> sampling.Sample:
    """Without keys that the project ignores, or that belong to others."""
    hidden = Selection(ignore=tuple(settings.get("ignore") or ()), external=tuple(settings.get("external") or ()))
    if not (hidden.ignore or hidden.external):
        return sample
    kept = [k for k in sample.keys if hidden.classify(Address(store, "key", (k.name,))) == "managed"]
    return sampling.Sample(tuple(kept), sample.of, sample.whole)


_BYTES = {"float32": 4, "float16": 2, "float64": 8, "bfloat16": 2}


def _size(field: Mapping[str, Json]) -> int:
    """How many bytes a hash holds for a vector; 0 for what is none."""
    return int(field["dimensions"]) * _BYTES[_element(field)] if field["type"] == VECTOR else 0


def _element(field: Mapping[str, Json]) -> str:
    return str(field.get("element", DEFAULTS["element"]))


def _misfits(wire: Wire, sample: sampling.Sample, indexes: Sequence[Index], shown: int) -> Iterator[Finding]:
    """Vectors of another size than an index takes: it leaves the whole key out without a word."""
    for index in indexes:
        keys = [k.name for k in sample.keys if k.type == "hash" and k.name.startswith(index.prefixes)]
        for name, field in index.fields.items():
            if index.on != "hash" or not _size(field):
                continue
            path = str(field.get("path", name))
            sizes: list[int] = []
            for at in range(0, len(keys), sampling.AT_ONCE):
                sizes += wire.pipe([("HSTRLEN", raw(key), path) for key in keys[at : at + sampling.AT_ONCE]])
            wrong = Counter(size for size in sizes if size not in (0, _size(field)))
            for size, count in sorted(wrong.items()):
                some = [families.printable(key) for key, found in zip(keys, sizes, strict=True) if found == size]
                yield Finding(
                    index.address,
                    Rule.VECTOR,
                    f"keys have in {path} {size} bytes, not the {_size(field)} of"
                    f" {field['dimensions']} {_element(field)}",
                    count,
                    tuple(some[:shown]),
                    f"HSTRLEN KEY {path}",
                    index.source,
                    f"index {index.name} leaves them out: no search finds them",
                    bounded=not sample.whole,
                    looked=None if sample.whole else len(sample.keys),
                )
