"""The clauses of partitioned tables and partitions."""

from __future__ import annotations

from collections.abc import Callable

from reconcile.model import Address
from reconcile.stores.postgres.resources import IndexItem, PartitionBy, Table
from reconcile.stores.postgres.sqltext import dotted, ident, relation
from reconcile.stores.postgres.sqltokens import tokens


def partition_by_clause(by: PartitionBy | None, spell: Callable[[str], str] = str) -> str:
    """` PARTITION BY RANGE ("at", (lower("kind")))`; empty for a plain table."""
    if by is None:
        return ""
    return f" PARTITION BY {by.strategy.upper()} ({', '.join(_key(k, spell) for k in by.keys)})"


def _key(key: IndexItem, spell: Callable[[str], str]) -> str:
    parts = [ident(key.column) if key.column is not None else f"({spell(key.expression or '')})"]
    parts += [f"COLLATE {dotted(key.collation)}"] if key.collation else []
    parts += [dotted(key.opclass)] if key.opclass else []
    return " ".join(parts)


def shown(by: PartitionBy) -> str:
    """`range (at)`, for people."""
    return f"{by.strategy} ({', '.join(k.column or f'({k.expression})' for k in by.keys)})"


def attach_statement(parent: Address, table: Table) -> str:
    """ALTER TABLE … ATTACH PARTITION … FOR VALUES …."""
    return f"ALTER TABLE {relation(parent)} ATTACH PARTITION {relation(table.address)} {table.bound}"


def detach_statement(parent: Address, table: Address, how: str = "") -> str:
    """ALTER TABLE … DETACH PARTITION …; `how` is CONCURRENTLY or FINALIZE."""
    return f"ALTER TABLE {relation(parent)} DETACH PARTITION {relation(table)}{' ' if how else ''}{how}"


def shown_bound(bound: str) -> str:
    """`from (1) to (maxvalue)`, `in ('a')`, `default`, for people."""
    text = bound.removeprefix("FOR VALUES ")
    return "".join(t.text.lower() if t.kind == "word" else t.text for t in tokens(text))
