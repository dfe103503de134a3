"""How many requests a replica takes at once, found out from how long they take: gradient2.

After Netflix' concurrency-limits, `Gradient2Limit.java`: the ratio of the long-term to the recent
latency tells whether a queue has formed in the replica. While latency does not grow the limit
does, by the allowed queue; when it grows, the limit shrinks by the ratio, at most by half:

    gradient = clamp(TOLERANCE * long / recent, 0.5, 1)
    limit    = (1 - SMOOTHING) * limit + SMOOTHING * (limit * gradient + queue)

Three things differ, because an agent takes a few long requests, not thousands of short ones: the
least limit is 1, not 20; the allowed queue is the square root of the limit, at most 4, and 0 while
the gradient is below 1, or the limit could never fall below 8; and `recent` is the mean of a window
of at least WINDOW samples, since single requests of agents differ widely in length.

    limit 16, long 1.0 s, recent 1.2 s: 1.5 / 1.2 > 1, no queue:  16 -> 0.8 * 16 + 0.2 * 20 = 16.8
    limit 16, long 1.0 s, recent 3.0 s: gradient 0.5:             16 -> 0.8 * 16 + 0.2 *  8 = 14.4
"""

from __future__ import annotations

import math

INITIAL = 4.0
TOLERANCE = 1.5
SMOOTHING = 0.2
LONG_WINDOW = 600
"""Windows that the long-term latency remembers, as an exponential mean."""
WARM_UP = 10
"""Windows averaged plainly before that."""
WINDOW = 10
"""Samples of a window; as many as the limit if that is more."""
MAX_QUEUE = 4.0


class Gradient2:
    """One replica's limit: `limit` requests at once, at most `most`."""

    __slots__ = ("_count", "_inflight", "_limit", "_long", "_sum", "_windows", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._limit = min(INITIAL, float(most))
        self._long = 0.0
        self._windows = 0
        self._sum = 0.0
        self._count = 0
        self._inflight = 0

    def __repr__(self) -> str:
        return f"<Gradient2 {self._limit:.1f}/{self.most} long={self._long:.3f}s>"

    @property
    def limit(self) -> int:
        """Requests at once, now."""
        return max(1, min(self.most, int(self._limit)))

    def sample(self, seconds: float, in_flight: int, *, answered: bool = True) -> None:
        """A request took `seconds`; `in_flight` were under way when it ended, itself included.

        One that was not `answered` would have taken that long at least, and counts only where
        that says something: failing fast is not being fast, and must not shrink the mean that
        the limit grows back by.
        """
        if not answered and (not self._windows or seconds <= self._long):
            return
        self._sum += seconds
        self._count += 1
        self._inflight = max(self._inflight, in_flight)
        if self._count < max(WINDOW, self.limit):
            return
        recent, most_in_flight = self._sum / self._count, self._inflight
        self._sum, self._count, self._inflight = 0.0, 0, 0
        self._learn(recent)
        if recent <= 0 or most_in_flight < self._limit / 2:
            return  # nobody asks for more: growing would say nothing
        gradient = max(0.5, min(1.0, TOLERANCE * self._long / recent))
        queue = min(MAX_QUEUE, math.sqrt(self._limit)) if gradient == 1.0 else 0.0
        wanted = self._limit * gradient + queue
        limit = self._limit * (1 - SMOOTHING) + wanted * SMOOTHING
        self._limit = max(1.0, min(float(self.most), limit))

    def _learn(self, recent: float) -> None:
        self._windows += 1
        weight = 1 / self._windows if self._windows <= WARM_UP else 2 / (LONG_WINDOW + 1)
        self._long += weight * (recent - self._long)
        if self._long > 2 * recent:
            self._long *= 0.95  # so that a slow start is forgotten
