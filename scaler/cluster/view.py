"""The whole cluster's traffic and replicas, summed over what its members report. Pure.

Counters of different members begin at different times, and members come and go. So the sum counts
what each has *added* since it was first heard, and keeps what those that have gone had added: it
only grows, and a member that joins with a long past is no burst.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import structs

from fleet.telemetry.slab import VersionTotals
from scaler.budgets import Taken
from scaler.cluster.messages import Plan, Report, VersionReport
from scaler.cluster.shares import Part
from scaler.cluster.unseen import Key, Unseen
from scaler.members import Counts

GAUGES: Final = frozenset({"in_flight", "queued_now"})
"""Fields of `VersionTotals` that are no counters."""
DEMAND_TIME: Final = 30.0
"""Time constant in seconds with which demand falls for those who deal shares; it rises at once."""


class _Heard:
    """One member, as last heard."""

    def __init__(self, report: Report, now: float) -> None:
        self.report = report
        self.changed = now
        self.first: dict[Key, VersionTotals] = {}
        self.demand: dict[Key, float] = {}
        self.busy_at: dict[Key, float] = {}


class ClusterView:
    """See the module. One a term: a new leader begins to count anew."""

    def __init__(self, silence: float, before: Plan | None = None, now: float = 0.0) -> None:
        """A member not heard for `silence` seconds is gone; `before` was planned in the last
        term. `now` is monotonic.
        """
        self.unseen = Unseen(before, now)
        self._silence = silence
        self._now = now
        self._members: dict[str, _Heard] = {}
        self._past: dict[Key, VersionTotals] = {}

    @property
    def members(self) -> tuple[str, ...]:
        """Those that are there, by name."""
        return tuple(sorted(self._members))

    def hear(self, reports: Mapping[str, Report], now: float) -> list[str]:
        """Take up what was just read; gives the members that have gone by it, to be forgotten.

        A member counts as heard when its report has changed, whatever clock it has.
        """
        self._now = now
        for name, report in reports.items():
            known = self._members.get(name)
            if known is None or known.report.start != report.start:
                if known is not None:
                    self._drop(name)
                self._members[name] = _Heard(report, now)
            elif known.report.beat != report.beat:
                self._update(known, report, now)
            self._begin(self._members[name], now)
            self.unseen.heard(name, report)
        gone = [
            name
            for name, heard in self._members.items()
            if name not in reports or now - heard.changed >= self._silence
        ]
        for name in gone:
            self.unseen.gone(name, self._members[name].report, now)
            self._drop(name)
        return gone

    def totals(self, pool: str, version: str) -> VersionTotals | None:
        """Counters of a version over all members, zero at first; None: no member has it."""
        key = (pool, version)
        added = [
            _combined(heard.report.pools[pool][version].totals, heard.first[key], -1)
            for heard in self._members.values()
            if key in heard.first
        ]
        past = self._past.get(key)
        return _total(added if past is None else [*added, past])

    def counts(self, pool: str, version: str) -> Counts:
        """Replicas of a version over all members, by state."""
        found = self._reports(pool, version)
        key = (pool, version)
        unseen = self.unseen.lost(key, self._now)
        for name, of in found.items():
            may_be = self.unseen.taken(name, key, of.counts).whole
            unseen += may_be - of.counts.standing - of.counts.draining
        return structs.replace(summed(of.counts for of in found.values()), unseen=unseen)

    def taken(self, pool: str, version: str) -> dict[str, Taken]:
        """What each member may have of a version."""
        key = (pool, version)
        return {
            name: self.unseen.taken(name, key, of.counts)
            for name, of in self._reports(pool, version).items()
        }

    def demands(self, pool: str, version: str) -> dict[str, float]:
        """Requests in flight or queued at each member, falling slowly."""
        key = (pool, version)
        return {name: heard.demand.get(key, 0.0) for name, heard in self._members.items()}

    def lost(self, pool: str, version: str) -> int:
        """Replicas of members that have gone, as far as a budget still counts them."""
        return self.unseen.lost((pool, version), self._now)

    def _reports(self, pool: str, version: str) -> dict[str, VersionReport]:
        found = {
            name: heard.report.pools.get(pool, {}).get(version)
            for name, heard in self._members.items()
        }
        return {name: of for name, of in found.items() if of is not None}

    def slots_per_replica(self, pool: str, version: str) -> int | None:
        """Slots of a ready replica on the average over all members; None: none is ready."""
        slots = ready = 0
        for heard in self._members.values():
            of = heard.report.pools.get(pool, {}).get(version)
            if of is not None and of.slots is not None:
                slots += of.slots * of.counts.ready
                ready += of.counts.ready
        return round(slots / ready) if ready else None

    def queued(self) -> set[str]:
        """Pools in which requests wait somewhere."""
        return {
            pool
            for heard in self._members.values()
            for pool, versions in heard.report.pools.items()
            if any(of.totals.queued_now for of in versions.values())
        }

    def parts(
        self, pool: str, version: str, held: Mapping[str, int], *, lately: float, now: float
    ) -> list[Part]:
        """The members that have a version. `held` has the shares planned last; one not in it has
        what it reports. Busy is who had demand within `lately` seconds.
        """
        key, parts = (pool, version), []
        for name in self.members:
            heard = self._members[name]
            of = heard.report.pools.get(pool, {}).get(version)
            if of is not None:
                parts.append(
                    Part(
                        member=name,
                        held=held.get(name, of.present),
                        demand=heard.demand.get(key, 0.0),
                        busy=now - heard.busy_at.get(key, -math.inf) < lately,
                    )
                )
        return parts

    def _update(self, known: _Heard, report: Report, now: float) -> None:
        weight = math.exp(-(now - known.changed) / DEMAND_TIME)
        known.report, known.changed = report, now
        for key, of in _versions(report):
            before = known.demand.get(key, 0.0)
            smooth = before * weight + of.demand * (1 - weight)
            known.demand[key] = max(smooth, float(of.demand))

    def _begin(self, heard: _Heard, now: float) -> None:
        there = dict(_versions(heard.report))
        for key in heard.first.keys() - there.keys():
            del heard.first[key]
        for key, of in there.items():
            first = heard.first.get(key)
            if first is None or of.totals.started < first.started:
                heard.first[key] = of.totals
            heard.demand.setdefault(key, float(of.demand))
            if of.demand:
                heard.busy_at[key] = now

    def _drop(self, name: str) -> None:
        heard = self._members.pop(name)
        for key, of in _versions(heard.report):
            if (first := heard.first.get(key)) is not None:
                added = _combined(of.totals, first, -1)
                rest = dict.fromkeys(GAUGES, 0)
                added = VersionTotals(**{**_fields(added), **rest})
                past = self._past.get(key)
                self._past[key] = added if past is None else _combined(past, added, 1)


def summed(counts: Iterable[Counts]) -> Counts:
    """Replicas over several members: numbers are added, lists put together, the longest first."""
    total = Counts()
    for one in counts:
        total = Counts(**{f: _joined(v, getattr(one, f)) for f, v in _fields(total).items()})
    return total


def _joined(one: Any, other: Any) -> Any:
    return tuple(sorted(one + other, reverse=True)) if isinstance(one, tuple) else one + other


def _versions(report: Report) -> Iterable[tuple[Key, VersionReport]]:
    for pool, versions in report.pools.items():
        for version, of in versions.items():
            yield (pool, version), of


def _total(parts: list[VersionTotals]) -> VersionTotals | None:
    total: VersionTotals | None = None
    for part in parts:
        total = part if total is None else _combined(total, part, 1)
    return total


def _combined(one: VersionTotals, other: VersionTotals, sign: int) -> VersionTotals:
    """`one` plus or minus `other`; when subtracting, gauges stay."""
    return VersionTotals(
        **{
            field: value
            if sign < 0 and field in GAUGES
            else _plus(value, getattr(other, field), sign)
            for field, value in _fields(one).items()
        }
    )


def _plus(one: Any, other: Any, sign: int) -> Any:
    if isinstance(one, tuple):
        return tuple(a + sign * b for a, b in zip(one, other, strict=True))
    return one + sign * other


def _fields(of: VersionTotals | Counts) -> dict[str, Any]:
    return {field: getattr(of, field) for field in of.__struct_fields__}
