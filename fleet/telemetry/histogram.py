"""Fixed-bound latency histograms: cheap to add to, simple to sum over workers."""

from __future__ import annotations

from collections.abc import Sequence

BOUNDS: tuple[float, ...] = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
"""Upper bounds in seconds; one more bucket takes everything above the last."""

BUCKETS = len(BOUNDS) + 1


def quantile(counts: Sequence[int], q: float) -> float | None:
    """Estimate the `q` quantile (0..1) in seconds from per-bucket (not cumulative) `counts`.

    Linear inside a bucket, as Prometheus' `histogram_quantile`; the open last bucket answers
    its lower bound. None when nothing was counted.
    """
    total = sum(counts)
    if total == 0:
        return None
    rank = q * total
    seen = 0
    for i, count in enumerate(counts):
        if count and seen + count >= rank:
            if i >= len(BOUNDS):
                return BOUNDS[-1]
            low = BOUNDS[i - 1] if i else 0.0
            return low + (BOUNDS[i] - low) * max(0.0, rank - seen) / count
        seen += count
    return BOUNDS[-1]
