"""Replicas that may be there although no report shows them: what budgets must count. Pure.

promised  A share was published; the member may have begun to follow it after its latest report.
          A report names the plan that its counts already show (`followed`); what later ones
          asked for may be there besides. Reported 3, then shares of 1 and 2: that may be 2 that
          run, and 2 that drain.
lost      A member has gone. Its replicas may live on until it starts again and adopts them, so
          they keep their part for LOST_FOR. Nobody can know: after that they count no longer.

Only budgets count these. Signals, sizes and `max` do not: they have to make up for what is lost.
"""

from __future__ import annotations

from typing import Final

from scaler.budgets import Taken
from scaler.cluster.messages import Plan, Report, Sizes, Stamp
from scaler.members import Counts

LOST_FOR: Final = 60.0
"""Seconds for which the replicas of a member that has gone keep their part of a budget."""

Key = tuple[str, str]
"""Pool and version."""


class Unseen:
    """One a term. Times are monotonic seconds."""

    def __init__(self, before: Plan | None, now: float) -> None:
        """`before` is the plan of the term before; its members are lost until they are heard."""
        self._promised: dict[str, list[tuple[Stamp, Sizes]]] = {}
        self._lost: dict[str, tuple[float, dict[Key, int]]] = {}
        if before is not None:
            self.published(before)
            for member in before.shares:
                self.gone(member, None, now)
                self._promised[member] = [(before.stamp, before.shares[member])]

    def published(self, plan: Plan) -> None:
        """A plan is about to be given to the store."""
        for member, sizes in plan.shares.items():
            self._promised.setdefault(member, []).append((plan.stamp, sizes))

    def heard(self, member: str, report: Report) -> None:
        """A member has reported."""
        self._lost.pop(member, None)
        promised = self._promised.get(member, ())
        self._promised[member] = [one for one in promised if one[0] > report.followed]

    def gone(self, member: str, report: Report | None, now: float) -> None:
        """A member is heard no longer; `report` was its last."""
        counts = {
            (pool, version): of.counts
            for pool, versions in (report.pools if report is not None else {}).items()
            for version, of in versions.items()
        }
        promised = {
            (pool, version)
            for _, sizes in self._promised.get(member, ())
            for pool, versions in sizes.items()
            for version in versions
        }
        self._lost[member] = (
            now,
            {
                key: self.taken(member, key, counts.get(key, Counts())).whole
                for key in counts.keys() | promised
            },
        )
        self._promised.pop(member, None)

    def taken(self, member: str, key: Key, reported: Counts) -> Taken:
        """What a member may have of a version at most, that reported so many."""
        pool, version = key
        share, whole = reported.standing, reported.standing + reported.draining
        for _, sizes in self._promised.get(member, ()):
            wanted = sizes.get(pool, {}).get(version, share)
            whole += max(0, wanted - share)
            share = wanted
        return Taken(standing=share, leaving=whole - share)

    def lost(self, key: Key, now: float) -> int:
        """Replicas of a version at members that have gone, as far as they still count."""
        return sum(
            taken.get(key, 0) for since, taken in self._lost.values() if now - since < LOST_FOR
        )
