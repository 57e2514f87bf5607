"""Older versions of PostgreSQL without a server: the catalog queries ask for nothing that one of them lacks, and what
is declared for a server that lacks it is refused with its YAML line."""

from __future__ import annotations

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

from reconcile.change import Server
from reconcile.model import Source, State
from reconcile.stores import postgres
from reconcile.stores.base import Context, StoreSpec
from reconcile.stores.postgres import PACKAGE, checks_versions
from reconcile.stores.postgres.introspect import QUERIES
from reconcile.stores.postgres.introspect.queries import for_version
from reconcile.yamlio import parse as read_yaml

VERSIONS = range(12, 19)

CAME = {
    13: "pg_available_extension_versions.trusted pg_publication.pubviaroot pg_stat_activity.leader_pid"
    " pg_statistic_ext.stxstattarget pg_trigger.tgparentid",
    14: "pg_attribute.attcompression pg_inherits.inhdetachpending pg_locks.waitstart pg_proc.prosqlbody"
    " pg_range.rngmultitypid pg_stat_activity.query_id pg_statistic_ext.stxexprs pg_type.typsubscript"
    " pg_get_function_sqlbody pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions",
    15: "pg_collation.colliculocale pg_constraint.confdelsetcols pg_database.datcollversion pg_database.daticulocale"
    " pg_database.datlocprovider pg_index.indnullsnotdistinct pg_publication_rel.prqual pg_publication_rel.prattrs",
    16: "pg_auth_members.inherit_option pg_auth_members.set_option pg_collation.collicurules pg_database.daticurules",
    17: "pg_collation.colllocale pg_database.dathasloginevt pg_database.datlocale",
    18: "pg_class.relallfrozen pg_constraint.conenforced pg_constraint.conperiod pg_publication.pubgencols",
}
"""Columns of the catalogs that are read here, and functions, by the version they came with.

From pg_attribute and pg_proc of 12.22, 13.23, 14.23, 15.18, 16.14, 17.10 and 18.4.
"""
WENT = {
    15: "pg_database.datlastsysoid",
    17: "pg_collation.colliculocale pg_database.daticulocale",
    18: "pg_attribute.attcacheoff",
}
_AS_TEXT = re.compile(r"->>? '\w+'")
"""A key of to_jsonb(ROW): NULL where there is no such column."""


def _names(words: str) -> set[str]:
    return {word.rpartition(".")[2] for word in words.split()}


def lacking(version: int) -> set[str]:
    """What a server of that version does not have."""
    later = {name for since, words in CAME.items() if since > version for name in _names(words)}
    return later | {name for since, words in WENT.items() if since <= version for name in _names(words)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("query", QUERIES)
def test_a_catalog_query_asks_an_old_server_for_nothing_that_it_lacks(query: str, version: int) -> None:
    text = for_version(QUERIES[query], version * 10000)
    assert "@" not in text
    assert set(re.findall(r"\w+", _AS_TEXT.sub("", text))) & lacking(version) == set()


# Where else a later name may stand: (module, name) and who sees to the version.
ELSEWHERE = {
    ("backup", "datlocale"): "to_jsonb",
    ("backup", "daticulocale"): "to_jsonb",
    ("backup", "datlocprovider"): "to_jsonb",
    ("checks", "trusted"): "to_jsonb",
    ("condition", "conenforced"): "to_jsonb",
    ("detaching", "inhdetachpending"): "asked of a partition only that is being detached CONCURRENTLY, since 14",
}


def test_other_sql_names_nothing_that_came_later() -> None:
    """Everything in the package outside `introspect`, where `for_version` decides."""
    lacked, found = lacking(12), set()
    for module in pkgutil.walk_packages(postgres.__path__, f"{postgres.__name__}."):
        name = module.name.removeprefix(f"{postgres.__name__}.")
        if not name.startswith("introspect"):
            words = set(re.findall(r"\w+", inspect.getsource(import_module(module.name))))
            found |= {(name, word) for word in words & lacked}
    assert found == set(ELSEWHERE)


DECLARED = {
    13: {
        "tables: {t: {columns: {a: int}, with: {autovacuum_vacuum_insert_threshold: 5}}}": "the storage parameter",
        "tables: {t: {columns: {a: int}, with: {toast.autovacuum_vacuum_insert_threshold: 5}}}": "toast.",
        "tables: {t: {columns: {a: int}, indexes: {i: {columns: [a], with: {deduplicate_items: false}}}}}": "dedup",
        "tables: {t: {columns: {a: int, b: int}, statistics: {s: {columns: [a, b], target: 5}}}}": "the target",
    },
    14: {
        "tables: {t: {columns: {a: {type: text, compression: lz4}}}}": "compression",
        "tables: {t: {columns: {a: int}, statistics: {s: {columns: [a, {expression: a + 1}]}}}}": "expressions",
        "ranges: {r: {subtype: int, multirange: m}}": "multirange",
        'functions: {"f()": {definition: "create function f() returns int return 1"}}': "a body that is no string",
        'procedures: {"f()": {definition: "create procedure f() begin atomic select 1; end"}}': "a body",
    },
    15: {
        "tables: {t: {columns: {a: int}, unique: {u: {columns: [a], nulls_not_distinct: true}}}}": "nulls_not_distinct",
        "views: {v: {query: select 1, with: {security_invoker: true}}}": "security_invoker",
        "sequences: {s: {unlogged: true}}": "an unlogged sequence",
    },
    16: {"collations: {c: {provider: icu, locale: und, rules: '& a < g'}}": "rules"},
    17: {"collations: {c: {provider: builtin, locale: C}}": "provider: builtin"},
    18: {
        "tables: {t: {columns: {a: int, b: {type: int, generated: a + 1, stored: false}}}}": "a virtual generated",
        "tables: {t: {columns: {a: int}, checks: {c: {expression: a > 0, enforced: false}}}}": "enforced: false",
        "tables: {t: {columns: {a: int}, with: {autovacuum_vacuum_max_threshold: 5}}}": "the storage parameter",
    },
}


def problems(text: str, version: int) -> list[str]:
    document = read_yaml(f"store: app\n{text}", "s.yaml")
    context = Context(StoreSpec("app", "postgres", {}, Source("reconcile.yaml", 1), Path()), {})
    desired = State.of([x for d in document for x in PACKAGE.parse([d], context)])
    assert context.problems == []
    server = Server("app", "postgres", f"{version}.1")
    found = [p for x in desired.values() for p in checks_versions.version_problems(server, x, desired)]
    kinds = {x.address.kind for x in desired.values() if checks_versions.needs(x, desired)}
    assert kinds <= set(checks_versions.VERSIONED)
    return [str(p) for p in found]


@pytest.mark.parametrize(
    ("version", "text", "said"), [(v, text, said) for v, them in DECLARED.items() for text, said in them.items()]
)
def test_what_came_later_is_refused_with_its_line(version: int, text: str, said: str) -> None:
    (problem,) = problems(text, version - 1)
    assert problem.startswith("s.yaml:2:") and said in problem
    assert problem.endswith(f" needs PostgreSQL {version}; app is {version - 1}.1")
    assert problems(text, version) == []


def test_a_body_in_a_string_needs_nothing() -> None:
    definition = "create function f() returns int language plpgsql as 'begin return 1; end'"
    text = f'functions: {{"f()": {{definition: "{definition}"}}}}'
    assert problems(text, 12) == []
