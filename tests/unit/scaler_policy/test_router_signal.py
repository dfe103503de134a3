"""What the gateway's counters become as readings."""

from __future__ import annotations

from typing import Any

import pytest
from scaler_kit import histogram, totals

from fleet.config.schema import RouterSignal
from fleet.model import Reading
from fleet.telemetry.slab import VersionTotals
from scaler.signals.router import RouterReadings
from scaler.signals.window import HistogramWindow


def router(**settings: Any) -> RouterReadings:
    return RouterReadings(RouterSignal.model_validate(settings))


def read(
    signal: RouterReadings, counters: VersionTotals, now: float = 0.0, ready: int = 1
) -> dict[str, Reading]:
    readings = signal.read(counters, slots=8, ready=ready, now=now)
    return {reading.signal: reading for reading in readings}


@pytest.mark.parametrize(
    ("busy", "queued", "value", "detail"),
    [
        pytest.param(0, 0, 0, "0", id="an idle version"),
        pytest.param(5, 0, 5, "5", id="requests in flight"),
        pytest.param(11, 9, 20, "11 + queue 9 = 20", id="queued requests count as busy"),
    ],
)
def test_in_flight(busy: int, queued: int, value: float, detail: str) -> None:
    reading = read(router(), totals(busy, queued))["router.in_flight"]
    assert (reading.value, reading.detail, reading.ratio) == (value, detail, False)
    assert reading.target == pytest.approx(5.6)


def test_percentiles_are_only_read_when_they_are_asked_for() -> None:
    assert list(read(router(), totals())) == ["router.in_flight"]
    both = router(slo="500ms", latency="2s")
    assert list(read(both, totals())) == ["router.in_flight", "router.wait", "router.first_byte"]


def test_a_percentile_is_of_what_came_since_it_was_first_looked_at() -> None:
    signal = router(slo="500ms", latency="2s")
    old = histogram({300.0: 1000})
    read(signal, totals(wait=old, first_byte=old))
    new = histogram({300.0: 1000, 1.0: 100})
    readings = read(signal, totals(wait=new, first_byte=new), now=1.0)
    wait, first_byte = readings["router.wait"], readings["router.first_byte"]
    assert wait.value == first_byte.value == pytest.approx(0.975)
    assert (wait.target, wait.ratio) == (0.5, True)
    assert (first_byte.target, first_byte.ratio) == (2.0, True)
    assert wait.detail == "p95 975ms"


def test_without_traffic_a_percentile_has_no_samples_and_is_not_lost() -> None:
    signal = router(slo="500ms")
    for now in (0.0, 1.0):
        reading = read(signal, totals(wait=histogram({1.0: 50})), now)["router.wait"]
        assert (reading.value, reading.error) == (None, None)


def test_a_percentile_begins_anew_when_the_number_of_ready_replicas_changes() -> None:
    signal = router(slo="500ms")
    read(signal, totals(), now=0.0, ready=1)
    slow = totals(wait=histogram({10.0: 50}))
    assert read(signal, slow, now=1.0, ready=1)["router.wait"].value is not None
    assert read(signal, slow, now=2.0, ready=2)["router.wait"].value is None
    faster = totals(wait=histogram({10.0: 50, 0.001: 50}))
    assert read(signal, faster, now=3.0, ready=2)["router.wait"].value == pytest.approx(0.00095)


def test_a_window_counts_what_came_within_it() -> None:
    window = HistogramWindow(10.0)
    seen = [window.observe(now, (count,)) for now, count in ((0, 100), (6, 130), (12, 150))]
    assert seen == [(0,), (30,), (50,)]
    assert window.observe(16, (155,)) == (25,)
    assert window.observe(100, (155,)) == (0,)


def test_a_window_shorter_than_the_ticks_counts_from_the_tick_before() -> None:
    window = HistogramWindow(0.5)
    assert [window.observe(now, (now * 10,)) for now in range(4)] == [(0,), (10,), (10,), (10,)]


def test_a_window_begins_anew_with_a_new_histogram() -> None:
    window = HistogramWindow(10.0)
    window.observe(0, (100, 5))
    assert window.observe(1, (3, 6)) == (0, 0)
    assert window.observe(2, (4, 6)) == (1, 0)


def test_a_window_looked_at_often_stays_small_and_exact_to_a_twentieth() -> None:
    window = HistogramWindow(10.0)
    counted = [window.observe(step / 100, (step,))[0] for step in range(5000)]
    assert min(counted[1100:]) >= 1000
    assert max(counted[1100:]) <= 1051
    assert len(window._snapshots) <= 22
