"""Each replica in turn, passing over those without a free slot; by weight if they have weights.

Weighted, it is the smooth round robin of nginx (`ngx_http_upstream_round_robin.c`): each pick adds
to every candidate its weight, takes the largest and subtracts the sum of the weights from it. For
weights 5, 1 and 1 that gives a a b a c a a, never a burst for the heavy one.

A replica that reports load of its own counts with the less weight the more it reports: one whose
slots are all busy with requests from elsewhere, with half. A weighted pick looks at every
candidate; with equal weights it costs the same however many there are.
"""

from __future__ import annotations

from router.pool import Replica, Version


class RoundRobin:
    """Goes round the version's replicas in the order of its membership."""

    __slots__ = ("_current", "_last", "_order", "_seen")

    def __init__(self) -> None:
        self._order: list[Replica] = []
        self._seen: dict[str, Replica] | None = None
        self._last = -1
        self._current: dict[Replica, float] = {}

    def pick(self, version: Version, key: bytes | None) -> Replica:
        """See `router.balance.Balancer`."""
        if self._seen is not version.replicas:
            self._seen = version.replicas
            self._order = list(version.replicas.values())
            self._current = {r: w for r in self._order if (w := self._current.get(r)) is not None}
        if version.uneven:
            return self._weighted(version)
        order = self._order
        for step in range(1, len(order) + 1):
            replica = order[(self._last + step) % len(order)]
            if replica.place >= 0:
                self._last = (self._last + step) % len(order)
                return replica
        return version.free[0]

    def _weighted(self, version: Version) -> Replica:
        current = self._current
        total = 0.0
        best: Replica | None = None
        for replica in self._order:
            if replica.place < 0:
                continue
            weight = replica.share * replica.slots / (replica.slots + replica.elsewhere)
            total += weight
            current[replica] = current.get(replica, 0.0) + weight
            if best is None or current[replica] > current[best]:
                best = replica
        if best is None:
            return version.free[0]
        current[best] -= total
        return best
