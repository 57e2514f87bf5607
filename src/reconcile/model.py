"""The nouns every part shares: Address, Source, Resource, State. No I/O, no store knowledge."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias, TypeVar, overload

from reconcile.record import Record, comparable, values

Json: TypeAlias = Any
"""A value JSON can hold: None, bool, int, float, str, list, dict with string keys."""

_T = TypeVar("_T")
_QUOTE = re.compile(r'[."\s]')
_SIMPLE = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_PART = re.compile(r'"(?:[^"]|"")*"|[^."(]+(?:\([^)]*\))?[^."]*')


class Source(NamedTuple):
    """A place in a YAML file: path as the user knows it, line and column from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def to_json(self) -> Json:
        """`{"file": …, "line": …, "column": …}`."""
        return {"file": self.file, "line": self.line, "column": self.column}


class Address(NamedTuple):
    """`STORE.KIND.NAME`: the name of one resource in plans, ledgers and on the command line.

    `parts` is what the store names it by, outermost first: `("public", "documents", "lang")` for a column.
    A tuple, since addresses are keys everywhere: a plan of 1,000 tables hashes and compares them a million times.

    >>> str(Address("app", "column", ("public", "documents", "lang")))
    'app.column.public.documents.lang'
    >>> str(Address("vectors", "payload_index", ("passages", "meta.tags[].id")))
    'vectors.payload_index.passages."meta.tags[].id"'
    """

    store: str
    kind: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.store}.{self.kind}.{self.name}"

    @property
    def name(self) -> str:
        """The parts joined by dots; a part with a dot, quote or space is quoted as in SQL."""
        return ".".join([part if part.isidentifier() else _quoted(part) for part in self.parts])

    def child(self, kind: str, name: str) -> Address:
        """The address of `kind` `name` inside this one: table -> column, collection -> payload index."""
        return Address(self.store, kind, (*self.parts, name))

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read what `str()` wrote.

        >>> Address.parse('vectors.payload_index.passages."meta.tags[].id"').parts
        ('passages', 'meta.tags[].id')

        Raises:
            ValueError: fewer than three parts, or a stray quote.
        """
        if '"' not in text and "(" not in text:  # as nearly all are, and a ledger has one of each resource
            plain = text.split(".")
            if len(plain) > 2 and all(plain):
                return cls(plain[0], plain[1], tuple(plain[2:]))
        store, _, rest = text.partition(".")
        kind, _, name = rest.partition(".")
        parts = name.split(".") if _SIMPLE.fullmatch(name) else _PART.findall(name)
        if not (store and kind and parts) or ".".join(parts) != name:
            raise ValueError(f"{text!r} is no address: STORE.KIND.NAME is expected")
        return cls(store, kind, tuple(p[1:-1].replace('""', '"') if p.startswith('"') else p for p in parts))


class Wait(NamedTuple):
    """One entry of `after:`: what has to be as declared first, and where that is written."""

    address: Address
    source: Source
    key: str = "after"
    """Under which it is written."""


def _quoted(part: str) -> str:
    bare, _, arguments = part.partition("(")  # a function's argument types keep their spaces: match(vector, integer)
    if not part or _QUOTE.search(bare) or (not arguments and _QUOTE.search(part)):
        return '"' + part.replace('"', '""') + '"'
    return part


class Resource(Record):
    """One declared or live object. Subclasses add the attributes of their kind as fields.

    Two resources are equal when every field with `compare=True` is; the rest says where it comes from.
    Fields must hold JSON-able values, tuples or nested frozen dataclasses, and have no `default_factory`.
    """

    unset_is_unmanaged: ClassVar[bool] = False
    """True where an absent YAML key means "left as the server has it" (Neo4j and Qdrant settings)."""

    only_declared: ClassVar[bool] = False
    """True for what is managed only where it is declared (grants): a live one that is not is no difference at all,
    unless `--prune=all` asks for it."""

    only_verified: ClassVar[bool] = False
    """True for what makes nothing in the store (a vocabulary): never planned, only looked at by `verify`."""

    address: Address
    source: Source | None = field(default=None, compare=False, repr=False)
    live_name: str | None = field(default=None, compare=False, repr=False)
    """The name in the store, where it differs from the address (`policy.names: accept`)."""
    container: Address | None = field(default=None, compare=False, repr=False)
    """The table or collection this is nested in: gone when that goes."""
    refers: tuple[Address, ...] = field(default=(), compare=False, repr=False)
    """What must exist for this to exist: a view's tables, a foreign key's target, an enum of a column."""
    comes_after: tuple[Wait, ...] = field(default=(), compare=False, repr=False)
    """`after:` of the YAML: what is to be changed first, here or in another store. An order, and no dependency."""
    system: bool = field(default=False, compare=False, repr=False)
    """Made by the server itself (schema public, lookup indexes): never listed as unmanaged, never dropped."""
    left_for: str | None = field(default=None, compare=False, repr=False)
    """Live: what an abandoned run, as the ledger knows, built this for; see `leftover_of`."""
    declared: Json = field(default=None, compare=False, repr=False)
    """The attributes as the YAML has them, where canonical spelling changed them; else None."""

    @property
    def name(self) -> str:
        """The object's own name in its store."""
        return self.live_name or self.address.parts[-1]

    def attributes(self) -> dict[str, Json]:
        """The comparable fields in JSON form; what equals the field's default is left out."""
        kind: type = type(self)
        return {
            key: value if type(value) in _SCALARS else to_json(value)
            for (name, key, default), value in zip(comparable(kind), values(kind)(self), strict=True)
            if value is not default and value != default and name != "address"
        }  # without vars(), which would make a dictionary that the object then keeps

    @property
    def occupies(self) -> tuple[tuple[str, ...], ...]:
        """The names it takes where it shares them with other kinds (relations of a schema), each after its space.

        Who makes an object waits for the removal of another that has a name of it.
        """
        return ()

    @property
    def falls_with(self) -> tuple[Address, ...]:
        """What takes it along when it is dropped, though the plan does not say so: it is managed where declared."""
        return ()

    def makes_room(self, holder: Resource) -> bool:
        """Whether the step that makes it puts aside what has its name in `holder`, which stays and gives it up."""
        del holder
        return False

    @property
    def about(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of what has the rows it is about, and of their fields that it depends on; () where it may be any."""
        if self.container is None:
            return (), ()
        home = self.container.parts
        own = [self.address] if not self.refers or self.address.parts[:-1] == home else []
        inside = (a for a in (*own, *self.refers) if a.parts[:-1] == home)
        return (self.container.parts[-1],), tuple(dict.fromkeys(a.parts[-1] for a in inside))

    @property
    def place(self) -> int:
        """Where it stands among those of its kind in its container, for the order in which they are made."""
        return 0

    @property
    def leftover_of(self) -> str | None:
        """Of a helper object that a broken run left behind: the name of what it was to become; else None.

        A plan removes it, unless it changes an object of that name, which then decides about its helper.
        """
        return self.left_for

    @property
    def leftover_in(self) -> Address | None:
        """Of such a helper: the container of what it was to become, where names alone might mean another's."""
        return None

    def leaves(self, part: Resource) -> bool:
        """Whether `part`, live in this and not declared, is left alone without a word (partitions made at run time)."""
        del part
        return False

    def renames_parts_of(self, live: Resource) -> bool:
        """Whether it declares new names for parts that are no resources (values of an enum), and `live` has old ones.

        The package's `renamed` is then asked for the change, with the address it has.
        """
        del live
        return False

    def as_it_was(self, declared: Resource | None) -> Resource:
        """As something to go back to: what is not set is then not set, where it would be left as it is otherwise.

        Args:
            declared: what is asked for now; its ways (`strategy: online`, `on_change: copy`) are those to go back.
        """
        if declared is None or type(declared) is not type(self):
            return self
        ways = {name: getattr(declared, name) for name, f in self.__dataclass_fields__.items() if "way" in f.metadata}
        return self.replace(**ways) if ways else self

    def with_parts_renamed(self, before: Json, after: Json) -> Resource:
        """As something to go back to after a rename: what its parts (values of an enum) are called since.

        Args:
            before: its attributes before that rename.
            after: and after it.
        """
        del before, after
        return self

    def with_names_of(self, live: Resource) -> Resource:
        """`policy.names: accept`: with its parts (checks of a domain) called as those of `live` that say the same."""
        del live
        return self

    def under_its_name(self) -> Resource:
        """`policy.names: enforce`: in a form whose change ends under the declared name, unless it says otherwise."""
        return self

    def definition(self) -> tuple[object, ...] | None:
        """What identifies this apart from its name, or None where only the name does.

        Two unmatched resources of equal definition, one declared and one live, are the same object under
        another name (a constraint, an index).
        """
        return None

    def replace(self, **changes: object) -> Self:
        """A copy with `changes`."""
        copy = object.__new__(type(self))
        for name, value in {**vars(self), **changes}.items():
            object.__setattr__(copy, name, value)  # see `Record`
        return copy


_SCALARS = frozenset({str, int, bool, float, type(None)})


def to_json(value: object) -> Json:
    """Dataclasses, tuples and mappings as plain JSON values; defaults inside nested dataclasses are left out."""
    if type(value) in _SCALARS:
        return value
    if type(value) is tuple:
        return [v if type(v) in _SCALARS else to_json(v) for v in value]
    if isinstance(value, Address | Source):
        return str(value)
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            key: to_json(found)
            for name, key, default in comparable(type(value))
            if (found := getattr(value, name)) != default
        }
    return value


def declared_only(live: Json, declared: Json) -> Json:
    """`live` without the keys that `declared` does not set, at every depth of mappings.

    >>> declared_only({"hnsw": {"m": 16, "ef": 100}, "shards": 1}, {"hnsw": {"m": 16}})
    {'hnsw': {'m': 16}}
    """
    if isinstance(live, dict) and isinstance(declared, dict):
        return {k: declared_only(v, declared[k]) for k, v in live.items() if k in declared}
    return live


@dataclass(frozen=True)
class State(Mapping[Address, Resource]):
    """Resources of one or more stores by address, in a stable order."""

    resources: Mapping[Address, Resource] = field(default_factory=dict)

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> State:
        """Later ones win; use after duplicates have been reported."""
        return cls({r.address: r for r in resources})

    @classmethod
    def with_forms(cls, resources: Iterable[Resource], forms: Sequence[str]) -> State:
        """Resources whose `form_list` is known."""
        made = cls.of(resources)
        made.__dict__["form_list"] = forms
        return made

    def __getitem__(self, address: Address) -> Resource:
        return self.resources[address]

    def __iter__(self) -> Iterator[Address]:
        return iter(self.resources)

    def __len__(self) -> int:
        return len(self.resources)

    def add(self, *resources: Resource) -> State:
        """With these, replacing those of the same address in place."""
        return State({**self.resources, **{r.address: r for r in resources}})

    def without(self, *addresses: Address) -> State:
        """Without these and without what is contained in them."""
        gone = {r.address for a in addresses for r in self.inside(a)}.union(addresses)
        return self.filter(lambda r: r.address not in gone)

    # What `Mapping` offers in Python, as the dictionary has it.

    def __contains__(self, address: object) -> bool:
        return address in self.resources

    @overload
    def get(self, address: Address, /) -> Resource | None: ...

    @overload
    def get(self, address: Address, /, default: Resource | _T) -> Resource | _T: ...

    def get(self, address: Address, /, default: Any = None) -> Any:
        """The resource, or `default`."""
        return self.resources.get(address, default)

    def keys(self) -> KeysView[Address]:
        """The addresses, in order."""
        return self.resources.keys()

    def values(self) -> ValuesView[Resource]:
        """The resources, in order."""
        return self.resources.values()

    def items(self) -> ItemsView[Address, Resource]:
        """Both, in order."""
        return self.resources.items()

    def filter(self, keep: Callable[[Resource], bool]) -> State:
        """Those for which `keep` is true."""
        gone = {a for a, r in self.resources.items() if not keep(r)}
        return State({a: r for a, r in self.resources.items() if a not in gone}) if gone else self

    def of_kind(self, *kinds: str) -> list[Resource]:
        """Those of the kinds, in order."""
        found = [self._kinds[kind] for kind in kinds if kind in self._kinds]
        if len(found) > 1:
            return [r for a, r in self.resources.items() if a.kind in kinds]
        return list(found[0]) if found else []

    def texts(self) -> dict[str, Address]:
        """The addresses by their text."""
        return {str(address): address for address in self.resources}

    @cached_property
    def form_list(self) -> Sequence[str]:
        """The attributes of each, in order, as JSON text; of those that are alike the same one."""
        share = dict[str, str]().setdefault
        forms = (json.dumps(resource.attributes()) for resource in self.resources.values())
        return [share(form, form) for form in forms]

    def forms(self) -> dict[Address, str]:
        """`form_list` by address; made anew each time, since it is as large as it is seldom needed."""
        return dict(zip(self.resources, self.form_list, strict=True))

    @cached_property
    def _kinds(self) -> Mapping[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for address, resource in self.resources.items():
            found.setdefault(address.kind, []).append(resource)
        return found

    @cached_property
    def _children(self) -> Mapping[Address, list[Resource]]:
        found: dict[Address, list[Resource]] = {}
        for resource in self.resources.values():
            if resource.container is not None:
                found.setdefault(resource.container, []).append(resource)
        return found

    def children(self, container: Address) -> list[Resource]:
        """Those nested in `container`, in order."""
        return list(self._children.get(container, ()))

    def inside(self, container: Address) -> list[Resource]:
        """Those nested in `container` at any depth: a partition's own parts are inside the partitioned table."""
        found = self.children(container)
        for resource in found:  # grows meanwhile
            if resource.address in self._children:
                found += self._children[resource.address]
        return found
