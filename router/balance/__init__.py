"""Balancers: which of a version's free replicas takes a request.

A balancer picks among `Version.free`, the usable replicas with a free slot, which the caller
keeps up to date; it is only asked when there is one. Random numbers are passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from router.balance.least_request import LeastRequest
from router.balance.round_robin import RoundRobin
from router.pool import Replica, Version


class Balancer(Protocol):
    """One per version and worker."""

    def pick(self, version: Version) -> Replica:
        """One of `version.free`, which is not empty. Does not acquire it."""
        ...


BALANCERS: dict[str, Callable[[], Balancer]] = {
    "least_request": LeastRequest,
    "round_robin": RoundRobin,
}
