"""A restore over the three real stores, ended by SIGKILL at every boundary, and begun again."""

from __future__ import annotations

import os
import signal
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import ReconcileError, RefusedError
from reconcile.ledger import Ledger
from reconcile.project import Project
from reconcile.stores.neo4j import backup as neo4j_backup
from reconcile.stores.neo4j.session import Neo4jSession
from reconcile.stores.qdrant.transport import Transport
from tests.backing import everything
from tests.projects import Folder, cypher, three_stores

APP = "tables: {notes: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}}"
GRAPH = "indexes: {person_name: {label: Person, properties: [name]}}"
VECTORS = "collections: {passages: {vector: {embedding: passages}}}"


@pytest.fixture
def folder(
    tmp_path: Path, make_postgres_database: Callable[[], str], neo4j_database: Any, qdrant_server: str
) -> Folder:
    """Little of everything in three stores, and a backup of it."""
    url = make_postgres_database()
    made = Folder(tmp_path, three_stores(url, neo4j_database, qdrant_server), {"backup": {"to": "saved"}})
    made.declare(app=APP, graph=GRAPH, vectors=VECTORS).apply()
    spoil(made, 0)
    workflow.back_up(made.load())
    return made


def spoil(folder: Folder, number: int) -> None:
    """Write to all three what no backup with another number has, to whatever is there."""
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        connection.execute("INSERT INTO notes VALUES (%s)", (number,))
    cypher(folder, "MERGE (n:Person {id: $n}) MERGE (n)-[:KNOWS]->(:Odd {id: $n})", n=number)
    body = {"points": [{"id": number, "vector": [number, 1, 2]}]}
    http = Transport(folder.load().stores["vectors"])
    try:
        http.send("PUT", "/collections/passages__v1/points?wait=true", body)
    except ReconcileError as error:  # it is not restored yet
        assert "doesn't exist" in str(error)
    finally:
        http.close()


def restore(project: Project) -> list[str]:
    """What `reconcile restore latest --replace --yes` does."""
    with workflow.restoring(project, workflow.chosen_backup(project, "latest")) as asked:
        return workflow.restore(asked, True)


def killed_after(number: int, project: Project, first: str = "lock") -> bool:
    """Restore in a process of its own, which ends by SIGKILL after its n-th change from the first one of a name on;
    False where it came to its end.
    """
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            _die_after(number, first)
            restore(project)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the restore failed by itself"
    return os.WIFSIGNALED(status)


def _die_after(number: int, first: str) -> None:
    left, begun = number, False

    def counting(
        place: Any, name: str, counts: Callable[..., bool] = lambda *words: True, before: bool = False
    ) -> None:
        inner = getattr(place, name)

        def counted(*words: Any, **more: Any) -> Any:
            nonlocal left, begun
            left -= before and begun
            if before and left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            found = inner(*words, **more)
            begun = begun or name == first
            left -= begun and not before and counts(*words)
            if not before and left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        setattr(place, name, counted)

    counting(subprocess.Popen, "wait", before=True)  # all is sent but COMMIT; COMMIT is sent
    counting(neo4j_backup, "_sent")
    counting(neo4j_backup._Writer, "_send")
    counting(Neo4jSession, "mark", lambda session, content: content is not None)
    counting(Transport, "_ask", lambda http, method, path, *rest: method != "GET" and "/points/" not in path)
    for name in ("lock", "stamp", "release"):
        counting(Ledger, name)


def unlocked(folder: Folder) -> Project:
    """What an operator does who does not want to wait until the lock of the killed one has expired."""
    project = folder.load()
    if (lock := workflow.status(project)["lock"]) is not None:
        workflow.unlock(project, lock["run"])
    return project


def test_killed_at_every_boundary_a_restore_begun_again_comes_to_the_same_end(
    folder: Folder, fault_points: Callable[[int], None]
) -> None:
    """Each attempt begins with what the one before left, to which others have written meanwhile."""
    wanted, killed, half, began = everything(folder), 0, 0, folder.load()
    while killed_after(killed + 1, began):
        killed += 1
        project = unlocked(folder)
        try:
            workflow.plan(project)
        except RefusedError as error:
            half += 1
            assert "may hold only a part of backup" in str(error)
        else:  # nothing was changed yet, or all is done
            assert everything(folder) == wanted, f"killed at change {killed}"
        spoil(folder, killed)
        began = project
    assert everything(folder) == wanted
    assert not folder.plan().steps
    assert killed > 20 and half > 15
    fault_points(killed)


def test_what_is_whole_stays_and_what_is_half_is_begun_again(folder: Folder) -> None:
    """Without --replace: what the stores hold is the restore's own."""
    wanted = everything(folder)
    assert killed_after(2, folder.load(), "_sent")  # PostgreSQL is done, Neo4j has lost what it held
    project = unlocked(folder)
    for command in (workflow.back_up, workflow.verify, workflow.adopt):
        with pytest.raises(ReconcileError, match="may hold only a part"):
            command(project)
    assert "Person" not in str(cypher(folder, "MATCH (n) RETURN labels(n)"))
    again = folder.command("restore", "latest", "--yes")
    assert again.returncode == 0, again.stderr
    assert "note: app: was whole already" in again.stderr
    assert everything(folder) == wanted
    assert workflow.status(project)["lock"] is None
    assert not folder.plan().steps
