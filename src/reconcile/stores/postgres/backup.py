"""A database into files and back: pg_dump's custom format, of one moment that we count in ourselves meanwhile.

Passwords go by the environment. A restore is one transaction, what it takes away first included: killed anywhere, the
database is as it was. https://www.postgresql.org/docs/current/app-pgdump.html
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from reconcile.backups import Contents
from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.backups import Made, Tell
from reconcile.stores.base import StoreSpec
from reconcile.stores.postgres import programs
from reconcile.stores.postgres.connect import Connection
from reconcile.stores.postgres.contents import (
    NOT_OF_EXTENSION,
    OURS,
    joined,
    sequence_contents,
    snapshot,
    table_contents,
)
from reconcile.stores.postgres.dumping import Dump, collected
from reconcile.stores.postgres.emptying import Emptied, emptied
from reconcile.stores.postgres.sqltext import ident

DUMP, TABLES = "database.dump", "tables.dump"
_LOCK = "lock"
_FACTS = """
SELECT current_setting('server_version_num')::int / 10000, pg_encoding_to_char(encoding),
  EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public'),
  ARRAY(SELECT r.rolname::text FROM pg_roles r WHERE r.oid = 10
        OR EXISTS (SELECT FROM pg_shdepend s WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid
                   AND s.dbid = b.oid) ORDER BY 1)
FROM pg_database b WHERE datname = current_database()
"""
_HELD = f"""
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
    WHEN 'S' THEN 'sequence' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'type' END
  || ' ' || n.nspname || '.' || c.relname
  || CASE WHEN c.relkind IN ('r', 'm') AND c.reltuples > 0 THEN ' (about ' || c.reltuples::bigint || ' rows)'
     ELSE '' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND {OURS} AND {NOT_OF_EXTENSION}
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                  AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
UNION ALL
SELECT 'routine ' || p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {OURS} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                             AND d.deptype = 'e')
UNION ALL
SELECT 'type ' || t.oid::regtype::text FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'r') AND {OURS} AND NOT EXISTS (SELECT FROM pg_depend d
  WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
UNION ALL
SELECT 'schema ' || n.nspname FROM pg_namespace n WHERE n.nspname <> 'public' AND {OURS}
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid
                  AND d.deptype = 'e')
ORDER BY 1
"""
_RESTORE = "reconcile restore"
_END_OTHERS = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = '{_RESTORE}' AND datname = current_database() AND usename = session_user
"""


class Backup:
    """Of one database, over one connection; the programs make connections of their own."""

    def __init__(self, connection: Connection, spec: StoreSpec) -> None:
        self.connection, self.spec = connection, spec
        self.settings: Mapping[str, Json] = spec.settings.get("backup") or {}

    def back_up(self, folder: Path, ledger: str | None, tell: Tell) -> Made:
        """See `BacksUp.back_up`."""
        row = self.connection.execute(_FACTS.encode()).fetchone()
        assert row is not None
        tools = programs.find(self.spec, int(row[0]))
        facts = {"major": row[0], "encoding": row[1], "public": row[2], "roles": list(row[3]), "ledger": ledger}
        facts["programs"] = tools.major
        before = sequence_contents(self.connection)
        with snapshot(self.connection) as connection:
            ((moment,),) = connection.execute("SELECT pg_export_snapshot()").fetchall()
            with self._dumping(tools, folder, str(moment), ledger, tell) as ended:
                contents = table_contents(connection, None if ledger is None else (ledger, _LOCK))
                ended()
        return Made(joined(contents, before, sequence_contents(self.connection)), facts)

    @contextmanager
    def _dumping(
        self, tools: programs.Programs, folder: Path, moment: str, ledger: str | None, tell: Tell
    ) -> Iterator[Callable[[], None]]:
        """pg_dump at work, and what waits for its end."""
        whole = [] if ledger is None else [f"--exclude-table-data={ident(ledger)}.{ident(_LOCK)}"]
        files = {DUMP: self._line(tools, moment, *whole)}
        if tables := [str(t) for t in self.settings.get("tables") or ()]:
            chosen = [f"--table={self._pattern(table)}" for table in tables]
            files[TABLES] = self._line(tools, moment, "--data-only", "--strict-names", *chosen)
        _, environment = programs.connection(self.spec)
        tell(f"pg_dump {tools.version}")
        running = [Dump(line, environment, folder / name) for name, line in files.items()]

        def ended() -> None:
            for dump in running:
                if (said := dump.failure()) is not None:
                    raise programs.refusal(said, "pg_dump failed", self.spec, _dump_hint(said))

        try:
            yield ended
        finally:
            for dump in running:
                dump.close()

    def _line(self, tools: programs.Programs, moment: str, *options: str) -> list[str]:
        where, _ = programs.connection(self.spec)
        role = self.spec.resolve("role")
        as_role = [f"--role={role}"] if role else []
        fixed = ["--format=custom", "--no-password", "--lock-wait-timeout=30s", f"--snapshot={moment}"]
        return tools.line("pg_dump", *fixed, *as_role, *options, f"--dbname={where}")

    def _pattern(self, table: str) -> str:
        """`audit.events`, or a table of the first schema of the store, as pg_dump takes it literally."""
        schema, dot, name = table.partition(".")
        first = (self.spec.settings.get("schemas") or ["public"])[0]
        return f"{ident(schema)}.{ident(name)}" if dot else f"{ident(str(first))}.{ident(table)}"

    def in_the_way(self) -> list[str]:
        """See `BacksUp.in_the_way`."""
        return [str(row[0]) for row in self.connection.execute(_HELD.encode()).fetchall()]

    def contents(self, made: Made) -> Contents:
        """See `BacksUp.contents`."""
        ledger = made.facts.get("ledger")
        with snapshot(self.connection) as connection:
            tables = table_contents(connection, None if ledger is None else (str(ledger), _LOCK))
            stand = sequence_contents(connection)
        return joined(tables, stand, stand)

    def put_back(self, folder: Path, made: Made, replace: bool, tell: Tell) -> Sequence[str]:
        """See `BacksUp.put_back`: all of it in one transaction."""
        facts = made.facts
        major = self.connection.info.server_version // 10000
        if major < int(facts["major"]):
            raise StoreError(
                f"the backup is of PostgreSQL {facts['major']}, this server is {major}: nothing was changed",
                where=f"store {self.spec.name}",
                hint="restore into a server of the same version, or a later one",
            )
        tools = programs.find(self.spec, max(int(facts["programs"]), int(facts["major"])))
        wanted = [str(role) for role in facts["roles"]]
        rows = self.connection.execute("SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%s)", (wanted,))
        missing = sorted(set(wanted) - {str(r[0]) for r in rows.fetchall()})
        if missing and not self._may_make_roles():
            raise StoreError(
                f"roles of the backup are not here: {', '.join(missing)}; nothing was changed",
                where=f"store {self.spec.name}",
                hint="create them, or restore as a superuser:  "
                + "  ".join(f"CREATE ROLE {ident(r)};" for r in missing),
            )
        self._end_others()
        empty = emptied(self.connection, bool(facts["public"])) if replace else Emptied("")
        head = empty.statements
        if not facts["public"] and not replace:
            head = "DROP SCHEMA IF EXISTS public;\n"
        role, tail = self.spec.resolve("role"), ""
        if role:
            head = f"SET ROLE {ident(role)};\n{head}"
        if facts["ledger"] is not None:
            lock = f"{ident(str(facts['ledger']))}.{ident(_LOCK)}"
            tail = f"INSERT INTO {lock} (id, epoch, expires) SELECT 1, 0, 0 WHERE NOT EXISTS (SELECT FROM {lock});\n"
        for name in missing:
            head += f"CREATE ROLE {ident(name)};\n"
            tail += f"REASSIGN OWNED BY {ident(name)} TO CURRENT_USER;\nDROP OWNED BY {ident(name)};\n"
            tail += f"DROP ROLE {ident(name)};\n"
        tell(f"pg_restore {tools.version}")
        self._play(tools, folder / DUMP, head, tail, empty.staying)
        return [
            f"role {name} does not exist here: what it owned belongs to who restored it, and what it was granted is"
            " left out; to keep both, create it and restore again"
            for name in missing
        ]

    def _end_others(self) -> None:
        """End what a restore that was killed still does: its last statement may hold locks for long."""
        while self.connection.execute(_END_OTHERS.encode()).fetchall():
            time.sleep(0.05)

    def _may_make_roles(self) -> bool:
        """Whether roles can be made for the time of the restore: objects that name them could not be made else."""
        row = self.connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        return bool(row and row[0])

    def _play(self, tools: programs.Programs, dump: Path, head: str, tail: str, staying: Set[str]) -> None:
        """Send the statements of a dump between `head` and `tail`; committed only if all of it came through."""
        where, environment = programs.connection(self.spec, _RESTORE)
        with tempfile.NamedTemporaryFile("w", suffix=".list") as chosen:
            chosen.write(_entries(tools, dump, self.spec, staying))
            chosen.flush()
            self._piped(tools, ["--file=-", f"--use-list={chosen.name}", str(dump)], where, environment, head, tail)

    def _piped(
        self,
        tools: programs.Programs,
        asked: list[str],
        where: str,
        environment: Mapping[str, str],
        head: str,
        tail: str,
    ) -> None:
        reader = subprocess.Popen(
            tools.line("pg_restore", *asked), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        writer = subprocess.Popen(
            tools.line("psql", "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
                       "--file=-", f"--dbname={where}"),
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert reader.stdout is not None and reader.stderr is not None
        assert writer.stdin is not None and writer.stderr is not None
        said = [collected(reader.stderr), collected(writer.stderr)]
        try:
            try:
                writer.stdin.write(f"SET client_min_messages = warning;\nBEGIN;\n{head}".encode())
                while piece := reader.stdout.read(1 << 20):
                    writer.stdin.write(piece)
                whole = reader.wait() == 0
                if whole:
                    writer.stdin.write(f"\n{tail}COMMIT;\n".encode())
                writer.stdin.close()
            except BrokenPipeError:
                whole = True  # psql has said why
            failed = writer.wait() != 0
        finally:
            for process in (reader, writer):
                if process.poll() is None:
                    process.kill()
                    process.wait()
        unread, refused = (text() for text in said)
        hint = "it was one transaction, and nothing of it is left"
        if failed:
            raise programs.refusal(refused, "the restore failed", self.spec, hint)
        if not whole:
            raise programs.refusal(unread, "pg_restore failed", self.spec, hint)

    @contextmanager
    def scratch_database(self, name: str) -> Iterator[None]:
        """A database of this encoding and locale on the same server, dropped afterwards.

        Raises:
            psycopg.errors.InsufficientPrivilege: the role may not create databases.
        """
        self.connection.execute(f"CREATE DATABASE {ident(name)} TEMPLATE template0 {self._locale()}".encode())
        try:
            yield
        finally:
            force = " WITH (FORCE)" if self.connection.info.server_version >= 130000 else ""
            self.connection.execute(f"DROP DATABASE IF EXISTS {ident(name)}{force}".encode())

    def _locale(self) -> str:
        row = self.connection.execute(
            "SELECT to_jsonb(d), pg_encoding_to_char(encoding) FROM pg_database d WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        known, encoding = row
        from reconcile.stores.postgres.names import literal

        parts = [f"ENCODING {literal(encoding)} LC_COLLATE {literal(known['datcollate'])}"]
        parts.append(f"LC_CTYPE {literal(known['datctype'])}")
        provider = {"b": "builtin", "i": "icu", "c": "libc"}.get(known.get("datlocprovider", ""))
        if provider:
            parts.append(f"LOCALE_PROVIDER {provider}")
        locale = known.get("datlocale") or known.get("daticulocale")
        if locale and provider in ("builtin", "icu"):
            parts.append(f"{'BUILTIN_LOCALE' if provider == 'builtin' else 'ICU_LOCALE'} {literal(locale)}")
        return " ".join(parts)


def _entries(tools: programs.Programs, dump: Path, spec: StoreSpec, staying: Set[str]) -> str:
    """The table of contents without comments on extensions: those set them themselves, and only their owner may.

    Args:
        staying: schemas that are there.
    """
    done = programs.run(tools.line("pg_restore", "--list", str(dump)))
    if done.returncode:
        raise programs.refusal(done.stderr, "pg_restore cannot read the dump", spec, "nothing was changed")
    left_out = (" COMMENT - EXTENSION ", *(f" SCHEMA - {name} " for name in staying))
    return "".join(f"{line}\n" for line in done.stdout.splitlines() if not any(w in line for w in left_out))


def _dump_hint(said: str) -> str | None:
    if "permission denied" in said:
        return "a backup needs a role that may read all of the database: GRANT pg_read_all_data TO it, or its owner"
    if "row-level security" in said:
        return "row-level security hides rows from this role: back up as the owner, or as one with BYPASSRLS"
    if "server version mismatch" in said:
        return "set `backup: {programs: FOLDER}` of the store to programs that are not older than the server"
    return None


def inspect(folder: Path, made: Made, spec: StoreSpec) -> list[str]:
    """See `Inspects.inspect`: whether pg_restore can read what is in them."""
    tools = programs.find(spec, int(made.facts["programs"]))
    found = []
    for name in (DUMP, TABLES):
        if (folder / name).exists():
            done = programs.run(tools.line("pg_restore", "--list", str(folder / name)))
            if done.returncode:
                found.append(f"{name}: {programs.refusal(done.stderr, 'pg_restore cannot read it', spec).what}")
    return found
