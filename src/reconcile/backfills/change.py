"""The change that a pending backfill is, and its one step."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from reconcile.backfills.definition import FORMS, Backfill, elsewhere, several
from reconcile.change import Action, Change, Irreversible, Op, Step, World
from reconcile.filled import Writing, run_once, words
from reconcile.hazards import Hazard
from reconcile.stores.filling import PUT
from reconcile.stores.truncating import EMPTY

OP = "backfill_rows"
"""The operation that the core carries out itself, over `stores.filling`."""
_SHOWN = 60
_SETS = re.compile(r"\bSET\b", re.I)
"""A statement without it makes or deletes rows whole."""


@dataclass(frozen=True)
class RunBackfill(Change):
    """A backfill that the ledger does not know as done."""

    action: ClassVar[Action] = Action.CREATE

    @property
    def declared(self) -> Backfill:
        """The backfill."""
        assert isinstance(self.after, Backfill)
        return self.after

    def describe(self) -> str:
        """What is done, to how many rows at once."""
        entry = self.declared.definition
        form = next(form for form in FORMS if form in entry)
        told = entry.get("description") or _form(form, entry[form])
        if (first := entry.get("truncate")) is not None:
            aside = "kept" if first.get("archive", True) else f"not kept: {first['reason']}"
            told = f"empties {first['place']} ({aside}), then {told}"
        return f"{told}, {entry.get('batch', 500)} rows a batch"

    def steps(self, world: World) -> Sequence[Step]:
        """One, journalled: only the ledger knows that it is done."""
        del world
        entry = self.declared.definition
        hazards = {Hazard.LONG_RUNNING, Hazard.NOT_TRANSACTIONAL}
        if entry.get("deletes") or entry.get("truncate"):
            hazards.add(Hazard.DELETES_DATA)
        return [run_once(self.address, Op(OP, {"digest": self.declared.digest, **entry}), hazards)]

    def writes(self) -> Iterable[Writing]:
        """What the statement names, or the fields that are set; whatever a function or a program sets."""
        entry, target = self.declared.definition, elsewhere(self.declared.definition.get("into"))
        statement, rules = entry.get("statement"), entry.get("rules")
        fields: frozenset[str] | None = None
        if statement is not None and _SETS.search(statement) and not entry.get("deletes"):
            fields = words(statement)
        elif rules is not None or "copy" in entry:
            fields = words(*(entry["copy"] if rules is None else [rules["set"]]), *several(entry.get("into_key")))
        if (first := entry.get("truncate")) is not None and (place := elsewhere(first["place"])) is not None:
            yield Writing(place.store, words(place.parts[-1]), None)
        if target is not None:
            yield Writing(target.store, words(target.parts[-1]), fields)
        else:
            places = words(entry.get("into"), statement, entry.get("collection"))
            yield Writing(
                self.address.store, places | (words(entry["select"]) if "into" not in entry else set()), fields
            )

    def reverse(self) -> Irreversible:
        """None within a plan."""
        down = self.declared.definition.get("down")
        way = f"before a rollback `reconcile backfill down {self.address.parts[-1]}` takes it back"
        return Irreversible(f"what it writes stays; {way if down else 'it has no `down`'}")


def asked_besides(step: Step) -> Iterator[Step]:
    """What stores are asked about that a backfill puts rows into from elsewhere, or empties."""
    for call in step.calls:
        if isinstance(call, Op) and call.op == OP:
            target, first = elsewhere(call.args.get("into")), call.args.get("truncate")
            if target is not None:
                yield replace(step, address=target, calls=(Op(PUT, {"into": list(target.parts)}),))
            if first is not None and (place := elsewhere(first["place"])) is not None:
                about = {"into": list(place.parts), "keeps": bool(first.get("archive", True))}
                yield replace(step, address=place, calls=(Op(EMPTY, about),))


def _form(form: str, what: object) -> str:
    if form == "rules":
        assert isinstance(what, dict)
        return f"sets {what['set']} by {len(what['cases'])} rules"
    text = " ".join(what if isinstance(what, list) else str(what).split())
    return f"{form} {text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}"
