"""Every way in which a table in use is changed: what stands there, what is declared then, what clients go on doing."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.stores.postgres.load import Work

ROWS = 3000


@dataclass(frozen=True)
class Strategy:
    """One change of the table `items`, which has rows and is worked on."""

    name: str
    before: str
    """YAML of the column, constraint, index, … sections of `items` and beside it."""
    after: str
    setup: str = ""
    """SQL, after the rows are there."""
    work: tuple[Work, ...] = ()
    """What clients do besides writing and reading `items`."""
    since: int = 12
    """The major version of PostgreSQL it needs."""


def row(chance: random.Random) -> int:
    """The key of a row that may be there."""
    return chance.randint(1, ROWS)


def writes(chance: random.Random) -> str:
    """INSERT, UPDATE or DELETE of one row, in the columns every strategy leaves in place."""
    n = row(chance)
    return chance.choice(
        [
            "INSERT INTO items (kind, name, code, parent_id)"
            f" VALUES ({n % 7}, 'n{n}', gen_random_uuid()::text, {n % 50 + 1})",
            f"UPDATE items SET kind = kind + 1, name = 'u{n}' WHERE id = {n}",
            f"UPDATE items SET size = size + 1 WHERE id = {n}",
            f"DELETE FROM items WHERE id = {n} AND kind > 3",
        ]
    )


def reads(chance: random.Random) -> str:
    """A lookup, a range, or a join."""
    n = row(chance)
    return chance.choice(
        [
            f"SELECT * FROM items WHERE id = {n}",
            f"SELECT count(*) FROM items WHERE kind = {n % 7}",
            "SELECT i.name, p.label FROM items i JOIN parents p ON p.id = i.parent_id"
            f" WHERE i.id BETWEEN {n} AND {n + 9}",
        ]
    )


def parents(chance: random.Random) -> str:
    """The other end of foreign keys."""
    n = chance.randint(1, 50)
    return chance.choice(
        [
            f"UPDATE parents SET label = 'l{n}' WHERE id = {n}",
            "INSERT INTO parents (code, label) VALUES (gen_random_uuid()::text, 'x')",
            f"SELECT label FROM parents WHERE id = {n}",
            "DELETE FROM parents WHERE id = (SELECT max(id) FROM parents WHERE id > 50)",
        ]
    )


def log(chance: random.Random) -> str:
    """A table in partitions, of which the lower one is always there."""
    n = row(chance)
    return chance.choice(
        [
            f"INSERT INTO log (at, note) VALUES ({n}, 'x')",
            f"UPDATE log SET note = 'y' WHERE at = {n}",
            f"SELECT count(*) FROM log WHERE at BETWEEN {n} AND {n + 9}",
        ]
    )


def constantly(sql: str) -> Work:
    """The same statement, `{n}` a row."""
    return lambda chance: sql.format(n=row(chance))


def rows_sql(rows: int = ROWS) -> str:
    """Fill both tables."""
    return f"""
    INSERT INTO parents (code, label) SELECT 'c' || n, 'l' || n FROM generate_series(1, 50) n;
    INSERT INTO items (kind, name, code, parent_id, size, note)
    SELECT n % 7, 'n' || n, 'k' || n, n % 50 + 1, n, repeat('x', 100) FROM generate_series(1, {rows}) n;
    """


_COLUMNS = {
    "id": "{type: bigint, identity: always}",
    "kind": "{type: integer, not_null: true, default: 0}",
    "name": "varchar(40)",
    "code": "text",
    "parent_id": "bigint",
    "size": "{type: integer, default: 0}",
    "note": "text",
}


def items(*, rest: str = "", table: str = "", drop: str = "", more: str = "", **columns: str) -> str:
    """YAML of the tables: columns of `items` by name, more lines inside it and beside it."""
    found = {k: v for k, v in {**_COLUMNS, **columns}.items() if k != drop}
    lines = "\n".join(f"      {name}: {text}" for name, text in found.items())
    inside = "\n".join(f"    {line}" for line in table.splitlines())
    return f"""
tables:
  parents:
    columns: {{id: {{type: bigint, identity: always}}, code: text, label: text}}
    primary_key: [id]
    indexes: {{parents_code: {{columns: [code], unique: true{more}}}}}
  items:
    columns:
{lines}
    primary_key: [id]
{inside}
{rest}
"""


def _inside(name: str, before: str, after: str, **more: object) -> Strategy:
    return Strategy(name, items(table=before), items(table=after), **more)  # type: ignore[arg-type]


def _column(what: str, /, setup: str = "", since: int = 12, **columns: str) -> Strategy:
    return Strategy(what, items(), items(**columns), setup, since=since)


_VIEW = 'views: {{small: {{query: "select id, kind{0} from items where size < 100"}}}}'


def _hnsw(m: int) -> str:
    index = f"{{method: hnsw, columns: [embedding], embedding: passages, with: {{m: {m}}}}}"
    return "extensions: {vector: {}}\n" + items(
        table=f"indexes: {{items_hnsw: {index}}}", embedding="{embedding: passages}"
    )


_USES = """
unique: {items_kind_key: [kind, id]}
checks: {items_kind_check: kind >= 0}
statistics: {items_kind_name: {kinds: [dependencies], columns: [kind, name]}}
indexes: {items_kind: {columns: [kind]}, items_double: {columns: [{expression: kind * 2}], where: kind > 3}}
""".strip()
_FOREIGN = """
foreign_keys: {items_parent_fkey: {columns: [parent_id], references: parents}}
indexes: {items_parent: {columns: [parent_id]}}
""".strip()
_OF_LOG = (
    "at: {type: integer, not_null: true}, note: text, no: {type: uuid, default: gen_random_uuid()}, parent: bigint"
)
_LOG = f"""  log:
    columns: {{{_OF_LOG}}}
    partition_by: {{range: [at]}}
    partitions:
      log_low: {{from: [0], to: [10000]}}
"""
_LOG_HIGH = "      log_high: {from: [10000], to: [20000]}\n"
_HIGH = f"  log_high:\n    columns: {{{_OF_LOG}}}\n"
_TOTALS = (
    'materialized_views: {{totals: {{query: "select kind, count(*) as n{} from items group by kind",'
    " indexes: {{totals_kind: {{columns: [kind], unique: true}}}}}}}}"
)
_TOUCH = """
functions:
  "touch()":
    definition: CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
""".lstrip()
_TOUCHED = 'triggers: {touched: {when: before, events: [update], for_each: row, function: "touch()"}}'
_GUARDED = """
row_level_security: forced
policies: {all_kinds: {using: kind >= 0}}
""".strip()
_FILLED = "UPDATE items SET size = coalesce(size, 0);"
_STANDING = """
functions:
  "touch()":
    definition: CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
  "longest()":
    definition: CREATE FUNCTION longest() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT max(name) FROM items; END
views:
  named: {query: "select id, name from items where size < 100", grants: {public: [select]}}
  shouted: {query: "select id, upper(name) as name from named", comment: Louder}
materialized_views:
  names: {query: "select name, count(*) as n from items group by name", indexes: {names_n: {columns: [n]}}}
""".lstrip()
_STOOD_ON = """
checks: {items_name_check: name <> 'x'}
unique: {items_name_key: [name, id]}
indexes: {items_name: {columns: [name]}}
row_level_security: enabled
policies: {named_ones: {to: [public], using: name is distinct from 'hidden'}}
triggers: {touched: {when: before, events: [update], of: [name], for_each: row, condition: "new.name <> old.name",
                     function: "touch()"}}
""".strip()
_DERIVED = "{type: text, generated: \"name || '!'\", stored: false}"
_PARENTS_KEY = "primary_key: [id]\n    indexes: {parents_code"
_SHARED = """
unique: {items_kind_size: [kind, size, id]}
indexes: {items_sum: {columns: [{expression: kind + size}]}}
checks: {items_sum_check: kind + size > -9}
""".strip()


def _log(inside: str, *partitions: str) -> str:
    """The table `log` with more sections."""
    lines = inside.replace("\n", "\n    ")
    return _LOG.replace("partition_by", f"{lines}\n    partition_by") + "".join(partitions)


def _on_log(name: str, before: str, after: str, **more: object) -> Strategy:
    """A change of the partitioned table `log`, which has two partitions."""
    left, right = (items(rest=_log(x, _LOG_HIGH) if x else _LOG + _LOG_HIGH) for x in (before, after))
    return Strategy(name, left, right, work=(log,), **more)  # type: ignore[arg-type]


STRATEGIES = (
    _column("add column", extra="text"),
    _column("add column, constant default", extra="{type: text, not_null: true, default: \"'x'\"}"),
    _column("add column, stable default", extra="{type: timestamptz, not_null: true, default: now()}"),
    _column("drop default", kind="{type: integer, not_null: true}"),
    _column("widen varchar", name="varchar(80)"),
    _column("varchar to text", name="text"),
    _column("set not null", setup=_FILLED, size="{type: integer, default: 0, not_null: true}"),
    Strategy("drop not null", items(), items(kind="{type: integer, default: 0}")),
    Strategy("drop column", items(), items(drop="note")),
    Strategy("rename column", items(), items(drop="note", remark="{type: text, renamed_from: note}")),
    _inside("create index", "", "indexes: {items_kind: {columns: [kind]}}"),
    _inside("create unique index", "", "indexes: {items_code: {columns: [code], unique: true}}"),
    _inside(
        "replace index",
        "indexes: {items_kind: {columns: [kind]}}",
        "indexes: {items_kind: {columns: [kind, name]}}",
    ),
    _inside("index options", "indexes: {items_kind: {columns: [kind]}}",
            "indexes: {items_kind: {columns: [kind], with: {fillfactor: 70}}}"),
    _inside("drop index", "indexes: {items_kind: {columns: [kind]}}", ""),
    _inside("check", "", "checks: {items_kind_check: kind >= 0}"),
    _inside("replace check", "checks: {items_kind_check: kind >= 0}", "checks: {items_kind_check: kind > -1}"),
    _inside("drop check", "checks: {items_kind_check: kind >= 0}", ""),
    _inside(
        "foreign key",
        "",
        "foreign_keys: {items_parent_fkey: {columns: [parent_id], references: parents}}",
        work=(parents,),
    ),
    _inside(
        "replace foreign key",
        "foreign_keys: {items_parent_fkey: {columns: [parent_id], references: parents}}",
        "foreign_keys: {items_parent_fkey: {columns: [parent_id], references: parents, on_delete: cascade}}",
        work=(parents,),
    ),
    _inside("unique constraint", "", "unique: {items_code_key: [code]}"),
    _inside(
        "replace unique constraint",
        "unique: {items_code_key: [code]}",
        "unique: {items_code_key: {columns: [code], include: [kind]}}",
    ),
    Strategy(
        "replace primary key",
        items(),
        items().replace("    primary_key: [id]\n\n", "    primary_key: {columns: [id], include: [kind]}\n"),
    ),
    Strategy(
        "replace unique index under a foreign key",
        items(
            table="foreign_keys: {items_code_fkey: "
            "{columns: [parent_code], references: {table: parents, columns: [code]}}}",
            parent_code="text",
        ),
        items(
            table="foreign_keys: {items_code_fkey: "
            "{columns: [parent_code], references: {table: parents, columns: [code]}}}",
            parent_code="text",
            more=", include: [label]",
        ),
        work=(parents,),
    ),
    Strategy(
        "drop table",
        items(rest="  gone:\n    columns: {id: bigint, item_id: bigint}\n"
                   "    foreign_keys: {gone_item_fkey: {columns: [item_id], references: items}}"),
        items(),
    ),
    Strategy("create table beside it", items(),
             items(rest="  fresh:\n    columns: {id: bigint, item_id: bigint}\n"
                        "    foreign_keys: {fresh_item_fkey: {columns: [item_id], references: items}}")),
    Strategy("replace view", items(rest=_VIEW.format("")), items(rest=_VIEW.format(", name")),
             work=(constantly("SELECT id, kind FROM small WHERE id < {n}"),)),
    Strategy("widen a column under a view", items(rest=_VIEW.format(", name")),
             items(rest=_VIEW.format(", name"), name="varchar(80)"),
             work=(constantly("SELECT id, name FROM small WHERE id < {n}"),)),
    Strategy("append enum value",
             "enums: {mood: [sad, ok]}\n" + items(mood="{type: mood, default: \"'ok'\"}"),
             "enums: {mood: [sad, ok, glad]}\n" + items(mood="{type: mood, default: \"'glad'\"}"),
             work=(constantly("UPDATE items SET mood = 'sad' WHERE id = {n}"),)),
    Strategy("rebuild hnsw", _hnsw(8), _hnsw(16),
             "UPDATE items SET embedding = ARRAY[random(), random(), random()]::vector;",
             (constantly("UPDATE items SET embedding = '[1,2,3]' WHERE id = {n}"),)),
    _column("add column, volatile default", extra="{type: uuid, not_null: true, default: gen_random_uuid()}"),
    Strategy("replace primary key under a foreign key", items(table=_FOREIGN),
             items(table=_FOREIGN).replace("primary_key: [id]\n    indexes: {parents_code",
                                           "primary_key: {columns: [id], include: [code]}\n    indexes: {parents_code"),
             work=(parents,)),
    _column("rename column online", remark="{type: text, renamed_from: note, strategy: online}", drop="note"),
    _column("retype column online", kind="{type: bigint, not_null: true, default: 0, strategy: online}"),
    Strategy("retype column online, with all that uses it",
             items(table=_USES, rest=_VIEW.format("")),
             items(table=_USES, rest=_VIEW.format(""),
                   kind="{type: bigint, not_null: true, default: 0, strategy: online}"),
             work=(constantly("SELECT id, kind FROM small WHERE id < {n}"),)),
    Strategy("retype foreign key online", items(table=_FOREIGN, parent_id="integer"),
             items(table=_FOREIGN, parent_id="{type: bigint, strategy: online}"), work=(parents,)),
    Strategy("retype primary key under a foreign key online", items(table=_FOREIGN),
             items(table=_FOREIGN).replace("parents:\n    columns: {id: {type: bigint",
                                           "parents:\n    columns: {id: {strategy: online, type: integer"),
             work=(parents,)),
    Strategy("attach a partition", items(rest=_LOG + _HIGH), items(rest=_LOG + _LOG_HIGH), work=(log,),
             setup="INSERT INTO log_high (at, note) SELECT n, 'x' FROM generate_series(10000, 12000) n;"),
    Strategy("detach a partition", items(rest=_LOG + _LOG_HIGH), items(rest=_LOG + _HIGH), work=(log,)),
    Strategy("add a partition", items(rest=_LOG), items(rest=_LOG + _LOG_HIGH), work=(log,)),
    Strategy("index a partitioned table", items(rest=_LOG + _LOG_HIGH),
             items(rest=_LOG.replace("partition_by", "indexes: {log_note: {columns: [note]}}\n    partition_by")
                   + _LOG_HIGH), work=(log,)),
    Strategy("validate a domain", "domains: {label: text}\n" + items(label="label"),
             "domains: {label: {type: text, checks: {label_short: length(value) < 90}}}\n" + items(label="label"),
             work=(constantly("UPDATE items SET label = 'l' WHERE id = {n}"),)),
    Strategy("remove an enum value",
             "enums: {mood: [sad, ok, gone]}\n" + items(mood="{type: mood, default: \"'ok'\"}"),
             "enums: {mood: [ok, sad]}\n" + items(mood="{type: mood, default: \"'ok'\"}"),
             work=(constantly("UPDATE items SET mood = 'sad' WHERE id = {n}"),)),
    Strategy("replace materialized view", items(rest=_TOTALS.format("")), items(rest=_TOTALS.format(", max(size) m")),
             work=(constantly("SELECT n FROM totals WHERE kind = {n} % 7"),)),
    Strategy("add a trigger", _TOUCH + items(), _TOUCH + items(table=_TOUCHED)),
    Strategy("replace a trigger", _TOUCH + items(table=_TOUCHED),
             _TOUCH + items(table=_TOUCHED.replace("[update]", "[insert, update]"))),
    _inside("turn on row-level security", "", _GUARDED),
    _inside("change a policy", _GUARDED, _GUARDED.replace("kind >= 0", "kind > -1")),
    _inside("add an exclusion constraint", "",
            "exclusions: {items_code_once: {method: btree, columns: [{column: code, with: '='}]}}"),
    Strategy("add primary key", items().replace("primary_key: [id]\n\n", "\n"), items(),
             work=(constantly("SELECT count(*) FROM items WHERE id < {n}"),)),
    _column("set not null by a named constraint", setup=_FILLED, since=18,
            size="{type: integer, default: 0, not_null: {name: items_size_set}}"),
    Strategy("widen a column under all that stands on it",
             _STANDING + items(table=_STOOD_ON, derived=_DERIVED),
             _STANDING + items(table=_STOOD_ON, derived=_DERIVED, name="varchar(80)"), since=18,
             work=(constantly("SELECT id, name FROM shouted WHERE id < {n}"), constantly("SELECT longest()"),
                   constantly("UPDATE items SET name = 'n' || size WHERE id = {n}"))),
    _inside("drop unique and foreign key",
            "unique: {items_code_key: [code]}\n" + _FOREIGN.partition("\n")[0], "", work=(parents,)),
    _inside("validate a foreign key", _FOREIGN.replace("references: parents}", "references: parents, not_valid: true}"),
            _FOREIGN, work=(parents,)),
    _inside("collect statistics, set parameters and identity of rows", "indexes: {items_kind: {columns: [kind]}}",
            "indexes: {items_kind: {columns: [kind]}}\nwith: {fillfactor: 80}\nreplica_identity: full\n"
            "statistics: {items_kind_name: {kinds: [dependencies], columns: [kind, name]}}"),
    _column("comment, storage, statistics target",
            note="{type: text, comment: Free text, storage: external, statistics: 200}"),
    _inside("grant and revoke", "grants: {public: [select]}",
            "grants: {public: [{select: [id, kind]}, {update: [kind]}]}"),
    Strategy("drop what stands on a table",
             _STANDING + items(table=_STOOD_ON), _TOUCH + items(table=_STOOD_ON.partition("row_level")[0])),
    Strategy("replace a function that a trigger calls", _TOUCH + items(table=_TOUCHED),
             _TOUCH.replace("BEGIN RETURN", "BEGIN NEW.note := ''x''; RETURN").replace("AS '", "AS '")
             + items(table=_TOUCHED)),
    Strategy("rename and insert enum values",
             "enums: {mood: [sad, ok]}\n" + items(mood="{type: mood, default: \"'ok'\"}"),
             "enums: {mood: {values: [low, fine, ok], renamed_values: {low: sad}}}\n"
             + items(mood="{type: mood, default: \"'ok'\"}"),
             work=(constantly("UPDATE items SET mood = 'ok' WHERE id = {n}"),)),
    _inside("rebuild an index beside", "indexes: {items_kind: {columns: [kind], rebuild: beside}}",
            "indexes: {items_kind: {columns: [kind], with: {fillfactor: 70}, rebuild: beside}}"),
    _on_log("unique constraint of a partitioned table", "", "unique: {log_no: [no, at]}",
            setup="INSERT INTO log (at, note) SELECT n, 'x' FROM generate_series(1, 3000) n;"),
    _on_log("foreign key of a partitioned table", "",
            "foreign_keys: {log_parent: {columns: [parent], references: parents}}", since=18,
            setup="INSERT INTO log (at, note, parent) SELECT n, 'x', n % 50 + 1 FROM generate_series(1, 3000) n;"),
    _on_log("replace index of a partitioned table", "indexes: {log_note: {columns: [note]}}",
            "indexes: {log_note: {columns: [note, at]}}"),
    Strategy("drop a partition", items(rest=_LOG + _LOG_HIGH), items(rest=_LOG), work=(log,)),
    Strategy("retype columns of one key online", items(table=_SHARED),
             items(table=_SHARED, kind="{type: bigint, not_null: true, default: 0, strategy: online}",
                   size="{type: bigint, default: 0, strategy: online}")),
)  # fmt: skip
