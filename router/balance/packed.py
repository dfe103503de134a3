"""Packing: the oldest replica with a free slot takes the request, so that the youngest empty.

For a version that is larger than it needs to be: what balancing spreads evenly keeps every replica
busy, and a victim that has requests must drain for as long as the longest of them. Packed, the
victims, which are the youngest, are idle when their time comes. All workers know replicas in the
same order, so they pack onto the same ones. Requests with a key go where it leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.pool import Replica, Version

if TYPE_CHECKING:
    from router.balance import Balancer


class Packed:
    """In place of `spread`, which comes back when packing ends, with all it has learned."""

    __slots__ = ("spread",)

    def __init__(self, spread: Balancer) -> None:
        self.spread = spread

    def pick(self, version: Version, key: bytes | None) -> Replica:
        """See `router.balance.Balancer`."""
        if key is None:
            for replica in version.replicas.values():
                if replica.place >= 0:
                    return replica
        return self.spread.pick(version, key)
