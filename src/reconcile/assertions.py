"""`checks:`, `queries:` and `probes:` of reconcile.yaml: what is to hold besides the schema. Nothing is asked here.

A check is a question with an expected answer; a query is one of the application's, which has to go on working; a probe
tries what the stores should do, in a transaction that is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from reconcile import references
from reconcile.errors import Problem
from reconcile.expectations import Expectation
from reconcile.machine import seconds_of
from reconcile.model import Json, Source
from reconcile.stores import kinds, package
from reconcile.stores.asking import Ask, Askable
from reconcile.suggest import meant
from reconcile.yamlio import Map, Seq

GROUPS = {"checks": "check", "queries": "query", "probes": "probe"}
"""The keys of reconcile.yaml, each with what one of them is called."""
TIMEOUT = "30s"
RUNS = 20
"""How often a query is run to see how long it takes."""


class When(StrEnum):
    """When it is asked, with regard to a run."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Request:
    """A question to a web server. Its texts keep their references."""

    url: str
    headers: Mapping[str, str]
    status: int
    contains: str | None


@dataclass(frozen=True)
class Speed:
    """What a query may take."""

    ratio: float | None
    """How much longer than before the run."""
    at_most: float | None
    """Seconds."""
    runs: int


@dataclass(frozen=True)
class Assertion:
    """One of them: statements for a store, a request, or a command."""

    name: str
    kind: str
    """`check`, `query` or `probe`."""
    source: Source
    directory: Path
    store: str | None = None
    asks: tuple[Ask, ...] = ()
    request: Request | None = None
    command: tuple[str, ...] = ()
    expect: Expectation = field(default_factory=Expectation)
    when: frozenset[When] = frozenset({When.AFTER})
    phase: str = "data"
    """What it is about: `schema` or `data`."""
    stops: bool = True
    timeout: str = TIMEOUT
    speed: Speed | None = None

    @property
    def seconds(self) -> float:
        """How long one question may take."""
        return seconds_of(self.timeout)


def texts_with_references(document: Map) -> Iterator[tuple[Map, str]]:
    """Where references may stand in checks: each `http` and each header, as a mapping and a key of it."""
    for entry in (document.get("checks") or {}).values():
        if isinstance(entry, Map):
            if isinstance(entry.get("http"), str):
                yield entry, "http"
            headers = entry.get("headers")
            if isinstance(headers, Map):
                yield from ((headers, key) for key, value in headers.items() if isinstance(value, str))


def read(document: Map, directory: Path, problems: list[Problem]) -> list[Assertion]:
    """What a project declares in one environment; what is wrong with it is added to `problems`.

    Args:
        document: reconcile.yaml with the environment laid over it; it has passed its JSON Schema.
    """
    found: dict[str, Assertion] = {}
    for group, kind in GROUPS.items():
        entries: Map = document.get(group) or Map()
        for name, entry in entries.items():
            reader = _Reader(kind, name, entry or Map(source=entries.at(name)), document["stores"], directory, problems)
            made = list(reader.of_files()) if "files" in reader.entry else [reader.assertion()]
            for one in (a for a in made if a is not None):
                if (other := found.get(one.name)) is not None:
                    what = f'{kind} "{one.name}": there is a {other.kind} of that name ({other.source})'
                    problems.append(Problem(what, where=entries.at(name), hint="give each its own name"))
                found[one.name] = one
    return list(found.values())


class _Reader:
    """One entry being read."""

    def __init__(self, kind: str, name: str, entry: Map, stores: Map, directory: Path, problems: list[Problem]) -> None:
        self.kind, self.name, self.entry, self.stores = kind, name, entry, stores
        self.directory, self.problems = directory, problems
        self.source = entry.at()

    def problem(self, what: str, where: Source, hint: str | None = None) -> None:
        self.problems.append(Problem(f'{self.kind} "{self.name}": {what}', where=where, hint=hint))

    def assertion(self) -> Assertion | None:
        """What it says; None where that is reported."""
        entry, before = self.entry, len(self.problems)
        way = self._way()
        if way is None:
            return None
        store = entry.get("store") if way not in ("http", "command") else None
        asks = self._asks(way) if store is not None else ()
        self._misplaced(way)
        if len(self.problems) > before:
            return None
        when = entry.get("when", ["after"])
        return self._made(
            store,
            asks,
            self._request() if way == "http" else None,
            tuple(entry["command"]) if way == "command" else (),
            frozenset(map(When, [when] if isinstance(when, str) else when)),
        )

    def _made(
        self,
        store: str | None,
        asks: tuple[Ask, ...],
        request: Request | None = None,
        command: tuple[str, ...] = (),
        when: frozenset[When] = frozenset(When),
    ) -> Assertion:
        entry = self.entry
        return Assertion(
            self.name,
            self.kind,
            self.source,
            self.directory,
            store,
            asks,
            request,
            command,
            Expectation.of(entry["expect"]) if "expect" in entry else Expectation(),
            frozenset(When) if self.kind == "query" else when,
            entry.get("phase", "data" if self.kind == "check" else "schema"),
            entry.get("on_failure", "stop") == "stop",
            entry.get("timeout", TIMEOUT),
            self._speed(),
        )

    def _speed(self) -> Speed | None:
        if self.kind != "query" or not {"p95", "runs"} & self.entry.keys():
            return None
        limits = self.entry.get("p95") or {}
        most = limits.get("at_most")
        return Speed(limits.get("ratio"), None if most is None else seconds_of(most), self.entry.get("runs", RUNS))

    def of_files(self) -> Iterator[Assertion]:
        """Each statement of the files, by the file's name, and its line where there are several."""
        entry, store = self.entry, str(self.entry.get("store") or "")
        ways = [] if store not in self.stores else list(_ways(self.stores[store]["kind"]))
        if not ways:
            hint = meant(store, self.stores) if store else "write store: NAME"
            self.problem(f'there is no store "{store}"' if store else "says not which store", self.source, hint)
            return
        if wrong := next(
            (key for key in entry if key in (*all_ways(), "types", "filter", "using", "parameters")), None
        ):
            self.problem(f"has files and {wrong}", entry.at(wrong), "write the one or the other")
            return
        kind = package(self.stores[store]["kind"])
        assert isinstance(kind, Askable)
        for number, pattern in enumerate(entry["files"]):
            inside = not Path(pattern).is_absolute()
            paths = sorted(path for path in self.directory.glob(pattern) if path.is_file()) if inside else []
            if not paths:
                hint = "patterns are relative to the project folder"
                self.problem(f"{pattern} matches no file", entry["files"].at(number), hint)
            for path in paths:
                shown = path.relative_to(self.directory).as_posix()
                try:
                    found = kind.statements(path.read_text(encoding="utf-8"))
                except (OSError, UnicodeError) as error:
                    why = getattr(error, "strerror", None) or "it is not text"
                    self.problem(f"{shown} cannot be read: {why}", entry["files"].at(number))
                    continue
                for line, text in found:
                    self.source = Source(shown, line)
                    self.name = shown if len(found) == 1 else f"{shown}:{line}"
                    yield self._made(store, (Ask(ways[0], text, self.source),))

    def _way(self) -> str | None:
        """The key that says what is asked; None where there is not one, or not one of this store."""
        entry = self.entry
        ways = [key for key in entry if key in all_ways() or key in ("http", "command")]
        if self.kind != "check":
            ways = [key for key in ways if key in all_ways()]
        if len(ways) != 1:
            said = f"{ways[0]} and {ways[1]}" if ways else "nothing to ask"
            self.problem(f"has {said}", entry.at(ways[1]) if ways else self.source, f"write one of: {self._forms()}")
            return None
        way = ways[0]
        if way in ("http", "command"):
            return way
        if "store" not in entry:
            fits = [name for name, settings in self.stores.items() if way in _ways(settings["kind"])]
            hint = " or ".join(f"store: {name}" for name in fits) or f"no store of this project takes {way}"
            self.problem(f"says not which store {way} is for", entry.at(way), f"write {hint}")
            return None
        store = entry["store"]
        if store not in self.stores:
            self.problem(f'there is no store "{store}"', entry.value_at("store"), meant(store, self.stores))
            return None
        kind = self.stores[store]["kind"]
        if way not in _ways(kind):
            takes = " or ".join(f"{key}: …" for key in _ways(kind))
            fits = [name for name, settings in self.stores.items() if way in _ways(settings["kind"])]
            hint = f"write {takes}" + (f", or store: {' or '.join(fits)}" if fits else "")
            self.problem(f'store "{store}" takes no {way}: it is of kind {kind}', entry.at(way), hint)
            return None
        return way

    def _forms(self) -> str:
        own = ", ".join(f"{{store: NAME, {key}: …}}" for key in all_ways())
        return own if self.kind != "check" else f"{own}, {{http: URL}}, {{command: [PROGRAM, …]}}"

    def _misplaced(self, way: str) -> None:
        """Keys that mean nothing beside this one."""
        beside = {"http": {"status", "contains", "headers"}, "command": set[str]()}.get(way)
        if beside is None:
            beside = {"store", "expect", "p95", "runs", *_ways(self.stores[self.entry["store"]]["kind"])[way]}
        for key in self.entry:
            if key in OPTIONAL and key not in beside:
                self.problem(f"{key} has no meaning beside {way}", self.entry.at(key), "take it out")
        if self.kind == "check" and way in all_ways() and "expect" not in self.entry:
            self.problem("says not what is expected", self.entry.at(way), "write expect: VALUE, or {at_least: 1}")

    def _asks(self, way: str) -> tuple[Ask, ...]:
        entry, store = self.entry, self.entry["store"]
        kind = package(self.stores[store]["kind"])
        assert isinstance(kind, Askable)
        texts = entry[way] if isinstance(entry[way], Seq) else [entry[way]]
        if len(texts) > 1 and self.kind != "probe":
            self.problem("has several statements", entry.value_at(way), "one each; only a probe may have several")
            return ()
        options = {key: _plain(entry[key]) for key in kind.ways[way] if key in entry}
        places = [entry[way].at(n) if isinstance(entry[way], Seq) else entry.value_at(way) for n in range(len(texts))]
        asks = tuple(Ask(way, text, place, options) for text, place in zip(texts, places, strict=True))
        for ask in asks:
            if (fault := kind.fault(ask, writes=self.kind != "check")) is not None:
                self.problem(fault, ask.source)
        return asks

    def _request(self) -> Request:
        entry = self.entry
        return Request(entry["http"], dict(entry.get("headers") or {}), entry.get("status", 200), entry.get("contains"))


OPTIONAL = frozenset(
    ("store", "expect", "status", "contains", "headers", "parameters", "types", "filter", "using", "p95", "runs")
)
"""Keys that belong to some ways of asking only."""


def _ways(kind: str) -> Mapping[str, Any]:
    found = package(kind)
    return found.ways if isinstance(found, Askable) else {}


@cache
def all_ways() -> Sequence[str]:
    """Every key that a question to a store of any kind is written under."""
    return tuple(dict.fromkeys(way for kind in kinds() for way in _ways(kind)))


def _plain(value: Any) -> Json:
    """Without the places that YAML values carry: it goes to a server."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return float(value) if isinstance(value, float) else value


def chosen(assertions: Iterable[Assertion], when: When | None = None, phase: str | None = None) -> list[Assertion]:
    """Those that are asked then, and about that."""
    return [a for a in assertions if (when is None or when in a.when) and phase in (None, a.phase)]


def without_requests(checks: Map) -> Map:
    """`checks:` without the keys in which references are read."""
    result = Map(source=checks.at())
    for name, entry in checks.items():
        left = Map(source=entry.at()) if isinstance(entry, Map) else entry
        for key, value in entry.items() if isinstance(entry, Map) else ():
            if key not in ("http", "headers"):
                left.take(key, entry, value)
        result.take(name, checks, left)
    return result


def check_references(document: Map) -> Iterator[Problem]:
    """What is wrong with the references in requests."""
    for mapping, key in texts_with_references(document):
        yield from references.check(mapping[key], mapping.value_at(key))
