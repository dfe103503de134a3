"""Time as a parameter.

`Clock` is passed to whatever decides by time, so that tests and the simulator move it by hand.
`monotonic` drives every interval; `wall` only stamps what people read.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time, both in seconds."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never steps back."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch; may step."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def wall(self) -> float:
        """See `Clock.wall`."""
        return time.time()


class ManualClock:
    """A clock that moves only when told; for tests and simulation."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._now

    def wall(self) -> float:
        """See `Clock.wall`."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move both clocks forward by `seconds` (>= 0)."""
        if seconds < 0:
            raise ValueError("a clock only moves forward")
        self._now += seconds
