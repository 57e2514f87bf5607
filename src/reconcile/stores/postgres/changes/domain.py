"""Domains altered in place: default, NULLs and checks; another base type makes the domain anew.

https://www.postgresql.org/docs/current/sql-alterdomain.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from reconcile.change import Change, Op, Phase, Step, World
from reconcile.facts import has, ok
from reconcile.hazards import Hazard
from reconcile.stores.postgres.changes.common import Alteration, requires, small
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.preconditions import live_column, no_rows, preceded, shown
from reconcile.stores.postgres.changes.type_remaking import columns_of, there, tightens, type_remade
from reconcile.stores.postgres.changes.type_replace import ReplaceType, around_type, replace_steps
from reconcile.stores.postgres.resources import Column, Domain, DomainCheck
from reconcile.stores.postgres.sqltext import as_written, comment_statement, ident, relation
from reconcile.stores.postgres.typetext import alter_domain, check_comment, check_expression, domain_check_clause


class AlterDomain(Alteration):
    """ALTER DOMAIN. New checks are added not valid, then validated; made anew where the server validates nothing."""

    before: Domain
    after: Domain

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_domain(self.before, self.after)

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        return around_type(world, self.address) if type_remade(world, self.address) else []

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if type_remade(world, self.address):
            return replace_steps(ReplaceType(self.before, self.after), world, self.before, self.after)
        quick, strict, validated = self._calls(world)
        rows = any(not small(world, c.table) for c in self._columns(world))
        costs = [Hazard.DEPENDS_ON_DATA, Hazard.BLOCKS_WRITES] if rows else []
        needs = there(world, self.address) | requires(world, self.after.refers)
        calls = [
            (calls, phase, hazards)
            for calls, phase, hazards in (
                (quick, Phase.EXPAND, []),
                (strict, Phase.CONTRACT, costs if self._hardens else []),
            )
            if calls
        ]
        steps = [
            self.step(
                world,
                n,
                "alter" if phase is Phase.EXPAND else "strict",
                sql,
                needs=needs,
                gives=[has(self.address)],
                phase=phase,
                hazards=hazards,
                long=bool(hazards),
            )
            for n, (sql, phase, hazards) in enumerate(calls, 1)
        ]
        if validated:
            steps.append(
                self.step(
                    world,
                    len(steps) + 1,
                    "validate",
                    [alter_domain(self.before, f"VALIDATE CONSTRAINT {ident(c.name)}") for c in validated],
                    needs=needs,
                    gives=[has(self.address)],
                    phase=Phase.CONTRACT,
                    hazards=costs,
                    commit_before=True,
                    long=True,
                )
            )
        steps = [replace(s, journalled=True) for s in steps[:-1]] + steps[-1:]  # `has` holds before they are done
        steps[-1] = replace(steps[-1], gives=steps[-1].gives | {ok(self.address)})
        return preceded(steps, broken_values(world, self.before, self.after))

    @property
    def _hardens(self) -> bool:
        return self.after.not_null and not self.before.not_null

    def _columns(self, world: World) -> list[Column]:
        return columns_of(world, self.address, inside=True)

    def _calls(self, world: World) -> tuple[list[str], list[str], list[DomainCheck]]:
        """What nobody notices, what refuses values that were taken before, checks to validate after that."""
        before, after = self.before, self.after
        changed = set(differing(before, after))
        quick, strict, validated = list[str](), list[str](), list[DomainCheck]()
        if "default" in changed:
            what = "DROP DEFAULT" if after.default is None else f"SET DEFAULT {as_written(after, 'default')}"
            quick.append(alter_domain(before, what))
        if before.not_null and not after.not_null:
            quick.append(alter_domain(before, "DROP NOT NULL"))
        used = bool(self._columns(world))
        renamed = after.renamed_checks(before)
        quick += [
            alter_domain(before, f"RENAME CONSTRAINT {ident(was)} TO {ident(now)}") for was, now in renamed.items()
        ]
        old, new = _called(before, renamed), {c.name: c for c in after.checks}
        for name in (n for n in old if n not in new):
            quick.append(alter_domain(before, f"DROP CONSTRAINT {ident(name)}"))
        for name, check in new.items():
            there = old.get(name)
            if there is not None and _only_validates(there, check):
                validated.append(check)
            elif there is None or (there.expression, there.not_valid) != (check.expression, check.not_valid):
                apart = check.not_valid or used
                strict += [alter_domain(before, f"DROP CONSTRAINT {ident(name)}")] if there is not None else []
                clause = domain_check_clause(after, check)
                strict.append(alter_domain(before, f"ADD {clause}{' NOT VALID' if apart else ''}"))
                validated += [check] if apart and not check.not_valid else []
                if check.comment is not None:
                    strict.append(check_comment(before, check))
            elif there.comment != check.comment:
                quick.append(check_comment(before, check))
        if self._hardens:
            strict.append(alter_domain(before, "SET NOT NULL"))
        if "comment" in changed:
            quick.append(comment_statement(after, before.name))
        return quick, strict, validated


def _only_validates(before: DomainCheck, after: DomainCheck) -> bool:
    return (
        before.not_valid
        and not after.not_valid
        and (before.expression, before.comment)
        == (
            after.expression,
            after.comment,
        )
    )


def _called(x: Domain, names: Mapping[str, str]) -> dict[str, DomainCheck]:
    """Its checks by the names they are to have."""
    return {names.get(c.name, c.name): c for c in x.checks}


def describe_domain(before: Domain, after: Domain) -> str:
    """`default none → 3, check a: value > 0 → value > 1, + check b: value < 9`."""
    parts = []
    for key in ("type", "collation", "default"):
        if getattr(before, key) != getattr(after, key):
            parts.append(f"{key} {getattr(before, key) or 'none'} → {getattr(after, key) or 'none'}")
    if before.not_null != after.not_null:
        parts.append("not null" if after.not_null else "null allowed")
    renamed = after.renamed_checks(before)
    parts += [f"check {was} renamed {now}" for was, now in renamed.items()]
    old, new = _called(before, renamed), {c.name: c for c in after.checks}
    parts += [f"- check {name}" for name in old if name not in new]
    for name, check in new.items():
        there = old.get(name)
        if there is None:
            parts.append(f"+ check {name}: {check.expression}{' not valid' if check.not_valid else ''}")
        elif there.expression != check.expression:
            parts.append(f"check {name}: {there.expression} → {check.expression}")
        elif there.not_valid != check.not_valid:
            parts.append(f"check {name} {'not valid' if check.not_valid else 'validated'}")
        elif there.comment != check.comment:
            parts.append(f"comment of check {name}")
    if before.comment != after.comment:
        parts.append("comment")
    return ", ".join(parts) or "unchanged, made again"


def broken_values(world: World, before: Domain, after: Domain) -> list[Op]:
    """Rows whose values the domain will refuse, in every column of it."""
    if not tightens(before, after) or before.type != after.type:
        return []
    valid = {c.expression for c in before.checks if not c.not_valid}
    checks = [c for c in after.checks if not c.not_valid and c.expression not in valid]
    hardens = after.not_null and not before.not_null
    found = []
    for column in columns_of(world, before.address, inside=True):
        if small(world, column.table) or column.address not in world.target:
            continue
        name, table = live_column(world, column.address), relation(world.where(column.table))
        array = column.type.endswith("[]")
        values = f"unnest({name}::{before.type}[])" if array else f"(SELECT {name}::{before.type})"
        for refused, why in [
            *([("value IS NULL", "is null")] if hardens else []),
            *((f"NOT ({check_expression(after, c)})", f"breaks {c.name}: {c.expression}") for c in checks),
        ]:
            sql = (
                f"SELECT {shown(world, column.table, name)} FROM {table} "
                f"WHERE EXISTS (SELECT FROM {values} AS held(value) WHERE {refused})"
            )
            what = f"{column.address.parts[-1]} of {'.'.join(column.table.parts)}, which is {before.name}, {why}"
            found.append(no_rows(sql, what, f"UPDATE {table} SET {name} = …, or delete these rows"))
    return found


class ReplaceDomain(ReplaceType):
    """A domain over another type, or with another collation."""

    before: Domain
    after: Domain

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_domain(self.before, self.after)


def alter(before: Domain, after: Domain) -> Change | None:
    """The change of a domain that stays."""
    other = (before.type, before.collation) != (after.type, after.collation)
    return (ReplaceDomain if other else AlterDomain)(before, after)
