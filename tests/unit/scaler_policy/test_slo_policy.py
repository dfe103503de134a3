"""The policy of objectives: what it measures, what it asks for, when it lets go."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec import structs
from scaler_kit import histogram, scale, seen, total

from fleet.model import Observation
from scaler.policies.offered import Offered, begun, followed
from scaler.policies.slo import SloMemory, decide, waiting
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


def offered_of(**known: float) -> Offered:
    """What is known of a version whose requests take half a second."""
    return Offered(
        at=0.0,
        arrived=0,
        served=0,
        busy=0.0,
        waited=0,
        late=0,
        block_ends=0.0,
        service=SERVICE,
        **known,
    )


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


def test_a_size_held_by_the_stricter_bound_is_not_told_as_one_that_was_needed() -> None:
    traffic = Traffic(desired=30, stabilization="1s")
    traffic.run(60, 6.0)
    reason = traffic.run(20, 3.0).reason
    assert reason.endswith("needs 4 slots; held at 2, as 1 would leave no margin")


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


def test_bursts_out_of_nothing_are_not_taken_to_come_on_top_of_each_other() -> None:
    """Far above a load of none, a thousand slots are not to be expected times its root again."""
    traffic = Traffic()
    for _ in range(10):
        traffic.run(130, 0.0)
        want = traffic.run(20, 2000.0)
    assert 1000 <= want.replicas * 4 <= 2500


def test_late_requests_widen_the_spare() -> None:
    calm, late = Traffic(), Traffic()
    calm.run(200, 40.0)
    late.run(100, 40.0)
    for count in range(100):
        late.run(1, 40.0, waits=histogram({2.5: 40 * count}))
    assert late.run(1, 40.0).replicas > calm.run(1, 40.0).replicas
    assert late.run(1, 40.0, waits=histogram({2.5: 4000})).reason.endswith("slots, spare x1.5")


@pytest.mark.parametrize(
    ("queued", "starting_for", "counted"),
    [
        pytest.param(0, (), 0, id="nothing waits"),
        pytest.param(20, (), 0, id="twenty are served by the spare slots before a start ends"),
        pytest.param(4000, (), 4000, id="four thousand are not"),
        pytest.param(500, (), 500, id="five hundred are not"),
        pytest.param(500, (9.0,) * 10, 0, id="but ten on their way will serve them"),
    ],
)
def test_a_queue_counts_only_if_a_start_would_help(
    queued: int, starting_for: tuple[float, ...], counted: int
) -> None:
    observation = seen(desired=9, queued=queued, starting_for=starting_for)
    assert waiting(observation, offered_of(rate=40.0, load=20.0), 10.0) == pytest.approx(counted)


def test_a_queue_is_expected_to_grow_by_as_much_as_it_has() -> None:
    # 400 come in the 10 s of a start, one replica of 4 slots serves 80
    observation = seen(desired=1, in_flight=4, queued=30)
    assert waiting(observation, offered_of(rate=40.0, load=20.0), 10.0) == 60


def test_what_is_on_its_way_is_kept_while_requests_wait() -> None:
    """Else it would be cancelled as soon as it makes the queue count no longer."""
    traffic = Traffic(desired=1)
    traffic.run(60, 40.0)
    traffic.desired = 30
    on_their_way = {"ready": 6, "starting_for": (9.0,) * 24, "in_flight": 24}
    want = traffic.run(1, 40.0, queued=300, **on_their_way)
    assert want.replicas == 30
    assert want.reason.endswith("; kept at 30 while requests wait")


def test_a_load_that_comes_back_after_an_hour_is_known_by_its_service_time() -> None:
    traffic = Traffic(desired=5)
    traffic.run(120, 8.0)
    traffic.run(3600, 0.0)
    assert traffic.memory is not None
    assert traffic.memory.offered.service == pytest.approx(SERVICE)


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


def test_requests_in_flight_count_while_only_the_quickest_have_ended() -> None:
    """Ten since 9 s ago, of which one ended after a second: 81 slot-seconds and more, not one."""
    offered = begun(seen(desired=3), 1.0)
    for second in range(1, 11):
        ended = 1 if second >= 2 else 0
        look = seen(
            desired=3,
            now=float(second),
            in_flight=10 - ended,
            arrived=10,
            served=ended,
            busy=float(ended),
        )
        offered = followed(offered, look, 1.0, 10.0)
    assert 70 < offered.service < 90


def among_short_ones(long: int, seconds: int, ended: int = 0) -> Traffic:
    """`long` requests of hours beside two a second of half a second; `ended` end at last."""
    traffic = Traffic(desired=5)
    for second in range(seconds):
        over = ended if second == seconds - 1 else 0
        busy = (second + 1) * 2 * SERVICE + over * 7200.0
        served = (second + 1) * 2 + over
        traffic.run(1, 2.0, in_flight=1 + long - over, served=served, busy=busy)
    return traffic


def test_long_requests_among_short_ones_keep_their_slots() -> None:
    traffic = among_short_ones(10, 3600)
    assert 11 < traffic.desired * 4 <= 20
    assert traffic.memory is not None
    assert traffic.memory.offered.service == pytest.approx(SERVICE, rel=0.1)


def test_long_requests_that_end_are_not_taken_for_what_all_will_be_like() -> None:
    traffic = among_short_ones(10, 3600, ended=10)
    for count in range(1, 600):
        served = 7210 + 2 * count
        busy = 7200 * SERVICE + 72_000 + 2 * SERVICE * count
        traffic.run(1, 2.0, in_flight=1, served=served, busy=busy)
        assert traffic.desired <= 8


def test_a_load_is_unknown_until_a_request_has_ended() -> None:
    """Those that wait for a start are no load that is there all the time."""
    offered = begun(seen(desired=0), 1.0)
    for second in range(1, 30):
        look = seen(desired=0, now=float(second), queued=40 * second, arrived=40 * second)
        offered = followed(offered, look, 1.0, 60.0)
    assert (offered.load, offered.ends) == (0.0, ())
    assert offered.rate == pytest.approx(40.0)


def test_requests_that_take_no_time_are_no_load() -> None:
    look = seen(desired=1, now=1.0, arrived=40, served=40, busy=0.0)
    offered = followed(offered_of(rate=40.0, load=20.0), look, 1.0, 10.0)
    assert (offered.service, offered.load) == (0.0, 0.0)


def test_counters_that_begin_anew_are_not_taken_for_negative_load() -> None:
    traffic = Traffic()
    traffic.run(100, 40.0)
    traffic.arrived = 0.0
    assert traffic.run(5, 40.0).replicas >= 5
    assert math.isfinite(traffic.memory.offered.load if traffic.memory else math.nan)
