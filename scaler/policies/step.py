"""`step`: fixed changes of size beyond thresholds of the load, with a cooldown.

As step scaling in AWS Application Auto Scaling. The load is requests in flight and queued for
each ready slot; of all rules that count the largest growth wins, else the largest shrinking.
"""

from __future__ import annotations

from typing import Self

from msgspec import structs

from fleet.config.policies import StepRule
from fleet.config.schema import Scale
from fleet.model import Observation, Proposal
from scaler.policies.cooldown import Sizing
from scaler.policies.memory import Memory
from scaler.policies.want import Want


class StepMemory(Memory, frozen=True, kw_only=True, tag="step"):
    """When the last step was made."""

    sizing: Sizing = Sizing()

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return structs.replace(self, sizing=self.sizing.moved(by))


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, StepMemory]:
    """See the module."""
    seen, now = observation, observation.monotonic
    past = memory if isinstance(memory, StepMemory) else StepMemory()
    sizing = past.sizing.followed(seen)
    requests = seen.in_flight + seen.queued
    load = requests / (max(1, seen.ready) * seen.slots)
    changes = [rule.change for rule in settings.step.rules if counts(rule, load)]
    change = max(changes, default=0)
    change = change if change > 0 else min(changes, default=0)
    replicas = max(0, seen.desired + change)
    reason = f"{requests} requests are {load:.3g} for each ready slot: {change:+d}"
    if requests and not replicas:
        replicas = 1
    rest = settings.step.cooldown - (now - sizing.changed)
    if replicas != seen.desired and seen.desired and rest > 0:
        replicas, reason = seen.desired, f"{reason}, in cooldown for {rest:.0f}s more"
    proposal = Proposal(signal="load", replicas=replicas, reason=reason)
    want = Want(replicas=replicas, reason=reason, proposals=(proposal,))
    return want, StepMemory(sizing=sizing)


def counts(rule: StepRule, load: float) -> bool:
    """Whether a rule applies at this load."""
    if rule.above is not None:
        return load > rule.above
    return rule.below is not None and load < rule.below
