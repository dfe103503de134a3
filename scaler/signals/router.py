"""What the gateway itself sees of a version.

| reading | kind | from |
|---|---|---|
| `router.in_flight` | total | requests in flight plus queued; target `utilization * slots` |
| `router.wait` | ratio, with `slo` | p95 of the time in the queue over `window` |
| `router.first_byte` | ratio, with `latency` | p95 from sending to the reply's first byte |

A request still in the queue is in no histogram yet. Nothing is lost by that: it counts in
`router.in_flight` from its first moment, and `router.wait` corrects by what waiting came to in
the end. Both percentiles are measured anew whenever the number of ready replicas changes, since
what was measured with two says nothing of four; until then, and while there is no traffic, they
have no samples and propose nothing.
"""

from __future__ import annotations

from fleet.config.schema import RouterSignal
from fleet.config.units import format_duration
from fleet.model import Reading
from fleet.telemetry.histogram import quantile
from fleet.telemetry.slab import VersionTotals
from scaler.signals.window import Counts, HistogramWindow


class RouterReadings:
    """The readings of one version, tick by tick. No I/O: totals and time come in."""

    def __init__(self, settings: RouterSignal) -> None:
        self._settings = settings
        self._wait = HistogramWindow(settings.window)
        self._first_byte = HistogramWindow(settings.window)
        self._ready: int | None = None

    def read(
        self, totals: VersionTotals, *, slots: int, ready: int, now: float
    ) -> tuple[Reading, ...]:
        """The readings at monotonic time `now`; `slots` are those of one replica."""
        if ready != self._ready:
            self._wait.restart()
            self._first_byte.restart()
            self._ready = ready
        settings = self._settings
        readings = [_in_flight(totals, settings.utilization * slots)]
        if settings.slo is not None:
            counts = self._wait.observe(now, totals.wait)
            readings.append(_p95("router.wait", counts, settings.slo))
        if settings.latency is not None:
            counts = self._first_byte.observe(now, totals.first_byte)
            readings.append(_p95("router.first_byte", counts, settings.latency))
        return tuple(readings)


def _in_flight(totals: VersionTotals, target: float) -> Reading:
    busy, queued = totals.in_flight, totals.queued_now
    detail = f"{busy} + queue {queued} = {busy + queued}" if queued else f"{busy}"
    return Reading(
        signal="router.in_flight", value=float(busy + queued), target=target, detail=detail
    )


def _p95(signal: str, counts: Counts, target: float) -> Reading:
    value = quantile(counts, 0.95)
    detail = "" if value is None else f"p95 {format_duration(round(value, 3))}"
    return Reading(signal=signal, value=value, target=target, ratio=True, detail=detail)
