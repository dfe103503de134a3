"""`target`: as many replicas as keep every reading at its target; the largest proposal wins.

The rules are those of the Kubernetes HorizontalPodAutoscaler
(kubernetes `pkg/controller/podautoscaler/replica_calculator.go`):

1. A total (requests in flight, items in a queue) needs `ceil(total / target)` replicas. That is
   absolute: it does not grow while the replicas it asked for are still starting.
2. A ratio (a latency) needs `ceil(ratio * ready)` replicas, ratio = value / target, and is less
   sure: it may at most double the size in one step, and while replicas start it only holds.
   Replicas that are neither ready nor starting count as idle when growing and as exactly on
   target when shrinking, as HPA counts pods without metrics.
3. Within `tolerance` of what the present size carries, the present size stays.
4. A reading without a value proposes nothing. Is it lost, the size does not fall: that is the
   guardrails' part, and so is everything about time.

Worked: 20 requests at 5.6 each need ceil(3.57) = 4. With 3 replicas present, 17.5 requests are
17.5 / 16.8 = 1.04 of what they carry: within 10 %, so 3 stay.

From zero anything above zero asks for one; to zero goes only a version of which nothing is in
flight or queued and every reading is zero.
"""

from __future__ import annotations

import math
from typing import Final

from fleet.config.schema import Scale
from fleet.model import Observation, Proposal, Reading
from scaler.policies.memory import Memory
from scaler.policies.want import Want

_ROUNDING: Final = 1e-9
"""Keeps 0.3 / 0.1 = 3.0000000000000004 from asking for a fourth replica."""


def decide(observation: Observation, settings: Scale, memory: Memory | None) -> tuple[Want, None]:
    """See the module; nothing is remembered. Source: HPA's replica calculator."""
    proposals = tuple(
        propose(reading, observation, settings.tolerance) for reading in observation.readings
    )
    wanted = [(p.replicas, p.reason) for p in proposals if p.replicas is not None]
    replicas, reason = max(wanted, key=lambda one: one[0], default=(None, ""))
    if replicas is None:
        replicas, reason = observation.desired, "no signal has a value"
    busy = observation.in_flight + observation.queued
    if replicas == 0 and busy:
        replicas, reason = 1, f"{busy} requests are in flight or queued"
    return Want(replicas=replicas, reason=reason, proposals=proposals), None


def propose(reading: Reading, seen: Observation, tolerance: float) -> Proposal:
    """What one reading alone asks for."""
    if reading.value is None:
        why = f"lost: {reading.error}" if reading.error else "no samples"
        return Proposal(signal=reading.signal, replicas=None, reason=f"{reading.signal} {why}")
    value = max(0.0, reading.value)
    if reading.ratio:
        return _from_ratio(reading, value, seen, tolerance)
    return _from_total(reading, value, seen.desired, tolerance)


def _from_total(reading: Reading, value: float, present: int, tolerance: float) -> Proposal:
    replicas = _ceil(value / reading.target)
    if value > 0:
        replicas = max(1, replicas)
    if present and abs(value / (reading.target * present) - 1) <= tolerance + _ROUNDING:
        replicas = present
    shown = reading.detail or f"{value:.6g}"
    plural = "" if replicas == 1 else "s"
    return Proposal(
        signal=reading.signal,
        replicas=replicas,
        reason=f"{reading.signal} {shown} needs {replicas} replica{plural} "
        f"at {reading.target:.4g} each",
    )


def _from_ratio(reading: Reading, value: float, seen: Observation, tolerance: float) -> Proposal:
    present, ratio = seen.desired, value / reading.target
    replicas, note = present, ""
    if seen.starting:
        note = f", waiting for {seen.starting} starting"
    elif not seen.ready:
        note = ", none is ready"
    elif ratio > 1 + tolerance:
        replicas = min(2 * present, max(present, _ceil(ratio * seen.ready)))
    elif ratio < 1 - tolerance:
        replicas = min(present, max(1, _ceil(ratio * seen.ready) + max(0, present - seen.ready)))
    shown = reading.detail or f"{value:.4g}"
    return Proposal(
        signal=reading.signal,
        replicas=replicas,
        reason=f"{reading.signal} {shown} is {ratio:.2f} of its target {reading.target:.4g}{note}",
    )


def _ceil(value: float) -> int:
    return math.ceil(value - _ROUNDING * max(1.0, abs(value)))
