from __future__ import annotations

import pytest

from bench.balance.agents import fleet
from bench.balance.simulation import POLICIES, simulated
from router.balance import BALANCERS

UNEQUAL = fleet("unequal", 16)
RATE = sum(profile.capacity for profile in UNEQUAL) / 2


def test_every_policy_but_hashing_is_simulated() -> None:
    assert list(POLICIES) == [name for name in BALANCERS if name != "consistent_hash"]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_figures(policy: str) -> None:
    first, again = (simulated(policy, UNEQUAL, 100.0, 2.0, 5) for _ in range(2))

    assert first == again
    assert first != simulated(policy, UNEQUAL, 100.0, 2.0, 6)


@pytest.mark.parametrize("policy", POLICIES)
def test_at_no_load_a_request_takes_its_service_time(policy: str) -> None:
    found = simulated(policy, fleet("equal", 4), 5.0, 40.0, 1)

    assert found["error_rate"] == 0.0
    assert found["p99"] < 0.2


@pytest.mark.parametrize("policy", ["peak_ewma", "prequal"])
def test_what_learns_spares_the_failing(policy: str) -> None:
    found = simulated(policy, UNEQUAL, RATE, 5.0, 1)

    assert found["error_rate"] < 0.02


def test_round_robin_gives_each_the_same_and_drowns_the_slow() -> None:
    found = simulated("round_robin", UNEQUAL, RATE, 5.0, 1)

    for name in ("slow", "pausing", "failing"):
        assert found[f"share_{name}"] == pytest.approx(2 / 16, abs=0.005)
    assert found["p99"] > 1.0


def test_least_request_spares_the_slow_and_feeds_the_failing() -> None:
    found = simulated("least_request", UNEQUAL, RATE, 5.0, 1)

    assert found["share_slow"] < 0.07
    assert found["share_failing"] > 0.18
    assert found["p99"] < 0.5
