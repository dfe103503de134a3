from __future__ import annotations

import random

import pytest

from bench.trend import trend

TIMES = [float(number) for number in range(400)]


def test_a_straight_line_has_its_slope_and_no_doubt() -> None:
    found = trend(TIMES, [5.0 + 3.0 * at for at in TIMES])

    assert (found.slope, found.low, found.high) == pytest.approx((3.0, 3.0, 3.0))


def test_what_only_wavers_may_not_grow_at_all() -> None:
    rng = random.Random(1)

    found = trend(TIMES, [100.0 + rng.gauss(0, 5) for _ in TIMES])

    assert found.low < 0.0 < found.high


def test_growth_under_noise_is_certain() -> None:
    rng = random.Random(1)

    found = trend(TIMES, [at + rng.gauss(0, 20) for at in TIMES])

    assert 0.9 < found.low < found.slope < found.high < 1.1


@pytest.mark.parametrize("count", [0, 1, 39])
def test_few_readings_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} readings are too few"):
        trend(TIMES[:count], TIMES[:count])
