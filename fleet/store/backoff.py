"""How long to wait before trying again."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Delays in seconds that double from `first` to `limit`, each with equal jitter.

    Equal jitter keeps half of a delay and draws the other half, so that daemons that lost the
    same store do not come back in step (M. Brooker, "Exponential Backoff And Jitter", AWS, 2015).
    """

    def __init__(self, first: float, limit: float, random: Callable[[], float]) -> None:
        """`first` and `limit` in seconds; `random` draws from [0, 1)."""
        self._first = first
        self._limit = limit
        self._random = random
        self._next = first

    def delay(self) -> float:
        """The next delay, in seconds."""
        ceiling = self._next
        self._next = min(self._limit, ceiling * 2)
        return ceiling * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """Start again from `first`."""
        self._next = self._first
