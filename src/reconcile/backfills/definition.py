"""`backfills:` of a store's YAML as resources. The JSON Schema has checked shapes; what spans keys is checked here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import field as attribute
from typing import TYPE_CHECKING, Any

from reconcile.backfills import KIND, rules
from reconcile.errors import ReconcileError
from reconcile.model import Address, Json, Resource, Source, Wait
from reconcile.stores.filling import HasBackfills, KeyNames, Wanted

if TYPE_CHECKING:
    from reconcile.stores.base import Context
    from reconcile.yamlio import Map

SCHEMA = "backfills.schema.json"
RESTORE = "restore"
"""`down: restore`: what rows held is put back."""
FORMS = ("statement", "rules", "copy", "function", "command", "program")
"""What is done to the rows: exactly one of them."""
TARGETS = ("table", "label", "collection")
"""Kinds of places that rows of another store are put into."""
_TOLD = ("description", "depends_on", "workers", "cluster")
"""What does not change what a backfill does."""


class Backfill(Resource):
    """A declared backfill; one that the ledger knows as done stands for itself among what is live."""

    digest: str = ""
    """Of the definition and of the files it names."""
    definition: Json = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Definition:
    """A backfill as its step has it."""

    address: Address
    select: Json
    key: KeyNames | None = None
    fields: Mapping[str, str] = attribute(default_factory=dict)
    statement: str | None = None
    rules: rules.Table | None = None
    copy: Mapping[str, str] | None = None
    """By field to set the field it comes from."""
    function: str | None = None
    command: Json = None
    program: Json = None
    """What does it whole, by itself."""
    into: str | None = None
    into_key: KeyNames | None = None
    collection: str | None = None
    once: bool = False
    batch: int = 500
    part: int | None = None
    """The range that this process does, of those that several share."""
    workers: int | None = None
    """Processes that share its ranges of keys."""
    cluster: str | None = None
    """The scheduler of a Dask cluster whose workers do."""
    rate: float | None = None
    cost: float = 0.0
    """Of one row, in whatever unit the limits are in."""
    limits: Mapping[str, Mapping[str, float]] = attribute(default_factory=dict)
    """`run` and `day`: rows, batches, cost."""
    verify: Sequence[Mapping[str, Json]] = ()
    metrics: Mapping[str, str] = attribute(default_factory=dict)
    success: float = 0.0
    on_error: str = "stop"
    down: str | None = None
    """`restore`, or a statement over the rows that were changed; what those held before is kept for it."""
    keep: Sequence[str] = ()
    """What a statement changes, to be kept."""
    deletes: Json = None
    truncate: Json = None
    """The place that is emptied before the first batch."""

    @classmethod
    def of(cls, address: Address, entry: Mapping[str, Any]) -> Definition:
        """From the JSON that a step carries."""
        known = {k: v for k, v in entry.items() if k in cls.__dataclass_fields__}
        table = entry.get("rules")
        known |= {k: tuple(known[k]) for k in ("key", "into_key") if isinstance(known.get(k), list)}
        return cls(address, **{**known, "rules": None if table is None else rules.Table.of(table)})

    @property
    def wanted(self) -> Wanted:
        """What its store has to know."""
        into = None if self.target is not None else self.into
        return Wanted(
            address=self.address,
            select=self.select,
            key=self.key,
            fields=self.fields,
            statement=self.statement,
            into=into,
            once=self.once,
            collection=self.collection,
            part=self.part,
            keeps=self._keeps,
            restores=self.down == RESTORE,
        )

    @property
    def target(self) -> Address | None:
        """The place that rows are put into, in another store or beside."""
        return elsewhere(self.into)

    @property
    def _keeps(self) -> tuple[str, ...] | None:
        if self.target is not None or self.truncate is not None:
            return None
        if self.deletes:
            return ("*",)
        kept = self.once or self.down is not None
        return tuple(self.keep) if kept and (self.keep or self.statement is None) else None


def parse(documents: Sequence[Map], context: Context) -> list[Backfill]:
    """The backfills of one store's documents; problems go to `context`."""
    found = []
    for document in documents:
        for name, entry in (document.get("backfills") or {}).items():
            found.append(_one(name, entry, document["backfills"].at(name), context))
    return found


def _one(name: str, entry: Map, source: Source, context: Context) -> Backfill:
    forms = [form for form in FORMS if form in entry]
    if len(forms) != 1:
        what = f'backfill "{name}" {"says in several ways" if forms else "does not say"} what to do'
        context.problem(entry.at(forms[1]) if forms else source, what, f"give it one of {', '.join(FORMS)}")
    _check_store(name, entry, source, context)
    target = elsewhere(entry.get("into"))
    if target is not None and target.store != context.spec.name and not entry.get("once"):
        what = f'backfill "{name}" puts rows into another store, so that they stay selected here'
        context.problem(entry.at("into"), what, "write once: true")
    if "deletes" not in entry and (where := _deleting(entry, context.spec.kind)) is not None:
        hint = "declare `deletes: {expect: …}`: rows are then kept before they are gone, and it has to be allowed"
        context.problem(entry.value_at(where), f'backfill "{name}" deletes', hint)
    table = None
    if "rules" in entry:
        table = _table(entry["rules"], context)
        _check_rules(entry["rules"], entry, context)
    if "program" in entry:
        for key in (
            *(() if "truncate" in entry else ("down",)),
            "keep",
            "into",
            "on_error",
            "workers",
            "cluster",
            "rate",
        ):
            if key in entry:
                context.problem(entry.at(key), f'backfill "{name}" is done by a program whole: `{key}` says nothing')
    if "truncate" in entry:
        _check_truncate(name, entry, context)
    definition = {k: _plain(v) for k, v in entry.items() if k != "depends_on"}
    if table is not None:
        definition["rules"] = table
    done = {k: v for k, v in definition.items() if k not in _TOLD}
    files = {file: _checksum(file, entry, context) for file in _files(entry)}
    return Backfill(
        address=Address(context.spec.name, KIND, (name,)),
        source=source,
        comes_after=_waits(entry, context),
        digest=digest(done, files),
        definition={**definition, **({"files": files} if files else {})},
    )


def _check_store(name: str, entry: Map, source: Source, context: Context) -> None:
    """What its kind of store cannot do."""
    from reconcile.stores import package

    kind = package(context.spec.kind)
    if not isinstance(kind, HasBackfills):
        context.problem(source, f'backfill "{name}": a store of kind {context.spec.kind} has none')
        return
    for wrong in kind.unfit(entry):
        where = entry.at(wrong.key) if wrong.key in entry else source
        context.problem(where, f'backfill "{name}" {wrong.what}', wrong.hint)
    target = elsewhere(entry.get("into"))
    if target is not None and target.kind != "collection" and "into_key" not in entry:
        hint = "`into_key: NAME`, the column or property that tells them apart there"
        context.problem(
            entry.at("into"), f'backfill "{name}" puts rows into {target} and does not say which is which', hint
        )


def _check_truncate(name: str, entry: Map, context: Context) -> None:
    """A place that has an address, its rows kept or a reason why not; nothing that cannot be put back."""
    truncate = entry["truncate"]
    place = elsewhere(truncate["place"])
    if place is None or place.kind == "label":
        hint = "write STORE.table.SCHEMA.NAME or STORE.collection.NAME"
        context.problem(truncate.value_at("place"), f'backfill "{name}" empties a table or a collection', hint)
    if not truncate.get("archive", True) and "reason" not in truncate:
        hint = "write `reason:`, which the plan shows"
        context.problem(truncate.at("archive"), f'backfill "{name}" keeps nothing of what it empties', hint)
    if entry.get("down", RESTORE) != RESTORE or ("down" in entry and not truncate.get("archive", True)):
        hint = "`down: restore`, with what it emptied kept"
        context.problem(entry.at("down"), f'backfill "{name}" is taken back by what it emptied alone', hint)
    if "deletes" in entry:
        context.problem(
            entry.at("deletes"), f'backfill "{name}" empties a place: `truncate` and `deletes` exclude each other'
        )


def elsewhere(into: str | None) -> Address | None:
    """The place that `into` names by its address; None where it is the table whose rows are changed.

    >>> elsewhere("vectors.collection.passages"), elsewhere("audit.events")
    (Address(store='vectors', kind='collection', parts=('passages',)), None)
    """
    try:
        address = Address.parse(into or "")
    except ValueError:
        return None
    return address if address.kind in TARGETS else None


def several(names: Json) -> tuple[str, ...]:
    """What one key of the YAML names, or each of a list."""
    return tuple(names) if isinstance(names, list | tuple) else (names,) if names is not None else ()


def digest(definition: Json, files: Mapping[str, str]) -> str:
    """`sha256:…` of what a backfill does."""
    text = json.dumps([definition, files], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _deleting(entry: Map, kind: str) -> str | None:
    """The key whose statement deletes, or may do anything; what nobody can read may."""
    from reconcile.stores import package
    from reconcile.stores.migrating import Scripted

    language = package(kind)
    found = (key for key in ("statement", "down", "select") if isinstance(entry.get(key), str))
    if not isinstance(language, Scripted):
        return None
    scripts = ((key, language.script(entry[key], verifying=True)) for key in found)
    return next((key for key, script in scripts if script.deletes or script.faults), None)


def _plain(value: Any) -> Json:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _files(entry: Map) -> list[str]:
    """The files of the project that it runs."""
    function = entry.get("function")
    if function is not None and function.partition(":")[0].endswith(".py"):
        return [function.partition(":")[0]]
    return []


def _checksum(file: str, entry: Map, context: Context) -> str:
    try:
        return hashlib.sha256(context.read(file)).hexdigest()
    except OSError as error:
        what = f"{file} cannot be read: {error.strerror}"
        context.problem(entry.value_at("function"), what, "the path is relative to the folder of reconcile.yaml")
        return ""


def _table(table: Map, context: Context) -> Json:
    """The table of rules, with the cases of its file."""
    found = _plain(table)
    if "file" not in table:
        return found
    try:
        found["cases"] = rules.of_file(table["file"], context.read(table["file"]))
        problem = next(
            (p for c in found["cases"] for t in c["when"].values() if (p := rules.wrong(t)) is not None), None
        )
    except (OSError, ValueError, ReconcileError) as error:
        problem = str(getattr(error, "strerror", None) or error)
    if problem is not None:
        hint = "CSV: a column `value`, and one for each field; YAML: `cases:` as here"
        context.problem(table.value_at("file"), f"{table['file']}: {problem}", hint)
        found.setdefault("cases", [])
    return found


def _check_rules(table: Map, entry: Map, context: Context) -> None:
    """Patterns that are none, and fields that are not read."""
    fields = entry.get("fields")
    if ("file" in table) == ("cases" in table):
        context.problem(table.at("set"), "a table of rules has either `cases` or a `file` of them")
    for case in table.get("cases") or ():
        for name, pattern in case["when"].items():
            where = case["when"].value_at(name)
            if (problem := rules.wrong(pattern)) is not None:
                context.problem(where, f'"{pattern}" is no regular expression: {problem}')
            if fields is not None and name not in fields:
                context.problem(case["when"].at(name), f'"{name}" is not among the fields: {", ".join(fields)}')


def _waits(entry: Map, context: Context) -> tuple[Wait, ...]:
    """`depends_on`: addresses, or names of backfills of the same store."""
    found = []
    for index, text in enumerate(entry.get("depends_on") or ()):
        where = entry["depends_on"].at(index)
        try:
            address = Address.parse(text) if "." in text else Address(context.spec.name, KIND, (text,))
        except ValueError:
            context.problem(where, f'depends_on: "{text}" is no address', "write STORE.KIND.NAME, as plans print it")
            continue
        found.append(Wait(address, where, "depends_on"))
    target = elsewhere(entry.get("into"))
    if target is not None and target.kind != "label":
        found.append(Wait(target, entry.value_at("into"), "into"))
    if "truncate" in entry and (place := elsewhere(entry["truncate"]["place"])) is not None and place != target:
        found.append(Wait(place, entry["truncate"].value_at("place"), "truncate"))
    return tuple(found)
