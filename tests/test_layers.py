"""Imports point one way, and store packages ignore each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile import stores

SOURCE = Path(stores.__file__).parents[1]
MODULES = {
    ".".join(("reconcile", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}
KINDS = stores.kinds()
DRIVERS = {"psycopg", "neo4j", "qdrant_client", "redis", "rich", "jsonschema", "deepdiff", "sqlglot"}

# From what everything may use to what uses everything. A module may import from its own row and the rows above.
LAYERS = (
    ("exits",),
    ("record",),
    ("model", "facts", "hazards", "suggest", "idsets", "units"),
    ("errors",),
    ("embeddings", "yamlerrors", "yamlvalues", "schemas", "memo"),
    (
        "frozen",
        "findings",
        "expectations",
        "checkup",
        "pacing",
        "backups",
        "restoring",
        "machine",
        "commands",
        "moments",
        "notices",
        "filled",
        "change",
        "kept",
        "yamlio",
        "yamldump",
        "references",
        "ledger_rows",
        "ledger_tables",
        "ledger_runs",
        "ledger_backfills",
        "ledger",
        "rules",
        "policy",
        "selection",
    ),
    ("wording", "ledger_file"),
    ("stores",),
    ("backfills",),
    (
        "environment",
        "assertions",
        "policies",
        "migrations",
        "project_problems",
        "project",
        "hidden",
        "mirrors",
        "waits",
        "load",
        "validation",
    ),
    (
        "order",
        "narrow",
        "looking",
        "diff",
        "causes",
        "plan",
        "planfile",
        "leftovers",
        "held",
        "rolled",
        "reversal",
        "pending",
        "survey",
        "starter",
        "freshness",
        "stopped",
        "apply",
        "report",
    ),
    ("workflow",),
    ("render", "api"),
    ("sandbox",),
    ("cli",),
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(), str(MODULES[module]))


def imported(module: str, *, runtime_only: bool = True) -> Iterator[str]:
    """The modules that a module imports anywhere in it; without those for type checkers only."""
    found = tree(module)
    typing_only = {
        id(inner)
        for node in ast.walk(found)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(found):
        if runtime_only and id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{module}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def ours(module: str) -> Iterator[str]:
    return (name for name in imported(module) if name.partition(".")[0] == "reconcile")


def part(module: str) -> str:
    """The file or folder directly under `reconcile` that a module belongs to; empty for `reconcile` itself."""
    return (module + ".").split(".")[1]


def store(module: str) -> str | None:
    """The kind of store whose package a module belongs to."""
    parts = module.split(".")
    return parts[2] if parts[1:2] == ["stores"] and len(parts) > 2 and parts[2] in KINDS else None


def test_every_part_has_its_layer() -> None:
    parts = {part(module) for module in MODULES} - {"", "__main__"}
    assert parts == set(LAYER), "name a new module or folder in LAYERS, in the row where it belongs"


@pytest.mark.parametrize("module", [module for module in MODULES if part(module) not in ("", "__main__")])
def test_imports_point_one_way(module: str) -> None:
    wrong = [name for name in ours(module) if part(name) and LAYER[part(name)] > LAYER[part(module)]]
    assert not wrong, f"{module} imports what is built on it: {', '.join(wrong)}"


@pytest.mark.parametrize("module", [module for module in MODULES if store(module)])
def test_store_packages_ignore_each_other(module: str) -> None:
    others = {name for name in imported(module, runtime_only=False) if store(name) not in (None, store(module))}
    assert not others


def core() -> list[str]:
    """What knows no store: all but the store packages and the sandbox, which starts them."""
    return [m for m in MODULES if part(m) not in ("stores", "sandbox") and m != "reconcile.cli.sandbox"]


@pytest.mark.parametrize("module", core())
def test_the_core_names_no_store(module: str) -> None:
    named = [
        name
        for name in imported(module, runtime_only=False)
        if store(name) or name.split(".")[0] in DRIVERS & set(KINDS)
    ]
    strings = [
        f"line {node.lineno}: {node.value!r}"
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in KINDS
    ]
    assert not named + strings


def test_apply_knows_no_changes_and_no_store() -> None:
    """So a saved plan is proved to hold all that applying it needs."""
    seen, todo = set(), ["reconcile.apply"]
    while todo:
        module = todo.pop()
        if module not in seen and module in MODULES:
            seen.add(module)
            todo += list(ours(module))
    assert not [module for module in seen if store(module) or "changes" in module.split(".")]


def fresh(code: str) -> set[str]:
    """The top-level packages that a new interpreter has loaded after running `code`."""
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in printed.stdout.split()}


@pytest.mark.parametrize(
    "module", ["reconcile", "reconcile.cli", "reconcile.sandbox", "reconcile.sandbox.pytest_plugin"]
)
def test_starting_imports_no_driver(module: str) -> None:
    # pytest itself brings rich along where it is installed
    allowed = {"rich"} if module.endswith("pytest_plugin") else set()
    assert fresh(f"import {module}") & DRIVERS <= allowed


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_package_imports_no_driver_until_it_connects(kind: str) -> None:
    assert not fresh(f"import reconcile.stores.{kind}") & DRIVERS
