"""Folders of other tools that hold no scripts as we run them: recognised, and told what to do."""

from __future__ import annotations

from pathlib import Path

_DJANGO = (
    "is a migration of Django, which only Django can run",
    "write what `manage.py sqlmigrate APP NAME` prints into NNN_name.sql, and record it: reconcile migrate baseline N",
)
_ALEMBIC = (
    "is a revision of Alembic, which only Alembic can run",
    "write what `alembic upgrade FROM:TO --sql` prints into NNN_name.sql, and record it: reconcile migrate baseline N",
)
_IN_FOLDERS = {
    "migration.sql": "Prisma",
    "up.sql": "Diesel",
}
_PROGRAMS = (".rb", ".js", ".ts", ".mjs", ".cjs", ".go", ".java", ".kt", ".php", ".cs", ".ex", ".exs", ".xml")


def of_python(text: str) -> tuple[str, str] | None:
    """What a Python file is, if another tool's, and what to do with it."""
    if "django.db" in text and "migrations.Migration" in text:
        return _DJANGO
    if "down_revision" in text:
        return _ALEMBIC
    return None


def of_folder(place: Path) -> tuple[str, str] | None:
    """What a folder is in which no file is a migration of ours, if another tool's, and what to do with it.

    Raises:
        OSError: it cannot be read.
    """
    for path in sorted(place.glob("*.py"))[:20]:
        if found := of_python(path.read_text(encoding="utf-8", errors="replace")):
            return f"{path.name} {found[0]}", found[1]
    if (place / "versions").is_dir() and (place / "env.py").is_file():
        return "its files are revisions of Alembic, which only Alembic can run", _ALEMBIC[1]
    for name, tool in _IN_FOLDERS.items():
        for path in sorted(place.glob(f"*/{name}"))[:1]:
            own = path.parent.name
            return (
                f"it has a folder for each migration, as {tool} does",
                f"files have to be in the folder itself: copy {own}/{name} to"
                f" {own}{'.up' if name == 'up.sql' else ''}.sql, and so on",
            )
    program = next((p.name for p in sorted(place.iterdir()) if p.suffix in _PROGRAMS), None)
    if program is not None:
        return f"{program} is a program of another tool", "give it SQL or Cypher files, or Python with up(connection)"
    return None
