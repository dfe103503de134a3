"""From what was measured to the reading of one version: activation, share and fallback. Pure.

A lost input has an error. Its fallback may put a value in its place; the reading then has both,
and keeps a version from going to zero. Without one it has no value, and keeps it from shrinking:
an outage read as "nothing to do" empties a busy pool (kubernetes/kubernetes#104387).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from fleet.config.schema import Fallback, Signal
from fleet.model import Reading


class Measured(Struct, frozen=True, kw_only=True):
    """An input as it was measured."""

    name: str
    value: float | None
    """Over the whole pool, or over what `share` says; the last known one while it is lost.
    None: there is none, or nothing to measure."""
    target: float
    ratio: bool = False
    error: str | None = None
    """Why it is lost; None: it is not."""
    excused: bool = False
    """It was never read, and has not failed as often as it may: nothing stands in for it yet."""


class Situation(Struct, frozen=True, kw_only=True):
    """The gateway's own view of what a reading is for."""

    desired: int
    busy: int
    """Requests in flight and queued."""
    per_replica: float
    """Requests that one replica should have, by the router signal."""


def stood_in(
    measured: Measured, fallback: Fallback | None, share: float, now: Situation
) -> float | None:
    """What stands in for a lost input, in its own unit; None: nothing does."""
    if fallback is None:
        return None
    if fallback.replicas is not None:
        wanted = fallback_replicas(fallback.behavior, fallback.replicas * share, now.desired)
        return wanted if measured.ratio else measured.target * wanted
    match fallback.use:
        case "last" if measured.value is not None:
            return measured.value if measured.ratio else measured.value * share
        case "router":
            replicas = now.busy / now.per_replica
            return replicas if measured.ratio else measured.target * replicas
        case _:
            return None


def fallback_replicas(
    behavior: Literal["current", "current_if_higher", "current_if_lower", "static"],
    replicas: float,
    current: int,
) -> float:
    """How many replicas a fallback means. Source: keda `pkg/fallback/fallback.go`."""
    match behavior:
        case "current":
            return current
        case "current_if_higher":
            return max(replicas, current)
        case "current_if_lower":
            return min(replicas, current)
        case _:
            return replicas


def reading_of(measured: Measured, signal: Signal, share: float, now: Situation) -> Reading:
    """The reading of a version that answers for `share` (0..1) of what was measured.

    What stands in for a lost ratio is a total: so many replicas, at a target of 1.
    """
    name, target, ratio = measured.name, measured.target, measured.ratio
    if measured.error is not None:
        fallback = None if measured.excused else signal.fallback
        value = stood_in(measured, fallback, share, now)
        if value is None:
            return Reading(signal=name, value=None, target=target, error=measured.error)
        last = signal.fallback is not None and signal.fallback.use == "last"
        return Reading(
            signal=name,
            value=active(value, signal.activation * share) if last else value,
            target=target if last or not ratio else 1.0,
            ratio=ratio and last,
            outside=ratio and last,
            error=measured.error,
            detail=f"{value:.6g}, by its fallback ({measured.error}),",
        )
    if measured.value is None:
        return Reading(signal=name, value=None, target=target, ratio=ratio, outside=ratio)
    counted = active(measured.value, signal.activation)
    if counted != measured.value:
        detail = f"{measured.value:.6g}, not above its activation {signal.activation:.6g},"
        return Reading(
            signal=name,
            value=counted,
            target=target,
            ratio=ratio,
            outside=ratio,
            detail=detail,
            inactive=measured.value * (1.0 if ratio else share),
        )
    if ratio or share == 1:
        return Reading(signal=name, value=counted, target=target, ratio=ratio, outside=ratio)
    detail = f"{share:.3g} of {counted:.6g} = {counted * share:.6g}"
    return Reading(signal=name, value=counted * share, target=target, detail=detail)


def active(value: float, activation: float) -> float:
    """`value`, or 0 when it is not above `activation`. Source: KEDA, "activation has priority"."""
    return value if not activation or value > activation else 0.0
