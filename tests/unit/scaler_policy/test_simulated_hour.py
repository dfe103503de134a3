"""An hour of a pool in a moment: one tick a second, on a clock moved by hand.

Each replica has 10 slots and should have 7 of them busy.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from scaler_kit import FakeGateway, Fleet, Journal, config, total, totals

from fleet.clock import ManualClock
from fleet.model import Direction, Reading
from scaler.pool_loop import PoolLoop, ScaledPool
from scaler.signals import inputs
from scaler.signals.pool import PoolSignals
from scaler.state import PoolState


class ListedSignals(PoolSignals):
    """The router's readings, and more that are put in by hand."""

    extra: tuple[Reading, ...] = ()

    def read(self, *args: Any, **more: Any) -> tuple[Reading, ...]:
        return (*super().read(*args, **more), *self.extra)


class Hour:
    """One pool with one version. `sizes` has the size after each tick."""

    def __init__(self, **scale: Any) -> None:
        self.clock, self.journal = ManualClock(1000.0), Journal()
        self.gateway, self.fleet = FakeGateway(), Fleet()
        pool = config({"support": {"scale": {"min": 1, "max": 20, **scale}}}).pools["support"]
        self.signals = ListedSignals(
            inputs(pool.scale.signals, store_url="", prometheus_url=None),
            clock=self.clock,
            interval=1.0,
            on_event=lambda kind, message: None,
        )
        self.loop = PoolLoop(
            "support",
            ScaledPool.of(pool, {"v1": 100}, {}),
            self.signals,
            PoolState(),
            gateway=self.gateway,
            recorder=self.journal,
            clock=self.clock,
            apply=self.fleet.apply,
            pack=self.gateway.pack,
            counts=self.fleet.counts,
        )
        self.sizes: list[int] = []

    def run(self, seconds: int, load: Callable[[int], int]) -> list[int]:
        """Tick each second under `load(second)` requests in flight; the sizes."""
        start = len(self.sizes)
        for second in range(seconds):
            self.gateway.load["support", "v1"] = totals(load(second))
            self.loop.tick()
            self.sizes.append(self.fleet.sizes["support", "v1"])
            self.clock.advance(1.0)
        return self.sizes[start:]

    def moves(self) -> int:
        return sum(d.direction is not Direction.HOLD for d in self.journal.decisions)


def test_a_quiet_hour_changes_nothing_after_the_start() -> None:
    hour = Hour()
    assert set(hour.run(3600, lambda _: 3)) == {1}
    assert [d.desired for d in hour.journal.decisions] == [1]


def test_a_burst_is_met_as_fast_as_the_rate_allows_and_left_after_the_window() -> None:
    hour = Hour()
    hour.run(600, lambda _: 5)
    burst = hour.run(120, lambda _: 80)
    assert burst[0] == 5, "4 more at once"
    assert burst[14] == 5, "then no more for 15 s"
    assert burst[15] == 10, "then twice as many"
    assert burst[30] == 12, "80 requests at 7 each"
    after = hour.run(600, lambda _: 5)
    assert after[58] == 12, "the last second of the burst was 59 s ago"
    assert after[59:] == [1] * 541
    assert hour.moves() == 5


def test_load_that_swings_faster_than_the_window_moves_nothing() -> None:
    hour = Hour()
    hour.run(60, lambda second: 63 if second % 10 < 5 else 20)
    steady = hour.run(3540, lambda second: 63 if second % 10 < 5 else 20)
    assert set(steady) == {9}
    assert len(hour.journal.decisions) < 10


def test_noise_does_not_make_the_size_flap() -> None:
    hour, random = Hour(), Random(7)
    sizes = hour.run(3600, lambda _: max(0, round(random.gauss(40, 4))))
    flips = sum(
        (b - a) * (d - c) < 0
        for (a, b), (c, d) in pairwise([pair for pair in pairwise(sizes) if pair[0] != pair[1]])
    )
    assert flips <= 12, "turns of direction in an hour"
    assert max(sizes) <= 9
    assert min(sizes[60:]) >= 6, "never below what the mean needs"


def test_an_idle_pool_with_min_zero_goes_to_zero_and_wakes_at_once() -> None:
    hour = Hour(min=0)
    assert hour.run(10, lambda _: 1) == [1] * 10
    idle = hour.run(120, lambda _: 0)
    assert idle[58:61] == [1, 0, 0]
    assert hour.run(1, lambda _: 1) == [1]


def test_a_lost_signal_holds_the_size_and_its_return_lets_it_fall() -> None:
    hour = Hour()
    hour.signals.extra = (total(40),)
    hour.run(60, lambda _: 0)
    hour.signals.extra = (total(None, error="connection refused"),)
    assert set(hour.run(600, lambda _: 0)) == {4}
    kept = hour.journal.reasons()[-1]
    assert kept == "hold 4: wanted 0, kept by lost (queue: connection refused)"
    assert hour.run(1, lambda _: 60) == [8], "more load still adds replicas"
    hour.signals.extra = (total(0),)
    assert hour.run(120, lambda _: 0)[-1] == 1


def test_a_percentile_above_its_target_does_not_run_away() -> None:
    hour = Hour(signals=[{"router": {"slo": "500ms"}}])
    waited = [0] * 18

    def slow_for_a_while(second: int) -> int:
        waited[10 if second < 3 else 0] += 20
        hour.gateway.load["support", "v1"] = totals(4, wait=waited)
        return 4

    sizes = []
    for second in range(60):
        slow_for_a_while(second)
        hour.loop.tick()
        sizes.append(hour.fleet.sizes["support", "v1"])
        hour.clock.advance(1.0)
    assert max(sizes) == 2, "measured anew with the second replica, waiting is over"


def test_the_decisions_of_an_hour_fit_on_a_page() -> None:
    hour, random = Hour(), Random(3)
    hour.run(3600, lambda second: max(0, round(30 + random.gauss(0, 3) + 25 * (second // 900 % 2))))
    assert len(hour.journal.decisions) <= 40
