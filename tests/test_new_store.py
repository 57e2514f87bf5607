"""A kind of store is a folder and a JSON Schema: a fifth one, added to a copy of the tool, is all there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import reconcile

PACKAGE = '''
"""Labels in a JSON file."""

from contextlib import contextmanager
from json import dumps, loads
from pathlib import Path

from reconcile.change import Action, Change, Op, Server, Step
from reconcile.facts import has, no, ok
from reconcile.model import Address, Resource, State
from reconcile.stores.base import Canonical, Live
from reconcile.yamldump import dump


class Label(Resource):
    text: str


def step(name, address, call, *gives):
    return Step(id=name, address=address, calls=(call,), gives=frozenset(gives), transactional=False)


class Put(Change):
    @property
    def action(self):
        return Action.UPDATE if self.before else Action.CREATE

    def describe(self):
        return self.after.text

    def steps(self, world):
        call = Op("put", {"name": self.address.parts[0], "text": self.after.text})
        return [step(f"{self.address}/1-put", self.address, call, has(self.address), ok(self.address))]

    def reverse(self):
        return Put(self.after, self.before) if self.before else Remove(self.after, None)


class Remove(Change):
    action = Action.DELETE

    def describe(self):
        return self.before.text

    def steps(self, world):
        call = Op("remove", {"name": self.address.parts[0]})
        return [step(f"{self.address}/1-drop", self.address, call, no(self.address))]

    def reverse(self):
        return Put(None, self.before)


class ShelfSession:
    def __init__(self, spec):
        self.spec, self.path = spec, Path(spec.settings["file"])

    def _read(self):
        return loads(self.path.read_text()) if self.path.exists() else {}

    def server(self):
        return Server(self.spec.name, "shelf", "1.0", identity=str(self.path))

    def introspect(self):
        found = ((Address(self.spec.name, "label", (n,)), t) for n, t in self._read().items() if n[0] != "_")
        return Live(State.of(Label(address=address, text=text) for address, text in found))

    def canonical(self, desired, live, known):
        return Canonical(desired)

    def unsupported(self, desired):
        return []

    def is_empty(self, address):
        return True

    def measure(self, addresses):
        return {}

    def preflight(self, steps):
        return []

    def check(self, steps):
        return []

    def grants(self, steps, prefix, ledger):
        return {}

    @contextmanager
    def transaction(self, steps):
        yield self

    def run(self, call, timeouts):
        held = self._read()
        if call.op == "put":
            held[call.args["name"]] = call.args["text"]
        else:
            held.pop(call.args["name"], None)
        self.path.write_text(dumps(held))

    def clean(self, debris):
        pass

    def note(self, steps):
        return ""

    def ended(self, step, noted):
        return False

    def transient(self, error):
        return False

    def mark(self, content):
        if content is not None:
            self.path.write_text(dumps({**self._read(), "_mark": dict(content)}))
        return self._read().get("_mark", {})

    def close(self):
        pass


class ShelfPackage:
    kind = "shelf"
    schema = "shelf.schema.json"
    ranks = {"label": 0}
    containers = frozenset()
    holds_ledger = False

    def parse(self, documents, context):
        return [
            Label(address=Address(context.spec.name, "label", (name,)), source=document["labels"].at(name), text=text)
            for document in documents
            for name, text in document.get("labels", {}).items()
        ]

    def dump(self, live, server, spec, only, place=None):
        found = {a.parts[0]: r.text for a, r in live.state.items() if only(a)}
        return {"labels.yaml": dump({"store": spec.name, "labels": found})} if found else {}

    def connect(self, spec, project, environment):
        return ShelfSession(spec)

    def change(self, before, after):
        if before == after:
            return None
        return Remove(before, None) if after is None else Put(before, after)

    def renamed(self, live, old, wanted):
        raise NotImplementedError

    def rename(self, before, after):
        raise NotImplementedError

    def ledger(self, spec, schema):
        return None


PACKAGE = ShelfPackage()
'''
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "shelf.schema.json",
    "title": "Shelf",
    "type": "object",
    "additionalProperties": False,
    "required": ["store"],
    "properties": {
        "store": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "$defs": {
        "store": {
            "title": "the settings of a shelf",
            "type": "object",
            "additionalProperties": False,
            "required": ["file"],
            "properties": {"kind": {"const": "shelf"}, "file": {"type": "string"}},
        }
    },
}
TALK = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from reconcile import cli
told = []
for command in json.loads(sys.argv[1]):
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = cli.run(["-C", sys.argv[2], *command])
    told.append([code, out.getvalue()])
print(json.dumps(told))
"""


def test_a_new_store_is_a_folder_and_a_schema(tmp_path: Path) -> None:
    """No file of the tool is changed, and what it has for every store works: plan, apply, drift, import."""
    source = Path(reconcile.__file__).parent
    shutil.copytree(source, tmp_path / "src" / "reconcile")
    shutil.copytree(source.parents[1] / "schema", tmp_path / "schema")
    (tmp_path / "src" / "reconcile" / "stores" / "shelf").mkdir()
    (tmp_path / "src" / "reconcile" / "stores" / "shelf" / "__init__.py").write_text(PACKAGE)
    (tmp_path / "schema" / "shelf.schema.json").write_text(json.dumps(SCHEMA))
    project, file = tmp_path / "project", tmp_path / "shelf.json"
    (project / "schema").mkdir(parents=True)
    head = "version: 1\nname: shelves\nledger: {file: ledger.db}\nstores:\n  "
    (project / "reconcile.yaml").write_text(f"{head}shelf: {{kind: shelf, file: {json.dumps(str(file))}}}\n")
    (project / "schema" / "labels.yaml").write_text("store: shelf\nlabels: {top: books, low: boxes}\n")
    file.write_text('{"low": "shoes"}')

    def talk(*commands: list[str]) -> list[tuple[int, str]]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
        call = [sys.executable, "-c", TALK, json.dumps(commands), str(project)]
        done = subprocess.run(call, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [(code, text) for code, text in json.loads(done.stdout)]

    plan, applied, again, shown = talk(["plan"], ["apply", "--auto-approve"], ["plan"], ["history"])
    assert plan[0] == 0 and "+    shelf.label.top  books" in plan[1] and "~    shelf.label.low  boxes" in plan[1], plan
    assert applied[0] == 0 and "the stores are as declared" in applied[1], applied
    assert "No changes" in again[1] and "done" in shown[1], (again, shown)
    assert {k: v for k, v in json.loads(file.read_text()).items() if k[0] != "_"} == {"top": "books", "low": "boxes"}

    file.write_text(json.dumps({**json.loads(file.read_text()), "top": "bottles"}))
    drift, imported, same, wrong = talk(["drift"], ["import", "--force"], ["plan"], ["validate", "-e", "nowhere"])
    assert drift[0] == 2 and "shelf.label.top" in drift[1], drift
    assert imported[0] == 0 and "top: bottles" in (project / "schema" / "labels.yaml").read_text(), imported
    assert "No changes" in same[1] and wrong[0] == 1, (same, wrong)
