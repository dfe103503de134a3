"""`ray`: as the autoscaling of Ray Serve: a smoothed gap, and wishes that must persist.

Source: ray `python/ray/serve/autoscaling_policy.py`. The load is requests in flight and queued,
over the look-back period.
"""

from __future__ import annotations

import math
from typing import Final, Self

from msgspec import Struct, structs

from fleet.config.policies import Ray
from fleet.config.schema import Scale
from fleet.model import Observation, Proposal
from scaler.policies.memory import Memory
from scaler.policies.metrics import Load, held_mean, loads_moved, noted
from scaler.policies.want import Want

LAST_LOOK: Final = 1.0
"""Seconds for which the latest look counts. Source: ray's `last_window_s`."""
DIGITS: Final = 9
"""Of a mean: what is beyond them is rounding, which must not ask for one more replica."""


class Wished(Struct, frozen=True, array_like=True):
    """A direction that is wanted without a break."""

    since: float
    """Monotonic."""
    up: bool


class RayMemory(Memory, frozen=True, kw_only=True, tag="ray"):
    """Loads of the look-back period, and the wish that waits for its delay."""

    loads: tuple[Load, ...] = ()
    wished: Wished | None = None

    def unmade(self, before: Memory | None) -> Self:
        """See `Memory.unmade`. A wish whose delay is over goes on waiting to be granted."""
        kept = before.wished if isinstance(before, RayMemory) else None
        return structs.replace(self, wished=self.wished or kept)

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        wished = self.wished and Wished(self.wished.since + by, self.wished.up)
        return structs.replace(self, loads=loads_moved(self.loads, by), wished=wished)


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, RayMemory]:
    """See the module."""
    seen, ray, now = observation, settings.ray, observation.monotonic
    past = memory if isinstance(memory, RayMemory) else RayMemory()
    loads = noted(past.loads, Load(now, float(seen.in_flight + seen.queued)), ray.look_back_period)
    requests = _aggregated(loads, ray, now)
    if not seen.desired:
        requests = max(requests, loads[-1].value)
    target = seen.desired
    if settings.min == 0 and target == ray.gang_size:
        target = 1
    replicas, wished = scale(
        ray, past.wished, now, current=seen.ready, target=target, requests=requests
    )
    replicas = ganged(replicas, ray.gang_size)
    reason = (
        f"{requests:.3g} ongoing over {ray.look_back_period:.0f}s at "
        f"{ray.target_ongoing_requests:.3g} each, {seen.ready} ready: {replicas}"
    )
    if wished is not None:
        way = "growth" if wished.up else "shrinking"
        reason += f", {way} wanted for {now - wished.since:.0f}s"
    proposal = Proposal(signal="ongoing", replicas=replicas, reason=reason)
    return (
        Want(replicas=replicas, reason=reason, proposals=(proposal,)),
        RayMemory(loads=loads, wished=wished),
    )


def _aggregated(loads: tuple[Load, ...], ray: Ray, now: float) -> float:
    """Source: ray `python/ray/serve/_private/metrics_utils.py`, `aggregate_timeseries`."""
    match ray.aggregation_function:
        case "mean":
            return round(held_mean(loads, now - ray.look_back_period, now + LAST_LOOK), DIGITS)
        case "max":
            return max(load.value for load in loads)
        case "min":
            return min(load.value for load in loads)


def ganged(replicas: int, gang: int) -> int:
    """`replicas` rounded up to whole gangs. The last gang goes as the last replica does.

    Source: ray `python/ray/serve/_private/gang_scheduling_autoscaling_policy.py`.
    """
    return math.ceil(replicas / gang) * gang


def smoothed(current: int, wanted: float, up: float, down: float) -> int:
    """`current` moved by a part of the gap to `wanted`; never stuck above it."""
    factor = up if wanted > current else down
    size = max(0, math.ceil(current + factor * (wanted - current)))
    if math.ceil(wanted) < current and size == current:
        size -= 1
    return size


def scale(
    settings: Ray, wished: Wished | None, now: float, *, current: int, target: int, requests: float
) -> tuple[int, Wished | None]:
    """The next target, before bounds, from the replicas that run and `requests` in all."""
    if current == 0:
        least = math.ceil(settings.upscaling_factor) if requests > 0 else 0
        return max(least, target), wished
    wanted = smoothed(
        current,
        current * (requests / (settings.target_ongoing_requests * current)),
        settings.upscaling_factor,
        settings.downscaling_factor,
    )
    if wanted == target:
        return target, None
    up = wanted > target
    if wished is None or wished.up != up:
        wished = Wished(now, up)
    delay = settings.upscale_delay if up else settings.downscale_delay
    if not up:
        if target > 1:
            wanted = max(1, wanted)
        elif settings.downscale_to_zero_delay is not None:
            delay = settings.downscale_to_zero_delay
    if now - wished.since < delay - 1e-6:
        return target, wished
    return wanted, None
