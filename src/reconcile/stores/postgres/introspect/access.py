"""Owners, privileges, default privileges. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows
from reconcile.stores.postgres.resources.access import NOTHING, PUBLIC, Privilege

OBJECTS = """
select 'r', c.oid, pg_get_userbyid(c.relowner), c.relacl::text[], @maintain@
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'S')
union all
select 'n', n.oid, pg_get_userbyid(n.nspowner), n.nspacl::text[], @maintain@
from pg_namespace n where n.nspname = any(%(schemas)s)
union all
select 'f', p.oid, pg_get_userbyid(p.proowner), p.proacl::text[], @maintain@
from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = any(%(schemas)s)
union all
select 't', t.oid, pg_get_userbyid(t.typowner), t.typacl::text[], @maintain@
from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
where n.nspname = any(%(schemas)s) and (t.typtype in ('d', 'e', 'r') or c.relkind = 'c')
"""
COLUMNS = """
select a.attrelid, a.attname, a.attacl::text[]
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s) and a.attacl is not null and not a.attisdropped
"""
DEFAULTS = """
select pg_get_userbyid(d.defaclrole), coalesce(n.nspname, ''), d.defaclobjtype::text, d.defaclacl::text[],
       pg_has_role(d.defaclrole, 'USAGE')
from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
where d.defaclnamespace = 0 or n.nspname = any(%(schemas)s)
order by 1, 2, 3
"""
QUERIES = {"access": OBJECTS, "column_access": COLUMNS, "default_access": DEFAULTS}
_LETTERS = {
    "r": "select", "a": "insert", "w": "update", "d": "delete", "D": "truncate", "x": "references", "t": "trigger",
    "m": "maintain", "X": "execute", "U": "usage", "C": "create",
}  # fmt: skip
_PLURALS = {"r": "tables", "S": "sequences", "f": "functions", "T": "types", "n": "schemas"}


class Item(NamedTuple):
    """One entry of an access control list."""

    grantee: str
    grantor: str
    privileges: tuple[tuple[str, bool], ...]
    """(privilege, grantable)"""


def names(catalog: Catalog, rows: Rows) -> None:
    """Nothing refers to a grant."""


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """Of every modelled object who owns it and who may do what; of roles what their new objects are given."""
    schemas = {row[0]: catalog.address("schema", row[1]) for row in rows["schemas"] if not row[4]}
    known: Mapping[str, Mapping[int, Address]] = {
        "r": catalog.relations, "n": schemas, "f": catalog.routines, "t": catalog.types,
    }  # fmt: skip
    columns: dict[int, list[tuple[str, list[str]]]] = defaultdict(list)
    for oid, name, acl in rows["column_access"]:
        columns[oid].append((name, acl))
    numbering = {row[0]: row for row in rows["sequences"] if row[8] == "i"}
    for what, oid, owner, acl, maintain in rows["access"]:
        address = known[what].get(oid)
        if address is None and what == "r" and oid in numbering:
            yield from _of_identity(catalog, numbering[oid], owner, acl)
        if address is None or oid in catalog.left_out:
            continue
        if acl is None and oid not in columns:
            grants = r.given_by_default(address.kind)
        else:
            version = (17,) if maintain else (16,)
            grants = _grants(address.kind, owner, acl, columns.get(oid, ()), version)
        yield r.Grant(address=r.grant_address(address), container=address, owner=owner, grants=grants)
    yield from _defaults(catalog, rows)


def _of_identity(catalog: Catalog, row: Row, owner: str, acl: list[str] | None) -> Iterator[r.Grant]:
    """Of the sequence that an identity column has: who owns the table owns it."""
    if catalog.has_table(row[9]) and row[9] not in catalog.roots:
        sequence = catalog.address("sequence", row[11], row[14])
        grants = () if acl is None else _grants("sequence", owner, acl)
        column = catalog.column(row[9], row[13])
        yield r.Grant(address=r.grant_address(sequence), container=column, owner=owner, grants=grants)


def _grants(
    kind: str,
    owner: str,
    acl: list[str] | None,
    columns: Sequence[tuple[str, list[str]]] = (),
    version: tuple[int, ...] = (),
) -> tuple[Privilege, ...]:
    """As `resources.access` describes them: the owner's own only where they are not all there are."""
    found: dict[tuple[str, str, bool, bool], list[str]] = {}
    grantors: dict[tuple[str, str], set[str]] = defaultdict(set)
    own: set[str] = set()
    best: dict[tuple[str, str, str | None], bool] = {}
    everything = [(None, item) for item in map(parsed, acl or ())]
    everything += [(name, item) for name, list_ in columns for item in map(parsed, list_)]  # type: ignore[misc]
    for column, item in everything:
        for privilege, grantable in item.privileges:
            if item.grantee == owner:
                own |= {privilege} if column is None else set()
                continue
            key = (item.grantee, privilege, column)
            best[key] = best.get(key, False) or grantable
            grantors[item.grantee, privilege] |= {item.grantor}
    for (grantee, privilege, column), grantable in best.items():
        place = found.setdefault((grantee, privilege, column is None, grantable), [])
        place += [] if column is None else [column]
    result = [
        Privilege(grantee, privilege, tuple(sorted(names)), grantable, _others(grantors[grantee, privilege], owner))
        for (grantee, privilege, _, grantable), names in found.items()
    ]
    if acl is None:
        result += r.given_by_default(kind)
    elif not own >= set(r.privileges_of(kind, version)):
        result += [Privilege(owner, privilege) for privilege in own] or [Privilege(owner, NOTHING)]
    return tuple(sorted(result))


def _others(grantors: Iterable[str], owner: str) -> tuple[str, ...]:
    found = tuple(sorted(grantors))
    return () if found == (owner,) else found


def _defaults(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    for role, schema, letter, acl, ours in rows["default_access"]:
        shown = catalog.schema(schema) if schema else ""
        address = Address(catalog.store, "default_privileges", (role, shown, _PLURALS.get(letter, "large_objects")))
        if letter not in _PLURALS:
            catalog.leave(address, "default privileges of large objects")
            continue
        grants = _grants(address.parts[2], role, acl)
        if any(p.grantee == role for p in grants) and not schema:
            catalog.leave(address, "default privileges without those of the role itself")
            continue
        yield r.DefaultPrivileges(
            address=address,
            grants=tuple(p for p in grants if p.grantee != role),
            system=not ours,
            container=r.default_container(address),
        )


def parsed(text: str) -> Item:
    """An aclitem as the server writes it.

    >>> parsed('"a b"=r*w/owner')
    Item(grantee='a b', grantor='owner', privileges=(('select', True), ('update', False)))
    >>> parsed('=U/owner').grantee
    'public'
    """
    grantee, rest = _name(text)
    letters, _, grantor = rest[1:].partition("/")
    found = []
    for place, letter in enumerate(letters):
        if letter in _LETTERS:
            found.append((_LETTERS[letter], letters[place + 1 : place + 2] == "*"))
    return Item(grantee or PUBLIC, _name(grantor)[0], tuple(found))


def _name(text: str) -> tuple[str, str]:
    """The role at the beginning, quoted or not, and what comes after."""
    if not text.startswith('"'):
        name, equals, rest = text.partition("=")
        return name, equals + rest
    end = 1
    while text[end] != '"' or text[end + 1 : end + 2] == '"':
        end += 2 if text[end] == '"' else 1
    return text[1:end].replace('""', '"'), text[end + 1 :]
