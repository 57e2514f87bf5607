"""What has to exist for a declared object to be built, out of declared objects only; and the hash of it."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property

from reconcile.model import Address, Json, Resource, State, to_json
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.canonical.counterparts import Counterparts, columns_in_order
from reconcile.stores.postgres.canonical.texts import texts
from reconcile.stores.postgres.names import generated_multirange
from reconcile.stores.postgres.resources import ROUTINES, TYPES
from reconcile.stores.postgres.sqlroutines import header, parsed
from reconcile.stores.postgres.sqltokens import called, named

_FORMAT = 6
"""Changes when texts are spelled, keyed or kept differently: what was learned before then no longer counts."""


BUILT = ("table", "sequence", "view", "materialized_view", "collation", *TYPES, *ROUTINES)
"""Kinds that are built in a scratch schema and can be named there."""


def built_names(x: Resource) -> tuple[str, ...]:
    """The names by which SQL calls it: of a routine without its argument types, of a range also its multirange's."""
    name = x.address.parts[1]
    if isinstance(x, r.Range):
        return name, x.multirange or generated_multirange(name)
    return (name.partition("(")[0] if x.address.kind in ROUTINES else name,)


@cache
def _words(said: tuple[tuple[str, str | None], ...]) -> frozenset[str | None]:
    """All that could be a name in texts: many tables have the same check."""
    return frozenset(name for _, text in said if text for pair in named(text) for name in pair)


class Closure:
    """Declared objects by what they need."""

    def __init__(self, desired: State, others: Counterparts, world: Sequence[Json]) -> None:
        self.desired, self.others, self.world = desired, others, world
        self._named: dict[Address, dict[str, r.Column]] = defaultdict(dict)
        """The columns of each table by name, in no order that counts."""
        self.primary: dict[Address, r.PrimaryKey] = {}
        self._objects: dict[tuple[str, str], list[Address]] = defaultdict(list)
        self._by_name: dict[str, list[Address]] = defaultdict(list)
        for x in desired.values():
            if isinstance(x, r.Column):
                self._named[x.table][x.address.parts[-1]] = x
            elif isinstance(x, r.PrimaryKey):
                self.primary[x.table] = x
            elif x.address.kind in BUILT:
                for name in built_names(x):
                    self._objects[x.address.parts[0], name].append(x.address)
                    self._by_name[name].append(x.address)
        self._has_routines = any(a.kind in ROUTINES for found in self._objects.values() for a in found)
        self._needs: dict[Address, frozenset[Address]] = {}
        self._keys: dict[Address, str] = {}
        self._digests: dict[object, str] = {}

    @cached_property
    def columns(self) -> Mapping[Address, list[r.Column]]:
        """The columns of each table in the order they will have."""
        return columns_in_order(self.desired, self.others)

    def needs(self, x: Resource) -> frozenset[Address]:
        """Addresses of the tables, views, enums and sequences that `x` needs, its own table included, and theirs."""
        if x.address not in self._needs:
            self._needs[x.address] = frozenset()  # a view that names itself, by a CTE of its name, ends here
            self._needs[x.address] = frozenset(self._all(x)) - {x.address}
        return self._needs[x.address]

    def _all(self, x: Resource) -> Iterable[Address]:
        own: list[Address] = []
        if x.container is not None:
            own.append(x.container)
        if isinstance(x, r.Routine):
            own += self._routine(x)
        else:
            for _, text in texts(x):
                own += self.named(text)
        if isinstance(x, r.Table):
            for column in self.columns.get(x.address, ()):
                own += [*self.named(column.type), *self.named(column.collation)]
        if isinstance(x, r.Range) and x.subtype_diff:
            own += self.named(f"{x.subtype_diff}()")
        for address in own:
            yield address
            if address != x.address:
                yield from self.needs(self.desired[address]) if address in self.desired else ()

    def _routine(self, x: r.Routine) -> list[Address]:
        """What its statement names outside quotes; an aggregate its functions without parentheses."""
        found = [a for text in parsed(header(x.definition_)) for a in self.named(text)]
        if x.address.kind == "aggregate":
            for qualifier, name in named(header(x.definition_).body):
                those = self._by_name.get(name, ()) if qualifier is None else self._objects.get((qualifier, name), ())
                found += [a for a in those if a.kind == "function"]
        return found

    def made_from(self, x: Resource) -> frozenset[Address]:
        """What has to be there before `x` is: of a domain its type alone, since its checks are added at the end."""
        if not isinstance(x, r.Domain):
            return self.needs(x)
        own = [*self.named(x.type), *self.named(x.collation)]
        return frozenset(own) | {a for o in own if o in self.desired for a in self.made_from(self.desired[o])}

    def named(self, text: str | None) -> list[Address]:
        """Declared tables, views, sequences, types and routines whose name stands in `text`; all overloads.

        A bare name may be of any schema: the search path decides, so all are there.
        """
        if not text:
            return []
        found: list[Address] = []
        calls = called(text) if self._has_routines else frozenset()
        for qualifier, name in named(text):
            those = self._by_name.get(name, ()) if qualifier is None else self._objects.get((qualifier, name), ())
            found += [a for a in those if a.kind not in ROUTINES or (qualifier, name) in calls]
        return found

    def at(self, schema: str, name: str) -> Sequence[Address]:
        """Declared objects of that name in that schema."""
        return self._objects.get((schema, name), ())

    def key(self, x: Resource) -> str:
        """What the spelling of `x` follows from, as a hash: its texts, the definitions it needs, the server.

        Two resources of one key are spelled alike: a check that many tables have is built once.
        """
        if x.address not in self._keys:
            self._keys[x.address] = self._key(x)
        return self._keys[x.address]

    def _key(self, x: Resource) -> str:
        said = tuple(texts(x))
        own = self._own(x, said)
        keyed: tuple[Json, ...] = ()
        if isinstance(x, r.Index | r.Exclusion):
            keyed = ((x.method, tuple([(i.column, i.order, i.nulls) for i in x.columns])),)
        elif isinstance(x, r.Statistics):
            keyed = (tuple([i.column for i in x.columns]),)
        if own is None:
            place = x.container.parts if x.container else None
            return self._digest((x.address.kind, said, *keyed, place), self.needs(x))
        parts = (x.address.kind, said, *keyed, tuple([(c.address.parts[-1], c.type, c.collation) for c in own]))
        found = self._digests.get(parts)  # many tables have the same check
        if found is None:
            named = [text for _, text in said] + [c.type for c in own]
            wanted = {a for text in named for b in self.named(text) for a in (b, *self.needs(self.desired[b]))}
            found = self._digests[parts] = self._digest(parts, wanted - {x.address})
        return found

    def _digest(self, parts: tuple[Json, ...], wanted: Iterable[Address]) -> str:
        """The hash of what is said, and of the definitions of what that needs."""
        all_ = [_FORMAT, self.world, *parts, *([str(a), *self._definition(a)] for a in sorted(wanted))]
        return "pg:" + hashlib.sha256(json.dumps(all_, sort_keys=True).encode()).hexdigest()

    def _own(self, x: Resource, said: tuple[tuple[str, str | None], ...]) -> list[r.Column] | None:
        """The columns that `x` names in its texts, `said`, where nothing else of its table counts; None where more may.

        Checks, expressions of an index and generated columns read columns of their row and hold no subquery; only by
        its name could they mean the table. A default reads no column at all.
        """
        if isinstance(x, r.Column) and x.generated is None:
            return []
        columns = self._named.get(x.container) if x.container is not None else None
        if not columns or not isinstance(x, r.Column | r.Check | r.Index | r.Exclusion | r.Statistics):
            return None
        words = _words(said)
        if isinstance(x, r.Index | r.Exclusion | r.Statistics):
            words = words.union([i.column for i in x.columns])
        if x.table.parts[-1] in words:
            return None
        return [columns[name] for name in sorted(columns.keys() & words)]

    def _definition(self, address: Address) -> Iterable[Json]:
        x = self.desired[address]
        if isinstance(x, r.Table):
            key = self.primary.get(address)
            yield list(key.columns) if key else None
            for c in self.columns.get(address, ()):
                yield [c.address.parts[-1], c.type, c.collation]
            if x.partition_by is not None or x.bound is not None:
                yield [x.bound, to_json(x.partition_by)]
        elif isinstance(x, r.Enum):
            yield list(x.values)
        elif isinstance(x, r.Domain | r.Composite | r.Range | r.Collation):
            yield x.attributes()
        else:
            yield [list(t) for t in texts(x)]
