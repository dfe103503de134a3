"""When a second try pays: a quantile of the time to first byte, over the last while.

The histogram that every reply is counted in anyway is looked at once a second; the quantile is
taken over what was added in the last WINDOW seconds or so. (Dean and Barroso, "The Tail at Scale",
CACM 2013: a hedge after the 95th percentile adds about 5 % of load and cuts the tail.)
"""

from __future__ import annotations

from collections import deque

from fleet.telemetry import slab as words
from fleet.telemetry.histogram import BUCKETS, quantile

WINDOW = 20.0
"""Seconds looked back upon."""

ENOUGH = 20
"""Replies in the window below which nothing is said of a quantile."""


class Delays:
    """Times to first byte of one version, as this worker has seen them."""

    __slots__ = ("_at", "_known", "_marks", "_row")

    def __init__(self, row: memoryview, block_at: int) -> None:
        self._row = row
        self._at = block_at + words.FIRST_BYTE
        self._marks: deque[tuple[float, tuple[int, ...]]] = deque()
        self._known: dict[float, float | None] = {}

    def mark(self, now: float) -> None:
        """Look at the counters; to be called about once a second. Costs nothing until the first
        question.
        """
        if not self._known:
            return
        self._marks.append((now, self._counts()))
        while len(self._marks) > 1 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()
        self._known = dict.fromkeys(self._known)

    def quantile(self, q: float) -> float | None:
        """Seconds, or None while too few replies have come. Asked for the first time it speaks of
        all there was.
        """
        known = self._known.get(q)
        if known is not None:
            return known
        before = self._marks[0][1] if self._marks else (0,) * BUCKETS
        counts = [max(0, now - then) for now, then in zip(self._counts(), before, strict=True)]
        self._known[q] = known = quantile(counts, q) if sum(counts) >= ENOUGH else None
        return known

    def _counts(self) -> tuple[int, ...]:
        return tuple(self._row[self._at : self._at + BUCKETS])
