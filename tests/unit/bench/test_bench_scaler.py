"""The parts of the comparison of policies that are not the simulator's own."""

from __future__ import annotations

from array import array

import pytest
from msgspec.structs import replace

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


def test_an_oracle_goes_by_the_seconds_of_the_run_not_by_the_clock_of_the_trace() -> None:
    steps = scenario()
    dated = replace(steps, trace=replace(steps.trace, clock=1_700_000_000.0))
    assert works.oracle(dated) == works.oracle(steps)


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


def test_misses_count_from_the_end_of_the_warm_up() -> None:
    run = works.simulate(
        scenario().setup,
        Workload(
            arrivals=array("d", [0.0, 0.0, 0.0, 100.0]), services=array("d", [5.0] * 4), end=150.0
        ),
        works.constant({"v1": 1}),
    )
    assert run.miss_ratio == 0.25
    assert works.missed_after(run, 50.0) == 0.0
    assert works.missed_after(run, 0.0) == pytest.approx(1 / 4)
    assert works.missed_after(run, 150.0) == 0.0


def figures(miss: float, hours: float, flips: float = 0.0) -> dict[str, float]:
    return {
        "miss_ratio": miss,
        "miss_ratio_whole": miss,
        "replica_hours": hours,
        "starts": 0.0,
        "flips_300s": flips,
    }


def result() -> report.Result:
    figures_of = {
        "slo": figures(0.01, 10.0, flips=2.0),
        "kpa": figures(0.05, 8.0, flips=8.0),
        "kpa tuned 1": figures(0.04, 9.0),
        "kpa tuned 2": figures(0.02, 11.0),
        "static": figures(0.02, 10.0),
        "oracle": figures(0.0, 5.0),
    }
    return {
        "date": "2026-01-01T00:00:00+00:00",
        "seconds": 60,
        "quick": False,
        "seeds": 1,
        "tried": 1,
        "groups": {"azure-code": "hour", "nab": "shifting", "other": "shifting"},
        "learned": ["other"],
        "cold_starts": {
            "10s": {"settings": {}, "traces": {"azure-code": figures_of, "nab": figures_of}}
        },
    }


def test_the_goals_compare_at_our_replica_hours() -> None:
    lines = report.text(result()).splitlines()
    assert "| shifting: best tuned peer | kpa: 3.0 % |" in lines
    assert "| shifting: times as many as `slo` | 3.00 |" in lines
    assert "| Azure: static of equal cost | 2.0 % |" in lines
    assert "| changes of direction, `kpa` | 8.0 |" in lines


def test_a_peer_that_always_costs_more_has_no_figure_at_our_cost() -> None:
    traces = [{"slo": figures(0.01, 10.0), "ray": figures(0.0, 12.0)}]
    assert report.along(traces, "ray") is None


def test_the_picture_has_a_dot_for_each_setting() -> None:
    traces = list(result()["cold_starts"]["10s"]["traces"].values())
    drawn = report.picture("a title", traces[:1])
    assert drawn.count("<circle") == 5
