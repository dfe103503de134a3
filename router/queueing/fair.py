"""Tenants take turns: deficit round robin over one order per tenant.

Shreedhar and Varghese, "Efficient Fair Queuing Using Deficit Round Robin", IEEE/ACM ToN 4(3),
1996, with a request as the unit: a tenant of weight w may send w requests in its turn, and what
it does not use is lost when it has nothing waiting. O(1) whatever the number of tenants.

A tenant whose requests fill the queue does not keep the others out: the newest of the tenant with
the most places gives way ("longest queue drop", Suter et al., INFOCOM 1998). Tenants are kept in
sets by the number of their places, which changes by one at a time, so the longest is found in
O(1) too.

    tenant a waits with 5, b with 2, all weights 1: a b a b a a a
    with a weight of 2 for a:                       a a b a a b a
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from router.queueing.port import Order, Waiting

W = TypeVar("W", bound=Waiting)


class _Flow(Generic[W]):
    __slots__ = ("left", "order", "tenant")

    def __init__(self, tenant: bytes, order: Order[W], left: int) -> None:
        self.tenant = tenant
        self.order = order
        self.left = left
        """Requests it may still send in its turn: the deficit counter."""


class Fair(Generic[W]):
    """See the module. A tenant is known only while it waits, so nothing grows with their number."""

    __slots__ = ("_flows", "_longest", "_make", "_sizes", "_total", "_weights")

    def __init__(self, make: Callable[[], Order[W]], weights: Mapping[bytes, int]) -> None:
        self._make = make
        self._weights = weights
        self._flows: OrderedDict[bytes, _Flow[W]] = OrderedDict()
        """In the order of their turns; the first one's turn is now."""
        self._sizes: dict[int, dict[bytes, None]] = {}
        self._longest = 0
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def join(self, waiter: W, *, front: bool) -> None:
        """See `router.queueing.port.Order`; `front`: its tenant's turn comes now."""
        tenant = waiter.tenant
        flow = self._flows.get(tenant)
        if flow is None:
            flow = _Flow(tenant, self._make(), self._weights.get(tenant, 1))
            self._flows[tenant] = flow
        if front:
            self._flows.move_to_end(tenant, last=False)
        flow.order.join(waiter, front=front)
        self._resized(flow, len(flow.order) - 1)
        self._total += 1

    def leave(self, waiter: W) -> None:
        """See `router.queueing.port.Order`."""
        flow = self._flows[waiter.tenant]
        flow.order.leave(waiter)
        self._left(flow)

    def take(self, *, pressed: bool) -> W:
        """See `router.queueing.port.Order`."""
        flow = next(iter(self._flows.values()))
        waiter = flow.order.take(pressed=pressed)
        flow.left -= 1
        if flow.left <= 0:
            flow.left = self._weights.get(flow.tenant, 1)
            self._flows.move_to_end(flow.tenant)
        self._left(flow)
        return waiter

    def newest(self) -> W:
        """The newest of the tenant that has the most places."""
        tenant = next(reversed(self._sizes[self._longest]))
        return self._flows[tenant].order.newest()

    def lead(self, tenant: bytes) -> int:
        """By how many places the tenant that has the most is ahead of this one."""
        flow = self._flows.get(tenant)
        return self._longest - (len(flow.order) if flow is not None else 0)

    def _left(self, flow: _Flow[W]) -> None:
        self._total -= 1
        self._resized(flow, len(flow.order) + 1)
        if not flow.order:
            del self._flows[flow.tenant]

    def _resized(self, flow: _Flow[W], before: int) -> None:
        size = len(flow.order)
        if before:
            of_size = self._sizes[before]
            del of_size[flow.tenant]
            if not of_size:
                del self._sizes[before]
        if size:
            self._sizes.setdefault(size, {})[flow.tenant] = None
        if size > self._longest:
            self._longest = size
        elif self._longest not in self._sizes:
            self._longest -= 1
