"""Verifications of a migration: each passes, fails, or is told as not run."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal

from reconcile.errors import ReconcileError
from reconcile.migrations.model import Migration, Verification
from reconcile.model import Json
from reconcile.stores.migrating import Asker, Judge


@dataclass
class Verdicts:
    """What came out."""

    passed: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    def to_json(self) -> Json:
        """As the ledger keeps it."""
        return {"passed": self.passed, "not_run": self.not_run}

    def closing(self) -> str:
        """The end of a line about the migration."""
        parts = [f"{len(self.passed)} verified"] if self.passed else []
        unrun = len(self.not_run)
        parts += [f"{unrun} verification{'s' * (unrun != 1)} not run"] if unrun else []
        return f"; {', '.join(parts)}" if parts else ""


class VerifyError(ReconcileError):
    """What must hold after a migration does not."""


def judge(migration: Migration, verdicts: Verdicts, tell: Callable[[str], None]) -> Judge:
    """What a session calls before it commits."""

    def run(asker: Asker) -> None:
        verdicts.passed.clear()
        verdicts.not_run.clear()
        for one in migration.verify:
            why = one.unrunnable or _verified(one, asker)
            if why is None:
                verdicts.passed.append(one.label)
                tell(f"  verified: {one.label} ({one.where.file}:{one.where.line})")
            else:
                verdicts.not_run.append(f"{one.label}: {why}")
                tell(f"  not run: {one.label} ({one.where.file}:{one.where.line}): {why}")

    return run


def _verified(one: Verification, asker: Asker) -> str | None:
    """Nothing where it passes; why, where it cannot be run after all.

    Raises:
        VerifyError: it does not pass.
    """
    if one.query is not None:
        _queried(one, asker.rows(one.query))
        return None
    assert one.code is not None
    try:
        result = one.code(asker.connection)
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
    except AssertionError as error:
        raise VerifyError(f"{one.label} failed: {error or 'an assertion'}", where=one.where) from error
    except (AttributeError, NameError, ImportError) as error:
        return f"it needs more than a connection: {type(error).__name__}: {error}"
    except ReconcileError:
        raise
    except Exception as error:  # the user's own code, and what the server says of its queries
        raise VerifyError(f"{one.label} failed: {type(error).__name__}: {error}", where=one.where) from error
    verdict = result[0] if isinstance(result, tuple) and result else result
    if verdict is True or verdict is None:
        return None if verdict or not _returns(one) else _failed(one, verdict)
    if verdict is False:
        return _failed(one, result)
    return f"it returned {str(result)[:60]!r}, which says neither yes nor no"


def _failed(one: Verification, result: object) -> str:
    raise VerifyError(f"{one.label} failed: it returned {result!r}", where=one.where)


def _returns(one: Verification) -> bool:
    """Whether the code says yes by a value, so that None is no yes."""
    return bool(getattr(one.code, "answers", False))


async def _awaited(result: Awaitable[object]) -> object:
    return await result


def _queried(one: Verification, rows: list[tuple[object, ...]]) -> None:
    """
    Raises:
        VerifyError: the first value is not what is expected.
    """
    value = rows[0][0] if rows and rows[0] else None
    if one.expects:
        if not _same(value, one.expect) or not rows:
            got = "no rows" if not rows else repr(value)
            raise VerifyError(f"{one.label} failed: expected {one.expect!r}, got {got}", where=one.where)
    elif not rows or value is None or value is False:
        got = "no rows" if not rows else f"{value}"
        raise VerifyError(f"{one.label} failed: it answered {got}", where=one.where)


def _same(value: object, expected: Json) -> bool:
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, int | float | Decimal) and isinstance(expected, int | float):
        return float(value) == float(expected)
    return value == expected or (value is not None and expected is not None and str(value) == str(expected))
