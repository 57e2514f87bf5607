"""YAML 1.2 core with a place for every value: the reader of all files. Writing is in `yamldump`.

PyYAML's scanner gives events; the values are built here, because its own constructors follow YAML 1.1 (`on`
is true, `1:20` is 80, dates are dates) and lose the places. Rules: docs page "format", section "Reader".

- true|false, null|~|empty, decimal integers and floats; everything else is text, every key is text as written
- merge keys (`<<: *shared`) are read, since sharing columns needs them: keys written out win
- aliases are copied; tags, duplicate keys, and a comma that splits SQL in `{…}` or `[…]` are problems
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from reconcile.errors import Problem, ProjectError
from reconcile.model import Source
from reconcile.yamlerrors import syntax_problem
from reconcile.yamlvalues import BEGIN, Float, Map, Places, Seq, merge

__all__ = ["Float", "Map", "Seq", "merge", "parse", "read_documents"]

MAX_DEPTH = 64
"""Levels of nesting; a schema needs about ten, and recursion over values must not end in a crash."""
MAX_ALIASED = 100_000
"""Values that may come from aliases in one file: more is an attack or a mistake."""
MAX_DIGITS = 400

_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")
_MAYBE = frozenset("-+.0123456789tfn~")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COMMENT = re.compile(r"#[^\r\n]*")
_SHORT = 24
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")


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


class _Stop(Exception):
    """The rest of the file cannot be read; the problem is already noted."""


class _Builder:
    """Events to values; how deep it goes is limited, since a file may be nested as deep as its author is hostile."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.places = Places(file)
        self.problems: list[Problem] = []
        self.next_event: Callable[[], Any] = lambda: None
        self.brackets: list[int] = []
        """The lines of the brackets that are open, outermost first."""
        self.anchors: dict[str, Any] = {}
        self.anchors_open: set[str] = set()
        self.aliased = 0
        self.shared: dict[str, str] = {}
        """Each key and short value once: the same few stand in every table."""
        self.roots: list[tuple[Any, Source]] = []

    def documents(self) -> list[Map]:
        try:
            self._read()
        except _Stop:
            pass
        except yaml.MarkedYAMLError as error:
            self.problems.append(syntax_problem(error, self.text, self.file, next(iter(self.brackets), None)))
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
        # libyaml, or its Python twin where the wheel lacks it.
        parser: Any = yaml.CSafeLoader(self.text) if yaml.__with_libyaml__ else yaml.SafeLoader(self.text)
        self.next_event = parser.get_event
        try:
            while (event := parser.get_event()) is not None:
                if isinstance(event, yaml.NodeEvent):
                    mark: Any = event.start_mark
                    self.roots.append((self._value(event, 0), Source(self.file, mark.line + 1, mark.column + 1)))
                elif isinstance(event, yaml.DocumentStartEvent):
                    self.anchors.clear()  # an alias sees its own document only
        finally:
            parser.dispose()

    def _value(self, event: Any, depth: int) -> Any:
        """The value that begins with `event`, inside `depth` mappings and lists."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            return self._scalar(event)
        if kind is yaml.AliasEvent:
            return self._copy(self._anchored(event), event.start_mark, depth)
        if event.tag is not None and event.tag != "!":
            self._tag(event)
        if depth >= MAX_DEPTH:
            self._problem(event.start_mark, f"is nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        if event.anchor:
            self.anchors_open.add(event.anchor)
        if event.flow_style:
            self.brackets.append(event.start_mark.line + 1)
        value = (self._mapping if kind is yaml.MappingStartEvent else self._list)(event, depth + 1)
        if event.flow_style:
            self.brackets.pop()
        if event.anchor:
            self.anchors_open.discard(event.anchor)
            self.anchors[event.anchor] = value
        return value

    def _mapping(self, start: Any, depth: int) -> Map:
        scalar, end, next_event, share = yaml.ScalarEvent, yaml.MappingEndEvent, self.next_event, self.shared.setdefault
        flow = start.flow_style
        target = Map()
        marks: list[int] = []
        merged: list[Map] = []
        position = 0
        torn: Any = None
        while type(event := next_event()) is not end:
            key = self._key(event)
            key = share(key, key)
            inner = next_event()
            if type(inner) is scalar:
                if flow and inner.implicit[0]:
                    torn = self._torn(inner, event, torn)
                value = self._scalar(inner)
            else:
                value = self._value(inner, depth)
            if key == "<<" and event.implicit[0]:
                if merged:
                    self._problem(event.start_mark, '"<<" is there twice', "write one: `<<: [*a, *b]`")
                merged, position = merged or self._merged(value, event.start_mark), len(target)
            elif key in target:
                first = marks[2 * list(target).index(key)] >> 32
                self._problem(event.start_mark, f'key "{key}" is already on line {first}', "keep one of the two")
            else:
                target[key] = value
                mark, inside = event.start_mark, inner.start_mark
                marks.append((mark.line << 32) + mark.column + BEGIN)
                marks.append((inside.line << 32) + inside.column + BEGIN)
        mark = start.start_mark
        target._places, target._first, target._keys = (
            self.places, self.places.add((mark.line << 32) + mark.column + BEGIN, marks), None,
        )  # fmt: skip
        return _with_merged(target, merged, position) if merged else target

    def _list(self, start: Any, depth: int) -> Seq:
        scalar, end, next_event = yaml.ScalarEvent, yaml.SequenceEndEvent, self.next_event
        target = Seq()
        marks: list[int] = []
        torn: Any = None
        while type(event := next_event()) is not end:
            if type(event) is scalar:
                if start.flow_style and event.implicit[0]:
                    torn = self._torn(event, None, torn)
                value = self._scalar(event)
            else:
                value = self._value(event, depth)
            target.append(value)
            mark = event.start_mark
            marks.append((mark.line << 32) + mark.column + BEGIN)
        mark = start.start_mark
        target._places, target._first, target._count = (
            self.places, self.places.add((mark.line << 32) + mark.column + BEGIN, marks), len(marks),
        )  # fmt: skip
        return target

    def _key(self, event: Any) -> str:
        """The text of a key.

        Raises:
            _Stop: it is none.
        """
        if type(event) is not yaml.ScalarEvent:
            if type(event) is yaml.AliasEvent:
                self._anchored(event)
            elif event.tag is not None and event.tag != "!":
                self._tag(event)
            hint = "write it out" if type(event) is yaml.AliasEvent else "write it in quotes"
            self._problem(event.start_mark, "a key must be text", hint)
            raise _Stop
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._tag(event)
        if event.anchor:
            self.anchors[event.anchor] = event.value
        text: str = event.value
        return text

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._tag(event)
        if not event.implicit[0] or event.tag is not None or (text and text[0] not in _MAYBE):
            value: Any = self.shared.setdefault(text, text) if len(text) <= _SHORT else text
        else:
            value = self._plain(text, event)
        if event.anchor:
            self.anchors[event.anchor] = value
        return value

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

    def _torn(self, event: Any, key: Any, before: Any) -> Any:
        """Find SQL that a comma has torn apart: `{type: numeric(10,2)}`, `[lower(a, b)]`.

        Args:
            before: the last plain scalar of the same brackets whose parentheses do not close.

        Returns:
            the same after this one.
        """
        text = event.value
        if text and "(" not in text and ")" not in text:
            return before
        if key is not None and not text:
            between = self.text[key.end_mark.index : event.start_mark.index]
            if ":" not in _COMMENT.sub("", between):
                start = (before or key).start_mark
                whole = self.text[start.index : key.end_mark.index]
                quoted = f': "{whole}"' if before and '"' not in whole and "\n" not in whole else ""
                self._problem(
                    key.start_mark,
                    f'"{key.value}" has no colon and no value',
                    f"a comma splits this; write the SQL in quotes{quoted}",
                )
                return None
        opens, closes = text.count("("), text.count(")")
        if opens > closes:
            return event
        if closes > opens and before is not None and key is None:
            whole = self.text[before.start_mark.index : event.end_mark.index]
            self._problem(before.start_mark, f"{whole} is two items", "a comma splits this; write the SQL in quotes")
            return None
        return before

    def _tag(self, event: Any) -> None:
        shown = event.tag.replace("tag:yaml.org,2002:", "!!")
        self._problem(event.start_mark, f"tags are not read: {shown}", "leave it out; quotes make a value text")

    def _merged(self, value: Any, mark: Any) -> list[Map]:
        """What `<<` brings."""
        parts = value if isinstance(value, Seq) else [value]
        if all(isinstance(part, Map) for part in parts):
            return list(parts)
        self._problem(mark, '"<<" takes keys and values, or a list of such', "as in `<<: *shared`")
        return []

    def _anchored(self, event: Any) -> Any:
        """What an alias stands for.

        Raises:
            _Stop: nothing, or what is not complete yet.
        """
        name, mark = event.anchor, event.start_mark
        if name in self.anchors_open:
            self._problem(mark, f"*{name} refers to itself")
            raise _Stop
        if name not in self.anchors:
            self._problem(
                mark, f"*{name} refers to nothing: no &{name} above it", "write text that begins with * in quotes"
            )
            raise _Stop
        return self.anchors[name]

    def _copy(self, value: Any, mark: Any, depth: int) -> Any:
        self.aliased += 1
        if self.aliased > MAX_ALIASED:
            self._problem(mark, f"aliases unfold to more than {MAX_ALIASED} values", "write less with &…")
            raise _Stop
        if depth > MAX_DEPTH:
            self._problem(mark, f"is nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        copied: Map | Seq
        if isinstance(value, Map):
            copied = Map({key: self._copy(inner, mark, depth + 1) for key, inner in value.items()})
            copied._keys = value._keys
        elif isinstance(value, Seq):
            copied = Seq(self._copy(inner, mark, depth + 1) for inner in value)
            copied._count = value._count
        else:
            return value
        copied._places, copied._first = value._places, value._first
        return copied


def _with_merged(target: Map, merged: list[Map], position: int) -> Map:
    """`target` with what `<<` brings where that stands; keys written out win, and the first of several."""
    result = Map(source=target.at())
    own = list(target)
    for key in own[:position]:
        result.take(key, target, target[key])
    for part in merged:
        for key, value in part.items():
            if key not in target and key not in result:
                result.take(key, part, value)
    for key in own[position:]:
        result.take(key, target, target[key])
    return result


def _noun(value: object) -> str:
    return "a list" if isinstance(value, list) else "text" if isinstance(value, str) else f"{value}"
