"""Power of two choices on requests in flight per slot.

Two replicas are drawn at random and the less busy one wins: nearly as even as asking all of them,
at a cost that does not grow with their number, and without the herd that always choosing the
minimum makes (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS
2001; Envoy, `LEAST_REQUEST`). With unequal weights both are drawn by weight, as Envoy and
agentgateway do, and a weight counts as so many times the slots.

For 2 requests in flight on 8 slots against 1 on 2 slots: 2/8 < 1/2, so the first wins.
"""

from __future__ import annotations

import random

from router.balance import draw
from router.pool import Replica, Version


class LeastRequest:
    """See the module. `rand()` gives floats in [0, 1)."""

    __slots__ = ("_rand",)

    def __init__(self, rand: draw.Random = random.random) -> None:
        self._rand = rand

    def pick(self, version: Version, key: bytes | None) -> Replica:
        """See `router.balance.Balancer`."""
        free = version.free
        count = len(free)
        if count == 1:
            return free[0]
        if version.uneven:
            a, b = draw.two(version, self._rand)
            return a if a.load * b.room <= b.load * a.room else b
        # as `draw.two` does, without a call
        i = int(self._rand() * count)
        j = int(self._rand() * (count - 1))
        if j >= i:
            j += 1
        a, b = free[i], free[j]
        return a if a.in_flight * b.slots <= b.in_flight * a.slots else b
