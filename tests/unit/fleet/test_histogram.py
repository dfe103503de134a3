from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.telemetry.histogram import BOUNDS, BUCKETS, quantile


def counts(**at: int) -> list[int]:
    made = [0] * BUCKETS
    for key, value in at.items():
        made[int(key[1:])] = value
    return made


KNOWN = {
    "nothing counted": (counts(), 0.5, None),
    "the middle of the first bucket": (counts(_0=10), 0.5, 0.0005),
    "the upper end of a bucket": (counts(_3=4), 1.0, 0.01),
    "the lower end of a bucket": (counts(_3=4), 0.0, 0.005),
    "linear inside a bucket": (counts(_8=100), 0.25, 0.25 + 0.25 * 0.25),
    "the bound between two buckets": (counts(_0=50, _1=50), 0.5, 0.001),
    "the second of two buckets": (counts(_0=50, _9=50), 0.75, 0.75),
    "the open bucket answers its lower bound": (counts(_17=1), 0.5, 300.0),
    "mostly in the open bucket": (counts(_0=1, _17=99), 0.95, 300.0),
}


@pytest.mark.parametrize("case", KNOWN.values(), ids=KNOWN)
def test_a_quantile_is_estimated_for(case: tuple[list[int], float, float | None]) -> None:
    assert quantile(case[0], case[1]) == pytest.approx(case[2])


@given(st.lists(st.floats(0, 299), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(samples: list[float], q: float) -> None:
    made = [0] * BUCKETS
    for sample in samples:
        made[bisect_left(BOUNDS, sample)] += 1
    estimate = quantile(made, q)
    rank = max(0, min(len(samples) - 1, -int(-q * len(samples) // 1) - 1))
    bucket = bisect_left(BOUNDS, sorted(samples)[rank])
    low = BOUNDS[bucket - 1] if bucket else 0.0
    assert estimate is not None
    assert low - 1e-9 <= estimate <= BOUNDS[bucket] + 1e-9


@given(st.lists(st.integers(0, 50), min_size=BUCKETS, max_size=BUCKETS).filter(any))
def test_quantiles_never_decrease(made: list[int]) -> None:
    values = [quantile(made, q / 20) for q in range(21)]
    assert values == sorted(v for v in values if v is not None)
