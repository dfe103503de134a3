"""When the wait is too long: CoDel's test on the delay of a queue, as servers use it.

CoDel (RFC 8289) tells a good queue, which absorbs a burst and empties, from a bad one, which only
stands there, by the *least* delay within an interval: above the target for a whole interval, the
queue stands. What to do then is not RFC 8289's control law, which frees a queue slowly, for
senders who slow down when they lose packets; clients of HTTP do not. As folly's `Codel` and the
"Fail at Scale" paper (ACM Queue 13(8), 2015) do, everything that has waited longer than twice the
target is refused for as long as the queue stands. Those who are served have then waited twice the
target at most, and no slot is ever idle for it.

    target 100 ms, interval 1 s; the oldest waiter, looked at now and then:
    t=0.0 s  30 ms    fine
    t=0.4 s  120 ms   above the target, but not for long
    t=0.9 s  80 ms    below: the interval starts anew
    t=2.0 s  300 ms   above since 0.95: standing; all above 200 ms go, lowest class first
"""

from __future__ import annotations

STALE_AFTER = 2.0
"""Targets that one may have waited while the queue stands (folly's slough timeout)."""


class DelayWatch:
    """`target` and `interval` in seconds."""

    __slots__ = ("_above_since", "_shed_at", "_shed_band", "interval", "target")

    def __init__(self, target: float, interval: float) -> None:
        self.target = target
        self.interval = interval
        self._above_since = -1.0
        self._shed_band = -1
        self._shed_at = 0.0

    def stale_before(self, oldest: float | None, now: float) -> float | None:
        """Those who joined before that time are to be refused; None: nobody is. `oldest` is when
        the one who waits longest joined, None when nobody waits.
        """
        if oldest is None or now - oldest <= self.target:
            self._above_since = -1.0
            return None
        if self._above_since < 0:
            self._above_since = max(0.0, oldest + self.target)
        if now - self._above_since < self.interval:
            return None
        return now - STALE_AFTER * self.target

    def shed(self, band: int, now: float) -> None:
        """Waiters of class `band` are being refused."""
        self._shed_band, self._shed_at = band, now

    def spares(self, band: int, now: float) -> bool:
        """Whether class `band` is to wait for what refusing a lower one brings: for a target."""
        return band < self._shed_band and now - self._shed_at < self.target

    @property
    def above(self) -> bool:
        """The delay was above the target when it was last looked at."""
        return self._above_since >= 0
