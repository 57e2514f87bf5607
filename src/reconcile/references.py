"""`${ENV}`, `${ENV:-default}`, `${file:PATH}` in store settings; passwords kept out of messages.

Values are read when they are asked for, at each connect, and are never kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from reconcile.errors import Problem, ReconcileError
from reconcile.model import Source
from reconcile.yamlio import Map

if TYPE_CHECKING:
    from reconcile.stores.base import StoreSpec

REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
"""`$${` (a literal `${`), a whole reference with what is inside, or one that is not closed."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DEFAULT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*):-(.*)\Z", re.S)

_URL_PASSWORD = re.compile(r"(://[^\s:/?#@'\"<>]*):(?!PASSWORD@)[^\s'\"<>]*@")
"""All but the word that stands for a password in our own hints."""
_ASSIGNED = re.compile(
    r"""(?ix) (\b[\w-]*(?:password|passwd|passphrase|pwd|api[_-]?key|secret|token)["']?\s*[=:]\s*)
        ("[^"]*" | '[^']*' | (?!`)[^\s&,;)}\]]+)"""
)
_SINGLE = r"'(?:[^'\\]|''|\\.)*(?:'|\Z)"
_STRING = rf"""(?: (?:\b[EN]|\bU&)?{_SINGLE} | "(?:[^"\\]|\\.)*" | (?P<tag>\$\w*\$).*?(?:(?P=tag)|\Z) )"""
_GIVEN = re.compile(
    rf"""(?isx) (?P<word> \b\w*(?:password|passwd|passphrase|secret|token|api[_-]?key)\b
        (?: \s+(?:(?:from|to)\s+)? | ["'`]?\s*(?:=>?|:)\s* | ['"]\s*,\s* ) )
        {_STRING} (?P<then>\s+to\s+)? (?(then){_SINGLE})"""
)
"""PASSWORD 'x', SET PASSWORD FROM 'x' TO 'y', {password: 'x'}, ('app.token', 'x'): of SQL and of Cypher."""
_LITERAL = re.compile(r"'((?:[^']|'')*)(?:'|\Z)")
_BEARER = re.compile(r"(?i)\b(authorization\s*[:=]\s*|bearer\s+|basic\s+)(?:(?:bearer|basic)\s+)?[\w+/=.~-]{6,}")
MASK = "***"


def check(text: str, where: Source) -> list[Problem]:
    """What is wrong with the references in a store setting, without reading any."""
    problems = []
    for found in REFERENCE.finditer(text):
        inner = found[1]
        if found[0] == "$${":
            continue
        if inner is None:
            problems.append(Problem("${ is not closed", where=where, hint="write ${NAME}, or $${ for a literal ${"))
        elif inner.startswith("var."):
            problems.append(
                Problem(f"${{{inner}}}: variables are for schema files", where=where,
                        hint="write it out, or take it from the environment: ${NAME}")
            )  # fmt: skip
        elif not (_NAME.match(inner) or _DEFAULT.match(inner) or (inner.startswith("file:") and inner[5:])):
            problems.append(
                Problem(f"${{{inner}}} is no reference", where=where,
                        hint="one of: ${NAME}, ${NAME:-default}, ${file:PATH}; $${ is a literal ${")
            )  # fmt: skip
    return problems


def resolve(spec: StoreSpec, key: str) -> str | None:
    """The setting with its references read now; None where it is absent or empty.

    Raises:
        ReconcileError: a variable is not set or a file cannot be read; names it, the store, the line.
    """
    raw = spec.settings.get(key)
    if raw is None:
        return None
    if not isinstance(raw, str):
        return {True: "true", False: "false"}[raw] if isinstance(raw, bool) else str(raw)

    return read_text(raw, f'store "{spec.name}": {key}', place(spec, key), spec.directory) or None


def read_text(text: str, what: str, where: Source, directory: Path) -> str:
    """A text of reconcile.yaml with its references read now.

    Args:
        what: whose it is, for errors: `store "app": url`.
        where: its place.
        directory: what files are relative to.

    Raises:
        ReconcileError: a variable is not set or a file cannot be read; names it and the place, never a value.
    """

    def read(found: re.Match[str]) -> str:
        return "${" if found[0] == "$${" else _value(found[1] or "", what, where, directory)

    return REFERENCE.sub(read, text)


def _value(inner: str, what: str, where: Source, directory: Path) -> str:
    if inner.startswith("file:"):
        path = directory / Path(inner[5:]).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: `~nobody`
            reason = getattr(error, "strerror", None) or "is not text"
            raise ReconcileError(
                f'{what} is read from the file {inner[5:]}, which cannot be read: {reason}',
                where=where, hint="the path is relative to the project folder",
            ) from None  # fmt: skip
    if match := _DEFAULT.match(inner):
        return os.environ.get(match[1]) or match[2]
    if inner in os.environ:
        return os.environ[inner]
    raise ReconcileError(
        f'{what} needs the environment variable {inner}, which is not set',
        where=where, hint=f"export {inner}=…  or give it a default: ${{{inner}:-…}}",
    )  # fmt: skip


def place(spec: StoreSpec, key: str) -> Source:
    """Where the project sets `key` of the store, else where it declares the store."""
    settings = spec.settings
    return settings.value_at(key) if isinstance(settings, Map) and key in settings else spec.source


def names(spec: StoreSpec) -> tuple[str, ...]:
    """The environment variables the store's settings name, in order, those with defaults included."""
    found: dict[str, None] = {}
    for value in spec.settings.values():
        for match in REFERENCE.finditer(value) if isinstance(value, str) else ():
            name = (match[1] or "").partition(":-")[0]
            if _NAME.match(name):
                found[name] = None
    return tuple(found)


def database_url(
    spec: StoreSpec, schemes: Sequence[str], form: str, forms: Mapping[str, str] = {}, *, key: str = "url"
) -> str | None:
    """The URL setting, resolved, or None where there is none; one of another kind is answered with the right form.

    Args:
        schemes: what may stand before `://`.
        form: how a URL of this kind is written: `bolt://HOST:7687`.
        forms: by regular expression (matched at the URL's begin), the form for a URL that is often given
            instead; `\\1` stands for its groups.

    Raises:
        ReconcileError: not resolvable, no URL, or another scheme; the message holds no password.
    """
    url = resolve(spec, key)
    if url is None:
        return None
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() in schemes and _parses(url):
        return url
    for pattern, instead in forms.items():
        if match := re.match(pattern, url, re.I):
            form = match.expand(instead)
            break
    if not separator:
        shown = "has no scheme"
    elif scheme.lower() not in schemes:
        host = re.split(r"[/?#]", rest)[0].rpartition("@")[2]
        shown = f"is {scheme}://{masked(host)}, not an address of a {spec.kind} server"
    else:
        shown = "cannot be read (a password with one of / ? # [ ] @ must be percent-encoded)"
    raise ReconcileError(f'store "{spec.name}": {key} {shown}', where=place(spec, key), hint=f"write it as {form}")


def _parses(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return "@" not in parts.path and (parts.port is None or parts.port >= 0)
    except ValueError:
        return "," in url  # several hosts: for the driver to judge


def secrets(spec: StoreSpec, keys: Iterable[str] = ("password", "api_key", "url")) -> tuple[str, ...]:
    """The secret values of a store that can be read now, for `masked`; never raises, never prints."""
    found = []
    for key in keys:
        try:
            value = resolve(spec, key)
        except ReconcileError:
            continue
        found += _of_url(value) if value and key == "url" else [value] if value else []
    return tuple(form for value in found if value for form in (value, unquote(value)))


def _of_url(url: str) -> list[str]:
    """The password of a URL, and the values in its query that `masked` would hide by their names."""
    query = url.partition("?")[2].partition("#")[0].split("&")
    told = [part.partition("=")[2] for part in query if _ASSIGNED.fullmatch(part)]
    rest = url.partition("://")[2] or url
    places = (rest, rest.partition("?")[0])  # the first: one that is not encoded
    return [*(place.rpartition("@")[0].partition(":")[2] for place in places), *told]


def referred(text: str, where: Source, directory: Path) -> Iterator[str]:
    """What the references of a text stand for now, for `masked`; never raises. A default is no secret."""
    for reference in REFERENCE.finditer(text):
        try:
            value = "" if reference[0] == "$${" else read_text(reference[0], "", where, directory)
        except ReconcileError:
            continue
        default = _DEFAULT.match(reference[1] or "")
        if value and (default is None or value != default[2]):
            yield from filter(None, [value, *_of_url(value)])


def masked(text: str, secret: Iterable[str] = ()) -> str:
    """`text` without passwords of URLs, values of keys that sound secret, and the `secret` values given.

    >>> masked("cannot reach postgresql://app:geheim@db/app?password=x")
    'cannot reach postgresql://app:***@db/app?password=***'
    """
    for value in sorted(secret, key=len, reverse=True):
        if len(value) > 3:
            text = text.replace(value, MASK)
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    text = _ASSIGNED.sub(rf"\1{MASK}", text)
    return _BEARER.sub(rf"\1{MASK}", text)


def without_secrets(statement: str) -> str:
    """A statement of SQL or Cypher to be shown: the constants in it that are passwords, or hold some, are masked.

    It can be parsed as before; a constant that is cut off is taken to go on to the end.

    >>> without_secrets("ALTER ROLE app PASSWORD 'geheim' VALID UNTIL 'infinity'")
    "ALTER ROLE app PASSWORD '***' VALID UNTIL 'infinity'"
    >>> without_secrets("CREATE SUBSCRIPTION s CONNECTION 'host=db password=geheim' PUBLICATION p")
    "CREATE SUBSCRIPTION s CONNECTION 'host=db password=***' PUBLICATION p"
    """
    text = _GIVEN.sub(_hidden, statement)
    return _LITERAL.sub(lambda found: f"'{masked(found[1])}'", text)


def _hidden(found: re.Match[str]) -> str:
    return f"{found['word']}'{MASK}'" + (f"{found['then']}'{MASK}'" if found["then"] else "")
