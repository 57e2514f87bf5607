"""Is what the database holds as it is declared? Keys and their families, from a sample whose size is told.

The sample is the same for all families: one bounded SCAN, types and times to live in batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconcile.findings import Finding, Sample, Verified
from reconcile.model import Address, Json, State
from reconcile.selection import Selection
from reconcile.stores.redis import families, proposing, sampling
from reconcile.stores.redis.resources import Family
from reconcile.stores.redis.wire import Wire


def verified(
    wire: Wire, store: str, settings: Mapping[str, Json], chosen: State, declared: State, shown: int
) -> Verified:
    """What there is to say of the chosen families; of keys without one where all families are looked at.

    Args:
        declared: all that is declared for the store: a key may be of a family that was not chosen.
        shown: how many keys of each finding to name.
    """
    every = [r for r in declared.values() if isinstance(r, Family)]
    own = [r for r in chosen.values() if isinstance(r, Family)]
    if not own:
        return Verified()
    sample = visible(sampling.look(wire, *sampling.bounds(settings)), store, settings)
    return Verified.of(_answers(sample, store, every, own, shown))


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
