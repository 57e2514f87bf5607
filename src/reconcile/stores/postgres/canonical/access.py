"""Grants as the server has them: what is left open taken from the live object, `all` spelled out."""

from __future__ import annotations

from dataclasses import replace

from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.resources.access import ALL, NOTHING, Privilege, gathered


def spelled(x: r.Grant | r.DefaultPrivileges, version: tuple[int, ...]) -> r.Grant | r.DefaultPrivileges:
    """`x` with `all` replaced by what there is on a server of that version."""
    if not any(p.privilege == ALL for p in x.grants or ()):
        return x
    kind = x.address.parts[0] if isinstance(x, r.Grant) else x.on
    best: dict[tuple[str, str, str | None], bool] = {}
    for p in x.grants or ():
        words = r.privileges_of(kind, version) if p.privilege == ALL else (p.privilege,)
        for word in words:
            for column in p.columns or (None,):
                key = (p.grantee, word, column)
                best[key] = best.get(key, False) or p.grantable
    grants = gathered((*key, grantable) for key, grantable in best.items())
    return replace(x, grants=grants, declared=x.attributes())


def filled_grant(x: r.Grant, y: r.Grant | None, version: tuple[int, ...], user: str) -> r.Grant:
    """`x` with owner and grants taken from `y` where they are left alone; what is not there yet will be `user`'s.

    What is declared of the owner is left out where it is all there is, and where it is nothing of another role.
    """
    owner = x.owner if x.owner is not None or y is None else y.owner
    if x.grants is None:
        return replace(x, owner=owner, grants=None if y is None else y.grants)
    return replace(x, owner=owner, grants=_without_own(x, user if owner is None else owner, version))


def _without_own(x: r.Grant, owner: str, version: tuple[int, ...]) -> tuple[Privilege, ...]:
    grants = x.grants or ()
    own = {p.privilege for p in grants if p.grantee == owner and not p.columns}
    everything = own >= set(r.privileges_of(x.object.kind, version))
    kept = (p for p in grants if p.grantee != owner and p.privilege != NOTHING)
    mine = () if everything else (replace(p, grantable=False) for p in grants if p.grantee == owner and not p.columns)
    return tuple(sorted((*kept, *mine)))
