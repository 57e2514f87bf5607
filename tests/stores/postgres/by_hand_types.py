"""What people do by hand to types, collations, sequences and identities. See `by_hand`."""

from __future__ import annotations

from tests.stores.postgres.by_hand import Base, ByHand

TYPES = Base(
    "types",
    """
collations:
  plain: {locale: C, comment: Bytes}
  spare: {locale: POSIX}
enums:
  mood: {values: [sad, ok], comment: How}
domains:
  code: {type: varchar(20), collation: plain, not_null: true, default: "'c'", comment: Code,
         checks: {code_check: value <> '', code_late: {expression: value <> 'x', not_valid: true, comment: Late}}}
  sub_code: {type: code, checks: {sub_code_check: value <> 's'}}
composites:
  place: {fields: {street: {type: text, collation: plain, comment: And number}, zip: varchar(10)}, comment: Where}
ranges:
  lengths: {subtype: float8, subtype_diff: float8mi, comment: Far}
  words: {subtype: text, collation: plain}
tables:
  things:
    columns:
      id: {type: bigint, not_null: true}
      code: code
      subs: "sub_code[]"
      at: place
      far: lengths
      word: words
      mood: {type: mood, default: "'ok'"}
""",
    since=14,
)

SEQUENCES = Base(
    "sequences",
    """
sequences:
  own: {type: integer, start: 5, increment: 5, min: 5, max: 500, cache: 3, cycle: true, comment: Own}
  plain: {}
  owned: {owned_by: items.no}
tables:
  items:
    columns:
      id: {type: bigint, identity: {generated: always, start: 100, increment: 10, cache: 2}}
      nr: {type: integer, identity: by_default}
      no: {type: bigint, default: "nextval('owned')"}
  others:
    columns: {no: {type: bigint}}
""",
)

TYPE_ROWS = [
    *(
        ByHand(TYPES, sql)
        for sql in (
            "ALTER DOMAIN code DROP NOT NULL",
            "ALTER DOMAIN code DROP DEFAULT",
            "ALTER DOMAIN code SET DEFAULT 'd'",
            "ALTER DOMAIN code DROP CONSTRAINT code_check",
            "ALTER DOMAIN code ADD CHECK (value <> 'y') NOT VALID",
            "ALTER DOMAIN code DROP CONSTRAINT code_check;"
            " ALTER DOMAIN code ADD CONSTRAINT code_check CHECK (value <> 'z') NOT VALID",
            "ALTER DOMAIN code RENAME CONSTRAINT code_check TO other",
            "ALTER DOMAIN sub_code DROP CONSTRAINT sub_code_check;"
            " ALTER DOMAIN sub_code ADD CONSTRAINT sub_code_check CHECK (value <> 's') NOT VALID",
            "ALTER DOMAIN sub_code SET DEFAULT 'q'",
            "COMMENT ON DOMAIN code IS NULL",
            "COMMENT ON CONSTRAINT code_late ON DOMAIN code IS NULL",
            "COMMENT ON CONSTRAINT code_check ON DOMAIN code IS 'x'",
            "ALTER TYPE place ADD ATTRIBUTE city text",
            "ALTER TYPE place DROP ATTRIBUTE zip",
            "ALTER TYPE place RENAME ATTRIBUTE zip TO postcode",
            "COMMENT ON COLUMN place.street IS NULL",
            "COMMENT ON COLUMN place.zip IS 'x'",
            "COMMENT ON TYPE place IS 'x'",
            "ALTER TABLE things DROP at; DROP TYPE place; CREATE TYPE place AS (street text, zip varchar(20));"
            " ALTER TABLE things ADD at place",
            "COMMENT ON TYPE lengths IS NULL",
            "ALTER TABLE things DROP far; DROP TYPE lengths; CREATE TYPE lengths AS RANGE (SUBTYPE = float8);"
            " ALTER TABLE things ADD far lengths",
            "ALTER TABLE things DROP far; DROP TYPE lengths;"
            " CREATE TYPE lengths AS RANGE (SUBTYPE = numeric); ALTER TABLE things ADD far lengths",
            "ALTER TABLE things DROP far; DROP TYPE lengths; CREATE TYPE lengths AS RANGE (SUBTYPE = float8,"
            " SUBTYPE_DIFF = float8mi, MULTIRANGE_TYPE_NAME = many); ALTER TABLE things ADD far lengths",
            "ALTER TABLE things DROP word; DROP TYPE words; CREATE TYPE words AS RANGE (SUBTYPE = text);"
            " ALTER TABLE things ADD word words",
            "ALTER TABLE things DROP word; DROP TYPE words; CREATE TYPE words AS RANGE (SUBTYPE = text,"
            " COLLATION = plain, SUBTYPE_OPCLASS = text_pattern_ops); ALTER TABLE things ADD word words",
            "ALTER TYPE mood ADD VALUE 'new'",
            "ALTER TYPE mood RENAME VALUE 'sad' TO 'bad'",
            "COMMENT ON TYPE mood IS NULL",
            "COMMENT ON COLLATION plain IS NULL",
            "DROP COLLATION spare; CREATE COLLATION spare (LOCALE = 'C')",
            "DROP COLLATION spare",
        )
    ),
    ByHand(TYPES, "COMMENT ON TYPE lengths_multirange IS 'x'", named=True),
    ByHand(TYPES, "DROP COLLATION spare; CREATE COLLATION spare (PROVIDER = builtin, LOCALE = 'C')", since=17),
    *(
        ByHand(SEQUENCES, sql)
        for sql in (
            "ALTER SEQUENCE own START 10",
            "ALTER SEQUENCE own INCREMENT 1",
            "ALTER SEQUENCE own NO MINVALUE",
            "ALTER SEQUENCE own NO MAXVALUE",
            "ALTER SEQUENCE own CACHE 1",
            "ALTER SEQUENCE own NO CYCLE",
            "ALTER SEQUENCE own AS bigint",
            "COMMENT ON SEQUENCE own IS NULL",
            "ALTER SEQUENCE plain AS smallint",
            "ALTER SEQUENCE plain INCREMENT -1 MINVALUE -100 MAXVALUE 100",
            "ALTER SEQUENCE plain OWNED BY items.no",
            "ALTER SEQUENCE owned OWNED BY others.no",
            "ALTER SEQUENCE owned OWNED BY NONE",
            "ALTER TABLE items ALTER id SET GENERATED BY DEFAULT",
            "ALTER TABLE items ALTER id SET START 200",
            "ALTER TABLE items ALTER id SET INCREMENT 1",
            "ALTER TABLE items ALTER id SET CACHE 1",
            "ALTER TABLE items ALTER id SET MAXVALUE 5000",
            "ALTER TABLE items ALTER id SET MINVALUE -5",
            "ALTER TABLE items ALTER id SET CYCLE",
            "ALTER TABLE items ALTER nr SET START 7",
            "ALTER TABLE items ALTER nr DROP IDENTITY",
        )
    ),
    ByHand(SEQUENCES, "ALTER SEQUENCE plain SET UNLOGGED", since=15),
    ByHand(SEQUENCES, "ALTER SEQUENCE items_nr_seq AS bigint", named=True),
    ByHand(SEQUENCES, "COMMENT ON SEQUENCE items_nr_seq IS 'x'", named=True),
]
"""Every row is tried by `test_nothing_silent`."""
