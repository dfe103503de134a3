"""How long and how often the balance works are measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Seconds are of one measurement, rounds of all gateways in turn."""

    rounds: int
    seconds: float
    model_seeds: int
    model_seconds: float
    agents: int = 8
    few: int = 4
    """Agents of the overload work: five times what they can must be little for the client."""
    fleet: int = 100
    """Agents of the model."""
    load: float = 0.5
    """Share of the agents' capacity that is offered; the failing ones have none."""


FULL = Plan(rounds=3, seconds=20.0, model_seeds=5, model_seconds=30.0)

QUICK = Plan(rounds=1, seconds=5.0, model_seeds=1, model_seconds=10.0)
