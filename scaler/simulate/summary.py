"""The figures of one policy over some seeds, as `headrace simulate --json` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from msgspec import Struct

from scaler.simulate.run import Run


class Summary(Struct, frozen=True, kw_only=True):
    """Means over the seeds; the names are those of the JSON and do not change."""

    miss_ratio: float
    """Requests that did not get a slot within the SLO, of all that arrived."""
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    replica_hours: float
    cost: float
    """Replica-hours times the price of one."""
    starts: float
    flips_300s: float
    """Changes of direction within 300 s."""
    cut: float
    """Requests ended because their replica drained for too long."""


class Budget(Struct, frozen=True, kw_only=True):
    """The most that a user accepts; None: anything."""

    miss_ratio: float | None = None
    cost: float | None = None

    def exceeded(self, summary: Summary) -> tuple[str, ...]:
        """What of it `summary` exceeds, in words."""
        found = []
        if self.miss_ratio is not None and summary.miss_ratio > self.miss_ratio:
            found.append(
                f"misses {100 * summary.miss_ratio:.3g} % of at most {100 * self.miss_ratio:.3g} %"
            )
        if self.cost is not None and summary.cost > self.cost:
            found.append(f"cost {summary.cost:.4g} of at most {self.cost:.4g}")
        return tuple(found)


def summarize(runs: Sequence[Run], *, price: float = 1.0) -> Summary:
    """The means over `runs`, at least one; `price` is that of a replica-hour."""
    hours = fmean(run.replica_hours for run in runs)
    return Summary(
        miss_ratio=fmean(run.miss_ratio for run in runs),
        wait_p50_s=fmean(run.wait(0.50) for run in runs),
        wait_p95_s=fmean(run.wait(0.95) for run in runs),
        wait_p99_s=fmean(run.wait(0.99) for run in runs),
        replica_hours=hours,
        cost=hours * price,
        starts=_mean(run.starts for run in runs),
        flips_300s=_mean(run.flips for run in runs),
        cut=_mean(run.cut for run in runs),
    )


def _mean(counts: Iterable[int]) -> float:
    """A whole number stays one, so that a single seed's counts are integers in JSON."""
    mean = fmean(counts)
    return int(mean) if mean == int(mean) else mean
