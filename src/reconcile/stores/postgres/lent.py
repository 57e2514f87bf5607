"""A database of the sandbox's to build in, where the live one may not be built in.

It is asked of another process, `reconcile.sandbox.lend`: that one starts the server, and removes all it made when this
process closes the pipe between them or ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

import psycopg

from reconcile.errors import ReconcileError
from reconcile.stores.postgres.connect import SETTINGS, Connection

_COPIED = ("transform_null_equals", "xmloption", "array_nulls", "backslash_quote")
"""Settings of the live session that spelling depends on and that no query of ours fixes."""

MONEY = "reconcile.lc_monetary"
"""The live `lc_monetary`, in the lent session: a locale that may not be installed here."""


class NotLent(ReconcileError):
    """There is none: says why."""


class Lent:
    """An empty database with the settings of a live session; `close` gives it back."""

    def __init__(self, live: Connection) -> None:
        """Start it.

        Raises:
            NotLent: no server of that major version can be started here.
        """
        self._process = _lender(live)
        try:
            self.url = self._url()
            self.connection: Connection = psycopg.connect(self.url, autocommit=True, prepare_threshold=None)
            self.connection.execute(SETTINGS)
            for name in _COPIED:
                self._set(name, _setting(live, name))
            self._set(MONEY, _setting(live, "lc_monetary"))
            with suppress(psycopg.DataError):
                self._set("lc_monetary", _setting(live, "lc_monetary"))
        except psycopg.Error as error:
            self._end()
            raise NotLent(f"the sandbox's PostgreSQL does not answer: {str(error).splitlines()[0]}") from error
        except BaseException:
            self._end()
            raise

    def _set(self, name: str, value: str) -> None:
        self.connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    def _url(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            said = json.loads(line)
        except ValueError:
            said = {"problem": "the process that starts it ended"}
        if "url" not in said:
            raise NotLent(str(said["problem"]))
        return str(said["url"])

    def close(self) -> None:
        """Give it back; returns when all that was started has ended."""
        self.connection.close()
        self._end()

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.terminate()


def _major(connection: Connection) -> str:
    return str(connection.info.server_version // 10000)


def _setting(connection: Connection, name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def _lender(live: Connection) -> subprocess.Popen[bytes]:
    encoding = live.info.parameter_status("server_encoding") or "UTF8"
    return subprocess.Popen(
        [sys.executable, "-m", "reconcile.sandbox.lend", _major(live), encoding],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # an interrupt of this process must not reach the one that cleans up
    )
