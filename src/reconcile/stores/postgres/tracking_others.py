"""What rows of Flyway, goose and sqlx say that no other table does: taken back later, in nanoseconds, as bytes. Pure.

Flyway: https://documentation.red-gate.com/fd/flyway-schema-history-table-273973417.html
goose: https://github.com/pressly/goose · sqlx: https://github.com/launchbadge/sqlx
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum

FLYWAY = frozenset(("installed_rank", "version", "script", "type", "success"))
GOOSE = frozenset(("id", "version_id", "is_applied", "tstamp"))
SQLX = frozenset(("version", "description", "installed_on", "success", "checksum", "execution_time"))


class Form(Enum):
    """Whose table it is."""

    FLYWAY = "Flyway"
    GOOSE = "goose"
    SQLX = "sqlx"
    OTHER = ""


def form(columns: Collection[str], checksum: str | None) -> Form:
    """Whose table has these columns.

    Args:
        checksum: the type of its checksum.
    """
    names = {name.lower() for name in columns}
    if names >= FLYWAY:
        return Form.FLYWAY
    if names >= GOOSE:
        return Form.GOOSE
    return Form.SQLX if names >= SQLX and checksum == "bytea" else Form.OTHER


ORDER = {Form.FLYWAY: "installed_rank", Form.GOOSE: "id", Form.SQLX: "version"}
"""The column by which rows stand as they were written: several may be of one moment."""
SAYS = {Form.FLYWAY: "type", Form.GOOSE: "is_applied"}
"""The column that says what a row is about."""


def counting(form: Form, rows: Sequence[tuple[str | None, object]]) -> list[int]:
    """Which rows, in their order, stand for a migration that has run and was not taken back since.

    Args:
        rows: number, and what `SAYS` holds.

    >>> counting(Form.GOOSE, [("0", True), ("1", True), ("2", True), ("2", False)])
    [1]
    """
    if form not in SAYS:
        return list(range(len(rows)))
    there: dict[str, list[int]] = {}
    for n, (number, says) in enumerate(rows):
        if number is None or (form is Form.GOOSE and number == "0"):  # R__ files, schemas; goose's own first row
            continue
        back = says is False if form is Form.GOOSE else str(says).startswith(("UNDO", "DELETE"))
        if back:
            there.pop(number, None)
        else:
            there.setdefault(number, []).append(n)
    return sorted(n for found in there.values() for n in found)
