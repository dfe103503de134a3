"""First come, first served, without classes: one ordered dict, every operation O(1)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from router.queueing.port import Waiting

W = TypeVar("W", bound=Waiting)


class PlainQueue(OrderedDict[W, float]):
    """See `router.queueing.port.Queue`. The values are the times of joining."""

    __slots__ = ()

    def join(self, waiter: W, now: float, *, front: bool = False) -> None:
        """See `router.queueing.port.Queue`."""
        self[waiter] = now
        if front:
            self.move_to_end(waiter, last=False)

    def leave(self, waiter: W) -> float:
        """See `router.queueing.port.Queue`."""
        return self.pop(waiter)

    def take(self, now: float) -> tuple[W, float]:
        """See `router.queueing.port.Queue`."""
        return self.popitem(last=False)

    def oldest(self) -> float | None:
        """See `router.queueing.port.Queue`."""
        for joined in self.values():
            return joined
        return None

    def stale(self, before: float) -> W | None:
        """See `router.queueing.port.Queue`."""
        for waiter, joined in self.items():
            return waiter if joined < before else None
        return None

    def lesser(self, band: int, tenant: bytes) -> W | None:
        """See `router.queueing.port.Queue`: nobody is less than another here."""
        return None
