"""Policies: from what was observed of one version to the size it should have.

A policy is pure. It knows nothing of bounds or other versions; guardrails and allocation come
after it (`scaler.decide`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from fleet.config.schema import Scale
from fleet.model import Observation
from scaler.policies import apa, hpa, keda, kpa, nomad, ray, slo, step, target
from scaler.policies.memory import Memory
from scaler.policies.want import Want

AnyMemory: TypeAlias = (
    apa.ApaMemory
    | hpa.HpaMemory
    | keda.KedaMemory
    | kpa.KpaMemory
    | nomad.NomadMemory
    | ray.RayMemory
    | slo.SloMemory
    | step.StepMemory
)
"""Every memory there is, so that a stored one finds its type again by its tag."""


class Decide(Protocol):
    """Decides from one observation and what the policy remembers."""

    def __call__(
        self, observation: Observation, settings: Scale, memory: Memory | None
    ) -> tuple[Want, AnyMemory | None]:
        """What is wanted, and what to remember for the next tick.

        `memory` is what the last tick gave. None at first; and after a reload it may be another
        policy's, which counts as none.
        """
        ...


class Policy(Struct, frozen=True, kw_only=True):
    """One way to decide."""

    decide: Decide
    paced: bool
    """Whether it leaves rates and stabilization to the guardrails; else it has its own, and the
    guardrails have none but those that the configuration asks for."""
    idle: float = 0.0
    """Seconds without work before the last replica goes, unless configured; 0: it has a rule of
    its own."""


IDLE: Final = 60.0

POLICIES: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        "apa": Policy(decide=apa.decide, paced=False),
        "hpa": Policy(decide=hpa.decide, paced=False),
        "keda": Policy(decide=keda.decide, paced=False),
        "kpa": Policy(decide=kpa.decide, paced=False),
        "nomad": Policy(decide=nomad.decide, paced=False),
        "ray": Policy(decide=ray.decide, paced=False),
        "slo": Policy(decide=slo.decide, paced=False, idle=IDLE),
        "step": Policy(decide=step.decide, paced=True, idle=IDLE),
        "target": Policy(decide=target.decide, paced=True, idle=IDLE),
    }
)
"""By the name used in the configuration."""

__all__ = ["POLICIES", "AnyMemory", "Decide", "Memory", "Policy", "Want"]
