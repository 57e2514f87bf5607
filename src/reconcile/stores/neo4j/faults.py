"""The driver's errors as ours: what it means, and what to do. The only file that knows Neo4j's error codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcile.errors import StoreError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EQUIVALENT = "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"
DROP_FAILED = ("Neo.DatabaseError.Schema.IndexDropFailed", "Neo.DatabaseError.Schema.ConstraintDropFailed")
CONSTRAINT_FAILED = "Neo.DatabaseError.Schema.ConstraintCreationFailed"
FORBIDDEN = "Neo.ClientError.Security.Forbidden"
"""The user may not; of SHOW INDEXES and SHOW CONSTRAINTS: the schema cannot be seen."""
NOT_SHOWN = (
    FORBIDDEN,
    "Neo.ClientError.Procedure.ProcedureNotFound",
    "Neo.ClientError.Procedure.ProcedureCallFailed",
    "Neo.ClientError.Statement.UnsupportedAdministrationCommand",
    "Neo.ClientError.Statement.SyntaxError",
)
"""What says how the server is, is kept from the user, or is not there: a service, an edition, a version."""
TOO_MUCH = (
    "Neo.TransientError.General.MemoryPoolOutOfMemoryError",
    "Neo.TransientError.General.OutOfMemoryError",
    "Neo.ClientError.Transaction.TransactionTimedOut",
    "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
)
"""A query was ended for its memory or its time."""
TAKEN = (
    "Neo.ClientError.Schema.IndexAlreadyExists",
    "Neo.ClientError.Schema.IndexWithNameAlreadyExists",
    "Neo.ClientError.Schema.ConstraintAlreadyExists",
    "Neo.ClientError.Schema.ConstraintWithNameAlreadyExists",
)
"""Something of the name, or of the definition, is there."""
_LOGIN = {
    "Neo.ClientError.Security.Unauthorized": (
        "the server does not accept user and password",
        "check `user` and `password` of the store",
    ),
    "Neo.ClientError.Security.AuthenticationRateLimit": (
        "too many wrong passwords: the server refuses logins for a while",
        "wait some seconds, and check `user` and `password` of the store",
    ),
    "Neo.ClientError.Security.CredentialsExpired": (
        "the password is the initial one and has to be changed first",
        "in cypher-shell, database system:  ALTER CURRENT USER SET PASSWORD FROM '…' TO '…'",
    ),
    "Neo.ClientError.Database.DatabaseNotFound": (
        "there is no such database",
        "check `database` of the store; the Community Edition has one, neo4j",
    ),
    "Neo.TransientError.Database.DatabaseUnavailable": ("the database is not online", "SHOW DATABASES says why"),
}


class LockWaitError(StoreError):
    """A schema statement waited too long for writers; trying again may help."""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__


def code_of(error: BaseException | None) -> str:
    """Neo4j's code of an error, of ours through its cause; "" where there is none."""
    codes = (getattr(e, "code", None) for e in _chain(error))
    return next((code for code in codes if isinstance(code, str)), "")


def transient(error: BaseException) -> bool:
    """Whether trying again may help: a lock wait, a lost connection, what the driver calls retryable."""
    if isinstance(error, LockWaitError) or code_of(error) == "Neo.ClientError.Transaction.LockClientStopped":
        return True
    return any(retryable() for e in _chain(error) if callable(retryable := getattr(e, "is_retryable", None)))


def store_error(error: Exception, store: str, url: str, secrets: Sequence[str]) -> StoreError:
    """`error` of the driver in our words; `url` is masked before it is shown."""
    from neo4j.exceptions import ConfigurationError, DriverError, Neo4jError, ServiceUnavailable

    from reconcile.references import masked, without_secrets

    shown = masked(url, secrets)
    code = code_of(error)
    where = f"store {store}"
    if code in _LOGIN:
        what, hint = _LOGIN[code]
        return StoreError(f"{shown}: {what}", where=where, hint=hint)
    if isinstance(error, ServiceUnavailable):
        return StoreError(f"{shown} cannot be reached: {_reason(error)}", where=where, hint=_reach(url, str(error)))
    if isinstance(error, ConfigurationError):
        return StoreError(f"{shown}: {masked(str(error), secrets)}", where=where, hint="write it as bolt://HOST:7687")
    if isinstance(error, Neo4jError):
        message = masked(without_secrets(_message(error)), secrets)  # it repeats the statement
        if code == FORBIDDEN:
            return StoreError(
                f"the user may not do this: {message}", where=where, hint="SHOW USER PRIVILEGES lists what it may"
            )
        if code == CONSTRAINT_FAILED and "Enterprise" in message:
            return UnsupportedError(message, where=where, hint="this server is the Community Edition")
        if code in TAKEN:
            hint = "the schema has changed since the plan was made: plan again"
            return StoreError(message, where=where, hint=hint)
        return StoreError(f"{message} ({code})", where=where)
    if isinstance(error, DriverError | OSError | ValueError):
        return StoreError(f"{shown}: {masked(str(error), secrets)}", where=where)
    raise error


def _message(error: Exception) -> str:
    return str(getattr(error, "message", None) or error)


def _reason(error: Exception) -> str:
    """One line: the driver repeats itself and adds addresses."""
    text = str(error)
    for sign, said in (
        ("Connection refused", "connection refused"),
        ("incomplete handshake", "what listens there does not speak Bolt"),
        ("looks like HTTP", "what listens there speaks HTTP, not Bolt"),
        ("not look like", "what listens there does not speak Bolt"),
        ("timed out", "no answer in time"),
        ("Name or service not known", "the host name is not known"),
        ("failure in name resolution", "the host name is not known"),
        ("Cannot resolve address", "the host name is not known"),
        ("SSL", "the encrypted connection failed"),
        ("certificate", "the encrypted connection failed"),
        ("routing", "no routing information"),
    ):
        if sign in text:
            return said
    return text.splitlines()[0] if text else type(error).__name__


def _reach(url: str, text: str) -> str:
    scheme = url.partition("://")[0]
    if "routing" in text and scheme.startswith("neo4j"):
        return f"a single server is reached directly: bolt{scheme.removeprefix('neo4j')}://…"
    if "SSL" in text or "certificate" in text:
        return "a server without encryption is bolt://…, one with its own certificate bolt+ssc://…"
    if "handshake" in text or "looks like HTTP" in text:
        return "the Bolt port is 7687 unless configured otherwise; 7474 is HTTP"
    return "is it running, and is `url` of the store right?"
