"""Which settings of a policy are compared with ours, and at which cost."""

from __future__ import annotations

import pytest

from bench.scaler.frontier import around, least_misses, named
from scaler.simulate.knobs import Setting
from scaler.simulate.tuning import Score


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param([(0.9, 4.0), (1.1, 2.0)], 3.0, id="half way between two"),
        pytest.param([(0.8, 1.0), (1.2, 1.5)], 1.0, id="dearer and worse counts for nothing"),
        pytest.param([(0.5, 4.0), (0.9, 2.0)], 2.0, id="all are cheaper: the best of them"),
        pytest.param([(1.0, 2.0)], 2.0, id="exactly the cost"),
        pytest.param([(1.1, 0.0)], None, id="all cost more"),
        pytest.param([], None, id="no points"),
    ],
)
def test_the_fewest_misses_for_a_cost(
    points: list[tuple[float, float]], expected: float | None
) -> None:
    found = least_misses(points, 1.0)
    assert found == (None if expected is None else pytest.approx(expected))


def scored(*points: tuple[float, float]) -> list[Score]:
    return [Score(setting={"knob": cost}, cost=cost, miss_ratio=misses) for cost, misses in points]


def knobs(found: list[Setting]) -> list[float | str]:
    return [setting["knob"] for setting in found]


def test_of_the_settings_tried_those_of_the_frontier_next_to_costs_around_ours_stay() -> None:
    tried = scored(
        (0.5, 0.9), (0.915, 0.8), (0.93, 0.75), (0.99, 0.77), (1.02, 0.5), (1.05, 0.45), (1.4, 0.3)
    )  # fmt: skip
    assert knobs(around(tried, 1.0)) == [0.915, 0.93, 1.02, 1.05]


def test_a_dearer_setting_stays_that_misses_as_few() -> None:
    assert knobs(around(scored((0.9, 0.0), (1.05, 0.0), (1.1, 0.1)), 1.0)) == [0.9, 1.05]


def test_settings_that_all_cost_more_leave_the_nearest() -> None:
    assert knobs(around(scored((2.0, 0.5), (3.0, 0.1)), 1.0)) == [2.0]


def test_settings_are_numbered_for_each_policy() -> None:
    assert named({"kpa": [{"a": 1.0}, {"a": 2.0}]}) == {
        "kpa tuned 1": ("kpa", {"a": 1.0}),
        "kpa tuned 2": ("kpa", {"a": 2.0}),
    }
