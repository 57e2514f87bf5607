"""The calls of a replacement, by name: each may be repeated, and finds out from the server how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from reconcile.errors import Problem, StoreError
from reconcile.model import Json
from reconcile.stores.qdrant import bringing, options, pointing, wire
from reconcile.stores.qdrant.carrying import finish
from reconcile.stores.qdrant.copying import Copy, advice, begun, stamps_of, strangers
from reconcile.stores.qdrant.points import Points
from reconcile.stores.qdrant.settling import settle
from reconcile.stores.qdrant.snapshots import RESTORED, snapshot
from reconcile.stores.qdrant.transport import Transport

NAMES = frozenset(
    {
        "bring_vectors",
        "copy_points",
        "settle_copy",
        "finish_copy",
        "snapshot",
        "drop_generation",
        "drop_plain",
        "expect_empty",
        "expect_aliases",
        "move_aliases",
        "retire",
    }
)
"""The operations there are here."""
ASKED = frozenset({"bring_vectors", "copy_points"})
"""Those that what is there may stop."""


_PASSING = frozenset({"retired", "copy", RESTORED})
"""Keys of our metadata entry in generations that may go."""


class Replacing:
    """What a session does with generations.

    Args:
        tell: shows how far it has come.
        report: says what is worth keeping: the name of a snapshot.
    """

    def __init__(self, http: Transport, tell: Callable[[str], None], report: Callable[[str], None]) -> None:
        self.http, self.tell, self.report = http, tell, report
        self._copies: dict[str, Copy] = {}

    def run(self, op: str, args: Mapping[str, Json], seconds: float) -> None:
        """Run one of `NAMES`.

        Raises:
            StoreError: it cannot be done as planned; says what was left as it was.
        """
        match op:
            case "copy_points":
                if (copy := begun(self.http, args, self.tell, self.report)) is not None:
                    copy.run()
            case "bring_vectors":
                bringing.bring(self.http, args, self.tell)
            case "settle_copy":
                self._settle(args, seconds)
            case "finish_copy":
                self._finish(args)
            case "snapshot":
                self._snapshot(args["collection"], seconds)
            case "drop_plain":
                self._drop_plain(args["collection"])
            case "drop_generation":
                self._drop(args["collection"], seconds)
            case "expect_aliases":
                self._expect_aliases(args["collection"], args["aliases"])
            case "move_aliases":
                pointing.follow(self.http, args["from"], args["to"], self.report, args["aliases"])
            case "retire":
                self._retire(Points(self.http, args["collection"], self.tell), args["name"], args["generation"])
            case "expect_empty":
                self._expect_empty(args["collection"])

    def problems(self, op: str, args: Mapping[str, Json]) -> list[Problem]:
        """What would stop one of `ASKED`, looked at before anything is changed."""
        if op == "bring_vectors":
            found = bringing.problem(self.http, args, self.tell)
            return [] if found is None else [found]
        points = Points(self.http, args["from"], self.tell)
        field = args["writes"]["timestamp"] if isinstance(args.get("writes"), Mapping) else None
        if field is None or not points.exists():
            return []
        stamps = stamps_of(points, field)
        what = None if stamps is None else strangers(points, stamps)
        if stamps is None or what is None:
            return []
        hint = f"{advice(stamps)}, or declare how else the application writes: dual, frozen or none_expected"
        return [Problem(what, where=f"store {self.http.spec.name}", hint=hint)]

    def _settle(self, args: Mapping[str, Json], seconds: float) -> None:
        copy = begun(self.http, args, self.tell, self.report)
        if copy is None:
            return
        pointing.unmoved_by_others(self.http, args)
        there, _ = pointing.moved(self.http, args)
        if there and args["to"] in self._copies:
            return  # a try of this process that broke off between the switch and the end
        if copy.mark.stage == "settled" and not there and copy.old.exists():
            # Perhaps it was switched to, written to by clients, and somebody pointed the alias back.
            self._snapshot(args["to"], seconds)
        settle(copy)
        self._copies[args["to"]] = copy

    def _finish(self, args: Mapping[str, Json]) -> None:
        copy = begun(self.http, args, self.tell, self.report)
        if copy is None:
            return
        if not copy.switched:
            raise StoreError(
                f"alias {args['name']} does not point at {args['to']}",
                where=f"store {self.http.spec.name}",
                hint="somebody else moved it: plan again",
            )
        if (earlier := self._copies.pop(args["to"], None)) is not None:
            copy.seen, copy.both = earlier.seen, earlier.both
        # A plain collection is gone by now: its name is the alias of the new generation.
        if copy.old.name != args["name"] and copy.old.exists():
            self._carry_over(copy)
            self._retire(copy.old, copy.mark.name, copy.mark.generation - 1)
        plain = {options.OURS: {"name": copy.mark.name, "generation": copy.mark.generation}}
        self.http.send("PATCH", wire.collection_path(copy.new.name), {"metadata": plain})

    def _retire(self, old: Points, name: str, generation: int) -> None:
        """Mark a generation that another one takes over from; who it is stays as it was.

        While the alias of its name points at it, it is the current one all the same.
        """
        if not old.exists():
            return
        name, generation = wire.ours(old.info()["config"]) or (name, generation)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = {options.OURS: {"name": name, "generation": generation, "retired": now}}
        self.http.send("PATCH", wire.collection_path(old.name), {"metadata": entry})

    def _carry_over(self, copy: Copy) -> None:
        """No alias stays behind, and nothing that was written through one."""
        pointing.follow(self.http, copy.old.name, copy.new.name, self.report, pointing.planned(copy.args))
        finish(copy)
        while pointing.follow(self.http, copy.old.name, copy.new.name, self.report):
            finish(copy)  # an alias made meanwhile, perhaps written through
        if copy.both is not None:
            copy.both.close()

    def _drop_plain(self, name: str) -> None:
        """After `settle_copy`. From here on the copy may be all there is: it is marked so before."""
        if name in pointing.targets(self.http):  # it is gone, and the alias is there
            return
        for copy in self._copies.values():
            if copy.old.name == name:
                copy.save(stage="dropping")
                pointing.follow(self.http, name, copy.new.name, self.report)
        self._expect_aliases(name, ())
        self.http.send("DELETE", wire.collection_path(name))

    def _drop(self, name: str, seconds: float) -> None:
        """Only what is still marked as retired or unfinished, and what no alias points at."""
        points = Points(self.http, name, self.tell)
        if not points.exists():
            return
        mark = (points.info()["config"].get("metadata") or {}).get(options.OURS) or {}
        aliases = [alias for alias, target in pointing.targets(self.http).items() if target == name]
        if aliases or not (_PASSING & set(mark)):
            why = f"alias {', '.join(aliases)} points at it" if aliases else "its metadata no longer says so"
            raise StoreError(
                f"{name} is no retired or unfinished generation any more: {why}",
                where=f"store {self.http.spec.name}",
                hint="nothing was deleted. Declare the alias for the collection it belongs to, or delete it; plan again"
                if aliases
                else "nothing was deleted; plan again",
            )
        copy = mark.get("copy")
        if isinstance(copy, dict) and copy.get("stage") == "dropping":
            raise StoreError(
                f"{name} was filled from the plain collection {copy.get('from')}, which was deleted or about to be: it"
                " may hold the only points there are",
                where=f"store {self.http.spec.name}",
                hint=f"nothing was deleted. Delete what is called {copy.get('from')} now if nobody needs it, and plan"
                " again with the settings of before; or delete both by hand",
            )
        if isinstance(copy, dict) and copy.get("stage") == "settled":
            self._snapshot(name, seconds)  # perhaps it was switched to, and the alias pointed back by hand
        self.http.send("DELETE", wire.collection_path(name))

    def _snapshot(self, name: str, seconds: float) -> None:
        line = None if name in pointing.targets(self.http) else snapshot(self.http, name, seconds, self.tell)
        if line is not None:
            self.report(line)

    def _expect_aliases(self, name: str, known: Collection[str]) -> None:
        """The server deletes aliases with their collection: those that nobody has planned would be lost."""
        made = sorted(a for a, target in pointing.targets(self.http).items() if target == name and a not in known)
        if made:
            raise StoreError(
                f"alias {', '.join(made)} was made for {name} after the plan, and would be deleted with it",
                where=f"store {self.http.spec.name}",
                hint="nothing was deleted. Point it elsewhere or delete it, then: reconcile apply --resume",
            )

    def _expect_empty(self, name: str) -> None:
        points = Points(self.http, name, self.tell)
        if points.exists() and (count := points.count()):
            raise StoreError(
                f"collection {name} was empty when planned and holds points now ({count})",
                where=f"store {self.http.spec.name}",
                hint="nothing was switched or deleted; plan again",
            )
