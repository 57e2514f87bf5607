"""Telling people of a run: a webhook or a command of theirs. What goes wrong here never stops a run."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconcile import commands
from reconcile.errors import ReconcileError
from reconcile.model import Json, Source
from reconcile.references import read_text

OCCASIONS = ("start", "success", "failure", "rollback")
_SAID = {
    "start": "has begun",
    "success": "is done",
    "failure": "has failed",
    "rollback": "is done: it undid another run",
}


@dataclass(frozen=True)
class Receiver:
    """An entry of `notify:`."""

    on: tuple[str, ...]
    webhook: str | None
    """With its references."""
    command: tuple[str, ...]
    timeout: str
    source: Source


@dataclass(frozen=True)
class Notice:
    """What people are told."""

    occasion: str
    project: str
    environment: str
    run: str
    digest: str
    message: str
    """Of a failure: the error; secrets are masked."""
    contacts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """For a chat."""
        lines = [f"reconcile · {self.project} · {self.environment}: run {self.run} {_SAID[self.occasion]}"]
        lines += [self.message] if self.message else []
        lines += [f"Contacts: {', '.join(self.contacts)}"] if self.contacts and self.occasion == "failure" else []
        return "\n".join(lines)

    def to_json(self) -> dict[str, Json]:
        """What is posted; `text` is the key that chats (Slack, Mattermost, Teams' workflows) show."""
        fields = ("occasion", "project", "environment", "run", "digest", "message")
        return {"text": self.text, **{name: getattr(self, name) for name in fields}, "contacts": list(self.contacts)}


def receivers(declared: Iterable[Mapping[str, Json]], sources: Iterable[Source]) -> Iterator[Receiver]:
    """`notify:` of reconcile.yaml."""
    for entry, source in zip(declared, sources, strict=True):
        yield Receiver(
            tuple(entry.get("on", OCCASIONS)),
            entry.get("webhook"),
            tuple(entry.get("command", ())),
            entry.get("timeout", "10s"),
            source,
        )


def send(to: Iterable[Receiver], notice: Notice, directory: Path, secrets: Collection[str] = ()) -> list[str]:
    """Tell everyone who wants to hear of it; what could not be told, without any address or secret."""
    problems = []
    for receiver in to:
        if notice.occasion in receiver.on and (why := _failure(receiver, notice, directory, secrets)):
            problems.append(f"nobody was told of {notice.occasion} by notify ({receiver.source}): {why}")
    return problems


def _failure(receiver: Receiver, notice: Notice, directory: Path, secrets: Collection[str]) -> str:
    text = json.dumps(notice.to_json())
    if receiver.webhook is None:
        told = {f"RECONCILE_{k.upper()}": str(v) for k, v in notice.to_json().items() if isinstance(v, str)}
        return commands.run(receiver.command, directory, receiver.timeout, told, text, secrets).failure
    try:
        url = read_text(receiver.webhook, "notify: webhook", receiver.source, directory)
    except ReconcileError as error:
        return str(error)
    return _posted(url, text, receiver.timeout)


def _posted(url: str, text: str, timeout: str) -> str:
    """What went wrong; a webhook's URL is a secret, and many errors repeat it."""
    import httpx

    from reconcile.machine import seconds_of

    try:
        reply = httpx.post(
            url, content=text.encode(), headers={"content-type": "application/json"}, timeout=seconds_of(timeout)
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return f"the webhook cannot be reached ({type(error).__name__})"
    return "" if reply.is_success else f"the webhook answered {reply.status_code}"
