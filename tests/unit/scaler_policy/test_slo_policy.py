"""The policy of objectives: what it measures, what it asks for, when it lets go."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec import structs
from scaler_kit import histogram, scale, seen, total

from fleet.model import Observation
from scaler.policies.offered import Offered, begun, followed
from scaler.policies.slo import SloMemory, decide, waits_on
from scaler.policies.want import Want

SERVICE = 0.5


class Traffic:
    """A version under a steady or changing rate, each request taking half a second."""

    def __init__(self, desired: int = 5, **settings: Any) -> None:
        self.settings = scale(policy="slo", slo="p95 wait 1s", **settings)
        self.memory: SloMemory | None = None
        self.second, self.arrived, self.desired = 0.0, 0.0, desired

    def run(self, seconds: int, rate: float, **more: Any) -> Want:
        """The last decision of so many ticks; every size is there at once."""
        for _ in range(seconds):
            self.second += 1.0
            self.arrived += rate
            want, self.memory = decide(self.look(rate, **more), self.settings, self.memory)
            self.desired = want.replicas
        return want

    def long_known(self) -> None:
        """As after hours without a burst that came back."""
        assert self.memory is not None
        self.memory = structs.replace(self.memory, returned=0.0)

    def look(self, rate: float, **more: Any) -> Observation:
        count = int(self.arrived)
        given: dict[str, Any] = {
            "in_flight": round(rate * SERVICE),
            "arrived": count,
            "served": count,
            "busy": count * SERVICE,
            "start_seconds": (10.0,),
            **more,
        }
        readings = given.pop("readings", ())
        return seen(*readings, desired=self.desired, now=self.second, **given)


def test_steady_load_gets_its_slots_and_little_more() -> None:
    want = Traffic(desired=12).run(900, 80.0)
    assert 40 / 4 <= want.replicas <= 40 / 4 + 2


def test_the_reason_tells_what_was_seen() -> None:
    want = Traffic().run(120, 8.0)
    assert want.reason.startswith("8 requests/s of 0.5s load 4 slots, 4 are in flight and 0 queued")
    assert "p95 wait 1s needs" in want.reason


def test_a_load_that_is_over_is_told_as_none() -> None:
    traffic = Traffic()
    traffic.run(120, 8.0)
    assert traffic.run(900, 0.0).reason.startswith("0 requests/s of 0.5s load 0 slots")


def test_a_load_that_rises_is_met_before_it_is_there() -> None:
    traffic = Traffic()
    traffic.run(300, 40.0)
    for step in range(60):
        want = traffic.run(1, 40.0 + step)
    assert want.replicas * 4 > (100 + 10) * SERVICE


def test_after_a_peak_the_size_is_held_and_then_falls() -> None:
    traffic = Traffic()
    peak = traffic.run(300, 80.0).replicas
    traffic.long_known()
    assert traffic.run(170, 8.0).replicas == peak
    assert traffic.run(120, 8.0).replicas <= 3


def test_a_burst_that_comes_back_is_held_for_until_the_next() -> None:
    traffic = Traffic()
    traffic.run(120, 80.0)
    traffic.long_known()
    assert traffic.run(400, 8.0).replicas <= 3
    peak = traffic.run(60, 80.0).replicas
    assert traffic.run(400, 8.0).replicas > peak / 2
    assert traffic.run(300, 8.0).replicas <= 3


def test_before_it_is_known_bursts_are_taken_to_come_back_late() -> None:
    traffic = Traffic()
    peak = traffic.run(300, 80.0).replicas
    assert traffic.run(600, 8.0).replicas == peak
    assert traffic.run(300, 8.0).replicas <= 3


def test_the_faster_replicas_start_the_sooner_a_size_is_let_go() -> None:
    fast = Traffic()
    peak = fast.run(300, 80.0, start_seconds=(2.0,)).replicas
    assert fast.run(50, 8.0, start_seconds=(2.0,)).replicas == peak
    assert fast.run(60, 8.0, start_seconds=(2.0,)).replicas <= 3


def test_a_burst_that_stays_away_for_long_does_not_lengthen_the_hold() -> None:
    traffic = Traffic()
    traffic.run(120, 80.0)
    traffic.long_known()
    traffic.run(1200, 8.0)
    traffic.run(60, 80.0)
    assert traffic.run(300, 8.0).replicas <= 3


def test_what_a_queue_that_piled_up_needed_is_not_held() -> None:
    traffic = Traffic()
    calm = traffic.run(300, 40.0).replicas
    piled = traffic.run(5, 40.0, in_flight=4 * calm, queued=400).replicas
    assert piled > 3 * calm
    assert traffic.run(1, 40.0).replicas < piled / 2


def test_a_hold_of_the_configuration_goes_before_its_own() -> None:
    traffic = Traffic(stabilization="20s")
    traffic.run(300, 80.0)
    assert traffic.run(80, 8.0).replicas <= 3


def test_an_idle_version_goes_to_zero_and_the_first_request_wakes_it() -> None:
    traffic = Traffic(min=0)
    traffic.run(60, 8.0)
    traffic.long_known()
    assert traffic.run(400, 0.0).replicas == 0
    assert traffic.run(1, 0.0, queued=1).replicas == 1


def test_late_requests_widen_the_spare() -> None:
    calm, late = Traffic(), Traffic()
    calm.run(200, 40.0)
    late.run(100, 40.0)
    for count in range(100):
        late.run(1, 40.0, waits=histogram({2.5: 40 * count}))
    assert late.run(1, 40.0).replicas > calm.run(1, 40.0).replicas
    assert late.run(1, 40.0, waits=histogram({2.5: 4000})).reason.endswith("slots, spare x1.5")


@pytest.mark.parametrize(
    ("queued", "starting_for", "useful"),
    [
        pytest.param(0, (), False, id="nothing waits"),
        pytest.param(20, (), False, id="twenty are served by the spare slots before a start ends"),
        pytest.param(4000, (), True, id="four thousand are not"),
        pytest.param(500, (), True, id="five hundred are not"),
        pytest.param(500, (9.0,) * 10, False, id="but ten on their way will"),
    ],
)
def test_a_queue_counts_only_if_a_start_would_help(
    queued: int, starting_for: tuple[float, ...], useful: bool
) -> None:
    observation = seen(desired=9, queued=queued, starting_for=starting_for)
    offered = Offered(
        at=0.0,
        arrived=0,
        served=0,
        busy=0.0,
        waited=0,
        late=0,
        block_ends=0.0,
        served_lately=100.0,
        busy_lately=50.0,
        rate=40.0,
        load=20.0,
    )
    assert waits_on(observation, offered, 10.0) is useful


def test_a_queue_from_outside_is_asked_too() -> None:
    want = Traffic().run(10, 8.0, readings=(total(90),))
    assert want.replicas == 9
    assert want.reason == "queue 90 needs 9 replicas at 10 each"


def test_offered_load_follows_littles_law() -> None:
    offered = begun(seen(desired=1), 1.0)
    for second in range(1, 60):
        look = seen(
            desired=1,
            now=float(second),
            in_flight=15,
            arrived=30 * second,
            served=30 * second,
            busy=15.0 * second,
        )
        offered = followed(offered, look, 1.0, 10.0)
    assert offered.service == pytest.approx(0.5)
    assert offered.load == pytest.approx(15.0, rel=0.01)
    assert offered.rise < 1.0
    assert offered.ahead == 0.0


def test_counters_that_begin_anew_are_not_taken_for_negative_load() -> None:
    traffic = Traffic()
    traffic.run(100, 40.0)
    traffic.arrived = 0.0
    assert traffic.run(5, 40.0).replicas >= 5
    assert math.isfinite(traffic.memory.offered.load if traffic.memory else math.nan)
