"""What a script of ours asks of `cypher-shell`, which no package index has: run as that, over the driver.

Statements ending in `;`, `:param MAP`, `:begin`, `:commit`, comments; the first error ends it.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from neo4j import GraphDatabase, Session, Transaction


def install(folder: Path) -> Path:
    """A folder for PATH with an executable of that name."""
    folder.mkdir()
    program = folder / "cypher-shell"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__)}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def run(session: Session, text: str) -> None:
    """Run a script."""
    transaction: Transaction | None = None
    params: dict[str, object] = {}
    statement = ""
    for line in text.splitlines():
        if line.startswith("//"):
            continue
        if line == ":begin":
            transaction = session.begin_transaction()
        elif line == ":commit":
            assert transaction is not None
            transaction.commit()
            transaction = None
        elif line.startswith(":param "):
            literal = line.removeprefix(":param ").rstrip(";")
            params |= session_of(session).run(f"RETURN {literal} AS given").single(strict=True)["given"]
        else:
            statement += f"{line}\n"
            if line.endswith(";"):
                (transaction or session).run(statement.rstrip().rstrip(";"), params).consume()
                statement = ""
    assert not statement.strip(), statement


OTHERS: list[Session] = []


def session_of(session: Session) -> Session:
    """Another session: a transaction may be open in the first."""
    return OTHERS[0] if OTHERS else session


if __name__ == "__main__":
    arguments = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
    driver = GraphDatabase.driver(arguments["-a"], auth=(arguments["-u"], arguments["-p"]))
    with driver, driver.session() as first, driver.session() as second:
        OTHERS.append(second)
        run(first, sys.stdin.read())
