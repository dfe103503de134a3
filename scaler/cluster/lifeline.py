"""What becomes of shared replicas when the store does not answer: by real time, whatever hangs.

A member stops using those of others before anybody can take it for gone, as a leader stops to
lead (`scaler.cluster.election`). It takes back its own RECLAIMED_AFTER it was last heard: at most
one lease passes until another leads, one until that takes it for gone, and one until a borrower
hears of it or is itself cut off.
"""

from __future__ import annotations

import asyncio
from typing import Final

from scaler.cluster.election import MARGIN
from scaler.cluster.tenancy import Tenancy

RECLAIMED_AFTER: Final = 4
"""Leases."""


class Lifeline:
    """Renewed with each answer of the store. Without a tenancy there is nothing to it."""

    def __init__(self, tenancy: Tenancy | None, lease: float) -> None:
        self._tenancy = tenancy
        self._lease = lease
        self._timers: list[asyncio.TimerHandle] = []

    def answered(self, sent: float, now: float) -> None:
        """The store has answered what was sent at monotonic time `sent`."""
        self.cut()
        if (tenancy := self._tenancy) is not None:
            loop, passed = asyncio.get_running_loop(), now - sent
            self._timers = [
                loop.call_later(self._lease * (1 - MARGIN) - passed, tenancy.withdraw),
                loop.call_later(self._lease * RECLAIMED_AFTER, tenancy.reclaim),
            ]

    def cut(self) -> None:
        """Nothing is due any longer."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
