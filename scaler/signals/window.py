"""What a growing histogram counted lately."""

from __future__ import annotations

from collections import deque
from typing import Final

Counts = tuple[int, ...]

STEPS: Final = 20
"""Snapshots kept a window: its edge is at most a twentieth of the window late."""


class HistogramWindow:
    """Differences of a histogram's counts since it was first seen, over the last `window` seconds.

    Pure but for its own ring of snapshots. Counts that went back belong to a new histogram: the
    window begins again with them.

    Worked, window 10 s: seen at 0 s with 100, at 6 s with 130, at 12 s with 150 counts. At 12 s
    the snapshot to compare with is the newest one 10 s old or older: 0 s, so 150 - 100 = 50.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._snapshots: deque[tuple[float, Counts]] = deque()

    def observe(self, now: float, counts: Counts) -> Counts:
        """What was counted from about `now - window` to `now` (monotonic seconds)."""
        ring = self._snapshots
        if ring and any(new < old for new, old in zip(counts, ring[-1][1], strict=True)):
            ring.clear()
        if not ring or now - ring[-1][0] >= self._window / STEPS:
            ring.append((now, counts))
        while len(ring) > 1 and ring[1][0] <= now - self._window:
            ring.popleft()
        return tuple(new - old for new, old in zip(counts, ring[0][1], strict=True))

    def restart(self) -> None:
        """Forget what was counted so far; the next `observe` begins the window."""
        self._snapshots.clear()
