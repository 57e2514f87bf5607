"""Acceptance cases: folders `cases/STORE/CASE/` against the real servers, one runner, one switch.

A case holds `new.yaml` (what is declared), and may hold `old.yaml` (applied first), `setup.sql`, `setup.cypher` or
`setup.json` (a list of [method, path, body]; done by hand after that), and `options.yaml` (`allow`, `prune`, `policy`,
`error`: the text of the refusal that is expected instead of a plan; `violation`: of that before an apply;
`spelled_otherwise`: what the server prints in other words after a rollback, addresses;
`since`: the oldest PostgreSQL). Golden files: `plan.txt`, `plan.json`; `make golden` rewrites them.

Each case: plan = golden; apply, killed by SIGKILL inside chosen kinds of steps (`tests/dying.py`) and resumed; plan
again = nothing; with the ledger lost, still nothing (law e); rolled back, it is as before, but for what the plan said
cannot be undone; and from a fresh start, after every prefix of the plan's groups, planning and applying again ends in
the same state (law d).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile import planfile, workflow
from reconcile.errors import PlanError, ReconcileError
from reconcile.plan import Plan
from reconcile.project import Project
from reconcile.render import text as text_format
from reconcile.sandbox.postgres import LATEST
from reconcile.survey import reading
from tests.conftest import postgres_versions
from tests.dying import in_golden, kill_inside, shared
from tests.stores_by_kind import KINDS, Target

CASES = Path(__file__).parent / "cases"
FOLDERS = sorted(p.parent for p in CASES.glob("*/*/new.yaml"))
GOLDEN = os.environ.get("RECONCILE_GOLDEN") == "write"


def dying() -> dict[Path, tuple[str, ...]]:
    """By folder the kinds of steps inside which its run is killed: in all of them each that there is in a case."""
    refused = {f for f in FOLDERS if (o := f / "options.yaml").exists() and "violation:" in o.read_text()}
    steps = {f: in_golden(p) for f in FOLDERS if (p := f / "plan.json").exists() and f not in refused}
    found: dict[Path, tuple[str, ...]] = {}
    for kind in KINDS:
        found |= shared({f: of for f, of in steps.items() if f.parent.name == kind})
    return found


DYING = dying()


def names(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


class Case:
    """One folder over one fresh store."""

    def __init__(self, folder: Path, workspace: Path, fresh: Callable[[], Target]) -> None:
        self.folder, self.workspace, self.fresh = folder, workspace, fresh
        read = folder / "options.yaml"
        self.options: dict[str, Any] = yaml.safe_load(read.read_text()) if read.exists() else {}

    def begin(self) -> Target:
        """A fresh store with the case's starting point in it, and `new.yaml` in the project."""
        target = self.fresh()
        self.forget()
        if (self.folder / "old.yaml").exists():
            self.declare("old.yaml", target)
            workflow.apply(self.project(), workflow.plan(self.project(), workflow.Options(allow=("all",))))
        for script in sorted(self.folder.glob("setup.*")):
            target.execute(script)
        self.declare("new.yaml", target)
        return target

    def keep(self, target: Target) -> Callable[[], object]:
        """What brings the starting point back that `target` is now, ledger and all."""
        if target.keep is None:
            return self.begin
        back, ledgers = target.keep(), self.ledgers()

        def again() -> None:
            back()
            self.remember(ledgers)

        return again

    def ledgers(self) -> dict[Path, bytes]:
        """What the ledger holds."""
        return {f: f.read_bytes() for f in self.workspace.glob("ledger.db*")}

    def remember(self, ledgers: dict[Path, bytes]) -> None:
        """The ledger as it was."""
        self.forget()
        for file, content in ledgers.items():
            file.write_bytes(content)

    def forget(self) -> None:
        """Lose the ledger."""
        for stale in self.workspace.glob("ledger.db*"):
            stale.unlink()

    def declare(self, file: str, target: Target) -> None:
        (self.workspace / "schema").mkdir(exist_ok=True)
        (self.workspace / "schema" / "s.yaml").write_text((self.folder / file).read_text())
        project = {
            "version": 1,
            "name": "case",
            "ledger": {"file": "ledger.db"},
            "stores": {"s": {"kind": self.folder.parent.name, **target.settings, **self.options.get("store", {})}},
            "embeddings": self.options.get(
                "embeddings", {"passages": {"model": "all-MiniLM-L6-v2", "dimensions": 3, "distance": "cosine"}}
            ),
            "policy": self.options.get("policy", {}),
        }
        (self.workspace / "reconcile.yaml").write_text(yaml.safe_dump(project))

    def project(self) -> Project:
        return Project.load(self.workspace)

    def plan(self, *allow: str) -> Plan:
        asked = tuple(self.options.get("allow", ())) + allow
        return workflow.plan(self.project(), workflow.Options(prune=self.options.get("prune", "none"), allow=asked))

    def apply(self) -> None:
        workflow.apply(self.project(), self.plan("all"))

    def state(self) -> dict[str, Any]:
        with reading(self.project()) as found:
            return {str(a): r.attributes() for store in found.stores.values() for a, r in store.live.state.items()}


def golden(path: Path, actual: str) -> None:
    if GOLDEN:
        path.write_text(actual)
    assert actual == path.read_text(), f"{path} differs; `make golden` rewrites it, git shows the difference"


def stable(document: dict[str, Any]) -> dict[str, Any]:
    """A plan's JSON without what belongs to this server or moment."""
    keep = ("summary", "drift", "blocked", "extra", "unmanaged", "not_modelled", "notes")
    document = {k: v for k, v in document.items() if k not in ("digest", "tool")}
    document["observed"] = {k: document["observed"][k] for k in keep}
    document["stores"] = [{**s, "version": "…", "identity": "…"} for s in document["stores"]]
    return document


def stable_text(document: dict[str, Any]) -> str:
    observed = {k: v for k, v in document["observed"].items() if k != "reverse"}  # said of each class by its own tests
    rendered = text_format.render({**document, "observed": observed}, colour=False)
    rendered = re.sub(r"Digest [0-9a-f]+", "Digest …", rendered)
    return re.sub(r"read in [0-9.]+ s", "read in … s", rendered)


def on_versions() -> Iterator[Any]:
    """Each case on every version of its store that has what it declares; `since: 17` in its options narrows that."""
    for folder in FOLDERS:
        versions: tuple[str, ...] = ("",)
        marks = []
        if folder.parent.name == "postgres":
            versions = postgres_versions(older=True)
            declared = "".join(p.read_text() for p in folder.glob("*.yaml"))
            since = re.search(r"^since: (\d+)", declared, re.MULTILINE)
            marks += [pytest.mark.pgvector] if re.search("vector|embedding", declared) else []
            marks += [pytest.mark.since(int(since[1]))] if since else []
        for version in versions:
            shown = names(folder) + (f"-{version}" if version.isdigit() else "")
            yield pytest.param(folder, version, id=shown, marks=marks)


@pytest.mark.parametrize(("folder", "postgres_version"), list(on_versions()), indirect=["postgres_version"])
def test_case(
    folder: Path,
    postgres_version: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    fault_points: Callable[..., None],
) -> None:
    case = Case(folder, tmp_path, KINDS[folder.parent.name](request))
    target = case.begin()
    if error := case.options.get("error"):
        with pytest.raises(ReconcileError, match=re.escape(error)):
            case.plan()
        return
    plan = case.plan("all")
    latest = postgres_version in ("", LATEST)
    if latest:
        # others spell some things otherwise, and lack some ways
        document = planfile.to_json(case.plan())
        golden(folder / "plan.txt", stable_text(document))
        golden(folder / "plan.json", json.dumps(stable(document), indent=1, ensure_ascii=False, sort_keys=True) + "\n")
        kept = any(step.get("keeps") for step in document["steps"])  # with all allowed it is deleted instead
        allowed = {**planfile.to_json(case.plan() if kept else plan), "selection": document["selection"]}
        assert planfile.digest(allowed) == document["digest"], "planning twice gives one digest"
    if violation := case.options.get("violation"):
        before = case.state()
        with pytest.raises(ReconcileError, match=re.escape(violation)):
            workflow.apply(case.project(), plan)
        assert case.state() == before, "and nothing was changed"
        return

    thorough = latest or os.environ.get("RECONCILE_TEST_POSTGRES")
    cuts = range(1, len(plan.groups)) if thorough else ()
    begin_again = case.keep(target) if cuts else case.begin
    before = case.state() if latest else {}
    wanted = DYING.get(folder, ()) if latest else ()
    died, run = kill_inside(case.project(), plan, wanted) if wanted else ([], workflow.apply(case.project(), plan).run)
    assert sorted(died) == sorted(wanted), "it was killed inside each of them"
    end = case.state() if cuts or latest else {}
    again = case.plan()
    assert [s.id for s in again.steps] == [], "the plan after an apply is empty"
    assert not again.observed["records"]
    ledgers = case.ledgers()
    case.forget()
    assert [s.id for s in case.plan().steps] == [], "and stays so when the ledger is lost"
    if latest and plan.steps:
        case.remember(ledgers)
        goes_back(case, plan, str(run), before, end)

    for cut in cuts:
        begin_again()
        carry_out(case, plan, cut)
        case.apply()
        assert case.state() == end, f"after the first {cut} groups of the plan, another apply ends elsewhere"
    fault_points(len(cuts) + len(died), **({folder.parent.name: died} if died else {}))


def goes_back(case: Case, plan: Plan, run: str, before: dict[str, Any], end: dict[str, Any]) -> None:
    """What a rollback comes to is what the plan of the run told before it."""
    told = plan.observed["reverse"]
    if "stops" in told:
        with pytest.raises(PlanError, match=re.escape(told["stops"].splitlines()[0].rpartition(": ")[2])):
            workflow.rollback(case.project(), run, allow=("all",))
        assert case.state() == end
        return
    workflow.apply(case.project(), workflow.rollback(case.project(), run, allow=("all",)))
    spelled = case.options.get("spelled_otherwise", ())
    left = [k for k, _ in alike(case.state()).items() ^ alike(before).items() if k not in spelled]
    assert told["cannot"] or not left, "rolled back, it is as it was"
    assert [s.id for s in case.plan().steps] == [], "and later plans leave it so"


def alike(state: dict[str, Any]) -> dict[str, str]:
    """A state by what is in it: numbers of generations go on, full-text indexes have properties in any order."""
    found = {}
    for address, attributes in state.items():
        known = {k: v for k, v in attributes.items() if k != "generation" or v is None}
        if known.get("kind") == "fulltext":
            known["properties"] = sorted(known["properties"])
        if not re.search(r"__v\d+(\.|$)", address):
            found[address] = re.sub(r"__v\d+", "", json.dumps(known, sort_keys=True))
    return found


def carry_out(case: Case, plan: Plan, groups: int) -> None:
    """The first groups of a plan, as if the run had been killed there and its ledger lost."""
    with reading(case.project()) as found:
        for steps in plan.groups[:groups]:
            session = found.stores[steps[0].address.store].session
            if steps[0].transactional:
                with session.transaction(steps) as transaction:
                    for step in steps:
                        for call in step.calls:
                            transaction.run(call, step.timeouts)
            for step in steps:
                for call in (() if step.transactional else step.calls) + step.after_commit:
                    session.run(call, step.timeouts)


def test_there_are_cases_for_every_store() -> None:
    assert {f.parent.name for f in FOLDERS} == set(KINDS)
