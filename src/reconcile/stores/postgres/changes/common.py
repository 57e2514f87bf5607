"""What the changes of every kind are built from: facts about needs, steps, comments, the registry's base classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, cast

from reconcile.change import Action, Change, Irreversible, Op, Phase, Sql, Step, Timeouts, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Resource
from reconcile.stores.postgres.builds import BUILD_LIMIT, bytes_of, wrapped
from reconcile.stores.postgres.changes.describing import describe_difference, differing, shown
from reconcile.stores.postgres.changes.giving import given
from reconcile.stores.postgres.changes.homes import taken_over
from reconcile.stores.postgres.changes.remaking import (
    comes_again,
    inside_remade,
    is_made_again,
    remade,
    remade_types,
)
from reconcile.stores.postgres.changes.type_remaking import only_adds, only_drops, type_remade, types_away
from reconcile.stores.postgres.resources import Column, Composite, Enum, Index, PostgresResource, Table
from reconcile.stores.postgres.resources import Sequence as Sequence_
from reconcile.stores.postgres.sqltables import column_statistics_calls
from reconcile.stores.postgres.sqltext import comment_statement, index_comment_calls, is_constraint, object_name

_QUICK = "60s"


class PostgresChange(Change):
    """A change whose reverse is the change between the same two resources the other way round."""

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        from reconcile.stores.postgres.changes import change

        return change(self.after, self.before) or type(self)(self.after, self.before)  # an equal one, made again

    def step(
        self,
        world: World,
        number: int,
        word: str,
        calls: Iterable[str],
        *,
        gives: Iterable[Fact],
        needs: Iterable[Fact] = (),
        phase: Phase = Phase.EXPAND,
        hazards: Iterable[Hazard] = (),
        address: Address | None = None,
        long: bool = False,
        commit_before: bool = False,
        journalled: bool = False,
    ) -> Step:
        """A transactional step under the store's `lock_timeout`; `long` lifts the statement limit (scans, rewrites)."""
        needs, gives = frozenset(needs), frozenset(gives)
        if self.before is None and has(self.address) in gives:
            more, first, also = given(world, self.address)
            calls, needs, gives = [*calls, *more], needs | first, gives | {*also}
        return Step(
            id=f"{self.address}/{number}-{word}",
            address=address or self.address,
            calls=tuple(map(Sql, calls)),
            phase=phase,
            needs=needs,
            gives=gives,
            commit_before=commit_before or any(_new_enum_values(world, fact, self.address) for fact in needs),
            journalled=journalled,
            hazards=frozenset(hazards),
            timeouts=Timeouts(
                lock=str(world.settings.get("lock_timeout") or "2s"), statement=BUILD_LIMIT if long else _QUICK
            ),
        )

    def drop_step(
        self, world: World, calls: Iterable[str], *, needs: Iterable[Fact] = (), hazards: Iterable[Hazard] = ()
    ) -> Step:
        """The step that drops it, where others have gone first (`needs`)."""
        needs, gives = {has(self.address), *needs}, [no(self.address)]
        return self.step(world, 1, "drop", calls, needs=needs, gives=gives, phase=Phase.CONTRACT, hazards=hazards)

    def concurrent_step(
        self,
        number: int,
        word: str,
        calls: Iterable[str],
        *,
        gives: Iterable[Fact],
        needs: Iterable[Fact] = (),
        phase: Phase = Phase.EXPAND,
        hazards: Iterable[Hazard] = (),
        debris: Sequence[Address] = (),
        address: Address | None = None,
        journalled: bool = False,
        build: Mapping[str, str] | None = None,
    ) -> Step:
        """A step outside any transaction, without a lock timeout: one during a build leaves an invalid index.

        `build` are the settings of a long build (`builds.settings`).
        """
        build = build or {}
        return Step(
            id=f"{self.address}/{number}-{word}",
            address=address or self.address,
            calls=tuple(map(Sql, wrapped(calls, build))),
            phase=phase,
            needs=frozenset(needs),
            gives=frozenset(gives),
            debris=tuple(debris),
            transactional=False,
            journalled=journalled,
            hazards=frozenset({*hazards, Hazard.NOT_TRANSACTIONAL}),
            timeouts=Timeouts(lock="0", wall=build.get("max_duration", BUILD_LIMIT)),
            preconditions=free_disk(build),
            retry=False,
        )


def free_disk(build: Mapping[str, str]) -> tuple[Op, ...]:
    """What is looked at before a build that declares `min_free_disk`."""
    return (Op("free_disk", {"bytes": bytes_of(build["min_free_disk"])}),) if "min_free_disk" in build else ()


class Creation(PostgresChange):
    """`before` is None."""

    action: ClassVar[Action] = Action.CREATE


class Removal(PostgresChange):
    """`after` is None; `before` is the whole old object."""

    action: ClassVar[Action] = Action.DELETE

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        leftover = self.before is not None and self.before.leftover_of is not None
        return "delete_because_leftover" if leftover else None

    def describe(self) -> str:
        """See `Change.describe`."""
        return self.address.kind.replace("_", " ")


class Renaming(PostgresChange):
    """Both are there; the object stays as it is under another name."""

    action: ClassVar[Action] = Action.RENAME
    cause: ClassVar[str] = "rename_declared"
    """Its reason; another where it is a policy that asks for the name."""

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return self.cause

    def describe(self) -> str:
        """See `Change.describe`."""
        assert self.before is not None
        return f"renamed from {self.before.name}"


class Alteration(PostgresChange):
    """In place; `describe` names the attributes that differ."""

    action: ClassVar[Action] = Action.UPDATE

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_difference(self.before, self.after)


class Replacement(Alteration):
    """Made beside the old one, then put in its place."""

    action: ClassVar[Action] = Action.CREATE_DELETE

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return "replace_because_cannot_update" if self.before != self.after else None

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """See `Change.replace_paths`."""
        return tuple((key,) for key in differing(self.before, self.after) if key != "comment")


class ChangeComment(Alteration):
    """COMMENT ON, in place, whatever the kind."""

    before: PostgresResource
    after: PostgresResource

    def describe(self) -> str:
        """See `Change.describe`."""
        words = {"comment": "comment", "index_comment": "comment of its index"}
        texts = [(words[key], getattr(self.after, key)) for key in differing(self.before, self.after)]
        return ", ".join(f"{word} removed" if text is None else f"{word} {shown(text)}" for word, text in texts)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if inside_remade(world, self.before):
            return []
        if comes_again(world, self.before):
            return recreated_steps(world, self.before, self.after)
        table = self.before.container
        return [
            self.step(
                world,
                1,
                "comment",
                comments_differ(self.before, self.after),
                needs={has(self.address)} | (requires(world, [table]) if table else frozenset()),
                gives=[ok(self.address)],
            )
        ]


def recreated_steps(world: World, before: PostgresResource, after: PostgresResource) -> Sequence[Step]:
    """The steps that drop something before what it stands on changes, and make it again as it shall be."""
    from reconcile.stores.postgres.changes.again import recreated

    return recreated(before, after).steps(world)


def comments(resource: PostgresResource) -> list[str]:
    """What no CREATE can say of a new object: its comment; of an index, statistics targets of its expressions."""
    calls = [comment_statement(resource)] if resource.comment is not None else []
    if isinstance(resource, Index):
        return [*column_statistics_calls(object_name(resource), (), resource.columns), *calls]
    return [*calls, *index_comment_calls(None, resource)]


def comments_differ(before: PostgresResource, after: PostgresResource) -> list[str]:
    """COMMENT ON where that differs; of a constraint also on its index."""
    calls = [comment_statement(after, before.name)] if before.comment != after.comment else []
    return [*calls, *index_comment_calls(before, after)]


# What a step needs.


def requires(world: World, addresses: Iterable[Address]) -> frozenset[Fact]:
    """What making something that refers to `addresses` waits for.

    An object the plan alters in a way that nobody referring to it can notice (a column's default, a comment) is
    not waited for: an index build must not move behind a SET NOT NULL of the contract phase.
    """
    found = set()
    for address in addresses:
        before, after = world.live.get(address), world.target.get(address)
        if isinstance(before, Column) and before.strategy == "online":
            found.add(ok(address))  # renamed online: there are two until one takes over
        elif before is None or after is None or world.where(address) != address:
            found.add(has(address))
        elif remade(world, address) or type_remade(world, address):
            found.add(ok(address))
        elif before == after:
            found.add(has(address))
        elif not _unnoticed(before, after):
            found.add(ok(address))
        if isinstance(before, Column) and isinstance(after, Column):
            found |= {ok(a) for a in remade_types(world, before) if a in after.refers}
    return frozenset(found)


_UNNOTICED: dict[str, frozenset[str]] = {
    "column": frozenset(
        {
            *("comment", "default", "not_null", "identity", "identity_options"),
            *("storage", "compression", "statistics", "options"),
            *("not_null_name", "not_null_valid", "not_null_no_inherit", "not_null_comment"),
        }
    ),
    "table": frozenset({"comment", "unlogged", "with", "replica_identity", "cluster_on", "row_level_security"}),
    "sequence": frozenset({"comment", "owned_by"}),
}
"""By kind, attributes that what refers to it does not depend on. (A foreign key does on `unlogged`: it says so.)"""


def _unnoticed(before: Resource, after: Resource) -> bool:
    if isinstance(before, Composite) and isinstance(after, Composite):
        return only_drops(before, after)  # whoever names a field that goes is gone or changed before that
    return set(differing(before, after)) <= _UNNOTICED.get(before.address.kind, {"comment"})


def renamed_first(world: World, column: Address) -> frozenset[Fact]:
    """The end of the old name of a column that the plan renames: until then its new one is absent, or another's."""
    old = world.where(column).parts[-1]
    return frozenset() if old == column.parts[-1] else frozenset({no(Address(*column[:2], (*column.parts[:-1], old)))})


def goes_first(world: World, addresses: Iterable[Address]) -> frozenset[Fact]:
    """What a removal needs of `addresses`: still being there, where this plan removes them too."""
    return frozenset(has(a) for a in addresses if world.drops(a) or remade(world, a))


def in_schema(world: World, resource: PostgresResource) -> frozenset[Fact]:
    """The need of the schema, where that is known to the project."""
    schema = Address(resource.address.store, "schema", (resource.schema,))
    return requires(world, [schema]) if schema in world.live or schema in world.target else frozenset()


def _new_enum_values(world: World, need: Fact, own: Address) -> bool:
    """Whether `need` is an enum that gets new values in this plan: they cannot be used before a commit."""
    if ".enum." not in need.subject:
        return False
    address = Address.parse(need.subject)
    before, after = world.live.get(address), world.target.get(address)
    if address == own or not isinstance(before, Enum) or not isinstance(after, Enum):
        return False
    return before.values != after.values and only_adds(before, after)


def settled_before(
    world: World, needs: frozenset[Fact], before: Resource, after: Resource
) -> tuple[frozenset[Fact], frozenset[Fact]]:
    """(of the drop, of the creation): what making something again needs, so that no commit comes between the two.

    New values of an enum need one before they are used; what is made again as it was uses none of them.
    """
    new = frozenset(need for need in needs if _new_enum_values(world, need, after.address))
    return frozenset() if before == after else new, needs - new


def dependents_settled(world: World, address: Address, *, also: Iterable[Address] = ()) -> frozenset[Fact]:
    """What dropping `address` waits for: those that refer to it and no longer will.

    Raises:
        PlanError: something that stays refers to it; nothing is ever dropped by CASCADE.
    """
    waits, staying = set(), []
    for dependent in (*world.dependents(address), *(r for a in also for r in world.dependents(a))):
        after = world.target.get(dependent.address)
        if dependent.address == address or world.drops(dependent.address) or _built_on(dependent, address):
            continue
        detached = isinstance(dependent, Table) and after is not None and after.container != dependent.container
        if not detached and dependent.container is not None and _gone(world, dependent.container, address):
            continue
        if comes_again(world, dependent) or is_made_again(world, dependent.address):
            waits.add(no(dependent.address))
        elif after is not None and after != dependent and address not in after.refers:
            waits |= types_away(world, [dependent.address]) or {ok(dependent.address)}
        else:
            staying.append(str(dependent.address))
    if staying:
        raise PlanError(
            f"{address} cannot be dropped: {', '.join(sorted(set(staying)))} "
            f"{'needs' if len(set(staying)) == 1 else 'need'} it and nothing is dropped by CASCADE",
            hint="remove or change what needs it in the same plan, or drop it by hand",
        )
    return frozenset(waits)


def _built_on(dependent: Resource, column: Address) -> bool:
    """Whether a change under way built it on this second column, and on another's: it goes along."""
    helper = isinstance(dependent, PostgresResource) and dependent.helper_of is not None
    return helper and column.kind == "column" and dependent.address.kind != "column"


def _gone(world: World, table: Address, around: Address) -> bool:
    """Whether a table goes anyway: the plan drops it, or it is `around` or a partition of that, at any depth."""
    if table == around or world.drops(table):
        return True
    while isinstance(found := world.live.get(table), Table) and found.parent is not None:
        table = found.parent
        if table == around:
            return True
    return False


def sequences_owned(world: World, *columns: Address) -> list[Sequence_]:
    """Live sequences owned by any of these columns: gone when the column goes."""
    parts = {c.parts for c in columns}
    return [r for r in world.live.of_kind("sequence") if isinstance(r, Sequence_) and r.owned_by in parts]


def in_new_table(world: World, resource: PostgresResource) -> bool:
    """Whether the table's own step does it: it is created, dropped, attached or detached in this plan."""
    table = resource.container
    return table is not None and (world.creates(table) or world.drops(table) or taken_over(world, resource))


def small(world: World, table: Address) -> bool:
    """Whether there is nothing to scan, copy or lose: the table is new or empty."""
    return world.creates(table) or world.empty(table)


def constraints_of(world: World, table: Address) -> list[PostgresResource]:
    """Live constraints of a table."""
    return [cast(PostgresResource, r) for r in world.live.children(table) if is_constraint(r.address)]
