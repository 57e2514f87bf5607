"""What turns one PostgreSQL object into another: a frozen class per verb and kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconcile.change import Change
from reconcile.model import Address, Resource, State
from reconcile.stores.postgres.changes import (
    access,
    check,
    collation,
    column,
    column_generated,
    column_rename,
    composite,
    constraint,
    custom_type,
    domain,
    enum,
    event_trigger,
    exclusion,
    extension,
    foreign_key,
    index,
    index_alter,
    key,
    materialized_view,
    part_names,
    partition_alter,
    policy,
    renaming,
    routine,
    schema,
    sequence,
    statistics,
    table,
    trigger,
    type_renaming,
    type_replace,
    view,
)
from reconcile.stores.postgres.changes.common import ChangeComment
from reconcile.stores.postgres.resources import TYPES

__all__ = ["KINDS", "ChangeComment", "change", "rename", "renamed"]


@dataclass(frozen=True)
class Verbs:
    """What can happen to one kind of object."""

    create: Callable[[None, Any], Change | None]
    """None where it is as declared without being there."""
    drop: Callable[[Any, None], Change | None]
    alter: Callable[[Any, Any], Change | None]


KINDS: Mapping[str, Verbs] = {
    "extension": Verbs(extension.CreateExtension, extension.DropExtension, extension.alter),
    "schema": Verbs(schema.CreateSchema, schema.DropSchema, schema.alter),
    "collation": Verbs(collation.CreateCollation, collation.DropCollation, collation.alter),
    "enum": Verbs(custom_type.CreateType, custom_type.DropType, enum.alter),
    "domain": Verbs(custom_type.CreateType, custom_type.DropType, domain.alter),
    "composite": Verbs(custom_type.CreateType, custom_type.DropType, composite.alter),
    "range": Verbs(custom_type.CreateType, custom_type.DropType, type_replace.alter),
    "sequence": Verbs(sequence.CreateSequence, sequence.DropSequence, sequence.alter),
    **dict.fromkeys(
        ("function", "procedure", "aggregate"), Verbs(routine.CreateRoutine, routine.DropRoutine, routine.alter)
    ),
    "table": Verbs(partition_alter.create, partition_alter.drop, partition_alter.alter),
    "column": Verbs(column.AddColumn, column.DropColumn, column_generated.alter),
    "primary_key": Verbs(key.AddPrimaryKey, key.DropPrimaryKey, key.alter_primary_key),
    "unique": Verbs(key.AddUnique, key.DropUnique, key.alter_unique),
    "check": Verbs(check.AddCheck, check.DropCheck, check.alter),
    "exclusion": Verbs(exclusion.AddExclusion, exclusion.DropExclusion, exclusion.alter),
    "foreign_key": Verbs(foreign_key.AddForeignKey, foreign_key.DropForeignKey, foreign_key.alter),
    "index": Verbs(index.CreateIndex, index.DropIndex, index_alter.alter),
    "inherited_index": Verbs(part_names.NameIndex, part_names.drop, part_names.RenameInheritedIndex),
    "materialized_view": Verbs(
        materialized_view.CreateMaterializedView, materialized_view.DropMaterializedView, materialized_view.alter
    ),
    "event_trigger": Verbs(event_trigger.CreateEventTrigger, event_trigger.DropEventTrigger, event_trigger.alter),
    "policy": Verbs(policy.CreatePolicy, policy.DropPolicy, policy.alter),
    "statistics": Verbs(statistics.CreateStatistics, statistics.DropStatistics, statistics.alter),
    "trigger": Verbs(trigger.CreateTrigger, trigger.DropTrigger, trigger.alter),
    "grant": Verbs(access.GiveAccess, access.take, access.alter),
    "default_privileges": Verbs(access.create_default, access.drop_default, access.SetDefaultPrivileges),
    "view": Verbs(view.CreateView, view.DropView, view.alter),
}


def change(before: Resource | None, after: Resource | None) -> Change | None:
    """The change between two resources of one address; None where they are equal."""
    if before == after and (before is None or after is None or before.container == after.container):
        return None
    if before is None:
        assert after is not None
        return KINDS[after.address.kind].create(None, after)
    if after is None:
        return KINDS[before.address.kind].drop(before, None)
    if before.live_name and not after.live_name:
        after = after.replace(live_name=before.live_name)  # `names: accept`: the object keeps the name it has
    return KINDS[before.address.kind].alter(before, after)


def rename(before: Resource, after: Resource) -> Change:
    """Give a live object matched by definition its declared name.

    `before` stands under the declared address, its `live_name` says what it is called.
    """
    there = before.replace(live_name=None)
    made = index_alter.RenameIndex if before.address.kind == "index" else constraint.RenameConstraint
    return made(before, there.replace(source=after.source))  # type: ignore[arg-type]


def renamed(live: State, old: Address, wanted: Resource) -> tuple[Change, State]:
    """The rename of a table, column or type, or of values of an enum, and `live` as it will look afterwards."""
    before, new = live[old], wanted.address
    if old.kind == "table":
        state = renaming.rename_table(live, old, new)
        inside = tuple(a for a in state if a not in live and a.parts[:2] == new.parts and len(a.parts) > 2)
        return table.RenameTable(before, state[new], inside), state  # type: ignore[arg-type]
    if old.kind == "column":
        begun = live.get(new)
        if begun is not None or getattr(wanted, "strategy", None) == "online":
            return column_rename.renamed(live, old, new)
        state = renaming.rename_column(live, old, new)
        return column.RenameColumn(before, state[new]), state  # type: ignore[arg-type]
    if old.kind in TYPES:
        return type_renaming.renamed(live, old, wanted)
    raise KeyError(f"{old.kind} has no rename")
