"""YAML 1.2 core with a place for every value: the reader of all files. Writing is in `yamldump`.

PyYAML's scanner gives events; the values are built here, because its own constructors follow YAML 1.1 (`on`
is true, `1:20` is 80, dates are dates) and lose the places. Rules: docs page "format", section "Reader".

- true|false, null|~|empty, decimal integers and floats; everything else is text, every key is text as written
- merge keys (`<<: *shared`) are read, since sharing columns needs them: keys written out win
- aliases are copied; tags, duplicate keys, and a comma that splits SQL in `{…}` or `[…]` are problems
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from reconcile.errors import Problem, ProjectError
from reconcile.model import Source
from reconcile.yamldump import dump
from reconcile.yamlerrors import syntax_problem

__all__ = ["Float", "Map", "Seq", "dump", "merge", "parse", "read_documents"]

MAX_DEPTH = 64
"""Levels of nesting; a schema needs about ten, and recursion over values must not end in a crash."""
MAX_ALIASED = 100_000
"""Values that may come from aliases in one file: more is an attack or a mistake."""
MAX_DIGITS = 400

_Mark: TypeAlias = tuple[int, int]
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_MAYBE = frozenset("-+.0123456789tfn~")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COMMENT = re.compile(r"#[^\r\n]*")
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")


class Float(float):
    """A float whose `str()` is what the file says: `1.10` stays `1.10` where it becomes SQL."""

    text: str

    def __str__(self) -> str:
        return self.text


class Map(dict[str, Any]):
    """A mapping in declared order that knows where it, its keys and its values are written.

    Values are `Map`, `Seq`, str, bool, int, float or None.
    """

    __slots__ = ("_file", "_marks", "_start")

    def __init__(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), *, source: Source | None = None):
        super().__init__(items)
        self._file = source.file if source else ""
        self._start: _Mark = (source.line, source.column) if source else (1, 1)
        self._marks: dict[str, tuple[str, _Mark, _Mark]] = {}

    def at(self, key: str | None = None) -> Source:
        """Where the key is written; without a key, or for one that is absent, where the mapping begins."""
        if key is None or key not in self._marks:
            return Source(self._file, *self._start)
        file, mark, _ = self._marks[key]
        return Source(file, *mark)

    def value_at(self, key: str) -> Source:
        """Where the value of the key is written; for an absent key, where the mapping begins."""
        if key not in self._marks:
            return Source(self._file, *self._start)
        file, _, mark = self._marks[key]
        return Source(file, *mark)

    def take(self, key: str, origin: Map, value: Any) -> None:
        """Set `key` to `value`, which is written where `origin` has the key."""
        self[key] = value
        if key in origin._marks:
            self._marks[key] = origin._marks[key]


class Seq(list[Any]):
    """A list that knows where it and its items are written."""

    __slots__ = ("_file", "_marks", "_start")

    def __init__(self, items: Iterable[Any] = (), *, source: Source | None = None):
        super().__init__(items)
        self._file = source.file if source else ""
        self._start: _Mark = (source.line, source.column) if source else (1, 1)
        self._marks: list[_Mark] = []

    def at(self, index: int | None = None) -> Source:
        """Where the item is written; without an index, or for one that is absent, where the list begins."""
        if index is None or not -len(self._marks) <= index < len(self._marks):
            return Source(self._file, *self._start)
        return Source(self._file, *self._marks[index])


def merge(base: Map, over: Map) -> Map:
    """`base` with `over` laid upon it, mappings key by key; a null in `over` takes the key away."""
    result = Map(source=base.at())
    for key, value in base.items():
        result.take(key, base, value)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
            continue
        below = result.get(key)
        result.take(key, over, merge(below, value) if isinstance(below, Map) and isinstance(value, Map) else value)
    return result


def read_documents(path: Path, shown_as: str) -> list[Map]:
    """The documents of a file, empty ones left out.

    Args:
        shown_as: the path as messages and sources name it.

    Raises:
        ProjectError: the file cannot be read or holds problems; all of them.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ProjectError(
            [Problem(f"cannot be read: {error.strerror or error}", where=Source(shown_as, 1))]
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        where = _place(before, len(before), shown_as)
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in data[:4]
        found = "looks like UTF-16" if wide else f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise ProjectError([Problem(found, where=where, hint="save the file as UTF-8")]) from error
    return parse(text, shown_as)


def parse(text: str, shown_as: str) -> list[Map]:
    """The documents in `text`; see `read_documents`.

    Raises:
        ProjectError: all problems.
    """
    text = text.removeprefix("\ufeff")
    if bad := _UNPRINTABLE.search(text):
        where = _place(text, bad.start(), shown_as)
        raise ProjectError(
            [Problem(f"character U+{ord(bad[0]):04X} cannot be in a YAML file", where=where,
                     hint='take it out, or write it as an escape such as "\\x07" in double quotes')]
        )  # fmt: skip
    return _Builder(text, shown_as).documents()


def _place(text: str, index: int, file: str) -> Source:
    breaks = [m.end() for m in _BREAK.finditer(text, 0, index)]
    return Source(file, len(breaks) + 1, index - (breaks[-1] if breaks else 0) + 1)


@dataclass(slots=True)
class _Frame:
    """A mapping or list being read."""

    value: Map | Seq
    flow: bool
    anchor: str | None
    key: str | None = None
    key_event: Any = None
    merged: list[Map] = field(default_factory=list)
    merge_position: int = 0
    open_text: Any = None
    """The last plain scalar in flow style whose parentheses do not close: a comma has split it."""


class _Stop(Exception):
    """The rest of the file cannot be read; the problem is already noted."""


class _Builder:
    """Events to values, without recursion: a file may be nested as deep as its author is hostile."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.problems: list[Problem] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, Any] = {}
        self.anchors_open: set[str] = set()
        self.aliased = 0
        self.roots: list[tuple[Any, Source]] = []

    def documents(self) -> list[Map]:
        try:
            self._read()
        except _Stop:
            pass
        except yaml.MarkedYAMLError as error:
            bracket = next((frame.value._start[0] for frame in self.stack if frame.flow), None)
            self.problems.append(syntax_problem(error, self.text, self.file, bracket))
        except (yaml.YAMLError, UnicodeError) as error:
            self._problem(None, f"is not YAML: {' '.join(str(error).split())}")
        except ValueError as error:  # chr() of an escape such as "\UFFFFFFFF" in the Python twin
            self._problem(None, f"holds a wrong escape: {error}")
        found = []
        for value, where in self.roots:
            if isinstance(value, Map):
                found.append(value)
            elif value is not None:
                self.problems.append(
                    Problem(f"expected keys and values, got {_noun(value)}", where=where,
                            hint="a document begins with a key such as `store: NAME`")
                )  # fmt: skip
        if self.problems:
            raise ProjectError(self.problems)
        return found

    def _problem(self, mark: Any, what: str, hint: str | None = None) -> None:
        where = Source(self.file, mark.line + 1, mark.column + 1) if mark is not None else Source(self.file, 1)
        self.problems.append(Problem(what, where=where, hint=hint))

    def _read(self) -> None:
        scalar_event, map_end, seq_end = yaml.ScalarEvent, yaml.MappingEndEvent, yaml.SequenceEndEvent
        # libyaml, or its Python twin where the wheel lacks it.
        parser: Any = yaml.CSafeLoader(self.text) if yaml.__with_libyaml__ else yaml.SafeLoader(self.text)
        next_event = parser.get_event
        try:
            while (event := next_event()) is not None:
                kind = type(event)
                if kind is scalar_event:
                    self._scalar(event)
                elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                    self._open(event, kind is yaml.MappingStartEvent)
                elif kind is map_end or kind is seq_end:
                    self._close()
                elif kind is yaml.AliasEvent:
                    self._alias(event)
                elif kind is yaml.DocumentStartEvent:
                    self.anchors.clear()  # an alias sees its own document only
        finally:
            parser.dispose()

    def _scalar(self, event: Any) -> None:
        text: str = event.value
        frame = self.stack[-1] if self.stack else None
        if event.tag is not None and event.tag not in ("!", "tag:yaml.org,2002:str"):
            self._tag(event)
        if frame is not None and frame.key_event is None and type(frame.value) is Map:
            if event.anchor:
                self.anchors[event.anchor] = text
            frame.key, frame.key_event = text, event
            return
        if not event.implicit[0] or event.tag is not None:
            value: Any = text
        elif text and text[0] not in _MAYBE:
            value = text
        else:
            value = self._plain(text, event)
        if frame is not None and frame.flow and event.implicit[0] and (not text or "(" in text or ")" in text):
            self._split(frame, event, text)
        if event.anchor:
            self.anchors[event.anchor] = value
        self._put(value, event.start_mark)

    def _plain(self, text: str, event: Any) -> Any:
        """A plain scalar by the core rules."""
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.match(text):
            if len(text) <= MAX_DIGITS:
                return int(text)
        elif _FLOAT.match(text):
            number = Float(text)
            if number - number == 0:
                number.text = text
                return number
        else:
            return text
        self._problem(event.start_mark, "is too large for a number", "write it in quotes")
        return text

    def _split(self, frame: _Frame, event: Any, text: str) -> None:
        """Find SQL that a comma has torn apart: `{type: numeric(10,2)}`, `[lower(a, b)]`."""
        key = frame.key_event
        if key is not None and not text:
            between = self.text[key.end_mark.index : event.start_mark.index]
            if ":" not in _COMMENT.sub("", between):
                start = (frame.open_text or key).start_mark
                whole = self.text[start.index : key.end_mark.index]
                quoted = f': "{whole}"' if frame.open_text and '"' not in whole and "\n" not in whole else ""
                self._problem(
                    key.start_mark,
                    f'"{frame.key}" has no colon and no value',
                    f"a comma splits this; write the SQL in quotes{quoted}",
                )
                frame.open_text = None
                return
        opens, closes = text.count("("), text.count(")")
        if opens > closes:
            frame.open_text = event
        elif closes > opens and frame.open_text is not None and key is None:
            whole = self.text[frame.open_text.start_mark.index : event.end_mark.index]
            self._problem(
                frame.open_text.start_mark, f"{whole} is two items", "a comma splits this; write the SQL in quotes"
            )
            frame.open_text = None

    def _tag(self, event: Any) -> None:
        shown = event.tag.replace("tag:yaml.org,2002:", "!!")
        self._problem(event.start_mark, f"tags are not read: {shown}", "leave it out; quotes make a value text")

    def _open(self, event: Any, mapping: bool) -> None:
        mark = event.start_mark
        if event.tag is not None and event.tag != "!":
            self._tag(event)
        if self.stack and type(self.stack[-1].value) is Map and self.stack[-1].key_event is None:
            self._problem(mark, "a key must be text", "write it in quotes")
            raise _Stop
        if len(self.stack) >= MAX_DEPTH:
            self._problem(mark, f"is nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        source = Source(self.file, mark.line + 1, mark.column + 1)
        value: Map | Seq = Map(source=source) if mapping else Seq(source=source)
        if event.anchor:
            self.anchors_open.add(event.anchor)
        self.stack.append(_Frame(value, bool(event.flow_style), event.anchor))

    def _close(self) -> None:
        frame = self.stack.pop()
        if frame.merged:
            self._merge_in(frame)
        if frame.anchor:
            self.anchors_open.discard(frame.anchor)
            self.anchors[frame.anchor] = frame.value
        self._put(frame.value, None)

    def _put(self, value: Any, mark: Any) -> None:
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
        else:
            line, column = value._start
        if not self.stack:
            self.roots.append((value, Source(self.file, line, column)))
            return
        frame = self.stack[-1]
        target = frame.value
        if type(target) is Seq:
            target.append(value)
            target._marks.append((line, column))
            return
        assert type(target) is Map and frame.key is not None
        key, key_mark = frame.key, frame.key_event.start_mark
        plain_key = frame.key_event.implicit[0]
        frame.key = frame.key_event = None
        if key == "<<" and plain_key:
            self._merge_later(frame, value, key_mark)
        elif key in target:
            first = target.at(key).line
            self._problem(key_mark, f'key "{key}" is already on line {first}', "keep one of the two")
        else:
            target[key] = value
            target._marks[key] = (self.file, (key_mark.line + 1, key_mark.column + 1), (line, column))

    def _merge_later(self, frame: _Frame, value: Any, mark: Any) -> None:
        parts = value if isinstance(value, Seq) else [value]
        if frame.merged:
            self._problem(mark, '"<<" is there twice', "write one: `<<: [*a, *b]`")
        elif not all(isinstance(part, Map) for part in parts):
            self._problem(mark, '"<<" takes keys and values, or a list of such', "as in `<<: *shared`")
        else:
            frame.merged, frame.merge_position = list(parts), len(frame.value)

    def _merge_in(self, frame: _Frame) -> None:
        """Put what `<<` brings where it stands; keys written out win, and the first of several."""
        target = frame.value
        assert isinstance(target, Map)
        own = list(target.items())
        target.clear()
        for key, value in own[: frame.merge_position]:
            target[key] = value
        written = dict(own)
        for part in frame.merged:
            for key, value in part.items():
                if key not in written and key not in target:
                    target.take(key, part, value)
        for key, value in own[frame.merge_position :]:
            target[key] = value

    def _alias(self, event: Any) -> None:
        name, mark = event.anchor, event.start_mark
        if name in self.anchors_open:
            self._problem(mark, f"*{name} refers to itself")
            raise _Stop
        if name not in self.anchors:
            self._problem(
                mark, f"*{name} refers to nothing: no &{name} above it", "write text that begins with * in quotes"
            )
            raise _Stop
        value = self.anchors[name]
        if self.stack and type(self.stack[-1].value) is Map and self.stack[-1].key_event is None:
            self._problem(mark, "a key must be text", "write it out")
            raise _Stop
        self._put(self._copy(value, mark, len(self.stack)), mark)

    def _copy(self, value: Any, mark: Any, depth: int) -> Any:
        self.aliased += 1
        if self.aliased > MAX_ALIASED:
            self._problem(mark, f"aliases unfold to more than {MAX_ALIASED} values", "write less with &…")
            raise _Stop
        if depth > MAX_DEPTH:
            self._problem(mark, f"is nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        if isinstance(value, Map):
            copied = Map(source=value.at())
            for key, inner in value.items():
                copied.take(key, value, self._copy(inner, mark, depth + 1))
            return copied
        if isinstance(value, Seq):
            listed = Seq((self._copy(inner, mark, depth + 1) for inner in value), source=value.at())
            listed._marks = list(value._marks)
            return listed
        return value


def _noun(value: object) -> str:
    return "a list" if isinstance(value, list) else "text" if isinstance(value, str) else f"{value}"
