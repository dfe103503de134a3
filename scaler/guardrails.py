"""Guardrails: what a version's size may become, given what it was. Pure.

They run in this order, each on the result of the one before, and each that bites leaves a
`Limit` that says so:

stabilization   a version shrinks only to the largest size wanted within `scale.stabilization`
lost            a version does not shrink while one of its signals is lost; and while a fallback
                stands in for it, not to zero
up, down        a version changes at most so fast

All are per version; the pool's bounds come after (`scaler.allocate`) and outrank them: a raised
`min` is there at once. The semantics of the windows are those of HPA's scaling behaviour
(kubernetes `pkg/controller/podautoscaler/horizontal.go`, `stabilizeRecommendationWithBehaviors`
and `calculateScaleUpLimitWithScalingRules`).
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from fleet.config.schema import Rate, Scale
from fleet.config.units import format_duration
from fleet.model import Observation
from scaler.state import VersionState
from scaler.windows import Change, Wish, begun_with, remembered


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


class Pace(Struct, frozen=True, kw_only=True):
    """How fast a size may change."""

    stabilization: float
    """Seconds."""
    up: Rate | None
    """None: at any rate."""
    down: Rate | None

    @property
    def longest(self) -> float:
        """The longer period; 0 at any rate."""
        return max((rate.period for rate in (self.up, self.down) if rate is not None), default=0.0)


_PACE: Final = Pace(stabilization=60.0, up=Rate(), down=Rate(percent=100.0, replicas=1))
_FREE: Final = Pace(stabilization=0.0, up=None, down=None)


def pace_of(settings: Scale, paced: bool) -> Pace:
    """What the configuration asks for, and for the rest the defaults: none unless `paced`."""
    default = _PACE if paced else _FREE
    own = settings.stabilization
    return Pace(
        stabilization=default.stabilization if own is None else own,
        up=settings.up or default.up,
        down=settings.down or default.down,
    )


def guard(wanted: int, seen: Observation, pace: Pace, state: VersionState) -> Guarded:
    """Apply all guardrails to what the policy wants.

    A version without wishes, one seen for the first time, counts as wanted at its present size
    just now, so that what a former daemon left running is not cut before its load is known.
    """
    now = seen.monotonic
    wishes = state.wishes or (Wish(now, seen.desired),)
    wishes = remembered(wishes, Wish(now, wanted), pace.stabilization)
    replicas = wanted
    limits: list[Limit] = []
    if replicas < seen.desired and wishes[0].replicas > replicas:
        replicas = min(seen.desired, wishes[0].replicas)
        limits.append(_stabilization(wishes[0], now))
    if replicas < seen.desired and (lost := _lost(seen, stood_in=False)):
        replicas = seen.desired
        limits.append(Limit("lost", lost))
    if replicas == 0 < seen.desired and (lost := _lost(seen, stood_in=True)):
        replicas = 1
        limits.append(Limit("lost", lost))
    if replicas > seen.desired and pace.up is not None:
        most = most_after_growth(seen.desired, pace.up, state.ups, state.downs, now)
        if replicas > most:
            replicas = most
            limits.append(Limit("up", f"at most {most}: {_shown(pace.up)}"))
    if replicas < seen.desired and pace.down is not None:
        least = least_after_shrinking(seen.desired, pace.down, state.ups, state.downs, now)
        if replicas < least:
            replicas = least
            limits.append(Limit("down", f"at least {least}: {_shown(pace.down)}"))
    return Guarded(replicas=replicas, peak=wishes[0].replicas, wishes=wishes, limits=tuple(limits))


def most_after_growth(
    present: int, rate: Rate, ups: tuple[Change, ...], downs: tuple[Change, ...], now: float
) -> int:
    """The largest size allowed now; at least `present`, and at least 1: zero can be left.

    Worked: 8 replicas, of which 4 came 5 s ago, 100 % or 4 in 15 s: the period began with 4, so
    max(4 + 4, 4 * 2) = 8, and nothing more is allowed until those 15 s are over.
    """
    start = begun_with(present, ups, downs, rate.period, now)
    most = max(start + rate.replicas, math.ceil(start * (100 + rate.percent) / 100))
    return max(most, present, 1)


def least_after_shrinking(
    present: int, rate: Rate, ups: tuple[Change, ...], downs: tuple[Change, ...], now: float
) -> int:
    """The smallest size allowed now; at most `present`, at least 0."""
    start = begun_with(present, ups, downs, rate.period, now)
    least = min(start - rate.replicas, math.floor(start * (100 - rate.percent) / 100))
    return max(0, min(least, present))


def _stabilization(peak: Wish, now: float) -> Limit:
    return Limit("stabilization", f"{peak.replicas} wanted {now - peak.at:.0f}s ago")


def _lost(seen: Observation, *, stood_in: bool) -> str:
    """The lost signals for which something stands in, or nothing."""
    return ", ".join(
        f"{r.signal}: {r.error}"
        for r in seen.readings
        if r.error is not None and (r.value is not None) == stood_in
    )


def _shown(rate: Rate) -> str:
    return f"{rate.replicas} or {rate.percent:g}% in {format_duration(rate.period)}"
