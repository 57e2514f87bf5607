"""Every change class on a real server: from one state to the next, after which nothing is left to plan."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.stores.postgres.writing import (
    Database,
    at,
    check,
    column,
    enum,
    extension,
    foreign_key,
    index,
    primary_key,
    schema,
    sequence,
    sql,
    state,
    table,
    unique,
    view,
)

from reconcile.change import Phase
from reconcile.diff import Difference, Options, diff
from reconcile.errors import PlanError
from reconcile.hazards import Hazard
from reconcile.model import State
from reconcile.plan import Steps
from reconcile.policy import Policy
from reconcile.stores.base import Live
from reconcile.stores.postgres import PACKAGE
from reconcile.stores.postgres.resources import IndexItem

ROWS = "INSERT INTO users (id, name, age) SELECT n, 'user ' || n, n % 90 FROM generate_series(1, 100) n"


@pytest.fixture
def database(postgres_database: str) -> Iterator[Database]:
    opened = Database.at(postgres_database)
    yield opened
    opened.session.close()


def users(*more: object) -> State:
    return state(
        table("users"),
        column("users", "id", "bigint", not_null=True, position=1),
        column("users", "name", "text", position=2),
        column("users", "age", "integer", position=3),
        primary_key("users", "users_pkey", "id"),
        *more,  # type: ignore[arg-type]
    )


def hazards(steps: Steps) -> set[Hazard]:
    return {h for s in steps.steps for h in s.hazards}


def test_new_tables_with_everything_in_one_transaction(database: Database) -> None:
    desired = users(
        schema("audit", comment="Audit trail"),
        enum("mood", "sad", "ok", comment="How it goes"),
        sequence("numbers", start=100, max=900, increment=5, cache=10, comment="Numbers"),
        table("posts", comment="What users write"),
        column("posts", "id", "bigint", not_null=True, identity="always", position=1),
        column("posts", "author", "bigint", comment="Who", position=2),
        column(
            "posts",
            "no",
            "bigint",
            default="nextval('numbers'::regclass)",
            position=3,
            refers=(at("sequence", "numbers"),),
        ),
        column("posts", "mood", "mood", default="'ok'::mood", position=4, refers=(at("enum", "mood"),)),
        column("posts", "tags", "text[]", not_null=True, default="'{}'::text[]", position=5),
        column("posts", "code", "character varying(8)", collation="C", position=6),
        column("posts", "upper", "text", generated="upper((code)::text)", position=7),
        primary_key("posts", "posts_pk", "id"),
        unique("posts", "posts_no_key", "no", deferrable="initially_deferred", comment="One each"),
        check("posts", "posts_no_check", "no > 0", comment="Positive"),
        foreign_key("posts", "posts_author_fkey", ["author"], "users", ["id"], on_delete="cascade", comment="To users"),
        foreign_key("users", "users_post_fkey", ["age"], "posts", ["id"], deferrable="initially_immediate"),
        index("posts", "posts_tags_idx", "tags", method="gin", comment="Tags"),
        index("posts", "posts_recent_idx", IndexItem(column="no", order="desc", nulls="last"), where="no > 10"),
    )
    steps = database.to(desired)
    assert {s.group for s in steps.steps} == {"g1"}
    order = [i for i, s in enumerate(steps.steps) if s.id.endswith("/1-create") and s.address.kind == "table"]
    assert sql(steps.steps[order[0] : order[0] + 1])[0].startswith("CREATE TABLE public.posts (\n  id bigint")
    steps = database.to(state())
    assert database.live().filter(lambda x: not x.only_declared) == state()
    assert Hazard.DELETES_DATA not in hazards(steps), "the tables were empty"


def test_owned_sequence(database: Database) -> None:
    owned = sequence("users_id_seq", owned_by=("public", "users", "id"))
    serial = column(
        "users",
        "id",
        "bigint",
        not_null=True,
        default="nextval('users_id_seq'::regclass)",
        refers=(at("sequence", "users_id_seq"),),
    )
    database.to(state(table("users"), serial, owned))
    database.to(state(table("users"), serial, sequence("users_id_seq", increment=2, comment="Odd ones")))
    database.to(state(table("users"), serial, owned))
    steps = database.to(state())
    assert sql(steps.steps) == ["DROP TABLE public.users"]


@pytest.mark.since(16)
def test_comments_in_place(database: Database) -> None:
    def all_of(comment: str | None) -> State:
        return state(
            table("users", comment=comment),
            column("users", "id", "bigint", not_null=True, comment=comment),
            primary_key("users", "users_pkey", "id", comment=comment),
            check("users", "users_check", "id > 0", comment=comment),
            index("users", "users_id_idx", "id", comment=comment),
            enum("mood", "ok", comment=comment),
            sequence("numbers", comment=comment),
            view("v", "SELECT id\n   FROM users", [("id", "bigint")], [at("table", "users")], comment=comment),
        )

    database.to(all_of(None))
    steps = database.to(all_of("It's a \\ 'comment'"))
    assert {s.phase for s in steps.steps} == {Phase.EXPAND}
    assert all(c.startswith("COMMENT ON") for c in sql(steps.steps))
    database.to(all_of(None))


def test_columns_added_without_rewriting(database: Database) -> None:
    database.to(users())
    database.execute(ROWS)
    steps = database.to(
        users(
            column("users", "lang", "text", not_null=True, default="'en'::text", comment="Language"),
            column("users", "made", "timestamp with time zone", default="now()"),
        )
    )
    assert hazards(steps) == set()
    assert {s.phase for s in steps.steps} == {Phase.EXPAND}
    again = users(column("users", "key", "uuid", default="gen_random_uuid()"))
    steps = database.to(again)
    assert {Hazard.REWRITES_TABLE, Hazard.DELETES_DATA, Hazard.BREAKS_CLIENTS} <= hazards(steps)


def test_not_null_column_needs_a_default_where_there_are_rows(database: Database) -> None:
    database.to(users())
    database.to(users(column("users", "lang", "text", not_null=True)))
    database.execute("INSERT INTO users (id, lang) VALUES (1, 'x')")
    with pytest.raises(PlanError, match="has rows"):
        database.plan(
            users(column("users", "lang", "text", not_null=True), column("users", "x", "text", not_null=True))
        )


def test_column_attributes(database: Database) -> None:
    database.to(users())
    database.execute(ROWS)

    def name(**more: object) -> State:
        return users().add(column("users", "name", "text", **more))

    steps = database.to(name(not_null=True, default="'x'::text", comment="Name"))
    assert [s.id.rpartition("/")[2] for s in steps.steps] == ["1-alter", "2-check", "3-validate", "4-not-null"]
    assert [s.phase for s in steps.steps] == [Phase.EXPAND, *[Phase.CONTRACT] * 3]
    assert len({s.group for s in steps.steps}) == 4
    database.to(name())

    def identity(value: str | None) -> State:
        return users().add(column("users", "id", "bigint", not_null=True, identity=value))

    for value in ("always", "by_default", None):
        database.to(identity(value))


def test_an_identity_goes_on_where_the_sequence_of_the_default_was(database: Database) -> None:
    numbers = sequence("numbers")
    default = {"default": "nextval('numbers'::regclass)", "refers": (at("sequence", "numbers"),)}
    database.to(users(numbers).add(column("users", "id", "bigint", not_null=True, **default)))
    database.execute("INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, 9) n")
    database.to(users().add(column("users", "id", "bigint", not_null=True, identity="by_default")))
    database.execute("INSERT INTO users (name) VALUES ('one more')")
    assert database.execute("SELECT max(id) FROM users") == [(10,)]
    assert database.execute("SELECT pg_get_serial_sequence('users', 'id')") == [("public.users_id_seq",)]


def test_set_not_null_goes_on_after_any_prefix(database: Database) -> None:
    database.to(users())
    database.execute(ROWS)
    desired = users().add(column("users", "name", "text", not_null=True))
    for length in (1, 2):
        database.run(database.plan(desired, "none").steps[:length])
        database.to(desired, "none")
        database.to(users())


def test_type_changes(database: Database) -> None:
    database.to(users())
    database.execute(ROWS)

    def age(type: str, **more: object) -> State:
        return users().add(column("users", "age", type, **more))

    steps = database.to(age("bigint", default="'7'::bigint"))
    assert Hazard.REWRITES_TABLE in hazards(steps) and Hazard.BREAKS_CLIENTS not in hazards(steps)
    steps = database.to(age("text", default="'7'::text"))
    assert Hazard.BREAKS_CLIENTS in hazards(steps)
    steps = database.to(age("numeric(10,2)"))
    assert "USING age::numeric(10,2)" in sql(steps.steps)[1]
    for wider in ("numeric(12,2)", "numeric"):
        steps = database.to(age(wider))
        assert hazards(steps) == set() and {s.phase for s in steps.steps} == {Phase.CONTRACT}
    database.to(age("character varying(10)"))
    assert hazards(database.to(age("character varying(20)"))) == set()
    assert hazards(database.to(age("text"))) == set()
    steps = database.to(age("text", collation="C"))
    assert Hazard.REWRITES_TABLE not in hazards(steps) and Hazard.BLOCKS_READS in hazards(steps)


@pytest.mark.since(16)
def test_type_change_under_views(database: Database) -> None:
    reads = [at("table", "users"), at("column", "users", "age")]
    below = view("below", "SELECT age\n   FROM users", [("age", "integer")], reads, comment="Below")
    above = view("above", "SELECT age\n   FROM below", [("age", "integer")], [at("view", "below")], comment="Above")
    database.to(users(below, above))
    database.execute(ROWS)
    bigger = users(below.replace(columns=(("age", "bigint"),)), above.replace(columns=(("age", "bigint"),))).add(
        column("users", "age", "bigint")
    )
    steps = database.to(bigger)
    assert [(s.id.partition(".")[2], s.group) for s in steps.steps] == [
        ("view.public.above/1-drop", "g1"),
        ("view.public.below/1-drop", "g1"),
        ("column.public.users.age/1-type", "g1"),
        ("view.public.below/2-create", "g1"),
        ("view.public.above/2-create", "g1"),
    ]


@pytest.mark.since(17)
def test_generated_expression(database: Database) -> None:
    def upper(**more: object) -> State:
        return users(column("users", "shout", "text", **more))

    database.to(users())
    database.execute(ROWS)
    database.to(upper(generated="upper(name)"))
    steps = database.to(upper(generated="lower(name)", comment="Low"))
    assert "SET EXPRESSION" in sql(steps.steps)[0] and Hazard.REWRITES_TABLE in hazards(steps)
    database.to(upper(default="'x'::text"))
    assert database.execute("SELECT count(*) FROM users WHERE shout LIKE 'user %'") == [(100,)]
    steps = database.to(upper(generated="upper(name)"))
    assert Hazard.DELETES_DATA in hazards(steps)


def test_keys_on_a_table_with_rows(database: Database) -> None:
    database.to(users())
    database.execute(ROWS)
    named = users(unique("users", "users_name_key", "name", comment="One name"))
    steps = database.to(named)
    assert [s.transactional for s in steps.steps] == [False, True]
    steps = database.to(users(unique("users", "users_name_key", "name", "age", nulls_not_distinct=True)))
    assert sql(steps.steps)[-1].startswith("ALTER TABLE public.users ADD CONSTRAINT users_name_key UNIQUE USING INDEX")
    database.to(users(unique("users", "users_name_key", "name", deferrable="initially_deferred", include=("age",))))
    keyless = users().without(at("primary_key", "users", "users_pkey")).add(column("users", "id", "bigint"))
    database.to(keyless)
    database.to(users())
    other = users().without(at("primary_key", "users", "users_pkey"))
    database.to(
        other.add(primary_key("users", "users_pkey", "id", "name"), column("users", "name", "text", not_null=True))
    )


def test_unique_goes_on_after_any_prefix(database: Database) -> None:
    database.to(users())
    database.execute(ROWS)
    desired = users(unique("users", "users_name_key", "name"))
    steps = database.plan(desired).steps
    database.run(steps[:1])
    assert [s.id.rpartition("/")[2] for s in database.plan(desired, "none").steps] == ["1-add"], (
        "the built index is used"
    )
    database.to(desired, "none")


def test_checks(database: Database) -> None:
    database.to(users())
    database.execute(ROWS)
    positive = check("users", "users_age_check", "age >= 0", comment="Age")
    steps = database.to(users(positive))
    assert [s.id.rpartition("/")[2] for s in steps.steps] == ["1-add", "2-validate"]
    assert steps.steps[1].commit_before and steps.steps[0].group != steps.steps[1].group
    steps = database.to(users(check("users", "users_age_check", "age >= '-1'::integer")))
    assert [s.id.rpartition("/")[2] for s in steps.steps] == ["1-add", "2-validate", "3-swap"]
    loose = check("users", "users_age_check", "age > 5", not_valid=True)
    database.to(users(loose))
    database.execute("DELETE FROM users WHERE age <= 5 OR age IS NULL")
    steps = database.to(users(check("users", "users_age_check", "age > 5")))
    assert sql(steps.steps) == ["ALTER TABLE public.users VALIDATE CONSTRAINT users_age_check"]
    database.to(users())


def test_foreign_keys(database: Database) -> None:
    posts = (table("posts"), column("posts", "author", "bigint"))
    key = foreign_key("posts", "posts_author_fkey", ["author"], "users", ["id"])
    database.to(users(*posts))
    database.execute(ROWS)
    database.execute("INSERT INTO posts SELECT id FROM users")
    steps = database.to(users(*posts, key))
    assert [s.id.rpartition("/")[2] for s in steps.steps] == ["1-add", "2-validate"]
    database.to(users(*posts, key.replace(on_delete="set_null", on_delete_columns=("author",), on_update="cascade")))
    database.to(users(*posts, key.replace(not_valid=True)))
    database.to(users(*posts, key))
    live = database.live()
    drop = PACKAGE.change(live[at("table", "users")], None)
    assert drop is not None
    with pytest.raises(PlanError, match=r"foreign_key.public.posts.posts_author_fkey needs it"):
        database.build(Difference((drop,), live, {}))
    database.to(users(*posts))
    database.to(state())


def test_key_swapped_under_a_foreign_key(database: Database) -> None:
    posts = (table("posts"), column("posts", "author", "bigint"))
    key = foreign_key("posts", "posts_author_fkey", ["author"], "users", ["id"], comment="To users")
    database.to(users(*posts, key))
    database.execute(ROWS)
    database.execute("INSERT INTO posts SELECT id FROM users")
    wider = users(*posts, key).add(primary_key("users", "users_pkey", "id", include=("name",)))
    steps = database.to(wider)
    assert [(s.id.rpartition(".")[2], s.group) for s in steps.steps] == [
        ("users_pkey/1-build", None),
        ("posts_author_fkey/1-drop", "g1"),
        ("users_pkey/2-add", "g1"),
        ("posts_author_fkey/2-add", "g1"),
        ("posts_author_fkey/3-validate", "g2"),
    ]
    database.to(users(*posts, key.replace(on_delete="cascade")))
    with pytest.raises(PlanError, match="posts_author_fkey hangs on it"):
        live = database.live()
        drop = PACKAGE.change(live[at("primary_key", "users", "users_pkey")], None)
        assert drop is not None
        database.build(Difference((drop,), live, {}))


@pytest.mark.since(16)
def test_views_made_again_keep_owner_and_grants(database: Database) -> None:
    reads = [at("table", "users"), at("column", "users", "age")]
    before = users(view("v", "SELECT age\n   FROM users", [("age", "integer")], reads))
    database.to(before)
    role = f"reader_{time.monotonic_ns()}"
    database.execute(f"CREATE ROLE {role}; CREATE ROLE {role}_2")
    try:
        database.execute(f"ALTER VIEW v OWNER TO {role}; GRANT SELECT ON v TO PUBLIC; GRANT DELETE ON v TO postgres")
        database.execute(f"GRANT UPDATE ON v TO {role}_2 WITH GRANT OPTION; GRANT INSERT (age) ON v TO {role}_2")
        access = (
            "SELECT pg_get_userbyid(relowner), (SELECT array_agg(x::text ORDER BY 1) FROM unnest(relacl) x),"
            " (SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid AND attname = 'age')"
            " FROM pg_class c WHERE relname = 'v'"
        )
        was = [tuple(map(str, row)) for row in database.execute(access)]
        database.to(before.add(column("users", "age", "bigint")), prune="none")
        assert [tuple(map(str, row)) for row in database.execute(access)] == was
    finally:
        database.execute(f"DROP OWNED BY {role}, {role}_2; DROP ROLE {role}, {role}_2")


def test_names_that_hold_dollars_do_not_end_a_block(database: Database) -> None:
    """Blocks that keep access, restart a sequence and name the sequence of an identity."""
    odd = "odd$reconcile$; DROP TABLE users; --"
    reads = [at("table", "users"), at("column", "users", "age")]
    shown = view(odd, "SELECT age\n   FROM users", [("age", "integer")], reads)
    before = users(shown, sequence(odd + "s", max=900))
    database.to(before)
    wider = before.add(column("users", "age", "bigint")).add(sequence(odd + "s", min=5, max=900))
    database.to(wider, prune="none")
    steps = database.to(wider.add(column("users", odd, "bigint", not_null=True, identity="by_default")), prune="none")
    database.to(wider.add(column("users", odd, "bigint", default="7")), prune="none")
    assert steps.steps


def test_tables_that_refer_to_each_other_are_dropped(database: Database) -> None:
    database.to(
        state(
            *(
                r
                for t, o in (("a", "b"), ("b", "a"))
                for r in (
                    table(t),
                    column(t, "id", "bigint", not_null=True),
                    column(t, "other", "bigint"),
                    primary_key(t, f"{t}_pkey", "id"),
                    foreign_key(t, f"{t}_fkey", ["other"], o, ["id"]),
                )
            )
        )
    )
    database.to(state())


def test_indexes_on_a_table_with_rows(database: Database) -> None:
    database.to(users())
    database.execute(ROWS)
    steps = database.to(users(index("users", "users_name_idx", "name", comment="Name")))
    assert sql(steps.steps)[0] == "CREATE INDEX CONCURRENTLY users_name_idx ON public.users USING btree (name)"
    assert steps.steps[0].debris == (at("index", "users_name_idx"),) and steps.steps[0].timeouts.lock == "0"
    node = database.execute("SELECT pg_relation_filenode('users_name_idx')")
    filled = users(index("users", "users_name_idx", "name", with_=(("fillfactor", "70"),)))
    steps = database.to(filled)
    assert [a for r in steps.resource_changes for a in r.actions] == ["rebuild"]
    assert database.execute("SELECT pg_relation_filenode('users_name_idx')") != node
    database.to(users(index("users", "users_name_idx", "name")))
    replaced = users(index("users", "users_name_idx", IndexItem(expression="lower(name)"), "age", where="age > 3"))
    steps = database.plan(replaced)
    assert [(s.id.rpartition("/")[2], s.phase) for s in steps.steps] == [
        ("1-build", Phase.EXPAND),
        ("2-swap", Phase.CONTRACT),
    ]
    database.run(steps.steps[:1])
    assert [s.id.rpartition("/")[2] for s in database.plan(replaced, "none").steps] == ["1-swap"]
    database.to(replaced, "none")
    steps = database.to(users())
    assert sql(steps.steps) == ["DROP INDEX CONCURRENTLY public.users_name_idx"]


def test_invalid_index_is_rebuilt(database: Database) -> None:
    database.to(users())
    database.execute(ROWS)
    desired = users(index("users", "users_name_idx", "name"))
    database.to(desired)
    database.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_name_idx'::regclass")
    steps = database.to(desired)
    assert [r.action_reason for r in steps.resource_changes] == ["rebuild_because_invalid"]


@pytest.mark.pgvector
def test_hnsw_options_and_opclass(database: Database) -> None:
    def passages(
        type: str = "vector(3)", opclass: str = "vector_cosine_ops", m: str = "8", method: str = "hnsw"
    ) -> State:
        options = (("ef_construction", "32"), ("m", m)) if method == "hnsw" else (("lists", m),)
        item = IndexItem(column="embedding", opclass=opclass)
        return state(
            extension("vector", version="0.8.5", in_schema="public"),
            table("passages"),
            column("passages", "embedding", type, refers=(at("extension", "vector"),)),
            index("passages", "passages_hnsw", item, method=method, with_=options),
        )

    database.to(passages())
    database.to(passages("vector(4)"))
    database.to(passages("halfvec(3)", "halfvec_cosine_ops"))
    database.to(passages())
    database.execute(
        "INSERT INTO passages SELECT ARRAY[random(), random(), random()]::vector FROM generate_series(1, 200)"
    )
    steps = database.to(passages(m="16"))
    assert sql(steps.steps) == [
        "ALTER INDEX public.passages_hnsw SET (ef_construction = 32, m = 16)",
        "REINDEX INDEX CONCURRENTLY public.passages_hnsw",
        "ANALYZE public.passages",
    ]
    assert [r.describe for r in steps.resource_changes] == ["m 8 → 16"]
    database.to(passages(opclass="vector_l2_ops", m="16"))
    database.to(passages(m="4", method="ivfflat"))
    with pytest.raises(PlanError, match="do not fit") as refused:
        database.plan(passages("vector(4)"))
    assert 'embedding_v2: {type: "vector(4)"}' in str(refused.value)


@pytest.mark.since(16)
def test_enums(database: Database) -> None:
    def mood(values: str, default: str | None = None) -> State:
        return state(
            enum("mood", *values.split()),
            table("t"),
            column("t", "a", "mood", default=default, refers=(at("enum", "mood"),)),
            column("t", "b", "mood[]", refers=(at("enum", "mood"),)),
            check("t", "t_check", "a <> 'z'::mood", refers=(at("enum", "mood"),)),
            index("t", "t_idx", "a", where="a = 'b'::mood", refers=(at("enum", "mood"),)),
            view("v", "SELECT a\n   FROM t", [("a", "mood")], [at("table", "t"), at("column", "t", "a")]),
        )

    database.to(mood("b d z"))
    database.execute("INSERT INTO t VALUES ('d', '{b,d}')")
    steps = database.to(mood("a b c d e z", default="'c'::mood"))
    assert [s.commit_before for s in steps.steps] == [False, True]
    assert sql(steps.steps)[:3] == [
        "ALTER TYPE public.mood ADD VALUE 'a' BEFORE 'b'",
        "ALTER TYPE public.mood ADD VALUE 'c' AFTER 'b'",
        "ALTER TYPE public.mood ADD VALUE 'e' AFTER 'd'",
    ]
    steps = database.to(mood("z d b", default="'d'::mood"))
    assert {Hazard.REWRITES_TABLE, Hazard.BREAKS_CLIENTS} <= hazards(steps)
    assert database.execute("SELECT a::text, b::text FROM t") == [("d", "{b,d}")]


@pytest.mark.since(16)
def test_views(database: Database) -> None:
    reads = [at("table", "users"), at("column", "users", "id"), at("column", "users", "name")]
    narrow = view("v", "SELECT id\n   FROM users", [("id", "bigint")], reads)
    top = view("top", "SELECT id\n   FROM v", [("id", "bigint")], [at("view", "v")])
    database.to(users(narrow, top))
    wide = view("v", "SELECT id,\n    name\n   FROM users", [("id", "bigint"), ("name", "text")], reads)
    steps = database.to(users(wide, top))
    assert sql(steps.steps)[0].startswith("CREATE OR REPLACE VIEW")
    steps = database.to(users(narrow, top))
    assert [s.id.partition(".view.")[2] for s in steps.steps] == [
        "public.top/1-drop",
        "public.v/1-drop",
        "public.v/2-create",
        "public.top/2-create",
    ]
    database.to(users(narrow.replace(with_=(("security_barrier", "true"),)), top))
    database.to(users(narrow.replace(check_option="local"), top))
    database.to(users(narrow, top))
    renamed = view("v", "SELECT name AS id\n   FROM users", [("id", "text")], reads)
    database.to(users(renamed, top.replace(columns=(("id", "text"),))))
    database.to(state())


@pytest.mark.since(16)
def test_view_goes_before_the_column_it_reads(database: Database) -> None:
    extra = column("users", "extra", "text")
    reads = [at("table", "users"), at("column", "users", "extra")]
    database.to(users(extra, view("v", "SELECT extra\n   FROM users", [("extra", "text")], reads)))
    database.to(users())


def test_index_and_check_go_before_the_column_they_use(database: Database) -> None:
    extra = column("users", "extra", "text")
    parts = (
        index("users", "users_extra_idx", "extra"),
        check("users", "users_extra_check", "extra <> ''::text"),
        unique("users", "users_extra_key", "extra"),
    )
    database.to(users(extra, *parts))
    database.execute(ROWS)
    with pytest.raises(PlanError, match="users_extra_idx"):
        database.plan(users(*parts))
    database.to(users())


@pytest.mark.pgvector
def test_extensions_and_schemas(database: Database) -> None:
    inside = state(schema("extensions"), extension("vector", in_schema="extensions", version="0.8.5"))
    database.to(inside)
    database.to(state(schema("extensions"), extension("vector", in_schema="public", version="0.8.5")))
    database.to(state())


@pytest.mark.since(16)
def test_renames(database: Database) -> None:

    reads = [at("table", "users"), at("column", "users", "name")]
    everything = users(
        check("users", "users_name_check", "name <> ''::text"),
        unique("users", "users_name_key", "name"),
        index("users", "users_name_idx", IndexItem(expression="lower(name)"), where="name > 'a'::text"),
        column("users", "shout", "text", generated="upper(name)"),
        table("posts"),
        column("posts", "author", "text"),
        foreign_key("posts", "posts_author_fkey", ["author"], "users", ["name"]),
        view("v", "SELECT name AS who\n   FROM users", [("who", "text")], reads),
    )
    database.to(everything)
    for old, new in (
        (at("table", "users"), at("table", "people")),
        (at("column", "people", "name"), at("column", "people", "title")),
    ):
        live = database.live()
        change, expected = PACKAGE.renamed(live, old, live[old].replace(address=new))
        database.run(database.build(Difference((change,), expected, {new: old})).steps)
        assert change.apply_to(live) == expected == change.apply_to(expected)
        found = database.live()
        assert {a: r.attributes() for a, r in found.items()} == {a: r.attributes() for a, r in expected.items()}
        assert {a: r.container for a, r in found.items()} == {a: r.container for a, r in expected.items()}
        back = change.reverse()
        assert not hasattr(back, "reason") or back.apply_to(expected) == live  # type: ignore[union-attr]


def test_enforced_names(database: Database) -> None:

    database.to(users(index("users", "old_idx", "name"), check("users", "old_check", "age > 0")))
    desired = users(index("users", "new_idx", "name", comment="New"), check("users", "new_check", "age > 0"))
    found = diff(
        desired, Live(database.live()), {}, PACKAGE, Policy(names="enforce"), lambda a, c: "managed", Options()
    )
    database.run(database.build(found).steps)
    assert [a.name for a in database.live() if a.kind in ("index", "check")] == [
        "public.users.new_check",
        "public.new_idx",
    ]


def test_accepted_names(database: Database) -> None:
    database.to(users(index("users", "old_idx", "name"), check("users", "old_check", "age > 0")))
    database.execute(ROWS.replace("n % 90", "1"))
    database.to(
        users(index("users", "new_idx", "name", comment="x"), check("users", "new_check", "age > 0", comment="y"))
    )
    assert {a.name for a in database.live() if a.kind in ("index", "check")} == {
        "public.users.old_check",
        "public.old_idx",
    }
