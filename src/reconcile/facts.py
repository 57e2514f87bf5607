"""Facts: what steps need and give, and what the order of a plan follows from."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from reconcile.model import Address


class Verb(StrEnum):
    """The four things that can be said of an object or a step."""

    HAS = "has"
    """exists, in any form"""
    OK = "ok"
    """exists as declared and is ready: valid, ONLINE, green, validated"""
    NO = "no"
    """is absent"""
    DONE = "done"
    """the step is journalled"""


class Fact(NamedTuple):
    """`has X`, `ok X`, `no X` about an address, or `done STEP-ID`."""

    verb: Verb
    subject: str

    def __str__(self) -> str:
        return f"{self.verb} {self.subject}"

    @classmethod
    def parse(cls, text: str) -> Fact:
        """Read what `str()` wrote.

        Raises:
            ValueError: no such verb.
        """
        verb, _, subject = text.partition(" ")
        return cls(Verb(verb), subject)


def has(address: Address) -> Fact:
    """The object exists, in any form."""
    return Fact(Verb.HAS, str(address))


def ok(address: Address) -> Fact:
    """The object exists as declared and is ready."""
    return Fact(Verb.OK, str(address))


def no(address: Address) -> Fact:
    """The object is absent."""
    return Fact(Verb.NO, str(address))


def done(step_id: str) -> Fact:
    """The step is journalled."""
    return Fact(Verb.DONE, step_id)
