"""Extensions. Their own objects are never looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Server, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.common import (
    Alteration,
    Creation,
    Removal,
    comments,
    dependents_settled,
    goes_first,
    requires,
)
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.resources import Extension
from reconcile.stores.postgres.sqltext import do_block, ident, literal


class CreateExtension(Creation):
    """CREATE EXTENSION; needs it installed on the server's machine."""

    before: None
    after: Extension

    def describe(self) -> str:
        """See `Change.describe`."""
        parts = [f"version {self.after.version}" if self.after.version else ""]
        parts.append(f"in schema {self.after.in_schema}" if self.after.in_schema else "")
        return " ".join(p for p in parts if p) or "extension"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        schema = f" WITH SCHEMA {ident(self.after.in_schema)}" if self.after.in_schema else ""
        version = f" VERSION {literal(self.after.version)}" if self.after.version else ""
        sql = f"CREATE EXTENSION {ident(self.after.name)}{schema}{version}"
        needs = {no(self.address)} | _schema_needs(world, self.after)
        needs |= {has(a) for a in required(world.server, self.after) if world.creates(a)}
        return [
            self.step(
                world,
                1,
                "create",
                [sql, *comments(self.after)],
                needs=needs,
                gives=[has(self.address), ok(self.address)],
            )
        ]


def required(server: Server, extension: Extension) -> list[Address]:
    """The extensions that this one requires, as its control file on the server's machine has it."""
    names = server.facts.get("required_extensions", {}).get(extension.name, ())
    return [Address(extension.address.store, "extension", (name,)) for name in names]


def _schema_needs(world: World, extension: Extension) -> frozenset[Fact]:
    if extension.in_schema is None:
        return frozenset()
    schema = Address(extension.address.store, "schema", (extension.in_schema,))
    return frozenset(requires(world, [schema])) if world.creates(schema) else frozenset()


class AlterExtension(Alteration):
    """Another version or schema, in place."""

    action: ClassVar[Action] = Action.UPDATE

    before: Extension
    after: Extension

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        name, calls, moved = ident(self.before.name), [], False
        if self.after.version and self.after.version != self.before.version:
            calls.append(f"ALTER EXTENSION {name} UPDATE TO {literal(self.after.version)}")
        if self.after.in_schema and self.after.in_schema != self.before.in_schema:
            calls.append(f"ALTER EXTENSION {name} SET SCHEMA {ident(self.after.in_schema)}")
            moved = True
        if _comments(self.before, self.after):
            calls += comments(self.after) or [_own_comment(self.after.name)]
        if not calls:
            return []
        return [
            self.step(
                world,
                1,
                "alter",
                calls,
                needs={has(self.address)} | _schema_needs(world, self.after),
                gives=[ok(self.address)],
                phase=Phase.CONTRACT if moved else Phase.EXPAND,
                hazards=[Hazard.BREAKS_CLIENTS] if moved else [],
            )
        ]


def _own_comment(name: str) -> str:
    """Its own comment again, which the server took when it was made."""
    return do_block(
        " BEGIN EXECUTE (SELECT format('COMMENT ON EXTENSION %I IS %L', e.extname, a.comment)"
        " FROM pg_extension e LEFT JOIN pg_available_extensions a ON a.name = e.extname"
        f" WHERE e.extname = {literal(name)}); END "
    )


class DropExtension(Removal):
    """DROP EXTENSION, never by CASCADE: the server refuses while anything uses it."""

    before: Extension
    after: None

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        waits = dependents_settled(world, self.address)
        under = [Address(self.address.store, "schema", (self.before.in_schema,))] if self.before.in_schema else []
        under += required(world.server, self.before)
        return [
            self.drop_step(
                world,
                [f"DROP EXTENSION {ident(self.before.name)}"],
                needs=waits | goes_first(world, under),
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


def alter(before: Extension, after: Extension) -> Change | None:
    """The change of an extension that stays; None where all that differs is a comment that nobody declared."""
    differs = set(differing(before, after)) - {"comment"}
    return AlterExtension(before, after) if differs or _comments(before, after) else None


def _comments(before: Extension, after: Extension) -> bool:
    return (after.comment is not None or after.own_comment) and before.comment != after.comment
