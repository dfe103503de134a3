"""Each replica in turn, passing over those without a free slot."""

from __future__ import annotations

from router.pool import Replica, Version


class RoundRobin:
    """Goes round the version's replicas in the order of its membership."""

    __slots__ = ("_last", "_order", "_seen")

    def __init__(self) -> None:
        self._order: list[Replica] = []
        self._seen: dict[str, Replica] | None = None
        self._last = -1

    def pick(self, version: Version) -> Replica:
        """See `router.balance.Balancer`."""
        if self._seen is not version.replicas:
            self._seen = version.replicas
            self._order = list(version.replicas.values())
        order = self._order
        for step in range(1, len(order) + 1):
            replica = order[(self._last + step) % len(order)]
            if replica.place >= 0:
                self._last = (self._last + step) % len(order)
                return replica
        return version.free[0]
