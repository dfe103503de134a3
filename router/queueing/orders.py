"""The orders inside a class: first come, earliest deadline, and newest first under pressure."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Generic, TypeVar

from router.queueing.port import Waiting

W = TypeVar("W", bound=Waiting)


class Fifo(Generic[W]):
    """First come, first served. O(1)."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: OrderedDict[W, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiters)

    def join(self, waiter: W, *, front: bool) -> None:
        """See `router.queueing.port.Order`."""
        self._waiters[waiter] = None
        if front:
            self._waiters.move_to_end(waiter, last=False)

    def leave(self, waiter: W) -> None:
        """See `router.queueing.port.Order`."""
        del self._waiters[waiter]

    def take(self, *, pressed: bool) -> W:
        """See `router.queueing.port.Order`."""
        return self._waiters.popitem(last=False)[0]

    def newest(self) -> W:
        """See `router.queueing.port.Order`."""
        return next(reversed(self._waiters))


class Lifo(Fifo[W]):
    """Adaptive LIFO: first come, first served, but newest first under pressure (Maurer, "Fail at
    Scale", ACM Queue 13(8), 2015).

    When more comes than can be served, first come first served makes everyone wait as long as
    the queue is deep; newest first serves most at once, and a few, mostly those whose clients
    have given up, not at all. O(1).
    """

    __slots__ = ()

    def take(self, *, pressed: bool) -> W:
        """See `router.queueing.port.Order`."""
        return self._waiters.popitem(last=pressed)[0]


class Edf(Generic[W]):
    """Earliest deadline first (Liu and Layland, JACM 20(1), 1973): the one that gives up soonest
    goes first; those who come back to the front go before all deadlines.

    A heap whose entries are dropped when they surface after their waiter has left: O(log n). Left
    entries are at most as many as those that wait, since the heap is built anew above that.
    """

    __slots__ = ("_count", "_heap", "_keys")

    def __init__(self) -> None:
        self._keys: OrderedDict[W, tuple[float, int]] = OrderedDict()
        self._heap: list[tuple[tuple[float, int], W]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._keys)

    def join(self, waiter: W, *, front: bool) -> None:
        """See `router.queueing.port.Order`."""
        self._count += 1
        # the count breaks ties, so waiters themselves are never compared
        key = (0.0, -self._count) if front else (waiter.queued_until, self._count)
        self._keys[waiter] = key
        if front:
            self._keys.move_to_end(waiter, last=False)
        heapq.heappush(self._heap, (key, waiter))

    def leave(self, waiter: W) -> None:
        """See `router.queueing.port.Order`."""
        del self._keys[waiter]
        if len(self._heap) > 2 * len(self._keys) + 8:
            self._heap = [(key, w) for w, key in self._keys.items()]
            heapq.heapify(self._heap)

    def take(self, *, pressed: bool) -> W:
        """See `router.queueing.port.Order`."""
        while True:
            key, waiter = heapq.heappop(self._heap)
            if self._keys.get(waiter) == key:
                del self._keys[waiter]
                return waiter

    def newest(self) -> W:
        """See `router.queueing.port.Order`."""
        return next(reversed(self._keys))
