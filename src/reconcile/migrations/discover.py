"""The migrations of a folder, read whole: nothing of the application is imported, no server is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reconcile.errors import Problem
from reconcile.migrations import directives, neighbours, own, sections, wrappers
from reconcile.migrations.checksums import checksums
from reconcile.migrations.model import Folder, Layout, Migration, Verification
from reconcile.migrations.wrappers import Wrapper
from reconcile.model import Source
from reconcile.stores.migrating import Script, Scripted

_DATED = re.compile(r"(\d{4}-\d{2}-\d{2}-\d+)-(.+)\Z")
_UP_DOWN = re.compile(r"([Vv]?\d+(?:\.\d+)*)[-_]{1,2}(.+)[-_.](up|down)\Z", re.IGNORECASE)
_NUMBERED = re.compile(r"([Vv]\d+(?:[._]\d+)*(?=__)|[Vv]?\d+(?:\.\d+)*)[-_]{1,2}(.+)\Z")
_UNDO = re.compile(r"[Uu](\d+(?:[._]\d+)*)__.+\Z")
"""The way back of V1__name.sql, as Flyway calls it."""
_REPEATED = re.compile(r"[Rr]\d*__.+\Z")
"""What Flyway runs whenever it changes."""
_PATTERNS = {Layout.DATED: _DATED, Layout.UP_DOWN: _UP_DOWN, Layout.NUMBERED: _NUMBERED}
"""By the name without its ending; the more exact first, since a date is a number too."""
OWN = (".yaml", ".yml", ".py")


def layout(names: Sequence[str], suffixes: Sequence[str]) -> Layout | None:
    """Which layout the files of a folder have: the first that most of them fit; None where none does."""
    stems = [stem for name in names if (stem := _stem(name, (*suffixes, *OWN))) is not None]
    counts = {kind: sum(pattern.match(stem) is not None for stem in stems) for kind, pattern in _PATTERNS.items()}
    best = max(counts, key=lambda kind: counts[kind])
    return best if counts[best] else None


def _stem(name: str, suffixes: Sequence[str]) -> str | None:
    return next((name[: -len(s)] for s in suffixes if name.lower().endswith(s)), None)


def names(directory: Path, folder: Folder) -> list[str]:
    """The files of a folder by name.

    Raises:
        OSError: it cannot be read.
    """
    return sorted(p.name for p in (directory / folder.folder).iterdir() if p.is_file() and p.name[0] not in "._")


def discover(
    directory: Path, folder: Folder, package: Scripted, problems: list[Problem], told: list[str]
) -> list[Migration]:
    """The migrations of a folder in no order; what is wrong goes to `problems`, what is worth saying to `told`.

    Args:
        directory: the project's.
    """
    try:
        files = names(directory, folder)
    except OSError as error:
        what = f'migrations "{folder.name}": folder {folder.folder} cannot be read: {error.strerror or error}'
        problems.append(Problem(what, where=folder.source))
        return []
    suffixes = package.script_suffixes
    kind = folder.layout or layout(files, suffixes)
    if kind is None:
        if (strange := neighbours.of_folder(directory / folder.folder)) is not None:
            what = f'migrations "{folder.name}": {folder.folder}: {strange[0]}'
            problems.append(Problem(what, where=folder.source, hint=strange[1]))
        elif any(_stem(name, suffixes) is not None for name in files):
            patterns = "; ".join(f"{k.value}: {k.pattern}" for k in Layout)
            what = f'migrations "{folder.name}": no file of {folder.folder} is called as a migration is'
            problems.append(Problem(what, where=folder.source, hint=patterns))
        return []
    reader = _Reader(directory, folder, kind, package, problems)
    found = []
    downs: dict[str, str] = {}
    for name in files:
        match = _match(name, kind, (*suffixes, *OWN) if kind is Layout.NUMBERED else suffixes)
        if match is None:
            stem = _stem(name, suffixes)
            if stem is not None and (undo := _UNDO.match(stem)) is not None:
                downs[f"V{undo[1]}"] = name
            elif stem is not None:
                told.append(f"{folder.folder}/{name} {_left_alone(stem, kind)}")
        elif kind is Layout.UP_DOWN and match[3].lower() == "down":
            downs[match[1]] = name
        else:
            found.append(migration) if (migration := reader.read(name, match[1], match[2])) is not None else None
    found = [reader.with_down(m, downs.pop(m.number, None)) for m in found]
    for number, name in downs.items():
        where = Source(f"{folder.folder}/{name}", 1)
        problems.append(Problem(f"is the way back of {number}, which has no way up", where=where))
    if folder.wrappers is not None:
        found = _wrapped(directory, folder, found, problems, told)
    return [replace(m, permits=(*m.permits, *folder.permits.get(_number(m, folder), ()))) for m in found]


def _left_alone(stem: str, kind: Layout) -> str:
    if _REPEATED.match(stem):
        return "is to run whenever it changes, and is left alone: declare in YAML what it makes"
    return f"is not called as the layout {kind.value} has it, and is left alone"


def _number(migration: Migration, folder: Folder) -> str:
    """As which reconcile.yaml names it under `allow:`."""
    return next((n for n in folder.permits if n in migration.keys), migration.number)


def _match(name: str, kind: Layout, suffixes: Sequence[str]) -> re.Match[str] | None:
    stem = _stem(name, suffixes)
    return None if stem is None else _PATTERNS[kind].match(stem)


class _Reader:
    """Reads the files of one folder."""

    def __init__(
        self, directory: Path, folder: Folder, kind: Layout, package: Scripted, problems: list[Problem]
    ) -> None:
        self.directory, self.folder, self.kind, self.package, self.problems = directory, folder, kind, package, problems

    def read(self, name: str, number: str, title: str) -> Migration | None:
        """One file as a migration; None where it cannot be read."""
        file = f"{self.folder.folder}/{name}"
        text = self._text(file)
        if text is None:
            return None
        data, content = text
        base = Migration(
            self.folder,
            number,
            tuple(int(n) for n in re.findall(r"\d+", number)),
            re.sub(r"[-_]+", " ", title),
            file,
            self.directory / file,
            Source(file, 1),
            Script(()),
            None,
            checksums(data),
            folder_layout=self.kind,
        )
        if name.lower().endswith((".yaml", ".yml")):
            return own.from_yaml(base, content, self.package, self.problems)
        if name.lower().endswith(".py"):
            return own.from_python(base, content, self.problems)
        script = self.package.script(content)
        up, down = sections.split(content, script.comments)
        return replace(
            base,
            up=script if down is None else self.package.script(up),
            down=None if down is None else self.package.script(down),
            down_file=None if down is None else file,
            description=directives.description(script.comments),
            depends_on=tuple(directives.depends_on(script.comments, file)),
            permits=tuple(directives.permits(script.comments, file, self.problems)),
            verify=tuple(directives.verifications(script.comments, file, self.package.reads_only)),
            notes=script.notes,
        )

    def with_down(self, migration: Migration, name: str | None) -> Migration:
        """A migration with the file of its way back."""
        if name is None or (text := self._text(f"{self.folder.folder}/{name}")) is None:
            return migration
        file = f"{self.folder.folder}/{name}"
        script = self.package.script(text[1])
        return replace(
            migration,
            down=script,
            down_file=file,
            permits=(*migration.permits, *directives.permits(script.comments, file, self.problems)),
        )

    def _text(self, file: str) -> tuple[bytes, str] | None:
        try:
            data = (self.directory / file).read_bytes()
            return data, data.decode("utf-8-sig")
        except OSError as error:
            self.problems.append(Problem(f"cannot be read: {error.strerror or error}", where=Source(file, 1)))
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            self.problems.append(
                Problem(
                    f"byte 0x{data[error.start]:02x} is not UTF-8", where=Source(file, line), hint="save it as UTF-8"
                )
            )
        return None


def _wrapped(
    directory: Path, folder: Folder, found: list[Migration], problems: list[Problem], told: list[str]
) -> list[Migration]:
    """The migrations with what their Python wrappers say."""
    place = directory / (folder.wrappers or "")
    try:
        files = sorted(p for p in place.rglob("*.py") if p.is_file())
    except OSError:
        files = []
    if not place.is_dir():
        what = f'migrations "{folder.name}": there is no folder {folder.wrappers}'
        problems.append(Problem(what, where=folder.source))
    by_file = {m.path.name: m for m in found}
    taken: dict[str, Wrapper] = {}
    for path in files:
        for wrapper in wrappers.read(path, path.relative_to(directory).as_posix(), problems):
            target = _target(wrapper, by_file, folder, problems, told)
            if target is None:
                continue
            if (other := taken.get(target.path.name)) is not None:
                what = f"wraps {target.file}, as {other.source} does"
                problems.append(Problem(what, where=wrapper.source, hint="keep one of them"))
            taken[target.path.name] = wrapper
    return [_with(m, taken[m.path.name]) if m.path.name in taken else m for m in found]


def _target(
    wrapper: Wrapper, by_file: Mapping[str, Migration], folder: Folder, problems: list[Problem], told: list[str]
) -> Migration | None:
    if wrapper.sql_file is None:
        told.append(f"{wrapper.source}: names no sql_file: what it does in Python is left to the application")
        return None
    target = by_file.get(wrapper.sql_file)
    if target is None:
        what = f"wraps {wrapper.sql_file}, which is not in {folder.folder}"
        problems.append(Problem(what, where=wrapper.source))
    elif wrapper.number is not None and wrapper.number not in target.keys and not _same(wrapper.number, target):
        what = f"says number {wrapper.number}, but its file is {target.file}"
        problems.append(Problem(what, where=wrapper.source))
    return target


def _same(number: str, target: Migration) -> bool:
    return tuple(int(n) for n in re.findall(r"\d+", number)) == target.order


def _with(migration: Migration, wrapper: Wrapper) -> Migration:
    verify = migration.verify
    if wrapper.verifies:
        own_one = Verification(wrapper.label, wrapper.source, code=wrapper.verify, unrunnable=wrapper.unrunnable)
        verify = (*verify, own_one)
    return replace(
        migration,
        description=migration.description or wrapper.description,
        depends_on=(*migration.depends_on, *((d, wrapper.source) for d in wrapper.depends_on)),
        verify=verify,
    )


def lines(found: Sequence[Migration]) -> Iterator[str]:
    """What is worth saying of files: their own BEGIN and COMMIT."""
    for migration in found:
        yield from (f"{migration.file}: {note}" for note in migration.notes)
