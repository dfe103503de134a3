"""How long and how often everything is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Seconds are of one measurement, rounds of all peers in turn."""

    rounds: int
    seconds: int
    small_rounds: int
    """Of the small POST, on which the most depends."""
    slow_rounds: int
    """Of works whose measurements take several seconds each."""
    idle_connections: int
    replicas: tuple[int, ...]
    routes: tuple[int, ...]
    scale_rounds: int
    """Of the cost by number of replicas and routes: small differences."""
    soak_seconds: float
    stream_seconds: float
    """Of event streams: whole replies of 100 events at 50 a second."""


FULL = Plan(
    rounds=3,
    seconds=2,
    small_rounds=5,
    slow_rounds=2,
    idle_connections=10_000,
    replicas=(1, 10, 100, 1000),
    routes=(10, 100, 1000),
    scale_rounds=7,
    soak_seconds=600.0,
    stream_seconds=4.0,
)

QUICK = Plan(
    rounds=1,
    seconds=1,
    small_rounds=3,
    slow_rounds=1,
    idle_connections=1000,
    replicas=(1, 1000),
    routes=(10, 1000),
    scale_rounds=1,
    soak_seconds=10.0,
    stream_seconds=2.0,
)
