from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean

import pytest

from bench.balance.agents import FAILING, MEAN, PAUSING, SLOW, STEADY, Station, fleet


def station(profile: object = STEADY, seed: int = 1) -> Station:
    return Station(profile, random.Random(seed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "count", "expected"),
    [
        pytest.param("equal", 3, ["steady"] * 3, id="equal agents are all steady"),
        pytest.param(
            "unequal", 8, ["slow", "pausing", "failing"] + ["steady"] * 5, id="one in eight each"
        ),
        pytest.param("unequal", 4, ["slow", "pausing", "failing", "steady"], id="at least one"),
    ],
)
def test_a_fleet_is(kind: str, count: int, expected: list[str]) -> None:
    assert [profile.name for profile in fleet(kind, count)] == expected


def test_another_fleet_is_refused() -> None:
    with pytest.raises(ValueError, match="no fleet 'odd'"):
        fleet("odd", 8)


def test_service_takes_its_mean_on_average() -> None:
    agent = station()
    times = [agent.done_at(at) - at for at in range(20_000)]
    assert fmean(times) == pytest.approx(MEAN, rel=0.02)


def test_the_slow_one_takes_four_times_as_long_and_can_a_quarter() -> None:
    agent = station(SLOW)
    times = [agent.done_at(at) - at for at in range(20_000)]
    assert fmean(times) == pytest.approx(4 * MEAN, rel=0.02)
    assert SLOW.capacity == pytest.approx(STEADY.capacity / 4)


def test_a_request_without_a_slot_waits_for_the_first_that_is_free() -> None:
    agent = station(replace(STEADY, slots=2))
    first, second = agent.done_at(0.0), agent.done_at(0.0)
    assert agent.done_at(0.0) > min(first, second)


def test_a_full_agent_serves_at_its_capacity() -> None:
    agent = station()
    done = max(agent.done_at(0.0) for _ in range(4000))
    assert 4000 / done == pytest.approx(STEADY.capacity, rel=0.05)


def test_the_failing_one_fails_at_once_and_without_end() -> None:
    agent = station(FAILING)
    assert [agent.done_at(5.0) for _ in range(100)] == [5.001] * 100
    assert FAILING.capacity == 0.0


def test_nothing_ends_in_a_pause_and_what_it_meets_is_late_by_it() -> None:
    calm, pausing = station(STEADY), station(PAUSING)
    late = {round(pausing.done_at(at / 4) - calm.done_at(at / 4), 6) for at in range(400)}
    # a request that comes in the middle of a pause is late by the rest of it
    assert min(late) == 0.0
    assert 1.0 < max(late) <= PAUSING.pause


def test_the_same_seed_does_the_same() -> None:
    one, other = station(PAUSING, 7), station(PAUSING, 7)
    assert [one.done_at(at) for at in range(100)] == [other.done_at(at) for at in range(100)]
