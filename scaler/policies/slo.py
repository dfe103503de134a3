"""`slo`: the fewest replicas at which requests wait no longer than the objective allows."""

from __future__ import annotations

import math
from typing import Final, Self

from msgspec import Struct

from fleet.config.objective import parse_objective
from fleet.config.schema import Scale
from fleet.model import Observation, Proposal
from scaler.policies.memory import Memory
from scaler.policies.want import Want
from scaler.queueing import servers_for

_WINDOW: Final = 30.0


class Sample(Struct, frozen=True, array_like=True):
    """Counters at one moment."""

    at: float
    arrived: int
    served: int
    busy: float


class SloMemory(Memory, frozen=True, kw_only=True, tag="slo"):
    """The counters of the last window."""

    samples: tuple[Sample, ...] = ()

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return type(self)(
            samples=tuple(Sample(s.at + by, s.arrived, s.served, s.busy) for s in self.samples)
        )


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, SloMemory]:
    """See the module."""
    objective = parse_objective(settings.slo)
    seen = observation
    before = memory.samples if isinstance(memory, SloMemory) else ()
    now = Sample(seen.monotonic, seen.arrived, seen.served, seen.busy)
    samples = (*(s for s in before if s.at > now.at - _WINDOW), now)
    first = samples[0]
    served = now.served - first.served
    load = float(seen.in_flight + seen.queued)
    service = (now.busy - first.busy) / served if served > 0 else 0.0
    slots = seen.in_flight
    if service > 0 and now.at > first.at:
        rate = (now.arrived - first.arrived) / (now.at - first.at)
        load = rate * service
        slots = servers_for(load, objective.wait / service, 1 - objective.share)
    slots += math.ceil(seen.queued * service / objective.wait) if service else seen.queued
    replicas = math.ceil(slots / seen.slots)
    reason = f"{load:.3g} slots busy need {replicas} replicas"
    proposal = Proposal(signal="slo", replicas=replicas, reason=reason)
    return Want(replicas=replicas, reason=reason, proposals=(proposal,)), SloMemory(samples=samples)
