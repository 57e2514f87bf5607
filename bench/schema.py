"""A database of N tables, the same as SQL and as YAML: what the benchmarks measure with.

    python bench/schema.py --tables 1000 --sql > tables.sql
    python bench/schema.py --tables 1000 --yaml > schema/tables.yaml

Each table has eight columns, a primary key, a foreign key to the table before it, a unique constraint, a check and
two indexes, one of an expression and one partial. The YAML is as a person would write it, not as the server spells it.
"""

from __future__ import annotations

import argparse
from collections.abc import Container, Iterator

STORE = "app"


def create(number: int) -> str:
    """The statements that make one table."""
    t = f"t{number}"
    return f"""CREATE TABLE {t} (
    id bigint GENERATED ALWAYS AS IDENTITY,
    parent_id bigint,
    name text NOT NULL,
    code varchar(20),
    size numeric(12,2) DEFAULT 0,
    tags text[] DEFAULT '{{}}',
    note text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT {t}_pkey PRIMARY KEY (id),
    CONSTRAINT {t}_code_key UNIQUE (code),
    CONSTRAINT {t}_size_check CHECK (size >= 0),
    CONSTRAINT {t}_parent_fkey FOREIGN KEY (parent_id) REFERENCES t{max(number - 1, 0)} (id)
);
CREATE INDEX {t}_name_idx ON {t} (lower(name));
CREATE INDEX {t}_created_idx ON {t} (created_at DESC) WHERE size > 0;
"""


def change(number: int) -> str:
    """The statements that move one table away from the YAML: a default by hand, and an index less."""
    return f"ALTER TABLE t{number} ALTER note SET DEFAULT 'x'; DROP INDEX t{number}_name_idx;\n"


def declare(number: int) -> str:
    """The same table in YAML."""
    t = f"t{number}"
    return f"""  {t}:
    columns:
      id: {{type: bigint, identity: always}}
      parent_id: bigint
      name: {{type: text, not_null: true}}
      code: varchar(20)
      size: {{type: "numeric(12,2)", default: 0}}
      tags: {{type: "text[]", default: "'{{}}'"}}
      note: text
      created_at: {{type: timestamptz, not_null: true, default: now()}}
    primary_key: [id]
    unique:
      {t}_code_key: [code]
    checks:
      {t}_size_check: size >= 0
    foreign_keys:
      {t}_parent_fkey: {{columns: [parent_id], references: t{max(number - 1, 0)}}}
    indexes:
      {t}_name_idx: {{columns: [{{expression: lower(name)}}]}}
      {t}_created_idx: {{columns: [{{column: created_at, order: desc}}], where: size > 0}}
"""


def sql(tables: int) -> Iterator[str]:
    """The statements that make all tables, one text a table."""
    return map(create, range(tables))


def yaml(tables: int, without: Container[int] = ()) -> str:
    """The YAML of all tables but those left out."""
    return f"store: {STORE}\ntables:\n" + "".join(declare(n) for n in range(tables) if n not in without)


def models(tables: int) -> str:
    """The same for SQLAlchemy, which alembic compares with; it has no word for a check's or a default's spelling."""
    return f"""from sqlalchemy import *
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()
for number in range({tables}):
    t = f"t{{number}}"
    Table(
        t,
        metadata,
        Column("id", BigInteger, Identity(always=True)),
        Column("parent_id", BigInteger),
        Column("name", Text, nullable=False),
        Column("code", String(20)),
        Column("size", Numeric(12, 2), server_default=text("0")),
        Column("tags", ARRAY(Text), server_default=text("'{{{{}}}}'::text[]")),
        Column("note", Text),
        Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=text("now()")),
        PrimaryKeyConstraint("id", name=f"{{t}}_pkey"),
        UniqueConstraint("code", name=f"{{t}}_code_key"),
        CheckConstraint("size >= 0", name=f"{{t}}_size_check"),
        ForeignKeyConstraint(["parent_id"], [f"t{{max(number - 1, 0)}}.id"], name=f"{{t}}_parent_fkey"),
        Index(f"{{t}}_name_idx", text("lower(name)")),
        Index(f"{{t}}_created_idx", text("created_at DESC"), postgresql_where=text("size > 0::numeric")),
    )
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=1000)
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--sql", action="store_true")
    form.add_argument("--yaml", action="store_true")
    asked = parser.parse_args()
    print("".join(sql(asked.tables)) if asked.sql else yaml(asked.tables), end="")


if __name__ == "__main__":
    main()
