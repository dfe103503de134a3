"""What came out of one simulated run. Pure data, and the figures made of it."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

FLIP_WITHIN: Final = 300.0
"""Seconds between two opposite changes of size that make them a flip."""


class Series(Struct, frozen=True, kw_only=True):
    """One entry a tick and one at the end, of all versions together."""

    at: array[float]
    arrived: array[int]
    """Since the start."""
    queued: array[int]
    ready: array[int]
    alive: array[int]
    """Ready, starting and draining."""
    missed: array[int]
    """Since the start."""


class Run(Struct, frozen=True, kw_only=True):
    """One run: what became of each request, and what it cost.

    arrived = admitted + shed + expired + waiting, and
    missed = late + shed + expired + overdue.
    """

    arrived: int
    admitted: int
    """Got a slot."""
    late: int
    """Got a slot, but waited longer than the SLO."""
    shed: int
    """Refused because the queue was full."""
    expired: int
    """Waited for the queue's timeout."""
    waiting: int
    """Still in the queue at the end."""
    overdue: int
    """Of those, the ones that had waited longer than the SLO already."""
    cut: int
    """Got a slot, and were ended by a replica that drained for longer than `drain_timeout`."""
    waits: array[float]
    """Seconds, rising, of all that waited: late or not, and expired."""
    so_far: array[float]
    """Seconds that each of those still in the queue has waited."""
    replica_seconds: float
    starts: int
    changes: tuple[tuple[float, int], ...]
    """When the wanted size of the pool changed, and to what; the first is the start."""
    end: float
    series: Series

    @property
    def missed(self) -> int:
        """Requests that did not get a slot within the SLO."""
        return self.late + self.shed + self.expired + self.overdue

    @property
    def miss_ratio(self) -> float:
        """Of all that arrived; 0 when none did."""
        return self.missed / self.arrived if self.arrived else 0.0

    @property
    def replica_hours(self) -> float:
        """From a replica's start to its end, starting and draining included."""
        return self.replica_seconds / 3600

    @property
    def flips(self) -> int:
        """Changes of direction within FLIP_WITHIN."""
        return flips(self.changes)

    def wait(self, share: float) -> float:
        """The wait in seconds that `share` of all but the refused did not exceed."""
        rising = sorted([*self.waits, *self.so_far]) if self.so_far else self.waits
        return quantile(rising, share, zeros=self.arrived - self.shed - len(rising))


def quantile(rising: Sequence[float], share: float, *, zeros: int = 0) -> float:
    """The nearest-rank quantile of `rising` with `zeros` zeros before it; 0 of nothing."""
    total = zeros + len(rising)
    rank = max(1, math.ceil(share * total - 1e-9)) - zeros
    return rising[rank - 1] if rank > 0 and rising else 0.0


def flips(changes: Sequence[tuple[float, int]]) -> int:
    """How often the size turned round within FLIP_WITHIN of its change before.

    Worked: 4 at 0 s, 6 at 60 s, 5 at 100 s, 3 at 160 s, 4 at 900 s: up, down after 40 s (a flip),
    down, up after 740 s (none). One flip.
    """
    count, before, turned_at = 0, 0, -math.inf
    for (_, old), (at, new) in itertools.pairwise(changes):
        direction = 1 if new > old else -1
        if before and direction != before and at - turned_at <= FLIP_WITHIN:
            count += 1
        before, turned_at = direction, at
    return count
