"""The extra-load budget of a pool: what retries and hedges may add to its requests. Pure.

Over the last WINDOW seconds extra tries may number `share` of the requests that came plus `floor`
a second, so that a quiet pool may retry at all while a failing one is not buried under retries.
(Finagle's `RetryBudget`: 20 % and 10 a second over 10 s; Envoy's `retry_budget` counts what is
active instead.) Requests cost the budget nothing: their number is read off the counters they keep
anyway, once a second and whenever a try is asked for.

    share 0.2, floor 10/s, 50 requests a second:  0.2 * 500 + 10 * 10 = 200 tries in any 10 s
"""

from __future__ import annotations

from collections import deque

from fleet.wire import BudgetEntry

WINDOW = 10
"""Seconds looked back upon."""

STRAINED = 0.25
"""What is left of a budget while the scaler has nothing more to add."""


class Budget:
    """See the module. Times are monotonic seconds; `requests` only grows, but for resets."""

    __slots__ = ("_entry", "_marks", "_spent", "strained")

    def __init__(self, entry: BudgetEntry) -> None:
        self._entry = entry
        self._marks: deque[tuple[float, int, int]] = deque()
        """Time, requests and tries so far, about once a second; the first is WINDOW old."""
        self._spent = 0
        self.strained = False
        """The scaler is at its maximum."""

    def configure(self, entry: BudgetEntry) -> None:
        """Take over the settings of a new generation."""
        self._entry = entry

    def mark(self, now: float, requests: int) -> None:
        """Note how many requests there were; more often than once a second has no effect."""
        marks = self._marks
        if marks and now - marks[-1][0] < 1.0:
            return
        marks.append((now, requests, self._spent))
        while len(marks) > 1 and marks[1][0] <= now - WINDOW:
            marks.popleft()

    def room(self, now: float, requests: int) -> float:
        """Tries that may be made at `now` (monotonic seconds) after so many requests of the pool;
        below 1 there is room for none.
        """
        self.mark(now, requests)
        _, requests_then, spent_then = self._marks[0]
        entry = self._entry
        allowed = entry.share * max(0, requests - requests_then) + entry.floor * WINDOW
        if self.strained:
            allowed *= STRAINED
        return allowed - (self._spent - spent_then)

    def take(self, now: float, requests: int) -> bool:
        """Spend one try if there is `room` for it."""
        if self.room(now, requests) < 1.0:
            return False
        self._spent += 1
        return True
