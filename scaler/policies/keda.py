"""`keda`: as KEDA: its own step between zero and one, a HorizontalPodAutoscaler above that.

Source: keda `pkg/scaling/executor/scale_scaledobjects.go`. A reading above `activation` is
activity. Without any, and once the cooldown is over, the version goes to its idle size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from msgspec import structs

from fleet.config.schema import Scale
from fleet.model import Observation, Reading
from scaler.policies.hpa import HpaPast, sync
from scaler.policies.memory import NEVER, Memory
from scaler.policies.want import Want


class KedaMemory(Memory, frozen=True, kw_only=True, tag="keda"):
    """When it polled and when there was activity (monotonic), what it read, and HPA's part."""

    polled: float = NEVER
    active_at: float
    readings: tuple[Reading, ...] = ()
    hpa: HpaPast = HpaPast()

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return structs.replace(
            self, polled=self.polled + by, active_at=self.active_at + by, hpa=self.hpa.moved(by)
        )


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, KedaMemory]:
    """See the module."""
    seen, keda, now = observation, settings.keda, observation.monotonic
    past = (
        memory
        if isinstance(memory, KedaMemory)
        else KedaMemory(active_at=now, hpa=HpaPast.begun(seen))
    )
    if now - past.polled >= keda.polling_interval - 1e-9:
        past = structs.replace(past, polled=now, readings=seen.readings)
    seen = structs.replace(seen, readings=past.readings)
    active = is_active([r.value for r in past.readings], keda.activation)
    failing = any(r.error is not None and r.value is None for r in past.readings)
    want, hpa = sync(seen, keda.hpa, past.hpa)
    past = structs.replace(past, active_at=now if active else past.active_at, hpa=hpa)
    size = zero_one(
        seen.desired,
        least=settings.min,
        idle=keda.idle_replicas,
        active=active,
        failing=failing,
        cooled=now - past.active_at >= keda.cooldown_period,
    )
    if size is not None:
        what = "activity" if active else f"no activity for {now - past.active_at:.0f}s"
        return structs.replace(want, replicas=size, reason=what), past
    return structs.replace(want, replicas=max(1, want.replicas) if seen.desired else 0), past


def is_active(values: Sequence[float | None], activation: float) -> bool:
    """Whether any value is above the activation threshold."""
    return any(value is not None and value > activation for value in values)


def zero_one(
    current: int, *, least: int, idle: int | None, active: bool, failing: bool, cooled: bool
) -> int | None:
    """The size that KEDA itself sets; None: it leaves the size to HPA."""
    if active:
        asleep = current == 0 or (idle is not None and current < least)
        return max(least, 1) if asleep else None
    if failing:
        return current
    if idle is not None and current > idle:
        return idle if cooled else None
    if current > 0 and least == 0:
        return 0 if cooled else None
    return least if current < least else None
