"""From what a leader decided for the whole cluster to what each member is asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from scaler.cluster.messages import Plan, Sizes
from scaler.cluster.shares import split
from scaler.cluster.view import ClusterView

MOVE_EVERY: Final = 10.0
"""Seconds between two replicas of a version that move from one member to another."""


BUSY_FOR: Final = 60.0
"""Seconds for which a member that had requests counts as busy, where a pool has no
`stabilization`."""


class Bounds(Struct, frozen=True):
    """What a plan must know of a pool's settings."""

    most: int
    """Replicas of the pool at most."""
    lately: float
    """Seconds for which a member that had requests counts as busy."""


class Planner:
    """Makes one term's plans; remembers the shares given last and when a replica moved."""

    def __init__(self, token: int, before: Plan | None) -> None:
        """`before` is the plan of the term before: its shares are where this one begins."""
        self._token = token
        self._shares: Mapping[str, Sizes] = before.shares if before is not None else {}
        self._moved: dict[tuple[str, str], float] = {}

    def plan(
        self,
        decided: Mapping[str, Mapping[str, int]],
        view: ClusterView,
        bounds: Callable[[str], Bounds],
        now: float,
    ) -> Plan:
        """Split `decided` (by pool and version) over the members of `view`. What is not decided
        yet in this term stays as it was.
        """
        members = view.members
        shares: dict[str, dict[str, Mapping[str, int]]] = {
            member: {p: s for p, s in self._shares.get(member, {}).items() if p not in decided}
            for member in members
        }
        room = {}
        for pool, sizes in decided.items():
            limits = bounds(pool)
            left = max(0, limits.most - sum(sizes.values()))
            dealt: dict[str, dict[str, int]] = {}
            for version, total in sizes.items():
                key = (pool, version)
                held = {
                    member: of[pool][version]
                    for member, of in self._shares.items()
                    if version in of.get(pool, {})
                }
                move = now - self._moved.setdefault(key, now) >= MOVE_EVERY
                if move:
                    self._moved[key] = now
                parts = view.parts(pool, version, held, lately=limits.lately, now=now)
                given = split(total, parts, high=total + left, move=move)
                left -= max(0, sum(given.values()) - total)
                for member, share in given.items():
                    dealt.setdefault(member, {})[version] = share
            for member, share_of in dealt.items():
                shares[member][pool] = share_of
            room[pool] = left // len(members) if members else 0
        self._shares = shares
        return Plan(token=self._token, members=members, shares=shares, room=room)
