"""When a replica is healthy and when to ask next: the rules of active checks, without any I/O.

    UNKNOWN --ok--> HEALTHY --`fall` failures in a row--> UNHEALTHY --`rise` successes--> HEALTHY

A replica that has never answered stays UNKNOWN however often it fails (its start timeout judges
it), and its first success is enough: what has just started has no bad past to outweigh. Envoy
does the same ("during startup, only a single successful health check is required to mark a host
healthy", envoy `config.core.v3.HealthCheck.healthy_threshold`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

FIRST_STEP: Final = 0.1
"""Seconds to the first check of a replica that starts."""
STEP_GROWTH: Final = 1.2
"""Each further check of a start waits this many times longer, so a start is noticed at most
about a fifth of its own length late, and a slow one is not hammered."""


class Verdict(StrEnum):
    """What the checks say of a replica."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class HealthView(Struct, frozen=True, kw_only=True):
    """What is remembered of a replica's checks."""

    verdict: Verdict = Verdict.UNKNOWN
    streak: int = 0
    """Results in a row that speak against `verdict`; while UNKNOWN, checks made so far."""


def observe(view: HealthView, ok: bool, *, rise: int, fall: int) -> HealthView:
    """The view after one more check."""
    match view.verdict, ok:
        case Verdict.UNKNOWN, True:
            return HealthView(verdict=Verdict.HEALTHY)
        case Verdict.UNKNOWN, False:
            return HealthView(streak=view.streak + 1)
        case (Verdict.HEALTHY, True) | (Verdict.UNHEALTHY, False):
            return HealthView(verdict=view.verdict)
        case Verdict.HEALTHY, False:
            needed, other = fall, Verdict.UNHEALTHY
        case _:
            needed, other = rise, Verdict.HEALTHY
    if view.streak + 1 >= needed:
        return HealthView(verdict=other)
    return HealthView(verdict=view.verdict, streak=view.streak + 1)


def delay(view: HealthView, *, interval: float, fraction: float) -> float:
    """Seconds until the next check, for a random `fraction` in [0, 1).

    A start is asked in quick, growing steps; what is known is asked every `interval`. Both are
    spread by 10 % down, so that replicas started together are not asked together for long.
    """
    wait = interval
    if view.verdict is Verdict.UNKNOWN:
        wait = min(interval, FIRST_STEP * STEP_GROWTH ** min(view.streak, 64))
    return wait * (1.0 - 0.1 * fraction)


def first_offset(*, interval: float, fraction: float) -> float:
    """Seconds until the very first check, for a random `fraction` in [0, 1)."""
    return min(interval, FIRST_STEP) * fraction
