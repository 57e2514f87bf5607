"""Tables and columns. SQL texts are as declared until `canonical` has spelled them."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconcile.model import Address, Resource
from reconcile.stores.postgres.names import identity_sequence
from reconcile.stores.postgres.resources.base import Pairs, PostgresResource
from reconcile.stores.postgres.resources.indexes import IndexItem


@dataclass(frozen=True)
class PartitionBy:
    """PARTITION BY: the strategy and its keys."""

    strategy: str = ""
    """"range", "list" or "hash"."""
    keys: tuple[IndexItem, ...] = ()


@dataclass(frozen=True)
class Published:
    """What a publication shows of a table that it does not show whole: its columns (() for all), rows that fulfil."""

    publication: str
    columns: tuple[str, ...]
    where: str | None


class Table(PostgresResource):
    """The container; columns and constraints are resources of their own.

    A partition is a table whose container is its parent. It has no columns here, and of constraints and indexes only
    those that are not its parent's.
    """

    renamed_from: str | None = field(default=None, compare=False)
    unlogged: bool = False
    with_: Pairs = field(default=(), metadata={"json": "with"})
    """Storage parameters, those of its TOAST table as `toast.NAME`."""
    replica_identity: str = "default"
    """"default", "full", "nothing", or "index NAME"."""
    cluster_on: str | None = None
    """The index that CLUSTER orders the rows by: a mark only, nothing is ordered by setting it."""
    row_level_security: str = "disabled"
    """"disabled", "enabled", "forced" (also for the owner), or "disabled_forced": forced once it is enabled."""
    partition_by: PartitionBy | None = None
    partition_of: tuple[str, str] | None = None
    """(schema, table) of the parent of a partition."""
    bound: str | None = None
    """Of a partition, as PostgreSQL writes it: `FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`, `DEFAULT`."""
    partitions_managed: str = field(default="listed", compare=False)
    """"listed", or "any": partitions made at run time are left alone."""
    detaching: bool = False
    """Of a partition: DETACH CONCURRENTLY was broken off and waits for FINALIZE."""

    inherited: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    """Live, of a partition: names of the indexes that it has from its parent, and of those there."""

    @property
    def table(self) -> Address:
        """Itself, also where it is a partition."""
        return self.address

    @property
    def secured(self) -> bool:
        """Whether policies decide who sees which rows."""
        return self.row_level_security in ("enabled", "forced")

    @property
    def parent(self) -> Address | None:
        """The partitioned table it is a partition of."""
        return None if self.partition_of is None else Address(self.address.store, "table", self.partition_of)

    def leaves(self, part: Resource) -> bool:
        """See `Resource.leaves`."""
        if isinstance(part, Column):
            return self.partition_of is not None  # it had them before it became a partition
        return self.partitions_managed == "any" and isinstance(part, Table)


class Column(PostgresResource):
    """`type` is format_type's spelling once canonical. `generated` is the expression of a stored generated column."""

    type: str
    not_null: bool = False
    default: str | None = None
    identity: str | None = None
    """"always" or "by_default"."""
    identity_options: Pairs = ()
    """Of its sequence, what is not the default: start, increment, min, max, cache, cycle, and sequence_name."""
    generated: str | None = None
    stored: bool = True
    """Of a generated column; False: virtual (PostgreSQL 18)."""
    collation: str | None = None
    storage: str | None = None
    """Where it is not the type's: "plain", "external", "extended", "main"."""
    compression: str | None = None
    """"pglz" or "lz4"."""
    statistics: int | None = None
    options: Pairs = ()
    """n_distinct and n_distinct_inherited; others are not known to the server and left alone."""
    not_null_name: str | None = None
    """Of a NOT NULL constraint (PostgreSQL 18), where it is not a generated one; None also leaves it as it is."""
    not_null_valid: bool = True
    not_null_no_inherit: bool = False
    not_null_comment: str | None = None
    not_null_constraint: str | None = field(default=None, compare=False)
    """Live: what it is called, where that is not TABLE_COLUMN_not_null."""
    held_by: tuple[str, ...] = field(default=(), compare=False)
    """Live: what is not modelled and uses it, in the server's words: `rule r on table t`."""
    published: tuple[Published, ...] = field(default=(), compare=False)
    """Live: publications whose column list or row filter uses it."""
    embedding: str | None = field(default=None, compare=False)
    strategy: str | None = field(default=None, compare=False, metadata={"way": True})
    """"online": another type or name by a second column beside, kept in step until it takes over."""
    using: str | None = field(default=None, compare=False)
    """Declared with a strategy: the value of the new column, as SQL over the columns of a row."""
    beside: str | None = field(default=None, compare=False, repr=False)
    """Live: the column that a trigger of the tool's own keeps this one in step with."""
    synced: str | None = field(default=None, compare=False, repr=False)
    """Live: the digest of that trigger."""
    renamed_from: str | None = field(default=None, compare=False)
    position: int = field(default=0, compare=False)

    @property
    def occupies(self) -> tuple[tuple[str, ...], ...]:
        """See `Resource.occupies`: that of an identity's sequence."""
        if self.identity is None:
            return ()
        named = dict(self.identity_options).get("sequence_name")
        table, column = self.address.parts[1:]
        return (("relation", self.schema, named or identity_sequence(table, column)),)

    @property
    def place(self) -> int:
        """See `Resource.place`."""
        return self.position
