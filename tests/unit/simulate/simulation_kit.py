"""Small set-ups and workloads for the simulator."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from random import Random
from typing import Any

from fleet.config.schema import Scale
from scaler.simulate.distribution import parse_distribution
from scaler.simulate.setup import Setup, VersionSetup
from scaler.simulate.workload import Workload


def setup(**changes: Any) -> Setup:
    """One version with a slot a replica, that starts in 10 s, under a wait SLO of 1 s."""
    given: dict[str, Any] = {
        "pool": "support",
        "versions": (VersionSetup(name="v1", weight=100, slots=1),),
        "scale": Scale(min=1, max=20),
        "queue_limit": 200,
        "queue_timeout": 10.0,
        "drain_timeout": 30.0,
        "cold_start": parse_distribution("10s"),
        "slo": 1.0,
        "initial": 1,
        **changes,
    }
    return Setup(**given)


def requests(*pairs: tuple[float, float], end: float) -> Workload:
    """Requests given as arrival and service time."""
    return Workload(
        arrivals=array("d", [arrival for arrival, _ in pairs]),
        services=array("d", [service for _, service in pairs]),
        end=end,
    )


def poisson(rate: float, mean: float, end: float, seed: int = 1) -> Workload:
    """Poisson arrivals at `rate` a second, exponential service times of `mean` seconds."""
    rng = Random(seed)
    arrivals = array("d", _until(end, rate, rng))
    services = array("d", [rng.expovariate(1 / mean) for _ in arrivals])
    return Workload(arrivals=arrivals, services=services, end=end)


def _until(end: float, rate: float, rng: Random) -> Iterable[float]:
    now = rng.expovariate(rate)
    while now < end:
        yield now
        now += rng.expovariate(rate)
