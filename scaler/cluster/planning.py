"""From what a leader decided for the whole cluster to what each member is asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct, structs

from fleet.config.schema import Scale
from scaler.budgets import Taken
from scaler.cluster.loans import Lending
from scaler.cluster.messages import Plan, Report, Sizes
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
    budgeted: bool = False
    """It shares a budget: no member gets more than was decided, and a replica that moves starts
    only once the one it replaces is gone.
    """


def bounds_of(scale: Scale, held: int | None = None) -> Bounds:
    """From a pool's settings; `held` is its size if that is set by hand."""
    return Bounds(
        most=scale.max if held is None else held,
        lately=BUSY_FOR if scale.stabilization is None else scale.stabilization,
        budgeted=scale.budget is not None,
    )


class Planner:
    """Makes one term's plans; remembers the shares given last and when a replica moved."""

    def __init__(self, token: int, before: Plan | None) -> None:
        """`before` is the plan of the term before: its shares are where this one begins."""
        self._token = token
        self._number = 0
        self._lending = Lending(before)
        self._shares: Mapping[str, Sizes] = before.shares if before is not None else {}
        self._moved: dict[tuple[str, str], float] = {}

    def plan(
        self,
        decided: Mapping[str, Mapping[str, int]],
        view: ClusterView,
        bounds: Callable[[str], Bounds],
        now: float,
        reports: Mapping[str, Report] | None = None,
    ) -> Plan:
        """Split `decided` (by pool and version) over the members of `view`, which is told. What is
        not decided yet in this term stays as it was. Slots are lent by the `reports` of those
        members.
        """
        members = view.members
        shares: dict[str, dict[str, Mapping[str, int]]] = {
            member: {p: s for p, s in self._shares.get(member, {}).items() if p not in decided}
            for member in members
        }
        room = {}
        # with slots of others a member needs no replica of its own at once
        lending = {name for name, report in (reports or {}).items() if report.lends}
        for pool, sizes in decided.items():
            limits = bounds(pool)
            left = 0 if limits.budgeted else max(0, limits.most - sum(sizes.values()))
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
                parts = [
                    structs.replace(part, busy=False) if part.member in lending else part
                    for part in view.parts(pool, version, held, lately=limits.lately, now=now)
                ]
                given = split(total, parts, high=total + left, move=move)
                if limits.budgeted:
                    taken = view.taken(pool, version)
                    given = grown(given, taken, total - view.lost(pool, version))
                left -= max(0, sum(given.values()) - total)
                for member, share in given.items():
                    dealt.setdefault(member, {})[version] = share
            for member, share_of in dealt.items():
                shares[member][pool] = share_of
            room[pool] = left // len(members) if members else 0
        self._shares = shares
        self._number += 1
        reports = reports or {}
        plan = Plan(
            token=self._token,
            number=self._number,
            members=members,
            shares=shares,
            room=room,
            loans=self._lending.deal(reports, view.demands, (self._token, self._number)),
            heard={name: (report.start, report.beat) for name, report in reports.items()},
        )
        view.unseen.published(plan)
        return plan


def grown(given: Mapping[str, int], taken: Mapping[str, Taken], total: int) -> dict[str, int]:
    """Shares as `given`, but for growth for which there is no room yet in `total`: what is taken
    counts until it is gone. Members with the least grow first.
    """
    shares = {name: min(size, taken[name].standing) for name, size in given.items()}
    for _ in range(total - sum(of.whole for of in taken.values())):
        short = [name for name, size in given.items() if shares[name] < size]
        if not short:
            break
        shares[min(short, key=shares.__getitem__)] += 1
    return shares
