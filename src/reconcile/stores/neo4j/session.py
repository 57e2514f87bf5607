"""The connection to a Neo4j database. Only this file and `transaction.py` send statements.

The driver is imported with the first call.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reconcile.change import Call, Op, Server, Step, Timeouts
from reconcile.checkup import Check
from reconcile.errors import Problem, StoreError, UnsupportedError
from reconcile.findings import NotRun, Verified
from reconcile.model import Address, Json, Resource, State
from reconcile.selection import Selection
from reconcile.stores.base import Canonical, Live, Side, StoreSpec
from reconcile.stores.figures import SECONDS, Count
from reconcile.stores.neo4j import checks, cypher, faults, guard, introspect, mirrored, privileges, verify
from reconcile.stores.neo4j.asking import Answering
from reconcile.stores.neo4j.canonical import canonical
from reconcile.stores.neo4j.connect import Target
from reconcile.stores.neo4j.resources import FAILED, VECTOR, Index, SchemaObject
from reconcile.stores.neo4j.saving import Saving
from reconcile.stores.neo4j.transaction import Neo4jTransaction

if TYPE_CHECKING:
    import neo4j

    from reconcile.stores.filling import Filling, KeyNames, Receiving, Wanted

CHECK_SECONDS = 1800
"""How long a query that looks for violations may run."""
POLL_SECONDS = 0.2
STEPS_PER_GROUP = 100
"""A schema statement holds its label's lock until the commit and takes about 40 ms: 4 s at most."""
_MARK = f"`{introspect.MARK_LABEL}`"


class Neo4jSession(Saving, Answering):
    """A `stores.base.Session` of one database."""

    def __init__(self, spec: StoreSpec) -> None:
        self._spec = spec
        self._opened: neo4j.Driver | None = None
        self._server: Server | None = None
        self._seen: dict[Address, Resource] = {}
        """What addresses are: live ones as introspected, else as declared."""
        self._all = Live(State())
        """What was introspected last, with what the project ignores."""
        self._online: set[str] = set()
        """Indexes seen ONLINE since the last schema statement."""

    # -- reading -----------------------------------------------------------------------------------------------

    def server(self) -> Server:
        """Version, edition, identity of the database.

        Raises:
            StoreError: unreachable, login refused, unknown database.
            UnsupportedError: older than Neo4j 5.
        """
        if self._server is None:
            rows = self.read(
                "CALL dbms.components() YIELD name, versions, edition WITH name, versions, edition"
                " WHERE name STARTS WITH 'Neo4j' CALL db.info() YIELD id, name AS database"
                " RETURN versions[0] AS version, edition, id, database"
            )
            if not rows:
                raise StoreError(f"{self._target.shown} is no Neo4j server", where=self.place)
            row = rows[0]
            found = Server(
                name=self._spec.name,
                kind="neo4j",
                version=row["version"],
                edition=row["edition"],
                identity=f"neo4j:{row['id']}",
                facts={"database": row["database"], "max_steps_per_group": STEPS_PER_GROUP},
            )
            if found.numbers < (5,):
                raise UnsupportedError(
                    f"{self._target.shown} is Neo4j {found.version}; this tool needs Neo4j 5 or newer",
                    where=self.place,
                    hint="upgrade the server: schema statements and SHOW commands changed with Neo4j 5",
                )
            self._server = found
        return self._server

    def introspect(self) -> Live:
        """All constraints and indexes, in two statements. A user who may not see them gets a partial answer."""
        self.server()
        rows, partial = self._shown_schema()
        if not partial and introspect.unseen(*rows):  # or somebody made a constraint between the two statements
            rows, partial = self._shown_schema()
            partial += introspect.unseen(*rows)
        live = replace(introspect.live(self._spec.name, *rows), partial=tuple(partial))
        self._seen |= live.state
        self._all = live
        return live

    def _shown_schema(self) -> tuple[list[list[Mapping[str, Any]]], list[str]]:
        """The rows of the two statements, and what the user may not see."""
        rows: list[list[Mapping[str, Any]]] = []
        partial: list[str] = []
        for statement in (introspect.SHOW_CONSTRAINTS, introspect.SHOW_INDEXES):
            try:
                rows.append(self.read(statement))
            except StoreError as error:
                if faults.code_of(error) != faults.FORBIDDEN:
                    raise
                rows.append([])
                what = statement.split(" YIELD")[0].removeprefix("SHOW ").lower()
                privilege = what.removesuffix("es") if what == "indexes" else what.removesuffix("s")
                partial.append(
                    f"the user may not see {what}: GRANT SHOW {privilege.upper()} ON DATABASE"
                    f" {self._server.facts['database'] if self._server else '…'} TO its role"
                )
        return rows, partial

    def canonical(self, desired: State, live: Live, known: Mapping[str, Json]) -> Canonical:
        """See `canonical.canonical`; asks the server only for analyzers it has not shown."""
        del known
        result = canonical(desired, live, self._analyzers, self._all)
        for address, resource in result.state.items():
            if address not in live.state:
                self._seen[address] = resource
        return result

    def _analyzers(self) -> list[str]:
        rows = self.read("CALL db.index.fulltext.listAvailableAnalyzers() YIELD analyzer RETURN analyzer")
        return [row["analyzer"] for row in rows]

    def unsupported(self, desired: State) -> Sequence[Problem]:
        """Edition and version."""
        return checks.unsupported(desired, self.server())

    def is_empty(self, address: Address) -> bool:
        """Whether no node or relationship has the label or type; of a vector index: none that has the property.

        False where there may be some that the user does not see.
        """
        resource = self._seen.get(address)
        if not isinstance(resource, SchemaObject) or not resource.tokens or self._hides_data:
            return False
        stored = ""
        if isinstance(resource, Index) and resource.kind == VECTOR:
            stored = f" WHERE n.{cypher.quote(resource.properties[0])} IS NOT NULL"
        return not self.read(f"MATCH {cypher.match(resource)}{stored} RETURN 1 AS one LIMIT 1")

    @cached_property
    def _hides_data(self) -> bool:
        """See `privileges.hides`; the Community Edition shows all to everybody."""
        server = self.server()
        if (server.edition or "").lower() == "community":
            return False
        try:
            return privileges.hides(self.read(privileges.SHOW), str(server.facts["database"]))
        except StoreError as error:
            if faults.code_of(error) in faults.NOT_SHOWN:
                return True  # who may not even see that, or a service that has no such statement
            raise

    def measure(self, addresses: Iterable[Address]) -> Mapping[Address, Mapping[str, int]]:
        """{"rows": nodes or relationships with the label or type}, from the count store."""
        patterns: dict[str, list[Address]] = {}
        for address in addresses:
            resource = self._seen.get(address)
            if isinstance(resource, SchemaObject) and resource.tokens:
                patterns.setdefault(cypher.match(resource), []).append(address)
        found: dict[Address, Mapping[str, int]] = {}
        for pattern, users in patterns.items():
            count = self.read(f"MATCH {pattern} RETURN count(n) AS rows")[0]["rows"]
            found |= {address: {"rows": count} for address in users}
        return found

    def size(self) -> Mapping[str, int]:
        """See `stores.figures.Sized`; from the count store."""
        nodes = self.read("MATCH (n) RETURN count(n) AS found")[0]["found"]
        relationships = self.read("MATCH ()-[r]->() RETURN count(r) AS found")[0]["found"]
        return {"nodes": nodes, "relationships": relationships}

    def counts(self, addresses: Iterable[Address], seconds: float = SECONDS) -> Mapping[str, Count]:
        """See `stores.figures.Sized`: of each label or type that a constraint or index is on; from the count store."""
        del seconds
        wanted: dict[Address, None] = {}
        for address in addresses:
            resource = self._seen.get(address)
            if isinstance(resource, SchemaObject):
                kind = "label" if resource.on_nodes else "relationship_type"
                wanted |= dict.fromkeys(Address(address.store, kind, (token,)) for token in resource.tokens)
            elif address.kind in ("label", "relationship_type"):
                wanted[address] = None
        patterns = {"label": "(n:{})", "relationship_type": "()-[n:{}]->()"}
        found: dict[str, Count] = {}
        for address in wanted:
            pattern = patterns[address.kind].format(cypher.quote(address.parts[0]))
            found[str(address)] = Count(self.read(f"MATCH {pattern} RETURN count(n) AS found")[0]["found"], True)
        return found

    def preflight(self, steps: Sequence[Step]) -> Sequence[Problem]:
        """Names taken by objects the project ignores; data that breaks a constraint to come."""
        live = {r.name: r for r in self.introspect().state.values() if isinstance(r, SchemaObject)}
        return [*checks.conflicts(steps, live), *checks.violations(steps, self._look, self.server())]

    def check(self, steps: Sequence[Step]) -> Sequence[Check]:
        """See `Session.check`: four statements on the Community Edition, five elsewhere."""
        from reconcile.stores.neo4j import condition

        server, target = self.server(), self._target
        return condition.checks(self.read, server, target.url, target.user, self._spec.settings, steps)

    def grants(self, steps: Sequence[Step], prefix: str, ledger: str | None) -> Mapping[str, str]:
        """See `Session.grants`."""
        from reconcile.stores.neo4j.grants import of_commands

        del ledger
        return of_commands(self.server(), self._target.user, steps, prefix)

    def verify(self, chosen: State, sample: int, declared: State) -> Verified:
        """See `Verifies.verify`: constraints that are only checked, stored vectors, names in use."""
        if self._hides_data:
            what = "whether what is stored agrees"
            return Verified.of(NotRun(r.address, what, privileges.PARTLY, r.source) for r in verify.about(chosen))
        hidden = Selection(ignore=tuple(map(str, self._spec.settings.get("ignore") or ())))
        return verify.verified(chosen, declared, verify.Look(self._spec.name, self._look, sample, hidden))

    def _look(self, statement: str, **parameters: Json) -> list[Mapping[str, Any]] | None:
        """A query over data; None where it takes more time or memory than the server gives it."""
        try:
            return self.read(statement, timeout=CHECK_SECONDS, **parameters)
        except StoreError as error:
            if faults.code_of(error) in faults.TOO_MUCH:
                return None
            raise

    def ids(self, side: Side) -> Iterator[str | None]:
        """See `stores.base.Verifies`: the values of a property of a label's nodes."""
        import neo4j

        if self._hides_data:
            raise StoreError(privileges.PARTLY, where=self.place, hint="compare as a user who may read all of it")

        head = cypher.prefix(self.server())
        with (
            self.translated(),
            self.open_session(fetch_size=mirrored.AT_ONCE, default_access_mode=neo4j.READ_ACCESS) as session,
        ):
            yield from mirrored.ids(session, side, head, self.place)

    def filling(self, wanted: Wanted) -> Filling:
        """See `stores.filling.Fills`."""
        from reconcile.stores.neo4j.backfills import Neo4jFilling

        return Neo4jFilling(self, wanted)

    def receiving(self, into: Address, key: KeyNames | None) -> Receiving:
        """See `stores.filling.Receives`."""
        from reconcile.stores.neo4j.backfills import Neo4jReceiving

        return Neo4jReceiving(self, into, key)

    # -- writing -----------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, steps: Sequence[Step]) -> Iterator[Neo4jTransaction]:
        """One explicit transaction. Lock waits are limited, see `guard`.

        Raises:
            StoreError: the server refused a statement; nothing of the group is left.
            LockWaitError: writers held the label for too long; trying again may help.
        """
        transaction = Neo4jTransaction(self, max((s.timeouts for s in steps), key=_wall, default=Timeouts()))
        try:
            yield transaction
            transaction.commit()
        finally:
            transaction.close()
            self._online.clear()

    def run(self, call: Call, timeouts: Timeouts) -> None:
        """One statement in a transaction of its own, or the operation `wait_online`."""
        if isinstance(call, Op):
            if call.op != "wait_online":
                raise ValueError(f"no operation {call.op}")
            self._wait_online(str(call.args["name"]), guard.seconds(timeouts.wall))
            return
        with self.transaction(()) as transaction:
            transaction.run(call, timeouts)

    def _wait_online(self, name: str, limit: float | None) -> None:
        """Poll until the index is ONLINE: better than db.awaitIndex, which shows neither progress nor failure."""
        began = time.monotonic()
        pause = 0.02
        while name not in self._online:
            # All of them at once: a plan that makes hundreds then waits in a few rounds.
            rows = self.read("SHOW INDEXES YIELD name, state, populationPercent, failureMessage")
            self._online = {row["name"] for row in rows if row["state"] == "ONLINE"}
            mine = next((row for row in rows if row["name"] == name), None)
            if mine is None:
                raise StoreError(f"index {name} is gone", where=self.place, hint="somebody dropped it: plan again")
            if mine["state"] == "FAILED":
                raise StoreError(
                    f"index {name} failed while it was built: {introspect.first_line(mine['failureMessage'])}",
                    where=self.place,
                    hint="mend the data it names, then apply again: a failed index is dropped and built anew",
                )
            if limit is not None and time.monotonic() - began > limit:
                raise StoreError(
                    f"index {name} is still being built after {limit:.0f} s ({mine['populationPercent']:.0f} %)",
                    where=self.place,
                    hint="the server goes on with it: when SHOW INDEXES says ONLINE, abandon the run and plan again",
                )
            if name not in self._online:
                time.sleep(pause)
                pause = min(pause * 2, POLL_SECONDS)

    def clean(self, debris: Sequence[Address]) -> None:
        """Drop indexes of these addresses that failed while they were built."""
        live = self.introspect().state
        for address in debris:
            found = live.get(address)
            if isinstance(found, Index) and found.state == FAILED:
                self.run(cypher.drop(found, found.name, self.server()), Timeouts(lock="3s", wall="10min"))

    def note(self, steps: Sequence[Step]) -> str:
        """See `Session.note`: the server shows all there is to know."""
        del steps
        return ""

    def progress(self, steps: Sequence[Step]) -> Mapping[str, str]:
        """See `stores.base.Watches`: how much of an index that is waited for is populated."""
        rows = self.read("SHOW INDEXES YIELD name, state, populationPercent WHERE state <> 'ONLINE'")
        left = {str(row["name"]): f"{row['state'].lower()}, {row['populationPercent']:.0f} %" for row in rows}
        calls = [(s.id, c) for s in steps for c in (*s.calls, *s.after_commit) if isinstance(c, Op)]
        return {i: left[name] for i, c in calls if c.op == "wait_online" and (name := str(c.args["name"])) in left}

    def ended(self, step: Step, noted: str) -> bool:
        """See `Session.ended`."""
        del step, noted
        return False

    def transient(self, error: BaseException) -> bool:
        """See `faults.transient`."""
        return faults.transient(error)

    def mark(self, content: Mapping[str, str] | None) -> Mapping[str, str]:
        """The properties of the one node `:__Reconcile`."""
        if content is not None:
            with self.translated(), self.open_session() as session:
                statement = f"MERGE (m:{_MARK}) SET m = $content"
                session.execute_write(lambda tx: tx.run(statement, content=dict(content)).consume())
        rows = self.read(f"MATCH (m:{_MARK}) RETURN properties(m) AS mark LIMIT 1")
        return {str(k): str(v) for k, v in rows[0]["mark"].items()} if rows else {}

    def close(self) -> None:
        """End the connection; safe to call twice."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # -- the driver --------------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        """As errors name it."""
        return f"store {self._spec.name}"

    @cached_property
    def _target(self) -> Target:
        return Target.of(self._spec)

    @property
    def _driver(self) -> neo4j.Driver:
        """Made on first use; settings are read then.

        Raises:
            ReconcileError: a setting cannot be read, or the URL is of another kind.
        """
        if self._opened is None:
            target = self._target
            with self.translated():
                self._opened = target.driver()
        return self._opened

    def open_session(self, **settings: Any) -> neo4j.Session:
        """A session of the driver on the database."""
        return self._driver.session(database=self._target.database, **settings)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the driver become ours."""
        import neo4j.exceptions as theirs

        try:
            yield
        except (theirs.Neo4jError, theirs.DriverError, OSError) as error:
            raise faults.store_error(error, self._spec.name, self._target.url, self._target.secrets) from error

    def read(self, statement: str, timeout: float | None = None, **parameters: Json) -> list[Mapping[str, Any]]:
        """All rows of a statement that reads; retried by the driver where that helps."""
        import neo4j

        head = cypher.prefix(self._server) if self._server is not None else ""
        query = neo4j.Query(head + statement, timeout=timeout)
        with self.translated(), self.open_session() as session:
            return [dict(record) for record in session.run(query, parameters)]

    def names(self) -> set[str]:
        """Of all constraints and indexes."""
        rows = self.read("SHOW CONSTRAINTS YIELD name") + self.read("SHOW INDEXES YIELD name")
        return {row["name"] for row in rows}


def _wall(timeouts: Timeouts) -> float:
    return guard.seconds(timeouts.wall) or float("inf")
