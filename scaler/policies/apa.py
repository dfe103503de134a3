"""`apa`: as the AI-optimised pod autoscaler of AIBrix.

Source: aibrix `pkg/controller/podautoscaler/algorithm/apa.go`. The load is requests in flight and
queued for each ready replica, averaged over a window; one should carry `target_utilization` of
its slots.
"""

from __future__ import annotations

import math
from typing import Self

from msgspec import structs

from fleet.config.policies import Apa
from fleet.config.schema import Scale
from fleet.model import Observation, Proposal
from scaler.policies.hpa_replicas import ROUNDING, ceil
from scaler.policies.memory import NEVER, Memory
from scaler.policies.metrics import Load, loads_moved, mean, noted
from scaler.policies.want import Want
from scaler.windows import Wish, remembered, wishes_moved


class ApaMemory(Memory, frozen=True, kw_only=True, tag="apa"):
    """Loads of the window, sizes wanted lately, and when it decided (monotonic)."""

    decided: float = NEVER
    loads: tuple[Load, ...] = ()
    wishes: tuple[Wish, ...] = ()

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return structs.replace(
            self,
            decided=self.decided + by,
            loads=loads_moved(self.loads, by),
            wishes=wishes_moved(self.wishes, by),
        )


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, ApaMemory]:
    """See the module."""
    seen, apa, now = observation, settings.apa, observation.monotonic
    past = memory if isinstance(memory, ApaMemory) else ApaMemory(wishes=(Wish(now, seen.desired),))
    loads = noted(past.loads, Load(now, float(seen.in_flight + seen.queued)), apa.window)
    past = structs.replace(past, loads=loads)
    if now - past.decided < apa.tick - ROUNDING and (seen.desired or not loads[-1].value):
        return _want(seen.desired, "between two ticks", None), past
    current = max(1, seen.ready)
    each = mean(loads, apa.window, now) / current
    wanted = scale(each, apa.target_utilization * seen.slots, current, apa)
    if not seen.desired and not loads[-1].value:
        wanted = 0
    wishes = remembered(past.wishes, Wish(now, wanted), apa.scale_down_cooldown_window)
    replicas = wanted if wanted >= seen.desired else min(seen.desired, wishes[0].replicas)
    reason = f"{each:.3g} for each of {current} ready asks for {wanted}"
    memory = structs.replace(past, decided=now, wishes=wishes)
    return _want(replicas, reason, wanted), memory


def scale(each: float, target: float, current: int, settings: Apa) -> int:
    """The next size, from the mean of a metric over `current` replicas and its target."""
    ratio = each / target
    if ratio > 1 + settings.up_fluctuation_tolerance + ROUNDING:
        return min(ceil(current * ratio), ceil(settings.max_scale_up_rate * current))
    if ratio < 1 - settings.down_fluctuation_tolerance - ROUNDING:
        return max(ceil(current * ratio), math.floor(current / settings.max_scale_down_rate))
    return current


def _want(replicas: int, reason: str, proposed: int | None) -> Want:
    proposal = Proposal(signal="concurrency", replicas=proposed, reason=reason)
    return Want(replicas=replicas, reason=reason, proposals=(proposal,))
