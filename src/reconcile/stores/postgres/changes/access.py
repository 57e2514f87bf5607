"""Owners, grants, default privileges: only the difference is granted and revoked.

What is given comes in expand, what is taken and who owns it in contract: an application may notice that. A new object
gets its owner and grants in the step that makes it (`PostgresChange.step`).
https://www.postgresql.org/docs/current/ddl-priv.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from reconcile.change import Action, Change, Irreversible, Phase, Step, World
from reconcile.facts import has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, State
from reconcile.stores.postgres.changes.common import Alteration, Creation, PostgresChange, Removal, requires
from reconcile.stores.postgres.changes.giving import schema_access, unwanted, user_of
from reconcile.stores.postgres.resources import (
    Column,
    DefaultPrivileges,
    Grant,
    Privilege,
    given_by_default,
    privileges_of,
)
from reconcile.stores.postgres.resources.access import NOTHING
from reconcile.stores.postgres.sqlaccess import (
    Key,
    default_statement,
    entries,
    grant_statements,
    new_object_statements,
    owner_statement,
    revoke_statements,
)


class GiveAccess(Creation):
    """Owner and grants of an object that this plan makes."""

    before: None
    after: Grant

    def describe(self) -> str:
        """See `Change.describe`."""
        return shown(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`: none where the object's own step does it."""
        if world.creates(self.after.object):
            return []
        if _of_new_identity(world, self.after):
            column, gives = owning(self.after), [has(self.address), ok(self.address)]
            own = replace(self.after, owner=None)
            calls = new_object_statements(own, unwanted(world, self.after), self.after.owner or user_of(world.server))
            needs = requires(world, [column]) | ({ok(column)} if column in world.live else set())
            return [self.step(world, 1, "grant", calls, needs=needs, gives=gives)]
        nothing = replace(self.after, grants=given_by_default(self.after.object.kind))
        return ChangeAccess(nothing, self.after).steps(world)

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return TakeAccess(self.after, None)


class TakeAccess(Removal):
    """Back to what the object would have if nobody had granted anything; the owner stays.

    Also the reverse of `GiveAccess`: then it goes with the object.
    """

    before: Grant
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return self._change().describe()

    def _change(self) -> ChangeAccess:
        return ChangeAccess(self.before, replace(self.before, grants=given_by_default(self.before.object.kind)))

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return [] if _goes(world, self.before) else self._change().steps(world)

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return GiveAccess(None, self.before)


def owning(grant: Grant) -> Address:
    """The resource that has what a grant is about: that itself, or the column of an identity's sequence."""
    return grant.container or grant.object


def _numbers(state: State, grant: Grant) -> bool:
    """Whether the sequence a grant is about is that of an identity column in `state`."""
    column = state.get(owning(grant))
    return isinstance(column, Column) and ("relation", *grant.object.parts) in column.occupies


def _of_new_identity(world: World, grant: Grant) -> bool:
    return owning(grant).kind == "column" and not _numbers(world.live, grant)


def _goes(world: World, grant: Grant) -> bool:
    if owning(grant).kind == "column":
        return not _numbers(world.target, grant)
    return world.drops(grant.object)


class ChangeAccess(Alteration):
    """GRANT, REVOKE, OWNER TO."""

    before: Grant
    after: Grant

    def describe(self) -> str:
        """See `Change.describe`: `owner a → b, +reader select, -writer insert`."""
        before, after = self.before, self.after
        parts = [f"owner {before.owner} → {after.owner}"] if before.owner != after.owner else []
        own = ({p for p in x.grants or () if p.grantee == x.owner} for x in (before, after))
        parts += ["what the owner may do"] if len({frozenset(found) for found in own}) > 1 else []
        owners = {before.owner, after.owner}
        had, want = ({k: v for k, v in _entries(x).items() if k[0] not in owners} for x in (before, after))
        return "; ".join([*parts, *_compared(had, want)]) or "unchanged"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        With another owner all of it is one step: what the old owner is to keep cannot be granted before.
        """
        moves = self.before.owner != self.after.owner and self.after.owner is not None
        before = _owned_by(self.before, self.after.owner) if moves else self.before
        before, after = (_with_own(x, world.server.numbers) for x in (before, self.after))
        gone = _gone(world, self.after)
        given = grant_statements(before, after, gone)
        taken = revoke_statements(before, after, gone, user_of(world.server))
        owner = [owner_statement(self.after)] if moves else []
        needs = requires(world, [owning(self.after), *_columns(world, self.after)]) | schema_access(world, self.after)
        gives, hazard = [has(self.address), ok(self.address)], [Hazard.CHANGES_ACCESS]
        if owner or (taken and not given):
            calls, phase = [*owner, *taken, *given], Phase.CONTRACT
            return [self.step(world, 1, "access", calls, needs=needs, gives=gives, phase=phase, hazards=hazard)]
        steps = []
        if given:
            gives_now = gives if not taken else [has(self.address)]
            steps.append(self.step(world, 1, "grant", given, needs=needs, gives=gives_now, hazards=hazard))
        if taken:
            phase = Phase.CONTRACT
            steps.append(self.step(world, 2, "revoke", taken, needs=needs, gives=gives, phase=phase, hazards=hazard))
        return steps


def _owned_by(grant: Grant, owner: str | None) -> Grant:
    """After ALTER … OWNER TO: the new owner has what the old one had, and what it was granted is its own now."""
    grants = grant.grants or ()
    if any(p.grantee == grant.owner for p in grants):
        keys = {(p.grantee if p.grantee != grant.owner else str(owner), p.privilege, p.columns) for p in grants}
        return replace(grant, owner=owner, grants=tuple(sorted(Privilege(*key) for key in keys)))
    return replace(grant, owner=owner, grants=tuple(p for p in grants if p.grantee != owner))


def _with_own(grant: Grant, version: tuple[int, ...]) -> Grant:
    """With the owner's own privileges, which are left out where they are all there are."""
    grants = grant.grants or ()
    if grant.owner is None or any(p.grantee == grant.owner for p in grants):
        return grant
    own = (Privilege(grant.owner, word) for word in privileges_of(grant.object.kind, version))
    return replace(grant, grants=(*grants, *own))


def _columns(world: World, grant: Grant) -> Iterator[Address]:
    if grant.object.kind == "table":
        for name in dict.fromkeys(c for p in grant.grants or () for c in p.columns):
            column = grant.object.child("column", name)
            if column in world.target:
                yield column


def _gone(world: World, grant: Grant) -> frozenset[str]:
    """Columns that this plan drops, and with them what was granted on them."""
    if grant.object.kind != "table":
        return frozenset()
    return frozenset(
        r.address.parts[-1]
        for r in world.live.children(grant.object)
        if r.address.kind == "column" and world.drops(r.address)
    )


def _entries(grant: Grant | DefaultPrivileges) -> dict[tuple[str, str, str | None], bool]:
    return {key: grantable for key, grantable, _ in entries(grant.grants or ())}


def _compared(had: Mapping[Key, bool], want: Mapping[Key, bool]) -> list[str]:
    """`+reader select, update (net)`, a part a role and direction."""
    new = {k: _word(k, v) for k, v in want.items() if k not in had or v > had[k]}
    gone = {k: _word(k, False) for k, v in had.items() if k not in want or v > want[k]}
    kept = {k: f"grant option of {word}" if k in want else word for k, word in gone.items()}
    return [
        f"{sign}{role} " + ", ".join(word for k, word in sorted(found.items(), key=str) if k[0] == role)
        for sign, found in (("+", new), ("-", kept))
        for role in sorted({k[0] for k in found})
    ]


def _word(key: Key, grantable: bool) -> str:
    where = f" ({key[2]})" if key[2] is not None else ""
    return f"{key[1]}{where}{' with grant option' if grantable else ''}"


def shown(grant: Grant | DefaultPrivileges) -> str:
    """`owner app_owner, reader select, writer insert, update (net)`."""
    parts = [f"owner {grant.owner}"] if isinstance(grant, Grant) and grant.owner is not None else []
    roles = dict.fromkeys(p.grantee for p in grant.grants or ())
    for role in roles:
        mine = [p for p in grant.grants or () if p.grantee == role]
        parts.append(f"{role} " + ", ".join(map(_words, mine)))
    return "; ".join(parts) or ("nobody but the owner" if isinstance(grant, Grant) else "nothing")


def _words(p: Privilege) -> str:
    columns = f" ({', '.join(p.columns)})" if p.columns else ""
    word = "nothing" if p.privilege == NOTHING else p.privilege
    return f"{word}{columns}{' with grant option' if p.grantable else ''}"


def take(before: Grant, after: None) -> Change | None:
    """Nothing to do where nothing has been granted."""
    return None if before.grants == given_by_default(before.object.kind) else TakeAccess(before, after)


def alter(before: Grant, after: Grant) -> Change | None:
    """The change of access to an object that stays."""
    return ChangeAccess(before, after)


class SetDefaultPrivileges(PostgresChange):
    """ALTER DEFAULT PRIVILEGES: of objects made from then on."""

    action = Action.UPDATE

    before: DefaultPrivileges | None
    after: DefaultPrivileges | None

    def describe(self) -> str:
        """See `Change.describe`."""
        had, want = (_entries(self._or_default(x)) for x in (self.before, self.after))
        return "; ".join(_compared(had, want)) or "unchanged"

    def _or_default(self, x: DefaultPrivileges | None) -> DefaultPrivileges:
        return x if x is not None else replace(self._named, grants=defaults_without(self._named))

    @property
    def _named(self) -> DefaultPrivileges:
        found = self.after or self.before
        assert found is not None, "a change has a before or an after"
        return found

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        had, want = self._or_default(self.before), self._or_default(self.after)
        calls = [default_statement(want, verb, *rest) for verb, rest in _difference(had, want)]
        schema = [Address(self.address.store, "schema", (want.in_schema,))] if want.in_schema else []
        known = [a for a in schema if a in world.live or a in world.target]
        needs = requires(world, known) | ({no(self.address)} if self.before is None else {has(self.address)})
        gives = [has(self.address), ok(self.address)] if self.after is not None else [no(self.address)]
        return [self.step(world, 1, "set", calls, needs=needs, gives=gives, hazards=[Hazard.CHANGES_ACCESS])]

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        return SetDefaultPrivileges(self.after, self.before)


def _difference(had: DefaultPrivileges, want: DefaultPrivileges) -> Iterable[tuple[str, tuple[str, str, bool]]]:
    left, right = _entries(had), _entries(want)
    for (role, privilege, _), grantable in sorted(left.items(), key=str):
        if (role, privilege, None) not in right:
            yield "REVOKE", (role, privilege, False)
        elif grantable and not right[role, privilege, None]:
            yield "REVOKE", (role, privilege, True)
    for (role, privilege, _), grantable in sorted(right.items(), key=str):
        if left.get((role, privilege, None)) is None or (grantable and not left[role, privilege, None]):
            yield "GRANT", (role, privilege, grantable)


def defaults_without(x: DefaultPrivileges) -> tuple[Privilege, ...]:
    """What there is where nothing is set: PUBLIC's, of all schemas together."""
    return () if x.in_schema else given_by_default(x.on)


def create_default(before: None, after: DefaultPrivileges) -> Change | None:
    """Nothing to do where what is declared is how it is anyway."""
    return None if after.grants == defaults_without(after) else SetDefaultPrivileges(before, after)


def drop_default(before: DefaultPrivileges, after: None) -> Change | None:
    """Back to how it is where nothing is set."""
    return None if before.grants == defaults_without(before) else SetDefaultPrivileges(before, after)
