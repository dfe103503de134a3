"""Power of two choices on requests in flight per slot.

Two distinct replicas are drawn at random and the less busy one wins: nearly as even as asking
all of them, at a cost that does not grow with their number, and without the herd that always
choosing the minimum makes (Mitzenmacher, "The Power of Two Choices in Randomized Load
Balancing", IEEE TPDS 2001; Envoy, `LEAST_REQUEST`).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from router.pool import Replica, Version


class LeastRequest:
    """See the module. `rand()` gives floats in [0, 1)."""

    __slots__ = ("_rand",)

    def __init__(self, rand: Callable[[], float] = random.random) -> None:
        self._rand = rand

    def pick(self, version: Version) -> Replica:
        """See `router.balance.Balancer`."""
        free = version.free
        count = len(free)
        if count == 1:
            return free[0]
        i = int(self._rand() * count)
        j = int(self._rand() * (count - 1))
        if j >= i:
            j += 1
        a, b = free[i], free[j]
        return a if a.in_flight * b.slots <= b.in_flight * a.slots else b
