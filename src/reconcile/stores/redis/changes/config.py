"""Parameters of the configuration: set at run time, and written to the server's file where that is declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, cast

from reconcile.change import Action, Change, Irreversible, Op, Phase, Step, Timeouts, World
from reconcile.facts import has, ok
from reconcile.hazards import Hazard
from reconcile.model import State
from reconcile.stores.redis.resources import Parameter, config_address
from reconcile.stores.redis.values import EVICTING, number

_WALL = Timeouts(wall="30s")
_ACCESS = frozenset({"bind", "port", "tls-port", "protected-mode", "acl-pubsub-default", "tls-auth-clients"})
_CLIENTS = frozenset({"bind", "port", "tls-port", "maxclients", "timeout", "maxmemory-clients"})


class SetParameter(Change):
    """Another value: `CONFIG SET`, then `CONFIG REWRITE` where the YAML says so."""

    action: ClassVar[Action] = Action.UPDATE

    def describe(self) -> str:
        """Old and new value."""
        after = cast(Parameter, self.after)
        return f"{_shown(cast(Parameter, self.before).value) if self.before else 'unset'} → {_shown(after.value)}"

    def steps(self, world: World) -> Sequence[Step]:
        """One step; journalled where the file is written too, which no reading shows."""
        after = cast(Parameter, self.after)
        calls = [Op("config_set", {"name": after.name, "value": after.value})]
        if after.rewrite:
            calls.append(Op("config_rewrite"))
        hazards = frozenset(self._hazards(world.live, world.target))
        return [
            Step(
                id=f"{self.address}/1-set",
                address=self.address,
                calls=tuple(calls),
                phase=Phase.CONTRACT if hazards else Phase.EXPAND,
                needs=frozenset({has(self.address)}),
                gives=frozenset({ok(self.address)}),
                transactional=False,
                journalled=after.rewrite,
                hazards=hazards | {Hazard.NOT_TRANSACTIONAL},
                timeouts=_WALL,
            )
        ]

    def _hazards(self, live: State, target: State) -> Iterable[Hazard]:
        name = self.address.parts[0]
        if name in ("maxmemory", "maxmemory-policy") and self._evicts(live, target):
            yield Hazard.DELETES_DATA
        if name in _ACCESS:
            yield Hazard.CHANGES_ACCESS
        if name in _CLIENTS:
            yield Hazard.BREAKS_CLIENTS

    def _evicts(self, live: State, target: State) -> bool:
        """Whether keys may be evicted afterwards that would have stayed before."""

        def setting(state: State, name: str) -> str:
            found = state.get(config_address(self.address.store, name))
            return found.value if isinstance(found, Parameter) else ""

        limit, before = number(setting(target, "maxmemory")), number(setting(live, "maxmemory"))
        policy = setting(target, "maxmemory-policy")
        if not limit or not EVICTING.match(policy):
            return False
        return policy != setting(live, "maxmemory-policy") or not before or limit < before

    def reverse(self) -> Change | Irreversible:
        """Set the old value."""
        return SetParameter(self.after, self.before) if self.before else Irreversible("the old value is not known")


def _shown(value: str) -> str:
    return value if value and value == value.strip() else f'"{value}"'
