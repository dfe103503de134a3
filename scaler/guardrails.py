"""Guardrails: what a version's size may become, given what it was. Pure.

They run in this order, each on the result of the one before, and each that bites leaves a
`Limit` that says so:

stabilization   a version shrinks only to the largest size wanted within `scale.stabilization`
lost            a version does not shrink while one of its signals is lost
up, down        a version changes at most so fast

All are per version; the pool's bounds come after (`scaler.allocate`) and outrank them: a raised
`min` is there at once. The semantics of the windows are those of HPA's scaling behaviour
(kubernetes `pkg/controller/podautoscaler/horizontal.go`, `stabilizeRecommendationWithBehaviors`
and `calculateScaleUpLimitWithScalingRules`).
"""

from __future__ import annotations

import math

from msgspec import Struct

from fleet.config.schema import Rate, Scale
from fleet.config.units import format_duration
from fleet.model import Observation
from scaler.state import Change, VersionState, Wish


class Limit(Struct, frozen=True):
    """A guard that bit."""

    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})"


class Guarded(Struct, frozen=True, kw_only=True):
    """What the guardrails leave of a wanted size."""

    replicas: int
    peak: int
    """The largest size wanted within the stabilization window, this tick included."""
    wishes: tuple[Wish, ...]
    """To be remembered."""
    limits: tuple[Limit, ...]


def guard(wanted: int, seen: Observation, settings: Scale, state: VersionState) -> Guarded:
    """Apply all guardrails to what the policy wants.

    A version without wishes, one seen for the first time, counts as wanted at its present size
    just now, so that what a former daemon left running is not cut before its load is known.
    """
    now = seen.monotonic
    wishes = state.wishes or (Wish(now, seen.desired),)
    wishes = remembered(wishes, Wish(now, wanted), settings.stabilization)
    replicas = wanted
    limits: list[Limit] = []
    if replicas < seen.desired and wishes[0].replicas > replicas:
        replicas = min(seen.desired, wishes[0].replicas)
        limits.append(_stabilization(wishes[0], now))
    if replicas < seen.desired and (lost := _lost(seen)):
        replicas = seen.desired
        limits.append(Limit("lost", lost))
    if replicas > seen.desired:
        most = most_after_growth(seen.desired, settings.up, state.ups, now)
        if replicas > most:
            replicas = most
            limits.append(Limit("up", f"at most {most}: {_shown(settings.up)}"))
    if replicas < seen.desired:
        least = least_after_shrinking(seen.desired, settings.down, state.downs, now)
        if replicas < least:
            replicas = least
            limits.append(Limit("down", f"at least {least}: {_shown(settings.down)}"))
    return Guarded(replicas=replicas, peak=wishes[0].replicas, wishes=wishes, limits=tuple(limits))


def most_after_growth(present: int, rate: Rate, ups: tuple[Change, ...], now: float) -> int:
    """The largest size allowed now; at least `present`, and at least 1: zero can be left.

    Worked: 8 replicas, of which 4 came 5 s ago, 100 % or 4 in 15 s: the period began with 4, so
    max(4 + 4, 4 * 2) = 8, and nothing more is allowed until those 15 s are over.
    """
    start = present - _within(ups, rate.period, now)
    most = max(start + rate.replicas, math.ceil(start * (100 + rate.percent) / 100))
    return max(most, present, 1)


def least_after_shrinking(present: int, rate: Rate, downs: tuple[Change, ...], now: float) -> int:
    """The smallest size allowed now; at most `present`, at least 0."""
    start = present + _within(downs, rate.period, now)
    least = min(start - rate.replicas, math.floor(start * (100 - rate.percent) / 100))
    return max(0, min(least, present))


def remembered(wishes: tuple[Wish, ...], wish: Wish, window: float) -> tuple[Wish, ...]:
    """`wishes` with one more, without those that no longer count: old, or outdone by a later one.

    The first is the largest within `window` seconds: the sliding window maximum by a falling
    queue, a few entries whatever the window.
    """
    kept = (w for w in wishes if w.at > wish.at - window and w.replicas > wish.replicas)
    return (*kept, wish)


def recorded(changes: tuple[Change, ...], change: Change, period: float) -> tuple[Change, ...]:
    """`changes` with one more, without those older than `period` seconds."""
    return (*(c for c in changes if change.at - c.at < period), change)


def _within(changes: tuple[Change, ...], period: float, now: float) -> int:
    return sum(change.replicas for change in changes if now - change.at < period)


def _stabilization(peak: Wish, now: float) -> Limit:
    return Limit("stabilization", f"{peak.replicas} wanted {now - peak.at:.0f}s ago")


def _lost(seen: Observation) -> str:
    return ", ".join(f"{r.signal}: {r.error}" for r in seen.readings if r.error is not None)


def _shown(rate: Rate) -> str:
    return f"{rate.replicas} or {rate.percent:g}% in {format_duration(rate.period)}"
