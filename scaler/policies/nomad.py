"""`nomad`: as the target-value strategy of the Nomad Autoscaler, with its cooldown.

Source: nomad-autoscaler `plugins/builtin/strategy/target-value/plugin/plugin.go` and
`policy/handler.go`. A total is a mean over the replicas here; the largest proposal wins.
"""

from __future__ import annotations

from typing import Self

from msgspec import structs

from fleet.config.policies import Nomad
from fleet.config.schema import Scale
from fleet.model import Observation, Proposal, Reading
from scaler.policies.cooldown import Sizing
from scaler.policies.hpa_replicas import ROUNDING, ceil
from scaler.policies.memory import NEVER, Memory
from scaler.policies.want import Want


class NomadMemory(Memory, frozen=True, kw_only=True, tag="nomad"):
    """When it decided last (monotonic), and when a size changed."""

    decided: float = NEVER
    sizing: Sizing = Sizing()

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return structs.replace(self, decided=self.decided + by, sizing=self.sizing.moved(by))


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, NomadMemory]:
    """See the module."""
    seen, nomad, now = observation, settings.nomad, observation.monotonic
    past = memory if isinstance(memory, NomadMemory) else NomadMemory()
    past = structs.replace(past, sizing=past.sizing.followed(seen))
    proposals = tuple(_propose(reading, seen, nomad) for reading in seen.readings)
    cooldown = nomad.cooldown
    if past.sizing.grew and nomad.cooldown_on_scale_up is not None:
        cooldown = nomad.cooldown_on_scale_up
    rest = cooldown - (now - past.sizing.changed)
    if rest > ROUNDING and seen.desired:
        why = f"in cooldown for {rest:.0f}s more"
        return Want(replicas=seen.desired, reason=why, proposals=proposals), past
    if now - past.decided < nomad.evaluation_interval - ROUNDING and seen.desired:
        why = "between two evaluations"
        return Want(replicas=seen.desired, reason=why, proposals=proposals), past
    found = [(p.replicas, p.reason) for p in proposals if p.replicas is not None]
    replicas, reason = max(
        found, key=lambda one: one[0], default=(seen.desired, "no signal has a value")
    )
    want = Want(replicas=replicas, reason=reason, proposals=proposals)
    return want, structs.replace(past, decided=now)


def scale(value: float, target: float, count: int, settings: Nomad) -> int:
    """The next count. `value` is a mean over `count` replicas, or a total when that is 0.

    Worked: a mean of 9 against 6 with 4 replicas is a factor of 1.5, so ceil(4 * 1.5) = 6.
    """
    factor = value / target if target else value
    if count == 0 and factor <= 0:
        return 0
    if count and abs(factor - 1) <= settings.threshold + ROUNDING:
        return count
    wanted = ceil(max(1, count) * factor)
    if settings.max_scale_up is not None:
        wanted = min(wanted, count + settings.max_scale_up)
    if settings.max_scale_down is not None:
        wanted = max(wanted, count - settings.max_scale_down)
    return wanted


def _propose(reading: Reading, seen: Observation, settings: Nomad) -> Proposal:
    if reading.value is None:
        why = f"lost: {reading.error}" if reading.error else "no samples"
        text = f"{reading.signal} has no value ({why})"
        return Proposal(signal=reading.signal, replicas=None, reason=text)
    value = reading.value
    if not reading.ratio:
        value /= max(1, seen.desired)
    replicas = scale(value, reading.target, seen.desired, settings)
    text = f"{reading.signal} {value:.4g} against {reading.target:.4g} asks for {replicas}"
    return Proposal(signal=reading.signal, replicas=replicas, reason=text)
