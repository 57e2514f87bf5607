"""`after:` as it is checked: unknown addresses, cycles with their lines, what is part of what. No server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.projects import Folder

from reconcile.errors import ProjectError
from reconcile.model import Address, Source, State, Wait
from reconcile.narrow import Options, follow
from reconcile.stores.neo4j import PACKAGE
from reconcile.stores.neo4j.resources import Constraint, constraint_address
from reconcile.waits import check, waits

STORES: dict[str, dict[str, Any]] = {
    "app": {"kind": "postgres", "url": "postgresql://nowhere/x", "external": ["legacy"]},
    "graph": {"kind": "neo4j", "url": "bolt://nowhere"},
    "vectors": {"kind": "qdrant", "url": "http://nowhere"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, STORES)


def problems(folder: Folder, **documents: str) -> list[str]:
    with pytest.raises(ProjectError) as refused:
        folder.declare(**documents).load().desired()
    return [str(problem) for problem in refused.value.problems]


def test_unknown_addresses_are_told_all_at_once(folder: Folder) -> None:
    """With their place, and what may have been meant."""
    said = problems(
        folder,
        app="tables: {a: {columns: {id: bigint}, after: [vectors.collection.pasages, nonsense, ap.table.public.a]}}",
        graph="indexes: {i: {label: A, properties: [id], after: [app.table.public.b]}}",
        vectors="collections: {passages: {vector: {embedding: passages}, after: [graph.index.j]}}",
    )
    assert said == ['schema/app.yaml:2:73: after: "nonsense" is no address; write STORE.KIND.NAME, as plans print it']
    said = problems(
        folder,
        app="tables: {a: {columns: {id: bigint}, after: [vectors.collection.pasages, ap.table.public.a]}}",
    )
    assert said == [
        'schema/app.yaml:2:45: after: app.table.public.a comes after vectors.collection.pasages, which is not declared;'
        ' did you mean "vectors.collection.passages"?',
        'schema/app.yaml:2:73: after: app.table.public.a comes after ap.table.public.a, and there is no store'
        ' "ap"; did you mean "app"?',
        'schema/graph.yaml:2:51: after: graph.index.i comes after app.table.public.b, which is not declared;'
        ' did you mean "app.table.public.a"?',
        'schema/vectors.yaml:2:65: after: vectors.collection.passages comes after graph.index.j, which is not'
        ' declared; did you mean "graph.index.i"?',
    ]  # fmt: skip


def test_a_cycle_is_told_with_the_lines_of_all_its_entries(folder: Folder) -> None:
    """Once, over three stores, through what is nested: the index is in the table that waits."""
    said = problems(
        folder,
        app="tables:\n  a:\n    columns: {id: bigint}\n    indexes: {a_i: {columns: [id]}}\n"
        "    after: [vectors.collection.c]",
        graph="indexes: {i: {label: A, properties: [id], after: [app.index.public.a_i]}}",
        vectors="collections: {c: {vector: {embedding: passages}, after: [graph.index.i]}}",
    )
    assert said == [
        "schema/app.yaml:6:13: after: app.table.public.a cannot come after vectors.collection.c: vectors.collection.c"
        " comes after graph.index.i (schema/vectors.yaml:2:58), and graph.index.i comes after app.index.public.a_i"
        " (schema/graph.yaml:2:51); take one of them out"
    ]


def test_a_long_chain_is_looked_through_once() -> None:
    """Each object after the one before it: work in proportion to how many there are."""
    where = Source("x.yaml", 1)
    chain = []
    for n in range(20_000):
        after = (Wait(constraint_address("g", f"c{n - 1}"), where),) if n else ()
        address = constraint_address("g", f"c{n}")
        chain.append(Constraint(address=address, labels=("L",), properties=("p",), kind="unique", comes_after=after))
    assert check(State.of(chain), ["g"], lambda address: False) == []
    closed = [chain[0].replace(comes_after=(Wait(chain[2].address, where),)), *chain[1:3]]
    assert len(check(State.of(closed), ["g"], lambda address: False)) == 1


def test_a_cycle_through_what_an_object_needs(folder: Folder) -> None:
    """An enum cannot come after the column that has it."""
    said = problems(
        folder,
        app="enums: {e: {values: [x], after: [app.column.public.a.k]}}\ntables: {a: {columns: {k: e}}}",
    )
    (line,) = said
    assert line.startswith("schema/app.yaml:2:34: after: app.enum.public.e cannot come after app.column.public.a.k:")
    assert "that needs it" in line


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("app.table.public.a", "cannot come after itself"),
        ("app.column.public.a.id", "is part of app.table.public.a, and comes after it"),
    ],
)
def test_nothing_comes_after_itself_or_its_parts(folder: Folder, entry: str, said: str) -> None:
    (line,) = problems(folder, app=f"tables: {{a: {{columns: {{id: bigint}}, after: [{entry}]}}}}")
    assert said in line


def test_what_somebody_else_makes_may_be_named(folder: Folder) -> None:
    """It is never waited for."""
    folder.declare(vectors="collections: {c: {vector: {embedding: passages}, after: [app.table.legacy.t]}}")
    folder.declare(app="tables: {}", graph="indexes: {}").load().desired()


def test_what_is_inside_waits_too(folder: Folder) -> None:
    """Of every kind of store, in the long form of whatever is declared."""
    folder.declare(
        app="""
enums: {e: {values: [x], after: [graph.index.i]}}
sequences: {s: {start: 1, after: [graph.index.i]}}
tables:
  a:
    columns: {id: {type: bigint, after: [graph.index.i]}, k: e}
    primary_key: {columns: [id], after: [graph.index.i]}
    unique: {u: {columns: [k], after: [graph.index.i]}}
    checks: {c: {expression: id > 0, after: [graph.index.i]}}
    indexes: {a_i: {columns: [id], after: [graph.index.i]}}
    foreign_keys: {f: {columns: [id], references: b, after: [graph.index.i]}}
  b: {columns: {id: bigint}, primary_key: [id], after: [graph.index.i]}
views: {v: {query: select 1 as one, after: [graph.index.i]}}
""",
        graph="constraints: {u: {label: A, unique: [id], after: [graph.index.i]}}\n"
        "indexes: {i: {label: B, properties: [id]}}",
        vectors="""
collections:
  c:
    vector: {embedding: passages}
    after: [graph.index.i]
    payload_indexes: {tenant: keyword, page: {type: integer, after: [graph.constraint.u]}}
""",
    )
    found = waits(folder.load().desired())
    i, u = Address.parse("graph.index.i"), Address.parse("graph.constraint.u")
    assert set(found.pop(Address.parse("vectors.payload_index.c.page"))) == {i, u}
    assert {str(address) for address in found} == {
        "app.enum.public.e", "app.sequence.public.s", "app.column.public.a.id", "app.primary_key.public.a.a_pkey",
        "app.unique.public.a.u", "app.check.public.a.c", "app.index.public.a_i", "app.foreign_key.public.a.f",
        "app.table.public.b", "app.column.public.b.id", "app.primary_key.public.b.b_pkey", "app.view.public.v",
        "graph.constraint.u", "vectors.collection.c", "vectors.alias.c", "vectors.payload_index.c.tenant",
    }  # fmt: skip
    assert set(found.values()) == {(i,)}


def test_a_choice_is_followed_to_no_removal_and_to_nothing_excluded() -> None:
    """`--only` brings what is waited for, but never what is excluded, and never what goes."""

    def constraint(name: str, *refers: Address) -> Constraint:
        address = constraint_address("g", name)
        return Constraint(address=address, labels=("L",), properties=(name,), kind="unique", refers=refers)

    a, b, c, old = (constraint_address("g", name) for name in ("a", "b", "c", "old"))
    found = [
        PACKAGE.change(None, constraint("a")),
        PACKAGE.change(None, constraint("b")),
        PACKAGE.change(None, constraint("c")),
        PACKAGE.change(constraint("old"), None),
        PACKAGE.change(constraint("user", old), None),
    ]
    changes = [change for change in found if change is not None]
    user = changes[-1].address
    assert follow(changes, [user], {a: (b,)}, Options(only=(str(user),))).chosen == {user}
    assert follow(changes, [a], {a: (b,)}, Options(only=(str(a),))).chosen == {a, b}
    both = follow(changes, [a], {a: (b,), b: (c,)}, Options(only=(str(a),), exclude=(str(b),)))
    assert both.chosen == set(), "and not c either, which b alone waits for"
    assert both.notes == (f"{a} is left out: it comes after {b}, whose change is excluded",)
