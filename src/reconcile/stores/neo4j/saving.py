"""What a session of Neo4j offers to backups."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconcile.backups import Contents
from reconcile.errors import StoreError
from reconcile.stores.backups import BacksUp, Made, Tell
from reconcile.stores.neo4j import cypher, privileges
from reconcile.stores.neo4j.backup import Backup
from reconcile.yamlio import Map


class Saving:
    """See `stores.backups.BacksUp`."""

    def _backup(self: Any) -> Backup:
        return Backup(self.driver_session, self.read, cypher.prefix(self.server()), self.place)

    def back_up(self: Any, folder: Path, ledger: str | None, tell: Tell) -> Made:
        """See `BacksUp.back_up`."""
        del ledger
        if self._hides_data:
            raise StoreError(privileges.PARTLY, where=self.place, hint="back up as a user who may read all of it")
        with self.translated():
            return self._backup().back_up(folder, tell)  # type: ignore[no-any-return]

    def in_the_way(self: Any) -> Sequence[str]:
        """See `BacksUp.in_the_way`."""
        return self._backup().in_the_way()  # type: ignore[no-any-return]

    def put_back(self: Any, folder: Path, made: Made, replace: bool, tell: Tell) -> Sequence[str]:
        """See `BacksUp.put_back`: in many transactions."""
        with self.translated():
            return self._backup().put_back(folder, made, replace, tell)  # type: ignore[no-any-return]

    def contents(self: Any, made: Made) -> Contents:
        """See `BacksUp.contents`."""
        del made
        with self.translated():
            return self._backup().contents(lambda detail: None)  # type: ignore[no-any-return]

    @contextmanager
    def trial(self: Any, made: Made) -> Iterator[BacksUp]:
        """See `BacksUp.trial`: the Community Edition has one database, so a server of the sandbox's."""
        del made
        process = subprocess.Popen(
            [sys.executable, "-m", "reconcile.sandbox.lend", "neo4j"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt of this process must not reach the one that cleans up
        )
        other = None
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline() or b'{"problem": "the process that starts it ended"}')
            if "url" not in said:
                raise StoreError(
                    f"there is no server to restore into for a try: {said['problem']}",
                    where=self.place,
                    hint="pip install 'reconcile-schema[sandbox]', or restore into another environment",
                )
            settings = Map({"kind": self._spec.kind, **said}, source=self._spec.source)
            other = type(self)(replace(self._spec, settings=settings))
            yield other
        finally:
            if other is not None:
                other.close()
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.terminate()
