"""Priority classes: a slot goes to the highest class that waits, and no class starves.

Strict priority, but that a waiter of a lower class that has waited `aging` seconds is overdue, and
every OVERDUE_SHARE-th slot goes to the overdue one that has waited longest. So a flood of old
requests of a low class can never take more than that share from a higher one, and each class goes
on. (Linux' block/mq-deadline.c ages in the same two ways: `prio_aging_expire`, and one batch of
the others after `writes_starved` batches.)

The number of classes is a small constant, so operations cost what the order inside a class costs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

from router.queueing.fair import Fair
from router.queueing.orders import Edf, Fifo, Lifo
from router.queueing.port import Order, Waiting
from router.queueing.settings import QueueSettings

OVERDUE_SHARE: Final = 8
"""One slot in so many goes to the overdue."""

ORDERS: Final[dict[str, Callable[[], Order[Any]]]] = {"edf": Edf, "fifo": Fifo, "lifo": Lifo}

W = TypeVar("W", bound=Waiting)


class _Band(Generic[W]):
    __slots__ = ("arrivals", "busy_since", "fair", "order")

    def __init__(self, settings: QueueSettings) -> None:
        make = ORDERS[settings.order]
        self.fair: Fair[W] | None = Fair(make, settings.weights) if settings.tenants else None
        self.order: Order[W] = make() if self.fair is None else self.fair
        self.arrivals: OrderedDict[W, float] = OrderedDict()
        """When each joined, the oldest first."""
        self.busy_since = 0.0
        """Since when somebody has waited without a break."""


class ClassQueue(Generic[W]):
    """See the module, and `router.queueing.port.Queue`."""

    __slots__ = ("_aging", "_bands", "_length", "_pressed_after", "_since_overdue")

    def __init__(self, settings: QueueSettings) -> None:
        self._bands: list[_Band[W]] = [_Band(settings) for _ in range(max(1, settings.classes))]
        self._aging = settings.aging
        self._pressed_after = settings.pressed_after
        self._since_overdue = 0
        self._length = 0

    def __repr__(self) -> str:
        return f"<ClassQueue {' '.join(str(len(band.arrivals)) for band in self._bands)}>"

    def __len__(self) -> int:
        return self._length

    def __contains__(self, waiter: object) -> bool:
        return any(waiter in band.arrivals for band in self._bands)

    def __iter__(self) -> Iterator[W]:
        pairs = [(joined, w) for band in self._bands for w, joined in band.arrivals.items()]
        return iter([waiter for _, waiter in sorted(pairs, key=lambda pair: pair[0])])

    def join(self, waiter: W, now: float, *, front: bool = False) -> None:
        """See `router.queueing.port.Queue`. A class above the settings' counts as the lowest."""
        band = self._band(waiter)
        if not band.arrivals:
            band.busy_since = now
        band.arrivals[waiter] = now
        if front and now <= _head(band):
            band.arrivals.move_to_end(waiter, last=False)
        band.order.join(waiter, front=front)
        self._length += 1

    def leave(self, waiter: W) -> float:
        """See `router.queueing.port.Queue`."""
        band = self._band(waiter)
        joined = band.arrivals.pop(waiter)
        band.order.leave(waiter)
        self._length -= 1
        return joined

    def take(self, now: float) -> tuple[W, float]:
        """See `router.queueing.port.Queue`."""
        band = self._next(now)
        waiter = band.order.take(pressed=now - band.busy_since >= self._pressed_after)
        self._length -= 1
        return waiter, band.arrivals.pop(waiter)

    def oldest(self) -> float | None:
        """See `router.queueing.port.Queue`."""
        return min(map(_head, self._waiting()), default=None)

    def stale(self, before: float) -> W | None:
        """See `router.queueing.port.Queue`."""
        for band in reversed(self._bands):
            for waiter, joined in band.arrivals.items():
                return waiter if joined < before else None
        return None

    def lesser(self, band: int, tenant: bytes) -> W | None:
        """See `router.queueing.port.Queue`."""
        own = min(band, len(self._bands) - 1)
        for lower in range(len(self._bands) - 1, own, -1):
            if self._bands[lower].arrivals:
                return self._bands[lower].order.newest()
        fair = self._bands[own].fair
        return fair.newest() if fair is not None and fair.lead(tenant) > 1 else None

    def _band(self, waiter: W) -> _Band[W]:
        return self._bands[min(waiter.band, len(self._bands) - 1)]

    def _waiting(self) -> Iterator[_Band[W]]:
        return (band for band in self._bands if band.arrivals)

    def _next(self, now: float) -> _Band[W]:
        highest = next(self._waiting(), None)
        if highest is None:
            raise KeyError("nobody waits")
        if not self._aging:
            return highest
        overdue = min((b for b in self._waiting() if b is not highest), key=_head, default=None)
        if overdue is None or now - _head(overdue) < self._aging:
            return highest
        self._since_overdue += 1
        if self._since_overdue < OVERDUE_SHARE:
            return highest
        self._since_overdue = 0
        return overdue


def _head(band: _Band[Any]) -> float:
    joined: float = next(iter(band.arrivals.values()))
    return joined
