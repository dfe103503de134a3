"""The parts of the comparison of policies that are not the simulator's own."""

from __future__ import annotations

from array import array

import pytest

from bench.scaler import report, works
from bench.scaler.plan import TRAFFIC
from fleet.config.schema import Scale
from scaler.simulate.distribution import parse_distribution
from scaler.simulate.setup import Setup, VersionSetup
from scaler.simulate.traces import Windows
from scaler.simulate.tuning import Scenario
from scaler.simulate.workload import Change, Workload


def scenario(cold_start: str = "10s") -> Scenario:
    return Scenario(
        name="steps",
        setup=Setup(
            pool="steps",
            versions=(VersionSetup(name="v1", weight=100, slots=2),),
            scale=Scale(max=50),
            queue_limit=10**6,
            queue_timeout=60.0,
            drain_timeout=60.0,
            cold_start=parse_distribution(cold_start),
            slo=1.0,
            initial=1,
        ),
        trace=Windows(width=60.0, counts=array("d", [60, 600, 60, 900, 30]), exact=True, cvs=None),
        change=Change(),
        service=parse_distribution("exponential:1s"),
        seeds=(0, 1),
    )


@pytest.mark.parametrize("cold_start", ["10s", "60s"])
def test_an_oracle_misses_nothing_and_costs_less_than_its_peak(cold_start: str) -> None:
    found = works.oracle(scenario(cold_start))
    assert found.miss_ratio == 0.0
    assert found.replica_hours < 300 / 3600 * 15


def test_the_oracle_sees_the_most_slots_that_are_busy_ahead() -> None:
    workload = Workload(
        arrivals=array("d", [1.0, 5.0, 5.5, 20.0]), services=array("d", [1.0] * 4), end=30.0
    )
    knows = works.foreseeing(workload, ahead=2.0, slots=1)
    assert knows([]) == {"v1": 1}
    assert works._busiest(workload)[5] == 2
    assert works._window_maximum([1, 3, 2, 0, 0], 2) == [3, 3, 2, 0, 0]


def test_a_constant_size_of_equal_cost_lies_between_two_whole_ones() -> None:
    low, high = works.equal_cost(scenario(), 4 * 300 / 3600), works.equal_cost(scenario(), 5 / 12)
    middle = works.equal_cost(scenario(), 4.5 * 300 / 3600)
    assert middle.replica_hours == pytest.approx(4.5 * 300 / 3600)
    assert middle.miss_ratio == pytest.approx((low.miss_ratio + high.miss_ratio) / 2)
    assert low.starts == 0


def test_policies_are_learned_on_some_traces_and_reported_on_others_of_each_group() -> None:
    for group in ("hour", "shifting"):
        learn = [traffic.learn for traffic in TRAFFIC if traffic.group == group]
        assert any(learn)
        assert not all(learn)


def test_only_the_part_between_the_marks_is_rewritten() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.rewritten(page, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    with pytest.raises(ValueError, match="the page has no"):
        report.rewritten("before", "new")
    published = report.rewritten(report.PAGE.read_text(), "new")
    assert f"{report.BEGIN}\nnew\n{report.END}" in published
