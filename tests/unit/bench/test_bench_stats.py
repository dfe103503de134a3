from __future__ import annotations

import pytest

from bench.stats import Spread, percentile, ratio, spread


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([3.0], Spread(3.0, 3.0, 3.0), id="one round is its own median"),
        pytest.param([5.0, 1.0, 3.0], Spread(3.0, 1.0, 5.0), id="order does not matter"),
        pytest.param([1.0, 2.0], Spread(1.5, 1.0, 2.0), id="an even count takes the middle"),
    ],
)
def test_spread(values: list[float], expected: Spread) -> None:
    assert spread(values) == expected


def test_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_width_is_relative_to_the_median() -> None:
    assert spread([9.0, 10.0, 12.0]).width == pytest.approx(0.3)


def test_a_slow_round_cancels_in_the_ratio() -> None:
    found = ratio([20.0, 80.0, 22.0], [10.0, 40.0, 10.0])

    assert found == Spread(2.0, 2.0, 2.2)


def test_no_pair_no_ratio() -> None:
    assert ratio([1.0], []) is None


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [
        pytest.param(100, 0.5, 50, id="half of a hundred"),
        pytest.param(100, 0.99, 99, id="99 of a hundred"),
        pytest.param(10, 0.99, 10, id="few values answer the largest"),
        pytest.param(1, 0.5, 1, id="one value is every percentile"),
    ],
)
def test_percentile_is_the_nearest_rank(count: int, share: float, expected: int) -> None:
    assert percentile(range(1, count + 1), share) == expected
