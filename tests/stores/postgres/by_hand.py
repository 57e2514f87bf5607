"""What people do by hand to a database that was applied: a base to start from, and one row for each thing done.

To add some: a `Base` in the language of the YAML files, and rows of SQL done in a copy of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Base:
    """What is declared and applied before."""

    name: str
    yaml: str
    """Without its `store:`."""
    before: str = ""
    """SQL run before the first apply: what the project does not manage."""
    since: int = 12
    """The PostgreSQL version that has what it declares."""


@dataclass(frozen=True)
class ByHand:
    """One thing done by hand, which the next plan has to see and undo."""

    base: Base
    sql: str
    prune: str = "none"
    """`extra` where something was added that nobody declares: drift, and undone only if asked."""
    named: bool = False
    """It cannot be described: the plan names it, or refuses by its name."""
    since: int = 12
    """The PostgreSQL version that can do this."""

    def __str__(self) -> str:
        return f"{self.base.name}: {' '.join(self.sql.split())[:90]}"


TABLES = Base(
    "tables",
    """
tables:
  users:
    comment: Who
    with: {fillfactor: 80, autovacuum_enabled: false, toast.autovacuum_enabled: false}
    replica_identity: full
    cluster_on: users_lower_idx
    columns:
      id: {type: bigint, identity: always}
      name: {type: text, not_null: true, default: "'x'", storage: main, compression: pglz, statistics: 50,
             options: {n_distinct: -0.5}, collation: C, comment: As called}
      age: integer
      half: {type: integer, generated: age / 2}
      place: text
    primary_key: [id]
    unique: {users_name_key: [name]}
    checks: {users_age_check: age > 0}
    indexes:
      users_name_idx: {columns: [name, {column: age, order: desc}], include: [id], where: age > 5,
                       with: {fillfactor: 70}}
      users_lower_idx: {columns: [{expression: lower(name)}], comment: Search}
  plain:
    columns: {id: {type: bigint, not_null: true}, note: text}
    unique: {plain_note_key: [note]}
    replica_identity: {index: plain_id_idx}
    indexes: {plain_id_idx: {columns: [id], unique: true}}
    checks: {plain_id_check: id > 0}
  posts:
    columns: {id: bigint, author: bigint, body: text}
    primary_key: [id]
    foreign_keys: {posts_author_fkey: {columns: [author], references: users, on_delete: cascade}}
  notes: {unlogged: true, columns: {id: bigint, body: text}}
""",
)

CONSTRAINTS = Base(
    "constraints",
    """
tables:
  rooms:
    columns: {id: bigint, code: text, note: text}
    primary_key: {name: rooms_pk, columns: [id], include: [note], with: {fillfactor: 80}}
    unique:
      rooms_code_key: {columns: [code], with: {fillfactor: 70, deduplicate_items: false}, comment: One each}
      rooms_both_key: {columns: [code, id], deferrable: initially_deferred}
    indexes:
      rooms_code_idx: {columns: [code], unique: true}
      rooms_note_idx: {columns: [{expression: "lower(note)", statistics: 50}, code]}
      rooms_gin_idx: {method: gin, columns: [{expression: "string_to_array(note, ' ')"}], with: {fastupdate: false}}
      rooms_brin_idx: {method: brin, columns: [id], with: {pages_per_range: 64, autosummarize: true}}
  bookings:
    columns: {id: bigint, room: {type: bigint, not_null: true}, code: text, span: {type: tstzrange, not_null: true},
              price: numeric, void: {type: boolean, not_null: true, default: false}}
    primary_key: [id]
    exclusions:
      bookings_once:
        columns: [{expression: "int8range(room, room, '[]')", with: "&&"}, {column: span, with: "&&"}]
        where: not void
        with: {fillfactor: 80, buffering: auto}
        comment: Never twice
      bookings_later: {columns: [{expression: "int8range(id, id + 1)", with: "&&"}], deferrable: initially_immediate}
      bookings_hash: {method: hash, columns: [{column: code, with: "="}]}
    checks:
      bookings_price_check: price > 0
      bookings_loose_check: {expression: price < 1000, not_valid: true, no_inherit: true}
    foreign_keys:
      bookings_room_fkey: {columns: [room], references: rooms, deferrable: initially_deferred, comment: Where}
      bookings_code_fkey: {columns: [code], references: {table: rooms, columns: [code]}, on_delete: set_null}
""",
)

UNENFORCED = Base(
    "unenforced",
    """
tables:
  a:
    columns: {id: bigint, n: integer}
    primary_key: [id]
    checks: {a_n_check: {expression: n > 0, enforced: false}, a_id_check: id > 0}
  b:
    columns: {a: bigint, c: bigint}
    foreign_keys: {b_a_fkey: {columns: [a], references: a, enforced: false}, b_c_fkey: {columns: [c], references: a}}
""",
    since=18,
)

EIGHTEEN = Base(
    "eighteen",
    """
tables:
  orders:
    columns:
      id: {type: bigint, not_null: true}
      net: {type: numeric, not_null: {name: net_given, comment: Always}}
      vat: {type: numeric, not_null: {valid: false}}
      kind: {type: text, not_null: {name: kind_given, no_inherit: true}}
      gross: {type: numeric, generated: net + vat, stored: false, comment: To pay}
      half: {type: numeric, generated: net / 2}
      note: text
  lines:
    columns: {a: integer, b: {type: integer, generated: a * 2, stored: false}, c: {type: integer, not_null: true}}
    checks: {lines_check: a > 0}
""",
    since=18,
)

STATISTICS = Base(
    "statistics",
    """
tables:
  places:
    columns: {country: text, city: text, zip: text, half: {type: text, generated: "left(zip, 2)"}}
    statistics:
      places_all: {columns: [country, city]}
      places_some: {kinds: [mcv, ndistinct], columns: [zip, city, half], target: 50, comment: Together}
      places_lower: {columns: [{expression: lower(city)}]}
      places_both: {kinds: [dependencies], columns: [country, {expression: upper(zip)}]}
""",
    since=14,
)

PARTITIONED = Base(
    "partitioned",
    """
tables:
  events:
    columns:
      id: {type: bigint, not_null: true}
      kind: {type: text, storage: main, compression: pglz, statistics: 50, options: {n_distinct: 5}}
    primary_key: [id]
    partition_by: {range: [id]}
    indexes: {events_kind_idx: {columns: [kind]}}
    statistics: {events_both: {columns: [id, kind]}}
    partitions:
      events_low: {from: [0], to: [100], with: {fillfactor: 70}, unlogged: true, replica_identity: full}
      events_high: {from: [100], to: [200]}
""",
    since=14,
)

ROWS: list[ByHand] = [
    *(
        ByHand(TABLES, sql)
        for sql in (
            "COMMENT ON TABLE users IS 'Somebody'",
            "COMMENT ON TABLE users IS NULL",
            "COMMENT ON TABLE notes IS 'new'",
            "ALTER TABLE users SET (fillfactor = 90)",
            "ALTER TABLE users RESET (fillfactor)",
            "ALTER TABLE users SET (toast.autovacuum_enabled = true)",
            "ALTER TABLE users RESET (toast.autovacuum_enabled)",
            "ALTER TABLE posts SET (parallel_workers = 2)",
            "ALTER TABLE posts SET (toast.autovacuum_vacuum_threshold = 2)",
            "ALTER TABLE users REPLICA IDENTITY DEFAULT",
            "ALTER TABLE users REPLICA IDENTITY NOTHING",
            "ALTER TABLE posts REPLICA IDENTITY FULL",
            "ALTER TABLE posts REPLICA IDENTITY USING INDEX posts_pkey",
            "ALTER TABLE plain REPLICA IDENTITY NOTHING",
            "ALTER TABLE users CLUSTER ON users_pkey",
            "ALTER TABLE users SET WITHOUT CLUSTER",
            "ALTER TABLE posts CLUSTER ON posts_pkey",
            "ALTER TABLE notes SET LOGGED",
            "ALTER TABLE posts SET UNLOGGED",
            "DROP TABLE notes",
            "ALTER TABLE users ALTER name SET STORAGE external",
            "ALTER TABLE users ALTER name SET STORAGE extended",
            "ALTER TABLE posts ALTER body SET STORAGE plain",
            "ALTER TABLE users ALTER name SET STATISTICS -1",
            "ALTER TABLE users ALTER name SET STATISTICS 7",
            "ALTER TABLE posts ALTER body SET STATISTICS 0",
            "ALTER TABLE users ALTER name RESET (n_distinct)",
            "ALTER TABLE users ALTER name SET (n_distinct = 5, n_distinct_inherited = 6)",
            "ALTER TABLE posts ALTER body SET (n_distinct_inherited = 6)",
            "ALTER TABLE users ALTER name TYPE varchar(30)",
            "ALTER TABLE users ALTER name DROP NOT NULL",
            "ALTER TABLE users ALTER name SET DEFAULT 'y'",
            "ALTER TABLE users ALTER name DROP DEFAULT",
            "ALTER TABLE posts ALTER body SET DEFAULT 'y'",
            "ALTER TABLE posts ALTER body SET NOT NULL",
            "COMMENT ON COLUMN users.name IS 'No'",
            "ALTER TABLE users ALTER id SET GENERATED BY DEFAULT",
            "ALTER TABLE users ALTER id DROP IDENTITY",
            "ALTER TABLE users ALTER half DROP EXPRESSION",
            "ALTER TABLE users DROP place",
            "ALTER TABLE users DROP CONSTRAINT users_name_key",
            "ALTER TABLE users DROP CONSTRAINT users_age_check",
            "DROP INDEX users_lower_idx",
            "DROP INDEX users_name_idx",
            "COMMENT ON INDEX users_lower_idx IS NULL",
            "ALTER INDEX users_name_idx SET (fillfactor = 60)",
            "ALTER INDEX users_name_idx RESET (fillfactor)",
        )
    ),
    *(
        ByHand(CONSTRAINTS, sql)
        for sql in (
            "ALTER INDEX rooms_pk SET (fillfactor = 90)",
            "ALTER INDEX rooms_pk RESET (fillfactor)",
            "ALTER INDEX rooms_code_key SET (deduplicate_items = true)",
            "ALTER INDEX rooms_code_key RESET (deduplicate_items)",
            "ALTER INDEX rooms_both_key SET (deduplicate_items = false)",
            "ALTER INDEX rooms_gin_idx SET (fastupdate = true)",
            "ALTER INDEX rooms_gin_idx SET (gin_pending_list_limit = 100)",
            "ALTER INDEX rooms_brin_idx RESET (autosummarize)",
            "ALTER INDEX rooms_brin_idx SET (pages_per_range = 32)",
            "ALTER INDEX rooms_note_idx ALTER COLUMN 1 SET STATISTICS -1",
            "ALTER INDEX rooms_note_idx ALTER COLUMN 1 SET STATISTICS 9",
            "COMMENT ON CONSTRAINT rooms_code_key ON rooms IS NULL",
            "COMMENT ON CONSTRAINT bookings_once ON bookings IS 'No'",
            "COMMENT ON CONSTRAINT bookings_room_fkey ON bookings IS NULL",
            "ALTER INDEX bookings_once SET (fillfactor = 90)",
            "ALTER INDEX bookings_once SET (buffering = off)",
            "ALTER INDEX bookings_later SET (fillfactor = 90)",
            "ALTER TABLE bookings DROP CONSTRAINT bookings_once",
            "ALTER TABLE bookings DROP CONSTRAINT bookings_once, ADD CONSTRAINT bookings_once"
            " EXCLUDE USING gist (int8range(room, room, '[]') WITH &&, span WITH &&)",
            "ALTER TABLE bookings DROP CONSTRAINT bookings_once, ADD CONSTRAINT bookings_once"
            " EXCLUDE USING gist (int8range(room, room, '[]') WITH &&, span WITH -|-) WHERE (not void)",
            "ALTER TABLE bookings DROP CONSTRAINT bookings_later, ADD CONSTRAINT bookings_later"
            " EXCLUDE USING gist (int8range(id, id + 2) WITH &&) DEFERRABLE",
            "ALTER TABLE bookings DROP CONSTRAINT bookings_later, ADD CONSTRAINT bookings_later"
            " EXCLUDE USING gist (int8range(id, id + 1) WITH &&)",
            "ALTER TABLE bookings DROP CONSTRAINT bookings_loose_check, ADD CONSTRAINT bookings_loose_check"
            " CHECK (price < 1000) NOT VALID",
            "ALTER TABLE bookings VALIDATE CONSTRAINT bookings_loose_check",
            "ALTER TABLE bookings DROP CONSTRAINT bookings_price_check, ADD CONSTRAINT bookings_price_check"
            " CHECK (price > 0) NOT VALID",
            "ALTER TABLE bookings DROP CONSTRAINT bookings_price_check, ADD CONSTRAINT bookings_price_check"
            " CHECK (price > 0) NO INHERIT",
            "ALTER TABLE bookings ALTER CONSTRAINT bookings_room_fkey NOT DEFERRABLE",
            "ALTER TABLE bookings ALTER CONSTRAINT bookings_room_fkey DEFERRABLE INITIALLY IMMEDIATE",
            "ALTER TABLE bookings ALTER CONSTRAINT bookings_code_fkey DEFERRABLE INITIALLY IMMEDIATE",
            "ALTER TABLE rooms DROP CONSTRAINT rooms_both_key, ADD CONSTRAINT rooms_both_key UNIQUE (code, id)",
            "ALTER TABLE rooms DROP CONSTRAINT rooms_both_key, ADD CONSTRAINT rooms_both_key"
            " UNIQUE (code, id) DEFERRABLE",
            "ALTER TABLE rooms RENAME CONSTRAINT rooms_both_key TO other",
            "ALTER TABLE bookings DROP CONSTRAINT bookings_code_fkey; DROP INDEX rooms_code_idx",
            "ALTER TABLE rooms DROP CONSTRAINT rooms_code_key CASCADE",
        )
    ),
    *(
        ByHand(CONSTRAINTS, sql, prune="extra")
        for sql in (
            "ALTER TABLE bookings ADD CONSTRAINT more EXCLUDE USING btree (id WITH =)",
            "ALTER TABLE bookings ADD CONSTRAINT more CHECK (id > 0)",
            "ALTER TABLE bookings ADD CONSTRAINT more UNIQUE (code)",
            "CREATE INDEX more ON bookings (code)",
        )
    ),
    *(
        ByHand(CONSTRAINTS, sql)
        for sql in (
            "COMMENT ON INDEX rooms_pk IS 'x'",
            "COMMENT ON INDEX bookings_once IS 'x'",
        )
    ),
    *(
        ByHand(UNENFORCED, sql)
        for sql in (
            "ALTER TABLE b ALTER CONSTRAINT b_a_fkey ENFORCED",
            "ALTER TABLE b ALTER CONSTRAINT b_c_fkey NOT ENFORCED",
            "ALTER TABLE a DROP CONSTRAINT a_n_check, ADD CONSTRAINT a_n_check CHECK (n > 0)",
            "ALTER TABLE a DROP CONSTRAINT a_id_check, ADD CONSTRAINT a_id_check CHECK (id > 0) NOT ENFORCED",
            "ALTER TABLE a DROP CONSTRAINT a_n_check",
        )
    ),
    *(
        ByHand(EIGHTEEN, sql)
        for sql in (
            "ALTER TABLE orders RENAME CONSTRAINT net_given TO other",
            "COMMENT ON CONSTRAINT net_given ON orders IS 'No'",
            "COMMENT ON CONSTRAINT net_given ON orders IS NULL",
            "COMMENT ON CONSTRAINT orders_id_not_null ON orders IS 'No'",
            "ALTER TABLE orders DROP CONSTRAINT net_given",
            "ALTER TABLE orders DROP CONSTRAINT net_given, ADD CONSTRAINT net_given NOT NULL net NOT VALID",
            "ALTER TABLE orders VALIDATE CONSTRAINT orders_vat_not_null",
            "ALTER TABLE orders ALTER vat DROP NOT NULL",
            "ALTER TABLE orders ALTER CONSTRAINT kind_given INHERIT",
            "ALTER TABLE orders ALTER kind DROP NOT NULL",
            "ALTER TABLE orders ALTER id DROP NOT NULL; ALTER TABLE orders ADD NOT NULL id NOT VALID",
            "ALTER TABLE orders ALTER gross SET EXPRESSION AS (net)",
            "ALTER TABLE orders DROP gross, ADD gross numeric GENERATED ALWAYS AS (net + vat) STORED",
            "ALTER TABLE orders DROP gross, ADD gross numeric",
            "ALTER TABLE orders DROP half, ADD half numeric GENERATED ALWAYS AS (net / 2) VIRTUAL",
            "ALTER TABLE orders DROP note, ADD note text GENERATED ALWAYS AS (kind || kind) VIRTUAL",
            "COMMENT ON COLUMN orders.gross IS NULL",
            "ALTER TABLE lines DROP b, ADD b integer GENERATED ALWAYS AS (a * 3) VIRTUAL",
            "ALTER TABLE lines DROP b, ADD b bigint GENERATED ALWAYS AS (a * 2) VIRTUAL",
        )
    ),
    *(
        ByHand(STATISTICS, sql)
        for sql in (
            "DROP STATISTICS places_all",
            "DROP STATISTICS places_all; CREATE STATISTICS places_all (mcv) ON country, city FROM places",
            "DROP STATISTICS places_all; CREATE STATISTICS places_all ON country, zip FROM places",
            "DROP STATISTICS places_both;"
            " CREATE STATISTICS places_both (dependencies) ON country, (lower(zip)) FROM places",
            "DROP STATISTICS places_lower; CREATE STATISTICS places_lower ON (upper(city)) FROM places",
            "ALTER STATISTICS places_some SET STATISTICS -1",
            "ALTER STATISTICS places_some SET STATISTICS 60",
            "ALTER STATISTICS places_all SET STATISTICS 0",
            "COMMENT ON STATISTICS places_some IS NULL",
            "COMMENT ON STATISTICS places_all IS 'x'",
            "ALTER TABLE places ALTER city TYPE varchar(40)",
            "ALTER TABLE places DROP zip CASCADE",
            "ALTER TABLE places ALTER half DROP EXPRESSION",
        )
    ),
    *(
        ByHand(PARTITIONED, sql)
        for sql in (
            "ALTER TABLE events ALTER kind SET STATISTICS -1",
            "ALTER TABLE events ALTER kind SET STORAGE extended",
            "ALTER TABLE events_low RESET (fillfactor)",
            "ALTER TABLE events_high SET (fillfactor = 50)",
            "ALTER TABLE events_low SET LOGGED",
            "ALTER TABLE events_high SET UNLOGGED",
            "ALTER TABLE events_low REPLICA IDENTITY DEFAULT",
            "ALTER TABLE events_high REPLICA IDENTITY NOTHING",
            "DROP STATISTICS events_both",
            "DROP TABLE events_high",
        )
    ),
    *(
        ByHand(PARTITIONED, sql, named=True)
        for sql in (
            "ALTER TABLE events_low ALTER kind SET STATISTICS 7",
            "ALTER TABLE events_low ALTER kind RESET (n_distinct)",
            "ALTER TABLE ONLY events ALTER kind SET COMPRESSION DEFAULT",
        )
    ),
    ByHand(STATISTICS, "CREATE STATISTICS more ON country, zip FROM places", prune="extra"),
    ByHand(TABLES, "ALTER TABLE users ALTER name SET COMPRESSION DEFAULT", since=14),
    ByHand(TABLES, "ALTER TABLE posts ALTER body SET COMPRESSION pglz", since=14),
]
"""Every row is tried by `test_nothing_silent`."""
