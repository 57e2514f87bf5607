"""Other differs over the same two databases, as far as they are installed: nothing is downloaded unless asked for.

migra and alembic are Python programs and get a virtual environment of their own (`--peers FOLDER`, made and filled by
`--install-peers`); others count where their binary is on PATH. Each is asked for a plan with nothing to change.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import schema
from psycopg import conninfo

PACKAGES = ("migra[pg]==3.0.1663481299", "setuptools<81", "sqlalchemy<2.1", "alembic==1.20.1", "psycopg2-binary")
"""migra 3 imports pkg_resources, which later versions of setuptools no longer have, and expects psycopg2, which later
versions of SQLAlchemy no longer take for `postgresql://`."""

ALEMBIC = """
import sys
sys.path.insert(0, sys.argv[2])
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from models import metadata
from sqlalchemy import create_engine
with create_engine(sys.argv[1]).connect() as connection:
    options = {"compare_type": True, "compare_server_default": True}
    print(len(compare_metadata(MigrationContext.configure(connection, opts=options), metadata)), "differences")
"""


@dataclass(frozen=True)
class Peer:
    """A differ and how it is called."""

    name: str
    command: tuple[str, ...]
    note: str = ""
    expect: tuple[int, ...] = (0,)


def install(folder: Path) -> None:
    """The Python peers in a virtual environment of their own."""
    venv.create(folder, with_pip=True)
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run((*pip, *PACKAGES), check=True)


def peers(folder: Path, work: Path, live: str, desired: str, tables: int) -> Iterator[Peer]:
    """Those that are there.

    Args:
        folder: the virtual environment of the Python peers.
        work: where files for them may be written.
        live: the URL of the database to compare.
        desired: the URL of one that is as it should be, for those that want it ready-made.
    """
    (work / "schema.sql").write_text("".join(schema.sql(tables)))
    (work / "models.py").write_text(schema.models(tables))
    migra, python = folder / "bin" / "migra", folder / "bin" / "python"
    if migra.exists():
        yield Peer(
            "migra",
            (str(migra), "--unsafe", "--schema", "public", live, desired),
            "is given the desired database ready-made",
        )
    if (folder / "bin" / "alembic").exists():
        (work / "compare.py").write_text(ALEMBIC)
        url = live.replace("postgresql://", "postgresql+psycopg2://", 1)
        yield Peer("alembic", (str(python), str(work / "compare.py"), url, str(work)), "compares no checks")
    parts = conninfo.conninfo_to_dict(live)
    at = ("--host", str(parts.get("host", "")), "--port", str(parts.get("port", 5432)))
    who = ("--user", str(parts.get("user", "postgres")))
    file, database = str(work / "schema.sql"), str(parts["dbname"])
    commands = {
        "pgschema": ("plan", *at, *who, "--db", database, "--file", file),
        "psqldef": (*at, *who, "--dry-run", "--file", file, database),
        "pg-schema-diff": ("plan", "--from-dsn", live, "--to-dsn", desired),
        "atlas": ("schema", "diff", "--from", f"{live}?sslmode=disable", "--to", f"{desired}?sslmode=disable"),
    }
    for name, arguments in commands.items():
        if (binary := shutil.which(name)) is not None:
            yield Peer(name, (binary, *arguments))


if __name__ == "__main__":
    install(Path(sys.argv[1]))
