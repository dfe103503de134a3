"""The health state machine, the pace of checks and the backoff, as tables."""

from __future__ import annotations

import pytest

from scaler import backoff
from scaler.health import HealthView, Verdict, delay, first_offset, observe

STORIES = {
    "never asked": ("", 1, 1, Verdict.UNKNOWN),
    "the first success is enough, whatever rise is": ("+", 3, 3, Verdict.HEALTHY),
    "failures before the first success leave it unknown": ("----", 1, 3, Verdict.UNKNOWN),
    "failures of the start do not count against it later": ("---+--", 1, 3, Verdict.HEALTHY),
    "fewer failures than fall": ("+--", 1, 3, Verdict.HEALTHY),
    "as many failures as fall": ("+---", 1, 3, Verdict.UNHEALTHY),
    "a success between begins the count anew": ("+--+--", 1, 3, Verdict.HEALTHY),
    "fall of one": ("+-", 1, 1, Verdict.UNHEALTHY),
    "fewer successes than rise": ("+---+", 2, 3, Verdict.UNHEALTHY),
    "as many successes as rise": ("+---++", 2, 3, Verdict.HEALTHY),
    "a failure between begins the count of successes anew": ("+---+-+", 2, 3, Verdict.UNHEALTHY),
}


@pytest.mark.parametrize(("story", "rise", "fall", "verdict"), STORIES.values(), ids=STORIES)
def test_verdict(story: str, rise: int, fall: int, verdict: Verdict) -> None:
    view = HealthView()
    for result in story:
        view = observe(view, result == "+", rise=rise, fall=fall)
    assert view.verdict is verdict


PACES = {
    "the first check of a start": (HealthView(), 1.0, 0.0, 0.1),
    "steps grow": (HealthView(streak=5), 1.0, 0.0, 0.1 * 1.2**5),
    "steps never exceed the interval": (HealthView(streak=10_000), 1.0, 0.0, 1.0),
    "an interval below the first step is kept": (HealthView(), 0.02, 0.0, 0.02),
    "a healthy one is asked each interval": (HealthView(verdict=Verdict.HEALTHY), 5.0, 0.0, 5.0),
    "an unhealthy one too": (HealthView(verdict=Verdict.UNHEALTHY), 5.0, 0.0, 5.0),
    "chance takes off a tenth": (HealthView(verdict=Verdict.HEALTHY), 5.0, 1.0, 4.5),
}


@pytest.mark.parametrize(("view", "interval", "fraction", "wait"), PACES.values(), ids=PACES)
def test_pace(view: HealthView, interval: float, fraction: float, wait: float) -> None:
    assert delay(view, interval=interval, fraction=fraction) == pytest.approx(wait)


def test_a_start_of_any_length_is_noticed_at_most_a_fifth_late() -> None:
    asked, view = 0.0, HealthView()
    while asked < 4.0:
        step = delay(view, interval=1.0, fraction=0.0)
        assert step <= 0.1 + 0.2 * asked + 1e-9
        asked += step
        view = observe(view, False, rise=1, fall=3)


def test_first_checks_are_spread_over_the_first_step() -> None:
    assert first_offset(interval=1.0, fraction=0.0) == 0.0
    assert first_offset(interval=1.0, fraction=0.5) == pytest.approx(0.05)
    assert first_offset(interval=0.01, fraction=0.5) == pytest.approx(0.005)


def test_backoff_doubles_from_half_a_second_to_thirty() -> None:
    waits = [backoff.restart_delay(n, port_taken=False) for n in (1, 2, 3, 4, 5, 6, 7, 8, 10_000)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_taken_port_costs_no_delay_three_times() -> None:
    waits = [backoff.restart_delay(n, port_taken=True) for n in (1, 2, 3, 4)]
    assert waits == [0, 0, 0, 4]


@pytest.mark.parametrize(
    ("failures", "healthy_for", "after"),
    [(0, 0.0, 1), (4, 59.9, 5), (4, 60.0, 1)],
    ids=["first failure", "short run adds up", "a minute in health forgets the past"],
)
def test_failures_in_a_row(failures: int, healthy_for: float, after: int) -> None:
    assert backoff.failures_after(failures, healthy_for) == after
