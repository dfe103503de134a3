"""Policies: from what was observed of one version to the size it should have.

A policy is pure. It knows nothing of bounds, rates or other versions; the guardrails and the
allocation come after it (`scaler.decide`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from fleet.config.schema import Scale
from fleet.model import Observation
from scaler.policies import target
from scaler.policies.want import Want


class Policy(Protocol):
    """Decides from one observation and what it remembers itself (`memory`, plain numbers)."""

    def __call__(
        self, observation: Observation, settings: Scale, memory: Mapping[str, float]
    ) -> tuple[Want, Mapping[str, float]]:
        """What is wanted, and what to remember for the next tick."""
        ...


POLICIES: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        "target": target.decide,
    }
)
"""By the name used in the configuration."""

__all__ = ["POLICIES", "Policy", "Want"]
