"""`keda`: as KEDA: its own step between zero and one, a HorizontalPodAutoscaler above that.

Source: keda `pkg/scaling/executor/scale_scaledobjects.go`. A reading above `activation` is
activity. Without any, and once the cooldown is over, the version goes to its idle size; while a
reading is lost, to what its fallback asks for. For that the readings are looked at once in a
polling interval, or at once while requests wait for a version at zero, as KEDA's HTTP interceptor
has it; HPA asks for them anew at each of its own syncs, and knows of no activation. `min` is the
pool's: a version with weight has one replica of it at least, and the pool's floor adds the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from msgspec import structs

from fleet.config.policies import Keda
from fleet.config.schema import Scale
from fleet.model import Observation, Reading
from scaler.policies.hpa import HpaPast, sync
from scaler.policies.hpa_replicas import whole
from scaler.policies.memory import NEVER, Memory
from scaler.policies.want import Want


class KedaMemory(Memory, frozen=True, kw_only=True, tag="keda"):
    """When it polled and when there was activity (monotonic), what it read, and HPA's part."""

    polled: float = NEVER
    begun: float
    active_at: float | None = None
    readings: tuple[Reading, ...] = ()
    hpa: HpaPast = HpaPast()

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        active_at = self.active_at
        return structs.replace(
            self,
            polled=self.polled + by,
            begun=self.begun + by,
            active_at=None if active_at is None else active_at + by,
            hpa=self.hpa.moved(by),
        )


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, KedaMemory]:
    """See the module."""
    seen, keda, now = observation, settings.keda, observation.monotonic
    past = (
        memory if isinstance(memory, KedaMemory) else KedaMemory(begun=now, hpa=HpaPast.begun(seen))
    )
    waiting = not seen.desired and seen.queued
    if waiting or now - past.polled >= keda.polling_interval - 1e-9:
        past = structs.replace(past, polled=now, readings=seen.readings)
    measured = [r.value for r in past.readings if r.error is None]
    active = is_active(measured, keda.activation)
    want, hpa = sync(_for_hpa(seen), keda.hpa, past.hpa)
    past = structs.replace(past, active_at=past.polled if active else past.active_at, hpa=hpa)
    size = zero_one(
        seen.desired,
        least=1 if settings.min and seen.weight else 0,
        idle=keda.idle_replicas,
        active=active,
        failing=len(measured) < len(past.readings),
        fallback=fallback_size(past.readings),
        cooled=_cooled(past, keda, now),
    )
    if size is None:
        return structs.replace(want, replicas=max(1, want.replicas) if seen.desired else 0), past
    what = "activity" if active else "no activity"
    if not active and past.active_at is not None:
        what += f" for {now - past.active_at:.0f}s"
    resting = not active and keda.idle_replicas is not None and size <= keda.idle_replicas
    return structs.replace(want, replicas=size, reason=what, resting=resting), past


def _for_hpa(seen: Observation) -> Observation:
    return structs.replace(
        seen,
        readings=tuple(
            reading
            if reading.inactive is None
            else structs.replace(reading, value=reading.inactive, detail="")
            for reading in seen.readings
        ),
    )


def _cooled(past: KedaMemory, keda: Keda, now: float) -> bool:
    if past.active_at is None:
        return now - past.begun >= keda.initial_cooldown_period
    return now - past.active_at >= keda.cooldown_period


def is_active(values: Sequence[float | None], activation: float) -> bool:
    """Whether any value is above the activation threshold."""
    return any(value is not None and value > activation for value in values)


def fallback_size(readings: Sequence[Reading]) -> int:
    """The most replicas that a fallback asks for; 0: none does."""
    return max(
        (
            math.ceil(whole(r.value) / max(1, whole(r.target)))
            for r in readings
            if r.error is not None and r.value is not None and not r.ratio
        ),
        default=0,
    )


def zero_one(
    current: int,
    *,
    least: int,
    idle: int | None,
    active: bool,
    failing: bool,
    fallback: int,
    cooled: bool,
) -> int | None:
    """The size that KEDA itself sets; None: it leaves the size to HPA."""
    if active:
        asleep = current == 0 or (idle is not None and current < least)
        return max(least, 1) if asleep else None
    if failing:
        return fallback or (current if current <= (idle or 0) else None)
    if idle is not None:
        if current <= idle:
            return current
        return idle if cooled else None
    if current > 0 and least == 0:
        return 0 if cooled else None
    return least if current < least else None
