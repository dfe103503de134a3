"""Which settings of a policy are compared with ours, and at which cost."""

from __future__ import annotations

import pytest

from bench.scaler.frontier import around, least_misses, named
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


def test_of_the_settings_tried_those_of_the_frontier_around_a_cost_stay() -> None:
    tried = [
        Score(setting={"knob": cost}, cost=cost, miss_ratio=miss)
        for cost, miss in [
            (0.5, 0.9), (0.6, 0.8), (0.7, 0.7), (0.8, 0.6), (0.9, 0.65),
            (1.1, 0.5), (1.2, 0.4), (1.3, 0.3),
        ]
    ]  # fmt: skip
    assert [setting["knob"] for setting in around(tried, 1.0)] == [0.7, 0.8, 1.1]


def test_settings_are_numbered_for_each_policy() -> None:
    assert named({"kpa": [{"a": 1.0}, {"a": 2.0}]}) == {
        "kpa tuned 1": ("kpa", {"a": 1.0}),
        "kpa tuned 2": ("kpa", {"a": 2.0}),
    }
