"""Balancers: which of a version's free replicas takes a request.

A balancer picks among `Version.free`, the usable replicas with a free slot, which the caller
keeps up to date; it is only asked when there is one. Random numbers and time are passed in. Each
worker has balancers of its own: they know what this worker has in flight and has seen, and of the
rest only what replicas report.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from fleet.wire import BalanceEntry
from router.balance.consistent_hash import ConsistentHash
from router.balance.least_request import LeastRequest
from router.balance.peak_ewma import PeakEwma
from router.balance.prequal import Prequal
from router.balance.round_robin import RoundRobin
from router.pool import Replica, Version


class Balancer(Protocol):
    """One per version and worker."""

    def pick(self, version: Version, key: bytes | None) -> Replica:
        """One of `version.free`, which is not empty. Does not acquire it.

        `key` is what the request is hashed by; None: it has none, or nothing is hashed.
        """
        ...


@runtime_checkable
class Learner(Balancer, Protocol):
    """A balancer that learns from what becomes of requests."""

    def replied(self, replica: Replica, seconds: float) -> None:
        """A reply began `seconds` after its request was sent."""
        ...

    def silent(self, replica: Replica, seconds: float) -> None:
        """Somebody gave up a request that had no reply after `seconds`: an overtaking hedge, a
        deadline or the client. Its reply would have taken that long at least.
        """
        ...

    def failed(self, replica: Replica, retry_after: float) -> None:
        """A request failed; the replica asked to be left alone for `retry_after` seconds, or 0."""
        ...


Clock = Callable[[], float]
"""Monotonic time in seconds."""

BALANCERS: dict[str, Callable[[BalanceEntry, Clock], Balancer]] = {
    "consistent_hash": lambda entry, _: ConsistentHash(LeastRequest(), entry.factor),
    "least_request": lambda _, __: LeastRequest(),
    "peak_ewma": lambda entry, clock: PeakEwma(entry.decay, random.random, clock),
    "prequal": lambda entry, clock: Prequal(entry.decay, random.random, clock),
    "round_robin": lambda _, __: RoundRobin(),
}
