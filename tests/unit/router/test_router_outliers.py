"""Passive outlier ejection: who is ejected, for how long, and when nobody is."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.wire import OutliersEntry
from router.outliers import Detector, ejection_seconds, longest_mean, lowest_rate, may_eject
from tests.unit.router.kit import House, house, replica_entry, version_entry

SETTINGS = OutliersEntry(
    failures=5, gateway_errors=3, interval=10.0, requests=100, replicas=5, success_deviations=1.9,
    latency_factor=0.0, time=30.0, max_time=300.0, max_ejected=0.1, panic=0.5,
)  # fmt: skip


@pytest.mark.parametrize(("times", "seconds"), [(1, 30), (2, 60), (9, 270), (10, 300), (50, 300)])
def test_an_ejection_grows_to_its_limit(times: int, seconds: float) -> None:
    assert ejection_seconds(30.0, times, 300.0) == seconds


RATES = {
    "the example": ([1, 1, 1, 1, 0.6], 0.616),
    "small differences are none": ([1, 1, 1, 1, 0.999], 0.9498),
    "all alike": ([0.9] * 5, 0.85),
    "all fail": ([0.0] * 5, -0.05),
}


@pytest.mark.parametrize(("rates", "bound"), RATES.values(), ids=RATES)
def test_lowest_rate(rates: list[float], bound: float) -> None:
    assert lowest_rate(rates, 1.9) == pytest.approx(bound)


def test_longest_mean_goes_by_the_median() -> None:
    assert longest_mean([0.1, 0.2, 0.1, 9.0, 0.2], 3.0) == pytest.approx(0.6)


MAY: dict[str, tuple[dict[str, int], bool]] = {
    "one of ten": ({"replicas": 10, "usable": 10, "ejected": 0}, True),
    "a second of ten": ({"replicas": 10, "usable": 9, "ejected": 1}, False),
    "a second of twenty": ({"replicas": 20, "usable": 19, "ejected": 1}, True),
    "one of two": ({"replicas": 2, "usable": 2, "ejected": 0}, True),
    "the only one": ({"replicas": 1, "usable": 1, "ejected": 0}, False),
    "one of three beside one that is down": (
        {"replicas": 3, "usable": 2, "ejected": 0},
        False,
    ),
    "one of ten while four are down": ({"replicas": 10, "usable": 6, "ejected": 0}, True),
    "one of ten while five are down": ({"replicas": 10, "usable": 5, "ejected": 0}, False),
}


@pytest.mark.parametrize(("state", "may"), MAY.values(), ids=MAY)
def test_may_eject(state: dict[str, int], may: bool) -> None:
    assert may_eject(**state, max_ejected=0.1, panic=0.5) is may


def watched(count: int, **changes: Any) -> tuple[House, Detector]:
    made = house(*[replica_entry(n, slots=100) for n in range(count)])
    pool = made.pool()
    pool.configure(replace(pool.entry, outliers=replace(SETTINGS, **changes)))
    made.directory._equipment.fit(made.version())
    detector = made.version().outliers
    assert detector is not None
    return made, detector


def replies(made: House, detector: Detector, name: str, statuses: list[int | None]) -> None:
    """Replies of these statuses after 0.1 s each; None: a broken connection."""
    replica = made.version().replicas[name]
    for status in statuses:
        if status is None:
            detector.failed(replica)
        else:
            detector.ended(replica, status, 0.1)


IN_A_ROW: dict[str, tuple[list[int | None], list[str]]] = {
    "five 500s": ([500] * 5, ["r0 for 30s: failures: 5 failures in a row"]),
    "four 500s": ([500] * 4, []),
    "a success between": ([500] * 4 + [200] + [500] * 4, []),
    "three 503s": ([503] * 3, ["r0 for 30s: gateway_errors: 3 gateway errors in a row"]),
    "three broken connections": (
        [None] * 3,
        ["r0 for 30s: gateway_errors: 3 gateway errors in a row"],
    ),
    "a 500 between gateway errors": ([502, 502, 500, 502], []),
    "any number of 4xx": ([400, 404, 429, 499] * 50, []),
    "a 404 ends a row": ([500] * 4 + [404] + [500], []),
}


@pytest.mark.parametrize(("statuses", "told"), IN_A_ROW.values(), ids=IN_A_ROW)
def test_in_a_row(statuses: list[int | None], told: list[str]) -> None:
    made, detector = watched(3)
    replies(made, detector, "r0", statuses)
    assert made.ejections == told


def test_a_rule_of_zero_is_none() -> None:
    made, detector = watched(3, failures=0, gateway_errors=0)
    replies(made, detector, "r0", [500, None] * 50)
    assert made.ejections == []


def test_the_ejected_is_not_picked_and_comes_back() -> None:
    made, detector = watched(2)
    replies(made, detector, "r0", [500] * 5)
    assert [r.name for r in made.version().free] == ["r1"]
    detector.tick(29.9)
    assert len(made.version().free) == 1
    detector.tick(30.0)
    assert len(made.version().free) == 2
    assert made.ejections[-1] == "r0 is back: its time is over"


def test_what_was_on_its_way_at_the_ejection_counts_no_more() -> None:
    made, detector = watched(2)
    replies(made, detector, "r0", [500] * 9)
    detector.tick(30.0)
    replies(made, detector, "r0", [500] * 4)
    assert made.ejections[-1] == "r0 is back: its time is over"
    replies(made, detector, "r0", [500])
    assert made.ejections[-1].startswith("r0 for 60s")


def test_ejections_grow_longer_and_good_intervals_forgive() -> None:
    made, detector = watched(3)
    detector.tick(1.0)
    for _ in range(3):
        replies(made, detector, "r0", [500] * 5)
        made.restore(made.version().replicas["r0"], "")
    assert [line.split()[2] for line in made.ejections if " for " in line] == [
        "30s:",
        "60s:",
        "90s:",
    ]
    for now in (11.0, 21.0, 31.0):
        detector.tick(now)
    replies(made, detector, "r0", [500] * 5)
    assert made.ejections[-1].startswith("r0 for 30s")


def test_at_most_a_tenth_is_ejected_but_always_one() -> None:
    made, detector = watched(5)
    for name in ("r0", "r1"):
        replies(made, detector, name, [500] * 5)
    assert [line[:2] for line in made.ejections] == ["r0"]


def test_the_only_replica_is_never_ejected() -> None:
    made, detector = watched(1)
    replies(made, detector, "r0", [500] * 100)
    assert made.ejections == []


def test_when_the_others_fall_away_the_ejected_return_at_once() -> None:
    made, detector = watched(2)
    replies(made, detector, "r0", [500] * 5)
    other = made.version().replicas["r1"]
    other.serving = False
    detector.tick(0.1)
    assert made.ejections[-1] == "r0 is back: too few others are left"
    assert made.version().replicas["r0"].usable


def test_success_rates_are_compared_each_interval() -> None:
    made, detector = watched(5, failures=0, gateway_errors=0)
    detector.tick(1.0)
    for n in range(5):
        bad = 40 if n == 3 else 0
        replies(made, detector, f"r{n}", [500] * bad + [200] * (100 - bad))
    detector.tick(10.9)
    assert made.ejections == []
    detector.tick(11.0)
    assert made.ejections == ["r3 for 30s: success_rate: 60.0% succeed, of its peers 92.0%"]


FEW = {
    "too few replicas": (4, 100),
    "too few requests": (5, 99),
}


@pytest.mark.parametrize(("count", "requests"), FEW.values(), ids=FEW)
def test_nothing_is_compared_with(count: int, requests: int) -> None:
    made, detector = watched(count, failures=0, gateway_errors=0)
    detector.tick(1.0)
    for n in range(count):
        replies(made, detector, f"r{n}", [500 if n == 0 else 200] * requests)
    detector.tick(11.0)
    assert made.ejections == []


def test_counts_begin_anew_with_each_interval() -> None:
    made, detector = watched(5, failures=0, gateway_errors=0)
    detector.tick(1.0)
    for now in (11.0, 21.0):
        for n in range(5):
            replies(made, detector, f"r{n}", [500 if n == 0 else 200] * 60)
        detector.tick(now)
    assert made.ejections == []


def test_latency_is_compared_where_asked_for() -> None:
    made, detector = watched(5, latency_factor=3.0)
    detector.tick(1.0)
    for n in range(5):
        for _ in range(100):
            detector.ended(made.version().replicas[f"r{n}"], 200, 0.9 if n == 2 else 0.2)
    detector.tick(11.0)
    assert made.ejections == ["r2 for 30s: latency: 0.9s to its first byte, its peers 0.2s"]


def test_a_replica_that_was_away_begins_with_a_clean_slate() -> None:
    made, detector = watched(3)
    replies(made, detector, "r0", [500] * 5)
    entries = [replica_entry(n, slots=100) for n in range(3)]
    made.members(version_entry("v1", replace(entries[0], serving=False), *entries[1:]))
    made.members(version_entry("v1", *entries))
    detector.tick(0.1)
    assert made.version().replicas["r0"].usable
    assert made.version().replicas["r0"].record.times == 0


def test_switched_off_the_rules_let_everyone_back() -> None:
    made, detector = watched(2)
    replies(made, detector, "r0", [500] * 5)
    pool = made.pool()
    pool.configure(replace(pool.entry, outliers=None))
    made.directory._equipment.fit(made.version())
    assert made.version().outliers is None
    assert made.ejections[-1] == "r0 is back: the rules are off"
