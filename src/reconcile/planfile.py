"""Plan <-> JSON; nothing else. The file is canonical and holds no secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import reconcile
from reconcile import schemas
from reconcile.change import Call, Cypher, Http, Op, Phase, Server, Sql, Step, Timeouts
from reconcile.diff import Options
from reconcile.errors import ReconcileError
from reconcile.facts import Fact
from reconcile.hazards import Hazard
from reconcile.model import Address, Json
from reconcile.moments import Hook
from reconcile.plan import Plan, ResourceChange, canonical_json, digest_of

FORMAT_VERSION = "1.0"
"""Minor: additive, unknown keys are to be ignored; major: a reader must refuse."""

_NOT_DIGESTED = ("digest", "tool", "observed")


def to_json(plan: Plan) -> dict[str, Json]:
    """The plan as JSON values, digest included."""
    document = {
        "format_version": FORMAT_VERSION,
        "tool": {"name": "reconcile", "version": reconcile.__version__},
        "project": plan.project,
        "environment": plan.environment,
        "complete": plan.complete,
        "selection": {
            "only": list(plan.options.only),
            "exclude": list(plan.options.exclude),
            "prune": plan.options.prune,
            "allow": list(plan.options.allow),
        },
        "stores": [_server(s, plan.ledger) for s in plan.stores],
        "resource_changes": [_change(c) for c in plan.resource_changes],
        "steps": [_step(s) for s in plan.steps],
        **_held(plan),
        **({"hooks": [hook.to_json() for hook in plan.hooks]} if plan.hooks else {}),
        **({"rollback": plan.rollback} if plan.rollback is not None else {}),
        "fingerprints": dict(plan.fingerprints),
        "observed": plan.observed,
    }
    return {"digest": digest(document), **document}


def _held(plan: Plan) -> dict[str, Json]:
    """What waits for its release; nothing where nothing does, so that such plans keep their digests."""
    if not plan.held:
        return {}
    changes, steps = [_change(c) for c in plan.held_changes], [_step(s) for s in plan.held]
    return {"held": {"resource_changes": changes, "steps": steps}}


def digest(document: Mapping[str, Json]) -> str:
    """sha256 over everything but `digest`, `tool` and `observed`: what a pull request approves."""
    return digest_of({k: v for k, v in document.items() if k not in _NOT_DIGESTED})


def write(plan: Plan, path: Path) -> None:
    """Write the canonical file.

    Raises:
        ReconcileError: the path cannot be written.
    """
    try:
        path.write_text(canonical_json(to_json(plan)) + "\n", encoding="utf-8")
    except OSError as error:
        raise ReconcileError(f"cannot write the plan: {error.strerror}", where=str(path)) from error


def read(path: Path) -> dict[str, Json]:
    """The JSON of a plan file, its digest checked.

    Raises:
        ReconcileError: unreadable, no plan, of another major format, changed since it was written, or malformed.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReconcileError(f"cannot read the plan: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise ReconcileError(f"not a plan file: {error}", where=str(path), hint=_MAKE) from error
    if not isinstance(document, dict) or "format_version" not in document:
        raise ReconcileError("not a plan file: it has no format_version", where=str(path), hint=_MAKE)
    if str(document["format_version"]).split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise ReconcileError(
            f"the plan has format {document['format_version']}; this version reads {FORMAT_VERSION}",
            where=str(path),
            hint=_MAKE,
        )
    if document.get("digest") != digest(document):
        raise ReconcileError("the plan was changed after it was written", where=str(path), hint=_MAKE)
    fits = schemas.quick("plan.schema.json")
    if fits is not None and not fits(document):
        raise ReconcileError("a part of the plan is malformed", where=str(path), hint=_MAKE)
    return document


_MAKE = "make a new one with `reconcile plan --out FILE`"


def load(path: Path) -> Plan:
    """Read and check a plan file.

    Raises:
        ReconcileError: see `read`; or a part of it is malformed.
    """
    try:
        return from_json(read(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReconcileError(f"a part of the plan is malformed: {error}", where=str(path), hint=_MAKE) from error


def from_json(document: Mapping[str, Json]) -> Plan:
    """The plan `to_json` came from."""
    selection = document["selection"]
    held = document.get("held") or {"resource_changes": (), "steps": ()}
    return Plan(
        project=document["project"],
        environment=document["environment"],
        options=Options(
            tuple(selection["only"]), tuple(selection["exclude"]), selection["prune"], tuple(selection["allow"])
        ),
        complete=document["complete"],
        stores=tuple(
            Server(s["name"], s["kind"], s["version"], s["edition"], s["identity"]) for s in document["stores"]
        ),
        ledger=next((s["name"] for s in document["stores"] if s["ledger"]), None),
        resource_changes=tuple(map(_read_change, document["resource_changes"])),
        steps=tuple(map(_read_step, document["steps"])),
        fingerprints=document["fingerprints"],
        held_changes=tuple(map(_read_change, held["resource_changes"])),
        held=tuple(map(_read_step, held["steps"])),
        hooks=tuple(map(Hook.from_json, document.get("hooks", ()))),
        rollback=document.get("rollback"),
        observed=document.get("observed", {}),
    )


def _server(server: Server, ledger: str | None) -> Json:
    return {
        "name": server.name,
        "kind": server.kind,
        "version": server.version,
        "edition": server.edition,
        "identity": server.identity,
        "ledger": server.name == ledger,
    }


def _change(change: ResourceChange) -> Json:
    return {
        "address": str(change.address),
        "type": change.address.kind,
        "change": {
            "actions": list(change.actions),
            "before": change.before,
            "after": change.after,
            "replace_paths": [list(path) for path in change.replace_paths],
        },
        "action_reason": change.action_reason,
        "describe": change.describe,
        "strategy": change.strategy,
        "declared": change.declared,
        "companion_of": _text(change.companion_of),
        "part_of": _text(change.part_of),
        "reversible": change.reversible,
    }


def _read_change(entry: Json) -> ResourceChange:
    return ResourceChange(
        address=Address.parse(entry["address"]),
        actions=tuple(entry["change"]["actions"]),
        before=entry["change"]["before"],
        after=entry["change"]["after"],
        describe=entry["describe"],
        replace_paths=tuple(map(tuple, entry["change"]["replace_paths"])),
        action_reason=entry["action_reason"],
        strategy=entry["strategy"],
        declared=entry["declared"],
        companion_of=entry["companion_of"] and Address.parse(entry["companion_of"]),
        part_of=entry["part_of"] and Address.parse(entry["part_of"]),
        reversible=entry["reversible"],
    )


def _text(address: Address | None) -> str | None:
    return None if address is None else str(address)


def _step(step: Step) -> Json:
    return {
        "id": step.id,
        "store": step.address.store,
        "phase": step.phase.value,
        "group": step.group,
        "address": str(step.address),
        "calls": [call_to_json(c) for c in step.calls],
        "needs": sorted(map(str, step.needs)),
        "gives": sorted(map(str, step.gives)),
        "debris": [str(a) for a in step.debris],
        "transactional": step.transactional,
        "commit_before": step.commit_before,
        "journalled": step.journalled,
        "after_commit": [call_to_json(c) for c in step.after_commit],
        "hazards": sorted(step.hazards),
        "timeouts": {k: v for k, v in asdict(step.timeouts).items() if v is not None},
        "retry": step.retry,
        **({"keeps": step.keeps} if step.keeps is not None else {}),
        **({"asked_after": [str(a) for a in step.asked_after]} if step.asked_after else {}),
        **({"preconditions": [call_to_json(c) for c in step.preconditions]} if step.preconditions else {}),
    }


def _read_step(entry: Json) -> Step:
    return Step(
        id=entry["id"],
        address=Address.parse(entry["address"]),
        calls=tuple(map(call_from_json, entry["calls"])),
        phase=Phase(entry["phase"]),
        needs=frozenset(map(Fact.parse, entry["needs"])),
        gives=frozenset(map(Fact.parse, entry["gives"])),
        debris=tuple(map(Address.parse, entry["debris"])),
        transactional=entry["transactional"],
        commit_before=entry["commit_before"],
        journalled=entry["journalled"],
        after_commit=tuple(map(call_from_json, entry["after_commit"])),
        preconditions=tuple(map(call_from_json, entry.get("preconditions", ()))),
        asked_after=tuple(map(Address.parse, entry.get("asked_after", ()))),
        keeps=entry.get("keeps"),
        hazards=frozenset(map(Hazard, entry["hazards"])),
        timeouts=Timeouts(**entry["timeouts"]),
        retry=entry["retry"],
        group=entry["group"],
    )


def call_to_json(call: Call) -> dict[str, Any]:
    """A call as its one-key object, empty parts left out."""
    match call:
        case Sql(sql):
            return {"sql": sql}
        case Cypher(cypher, params):
            return {"cypher": cypher, **({"params": dict(params)} if params else {})}
        case Http(method, path, body, read_path, expect):
            extra = {"body": body, "read": read_path, "expect": expect}
            return {"http": [method, path], **{k: v for k, v in extra.items() if v is not None}}
        case Op(op, args):
            return {"op": op, "args": dict(args)}


def call_from_json(entry: Mapping[str, Any]) -> Call:
    """The call `call_to_json` came from.

    Raises:
        ValueError: no such form of call.
    """
    if "sql" in entry:
        return Sql(entry["sql"])
    if "cypher" in entry:
        return Cypher(entry["cypher"], entry.get("params", {}))
    if "http" in entry:
        method, path = entry["http"]
        return Http(method, path, entry.get("body"), entry.get("read"), entry.get("expect"))
    if "op" in entry:
        return Op(entry["op"], entry.get("args", {}))
    raise ValueError(f"no such call: {sorted(entry)}")
