"""Drawing replicas at random, each as likely as its share.

While all shares are 1 (`Version.uneven` is false) a draw is one random number. Otherwise replicas
are drawn evenly and each is accepted with the probability of its share, which is at most 1
(acceptance-rejection, von Neumann 1951): the cost does not grow with the number of replicas, and
shares may change from one draw to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from router.pool import Replica, Version

Random = Callable[[], float]
"""Gives floats in [0, 1)."""

TRIES: Final = 16
"""Draws after which one is accepted whatever its share: with shares of 0.1 throughout, one draw
in five comes to that."""


def one(version: Version, rand: Random) -> Replica:
    """A replica of `version.free`, which is not empty."""
    free = version.free
    count = len(free)
    replica = free[int(rand() * count)]
    if version.uneven:
        for _ in range(TRIES):
            if rand() < replica.share:
                break
            replica = free[int(rand() * count)]
    return replica


def two(version: Version, rand: Random) -> tuple[Replica, Replica]:
    """Two replicas of `version.free`, which has at least two.

    The second is another one, accepted with the probability of its share and not drawn again:
    else the first stands alone, as both. So one of share 0.1 beside a warm one is compared with it
    a tenth of the time, and cannot win more often for being idle.
    """
    free = version.free
    count = len(free)
    a = one(version, rand)
    j = int(rand() * (count - 1))
    if j >= a.place:
        j += 1
    b = free[j]
    return (a, b) if not version.uneven or rand() < b.share else (a, a)
