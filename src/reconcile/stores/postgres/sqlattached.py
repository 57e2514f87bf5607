"""SQL text of triggers, policies and row-level security."""

from __future__ import annotations

from reconcile.stores.postgres.resources import Policy, Table, Trigger
from reconcile.stores.postgres.sqltext import as_written, deferrable_clause, ident, idents, literal, relation


def role(name: str) -> str:
    """A role as TO and GRANT take it; `public` is a key word there."""
    return "PUBLIC" if name == "public" else ident(name)


def policy_statement(policy: Policy) -> str:
    """CREATE POLICY."""
    return "".join(
        (
            f"CREATE POLICY {ident(policy.name)} ON {relation(policy.address)}",
            "" if policy.permissive else " AS RESTRICTIVE",
            "" if policy.for_ == "all" else f" FOR {policy.for_.upper()}",
            "" if policy.to == ("public",) else f" TO {', '.join(map(role, policy.to))}",
            "" if policy.using is None else f" USING ({as_written(policy, 'using')})",
            "" if policy.check is None else f" WITH CHECK ({as_written(policy, 'check')})",
        )
    )


def alter_policy(before: Policy, after: Policy) -> str | None:
    """ALTER POLICY to the roles and conditions that differ; None where none does. It takes no condition away."""
    parts = [f" TO {', '.join(map(role, after.to))}"] if before.to != after.to else []
    parts += [f" USING ({as_written(after, 'using')})"] if before.using != after.using else []
    parts += [f" WITH CHECK ({as_written(after, 'check')})"] if before.check != after.check else []
    return f"ALTER POLICY {ident(before.name)} ON {relation(after.address)}{''.join(parts)}" if parts else None


def drop_policy(policy: Policy) -> str:
    """DROP POLICY."""
    return f"DROP POLICY {ident(policy.name)} ON {relation(policy.address)}"


def trigger_statement(trigger: Trigger, *, replace: bool = False) -> str:
    """CREATE [OR REPLACE] [CONSTRAINT] TRIGGER; when it fires is another statement (`enable_statements`)."""
    events = [
        f"UPDATE OF {idents(trigger.of)}" if event == "update" and trigger.of else event.upper()
        for event in trigger.events
    ]
    tables = [("OLD", trigger.old_table), ("NEW", trigger.new_table)]
    named = [f"{word} TABLE AS {ident(name)}" for word, name in tables if name is not None]
    function = f"{ident(trigger.function[0], trigger.function[1].removesuffix('()'))}"
    return "".join(
        (
            "CREATE OR REPLACE " if replace else "CREATE ",
            "CONSTRAINT TRIGGER " if trigger.constraint else "TRIGGER ",
            f"{ident(trigger.name)} {trigger.when.upper().replace('_', ' ')} {' OR '.join(events)}",
            f" ON {relation(trigger.address)}",
            "" if trigger.from_ is None else f" FROM {ident(*trigger.from_)}",
            deferrable_clause(trigger.deferrable),
            f" REFERENCING {' '.join(named)}" if named else "",
            f" FOR EACH {trigger.for_each.upper()}",
            "" if trigger.condition is None else f" WHEN ({as_written(trigger, 'condition')})",
            f" EXECUTE FUNCTION {function}({', '.join(map(literal, trigger.arguments))})",
        )
    )


_ENABLE = {
    "origin": "ENABLE TRIGGER",
    "replica": "ENABLE REPLICA TRIGGER",
    "always": "ENABLE ALWAYS TRIGGER",
    "disabled": "DISABLE TRIGGER",
}


def enable_statement(trigger: Trigger) -> str:
    """ALTER TABLE … ENABLE or DISABLE TRIGGER."""
    return f"ALTER TABLE {relation(trigger.address)} {_ENABLE[trigger.enabled]} {ident(trigger.name)}"


def drop_trigger(trigger: Trigger) -> str:
    """DROP TRIGGER."""
    return f"DROP TRIGGER {ident(trigger.name)} ON {relation(trigger.address)}"


def security_statements(before: str, after: Table) -> list[str]:
    """ALTER TABLE … ROW LEVEL SECURITY from one state (`Table.row_level_security`) to that of `after`."""
    (was_on, was_forced), (on, forced) = map(_switches, (before, after.row_level_security))
    words = [] if was_on == on else ["ENABLE" if on else "DISABLE"]
    words += [] if was_forced == forced else ["FORCE" if forced else "NO FORCE"]
    return [f"ALTER TABLE {relation(after.address)} {word} ROW LEVEL SECURITY" for word in words]


def _switches(state: str) -> tuple[bool, bool]:
    """(enabled, forced), which PostgreSQL keeps apart."""
    return state in ("enabled", "forced"), state in ("forced", "disabled_forced")
