"""What `status` shows of a version's counters: since the start, or between two looks at them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from fleet.telemetry.histogram import quantile
from fleet.telemetry.slab import VersionTotals


class Figures(Struct, frozen=True, kw_only=True):
    """One version's traffic over a span of time."""

    requests: int
    """Finished."""
    errors: int
    """Of these, replies of 500 and above."""
    p95: float | None
    """Of the whole request, seconds; None when nothing finished."""
    seconds: float | None = None
    """Length of the span; None: since the start."""

    @property
    def rate(self) -> float | None:
        """Requests a second; None when the span is not known."""
        return self.requests / self.seconds if self.seconds else None


def since_start(totals: VersionTotals) -> Figures:
    """All that was ever counted."""
    return Figures(
        requests=sum(totals.requests),
        errors=totals.requests[5],
        p95=quantile(totals.duration, 0.95),
    )


def between(before: VersionTotals | None, now: VersionTotals, seconds: float) -> Figures:
    """What was counted in the `seconds` since `before`.

    Counters that went back belong to a daemon that was restarted; all of `now` is new then.
    """
    requests, duration = now.requests, now.duration
    if before is not None and sum(before.requests) <= sum(now.requests):
        requests = _difference(before.requests, requests)
        duration = _difference(before.duration, duration)
    return Figures(
        requests=sum(requests),
        errors=requests[5],
        p95=quantile(duration, 0.95),
        seconds=seconds,
    )


def _difference(before: Sequence[int], now: Sequence[int]) -> tuple[int, ...]:
    return tuple(b - a for a, b in zip(before, now, strict=True))
