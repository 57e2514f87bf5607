"""Types of every kind: made, dropped, renamed. What can be altered in place is in the kind's own module."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.change import Step, World
from reconcile.facts import has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, to_json
from reconcile.stores.postgres.changes.common import (
    Creation,
    Removal,
    dependents_settled,
    goes_first,
    in_schema,
    requires,
)
from reconcile.stores.postgres.changes.type_remaking import Type
from reconcile.stores.postgres.resources import Composite, Domain, Enum, Range
from reconcile.stores.postgres.sqltext import as_written, object_name
from reconcile.stores.postgres.typetext import (
    alter_domain,
    domain_check_clause,
    takes_default,
    type_comments,
    type_statement,
)


class CreateType(Creation):
    """CREATE TYPE or CREATE DOMAIN."""

    before: None
    after: Type

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_type(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        needs = {no(self.address)} | in_schema(world, self.after) | requires(world, self.after.refers)
        gives = [has(self.address), ok(self.address)]
        return [self.step(world, 1, "create", made(self.after), needs=needs, gives=gives)]


def made(x: Type) -> list[str]:
    """The statements that make it, with its comments."""
    calls = [type_statement(x)]
    if isinstance(x, Domain):
        calls += [alter_domain(x, "DROP DEFAULT")] if takes_default(x) else []
        calls += [alter_domain(x, f"ADD {domain_check_clause(x, c)} NOT VALID") for c in x.checks if c.not_valid]
    return calls + type_comments(x)


def describe_type(x: Type) -> str:
    """`queued, running`, `text not null, 2 checks`, `street text, zip varchar(10)`, `range of float8`."""
    match x:
        case Enum():
            return ", ".join(x.values)
        case Range():
            return f"range of {as_written(x, 'subtype')}"
        case Composite():
            fields = to_json(as_written(x, "fields"))
            return ", ".join(f"{f['name']} {f['type']}" for f in fields) or "no fields"
    parts = [str(as_written(x, "type")), *(["not null"] if x.not_null else [])]
    parts += [f"default {as_written(x, 'default')}"] if x.default is not None else []
    checks = f", {len(x.checks)} check{'s' if len(x.checks) > 1 else ''}" if x.checks else ""
    return " ".join(parts) + checks


def drop_call(x: Type) -> str:
    """DROP TYPE or DROP DOMAIN."""
    return f"DROP {type_word(x)} {object_name(x)}"


def type_word(x: Type) -> str:
    """`DOMAIN` or `TYPE`."""
    return "DOMAIN" if isinstance(x, Domain) else "TYPE"


class DropType(Removal):
    """DROP TYPE or DROP DOMAIN; refused while a column that stays is of it."""

    before: Type
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_type(self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        schema = Address(self.address.store, "schema", (self.before.schema,))
        waits = dependents_settled(world, self.address) | goes_first(world, [schema, *self.before.refers])
        return [self.drop_step(world, [drop_call(self.before)], needs=waits, hazards=[Hazard.BREAKS_CLIENTS])]
