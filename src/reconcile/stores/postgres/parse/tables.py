"""Tables with their columns and constraints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from reconcile.model import Address, Resource, Source
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.names import generated
from reconcile.stores.postgres.parse.attached import policies, triggers
from reconcile.stores.postgres.parse.exclusions import exclusions
from reconcile.stores.postgres.parse.indexes import indexes, options
from reconcile.stores.postgres.parse.partitions import bound, index_names, partition_by, partitions
from reconcile.stores.postgres.parse.scope import Scope, as_map, comment_of
from reconcile.stores.postgres.parse.sequences import identity as sequence_identity
from reconcile.stores.postgres.parse.statistics import statistics
from reconcile.stores.postgres.parse.vectors import column_type
from reconcile.stores.postgres.rows import parse as parse_rows
from reconcile.stores.postgres.sqltables import INDEX
from reconcile.stores.postgres.sqltokens import as_default, tokens
from reconcile.stores.postgres.sqltypes import SERIALS, read
from reconcile.stores.rows import Rows
from reconcile.yamlio import Map

_CONSTANTS_WORDS = """
current_catalog current_date current_role current_schema current_time current_timestamp current_user false
localtime localtimestamp null session_user true user
"""
_CONSTANTS = frozenset(_CONSTANTS_WORDS.split())
_AS_SAID = ("storage", "compression", "statistics", "embedding", "renamed_from", "strategy")
_BRIEF = frozenset({"type", "not_null"})


def tables(document: Map, scope: Scope) -> list[Resource]:
    """`tables:` of a document: each table, then its columns, constraints and indexes."""
    found: list[Resource] = []
    section = as_map(document.get("tables"))
    for key, value, source in section.entries():
        found += _Table(key, as_map(value), source, scope).resources()
    return found


class _Table:
    def __init__(
        self, key: str, value: Map, source: Source, scope: Scope, parent: _Table | None = None, bound: str | None = None
    ) -> None:
        self.key, self.value, self.source, self.scope = key, value, source, scope
        self.parent, self.bound = parent, bound
        self.named: dict[str, r.Column] = {}
        self.schema, self.name = scope.declared(key, source)
        self.address = r.table_address(scope.store, self.schema, self.name)

    def resources(self) -> list[Resource]:
        """The table and everything in it."""
        key = self.primary_key()
        columns = self.columns(frozenset(key.columns if key else ()))
        self.named = {c.address.parts[-1]: c for c in columns} if self.parent is None else self.parent.named
        self.by = partition_by(self.value, self.scope)
        table = r.Table(
            address=self.address,
            source=self.source,
            row_level_security=self.value.get("row_level_security", "disabled"),
            comment=comment_of(self.value),
            comes_after=self.scope.after(self.value),
            renamed_from=self.value.get("renamed_from"),
            container=self.parent.address if self.parent else None,
            partition_by=self.by,
            partition_of=(self.parent.schema, self.parent.name) if self.parent else None,
            bound=self.bound,
            partitions_managed=self.value.get("partitions_managed", "listed"),
            unlogged=bool(self.value.get("unlogged")),
            with_=options(self.value.get("with")),
            replica_identity=_replica_identity(self.value.get("replica_identity")),
            cluster_on=self.value.get("cluster_on"),
        )
        found = [
            table,
            *columns,
            *([key] if key else []),
            *self.uniques(),
            *self.checks(),
            *exclusions(self.value, self.address, self.scope),
            *self.foreign_keys(),
            *indexes(self.value, self.address, self.named, self.scope),
            *statistics(self.value, self.address, self.scope),
            *policies(self.value, self.address, self.scope),
            *triggers(self.value, self.address, self.scope),
            *index_names(self.value, self.address, self.scope),
            *self.partitions(),
            *self.rows(key),
        ]
        self.value.spend("columns", "unique", "checks", "foreign_keys", "indexes")
        return found

    def rows(self, key: r.PrimaryKey | None) -> list[Rows]:
        """`rows:`, found again by the primary key or a unique constraint."""
        unique = [v["columns"] if isinstance(v, Map) else v for v in as_map(self.value.get("unique")).values()]
        return parse_rows(self.value, self.address, [*([key.columns] if key else []), *unique], self.scope)

    def partitions(self) -> list[Resource]:
        """`partitions:`, each with what it has of its own and its partitions."""
        found: list[Resource] = []
        for name, value, source in partitions(self.value):
            limits = bound(name, value, source, self.by, self.scope)
            found += _Table(name, as_map(value), source, self.scope, self, limits).resources()
        return found

    def _section(self, name: str) -> Iterable[tuple[str, Any, Source]]:
        for key, value, source in as_map(self.value.get(name)).entries():
            self.scope.short(key, source)
            yield key, value, source

    def columns(self, key: frozenset[str]) -> list[r.Column]:
        """In declared order; those of the primary key and identities are NOT NULL."""
        found: list[r.Column] = []
        for name, value, source in self._section("columns"):
            found.append(
                r.Column(
                    address=self.address.child("column", name),
                    source=source,
                    container=self.address,
                    position=len(found) + 1,
                    **self._declared(name, value, source, name in key),
                )
            )
        return found

    def _declared(self, name: str, value: Any, source: Source, in_key: bool) -> Mapping[str, Any]:
        """All of a column but its name and place; read once of those that are written alike and have no fault."""
        shape = None if in_key else _shape(value)
        known = self.scope.columns.get(shape) if shape is not None else None
        if known is None:
            faults = len(self.scope.context.problems)
            known = self._column(name, value, source, in_key)
            if shape is not None and faults == len(self.scope.context.problems):
                self.scope.columns[shape] = known
        return known

    def _column(self, name: str, value: Any, source: Source, in_key: bool) -> dict[str, Any]:
        settings: Mapping[str, Any] = value if isinstance(value, Map) else {"type": value}
        type_, refers = self._type(name, settings, source)
        said: dict[str, Any] = {}
        if isinstance(value, Map) and not value.keys() <= _BRIEF:
            said = self._said(name, value, type_, source)
        not_null = settings.get("not_null")
        if isinstance(not_null, Map):
            said |= _not_null(not_null, self.scope, source)
        implied = "the primary key" if in_key else "identity" if "identity" in said else None
        if implied and not_null is False:
            self.scope.problem(value.at("not_null"), f"column {name!r} is NOT NULL because of {implied}")
        required = isinstance(not_null, Map) or bool(not_null) or implied is not None
        refers = (*refers, *said.pop("refers", ()))
        return {
            "type": type_,
            **({"not_null": True} if required else {}),
            **({"refers": refers} if refers else {}),
            **said,
        }

    def _said(self, name: str, settings: Map, type_: str, source: Source) -> dict[str, Any]:
        """What is said of a column beside its type and NOT NULL: of most nothing, and there are many."""
        said: dict[str, Any] = {key: settings[key] for key in _AS_SAID if key in settings}
        identity: str | None = None
        numbering: r.Pairs = ()
        if "identity" in settings:
            identity, numbering = sequence_identity(settings, type_, self.address.child("column", name), self.scope)
        kinds = [k for k in ("default", "identity", "generated") if settings.get(k) is not None]
        if len(kinds) > 1:
            self.scope.problem(source, f"column {name!r} has both {kinds[0]} and {kinds[1]}", "keep one")
        if identity and type_ not in ("smallint", "integer", "bigint"):
            self.scope.problem(source, f"identity column {name!r} cannot be {type_}", "smallint, integer, bigint")
        default = self._sql(settings, "default") if "default" in settings else None
        expression = self._sql(settings, "generated") if "generated" in settings else None
        collation, sorting = self.scope.collation(settings["collation"]) if "collation" in settings else (None, ())
        said |= {
            "default": default,
            "identity": identity,
            "identity_options": numbering,
            "generated": expression,
            "stored": self._stored(name, settings, expression),
            "collation": collation,
            "options": options(settings.get("options")),
            "comment": comment_of(settings),
            "comes_after": self.scope.after(settings),
            "using": self._using(name, settings, expression) if "using" in settings or "strategy" in settings else None,
            "refers": sorting,
        }
        return {key: value for key, value in said.items() if value is not None and value != ()}

    def _stored(self, name: str, settings: Map, generated: str | None) -> bool | None:
        """None where it is not said, or as if it were not."""
        stored: bool | None = settings.get("stored")
        if stored is not None and generated is None:
            hint = "write `generated`, or leave `stored` out"
            self.scope.problem(settings.at("stored"), f"column {name!r} has `stored` and is not generated", hint)
        return None if stored else stored

    def _using(self, name: str, settings: Map, generated: str | None) -> str | None:
        """How values become those of another type; only where that is done online."""
        strategy, using = settings.get("strategy"), self._sql(settings, "using")
        if using is not None and strategy is None:
            self.scope.problem(
                settings.at("using"), f"using of column {name!r} is for strategy: online", "add `strategy: online`"
            )
        if strategy is not None and generated is not None:
            self.scope.problem(
                settings.at("strategy"),
                f"generated column {name!r} has no strategy: its values follow from other columns",
                "leave `strategy` out",
            )
        return using

    def _type(self, name: str, settings: Mapping[str, Any], source: Source) -> tuple[str, tuple[Address, ...]]:
        """The type as the server spells it, and the enum it names."""
        if "embedding" in settings and isinstance(settings, Map):
            return column_type(settings, self.scope), ()
        text = str(settings["type"])
        type_ = read(text)
        if type_.schema is None and type_.name in SERIALS:
            identity = SERIALS[type_.name]
            self.scope.problem(
                settings.value_at("type") if isinstance(settings, Map) else source,
                f"{type_.name} of column {name!r} is a shorthand, not a type",
                f"write {{type: {identity}, identity: by_default}}, or {{type: {identity}, default: "
                f"\"nextval('{self.name}_{name}_seq')\"}} with the sequence declared",
            )
            return identity, ()
        return self.scope.type(text)

    def _sql(self, settings: Map, key: str) -> str | None:
        """An SQL value; a lone word that is no constant was meant as a string."""
        value = settings.get(key)
        if value is None:
            return None
        if not str(value).strip():
            self.scope.problem(settings.value_at(key), f"{key} is empty", f"did you mean `{key}: \"''\"`?")
            return None
        text = self.scope.sql(value, settings.value_at(key), key)
        if key != "default":
            return text
        if _is_no_constant(text):
            self.scope.problem(
                settings.value_at(key),
                f"{key} {text!r} is no SQL constant",
                f"did you mean `{key}: \"'{text}'\"`?",
            )
        return as_default(text)

    def primary_key(self) -> r.PrimaryKey | None:
        """`[id]` or `{name:, columns:, include:}`."""
        value = self.value.get("primary_key")
        if value is None:
            return None
        source = self.value.at("primary_key")
        settings = value if isinstance(value, Map) else {"columns": value}
        name = settings.get("name") or generated(self.name, None, "pkey")
        self.scope.short(name, source)
        return r.PrimaryKey(
            address=self.address.child("primary_key", name),
            source=source,
            container=self.address,
            **_key(settings, self.scope),
        )

    def uniques(self) -> list[r.Unique]:
        """`name: [columns]` or the long form."""
        found = []
        for name, value, source in self._section("unique"):
            settings = value if isinstance(value, Map) else {"columns": value}
            found.append(
                r.Unique(
                    address=self.address.child("unique", name),
                    source=source,
                    container=self.address,
                    nulls_not_distinct=settings.get("nulls_not_distinct", False),
                    **_key(settings, self.scope),
                )
            )
        return found

    def checks(self) -> list[r.Check]:
        """`name: SQL` or the long form."""
        found = []
        for name, value, source in self._section("checks"):
            settings = value if isinstance(value, Map) else Map({"expression": value}, source=source)
            expression = settings["expression"]
            found.append(
                r.Check(
                    address=self.address.child("check", name),
                    source=source,
                    container=self.address,
                    expression=self.scope.sql(expression, source, f"check {name!r}"),
                    no_inherit=settings.get("no_inherit", False),
                    not_valid=settings.get("not_valid", False),
                    enforced=settings.get("enforced", True),
                    comment=comment_of(settings),
                    comes_after=self.scope.after(settings),
                )
            )
        return found

    def foreign_keys(self) -> list[r.ForeignKey]:
        """`references: users` or `{table:, columns:}`; `on_delete: {set_null: [column]}`."""
        found = []
        for name, value, source in self._section("foreign_keys"):
            target = value["references"]
            where = value.value_at("references")
            columns = tuple(value["columns"])
            named: tuple[str, ...] = ()
            if isinstance(target, Map):
                where = target.value_at("table")
                named, target = tuple(target.get("columns") or ()), target["table"]
            on_delete = value.get("on_delete", "no_action")
            only: tuple[str, ...] = ()
            if isinstance(on_delete, Map):
                ((on_delete, only_columns),) = on_delete.items()
                only = tuple(only_columns)
            found.append(
                r.ForeignKey(
                    address=self.address.child("foreign_key", name),
                    source=source,
                    container=self.address,
                    columns=columns,
                    references=self.scope.name(target, where),
                    references_columns=named,
                    on_delete=on_delete,
                    on_delete_columns=only,
                    on_update=value.get("on_update", "no_action"),
                    match=value.get("match", "simple"),
                    deferrable=value.get("deferrable"),
                    not_valid=value.get("not_valid", False),
                    enforced=value.get("enforced", True),
                    comment=comment_of(value),
                    comes_after=self.scope.after(value),
                )
            )
        return found


_PLAIN = (str, int, bool)  # not a float, which has a text of its own


def _shape(value: Any) -> object:
    """What two columns that are written alike have in common; None where that would have to be looked for deeper."""
    if not isinstance(value, Map):
        return value
    if any(type(inner) not in _PLAIN for inner in value.values()):
        return None
    return tuple([(key, type(inner), inner) for key, inner in value.items()])


@lru_cache(maxsize=4096)
def _is_no_constant(sql: str) -> bool:
    """Whether it is a lone word that stands for no value."""
    words = [t for t in tokens(sql) if t.kind != "space"]
    return len(words) == 1 and words[0].kind == "word" and sql.lower() not in _CONSTANTS


def _not_null(value: Map, scope: Scope, source: Source) -> dict[str, Any]:
    """`{name:, valid:, no_inherit:, comment:}`."""
    name = value.get("name")
    if name is not None:
        scope.short(name, source)
    return {
        "not_null_name": name,
        "not_null_valid": value.get("valid", True),
        "not_null_no_inherit": value.get("no_inherit", False),
        "not_null_comment": comment_of(value),
    }


def _replica_identity(value: Any) -> str:
    return f"{INDEX}{value['index']}" if isinstance(value, Map) else value or "default"


def _key(settings: Any, scope: Scope) -> dict[str, Any]:
    return {
        "columns": tuple(settings["columns"]),
        "include": tuple(settings.get("include") or ()),
        "with_": options(settings.get("with")),
        "deferrable": settings.get("deferrable"),
        "comment": settings.get("comment") or None,
        "index_comment": settings.get("index_comment") or None,
        "comes_after": scope.after(settings),
    }
