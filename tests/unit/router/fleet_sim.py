"""A seeded discrete-event model of a version's replicas under one balancer.

Requests arrive at random (Poisson). Each replica works on as many at once as it has slots; how
long a request takes is drawn for each. Time is the model's own.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from random import Random

from router.balance import Balancer, Learner
from router.pool import Replica
from tests.unit.router.kit import House

Service = Callable[[Random], tuple[float, bool]]
"""Seconds that a request takes, and whether it is answered rather than failed."""


def usual(mean: float) -> Service:
    """Answers after a time drawn between half and one and a half times `mean`."""
    return lambda random: (mean * random.uniform(0.5, 1.5), True)


def failing(seconds: float) -> Service:
    return lambda _: (seconds, False)


class Simulation:
    """Requests through `made.admission` to replicas r0, r1, ... that serve as `services` say."""

    def __init__(self, made: House, services: dict[str, Service], seed: int = 1) -> None:
        self.made = made
        self.now = 1000.0
        self.random = Random(seed)
        self.services = services
        self.taken: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.shed = 0
        self._ends: list[tuple[float, int, Replica, float, bool]] = []
        self._number = 0

    def clock(self) -> float:
        return self.now

    def use(self, balancer: Balancer) -> None:
        self.made.version().balancer = balancer

    def run(
        self,
        seconds: float,
        rate: float,
        key: Callable[[Random], bytes | None] = lambda _: None,
        each: Callable[[], None] = lambda: None,
    ) -> None:
        """`each` is called after every pick."""
        end = self.now + seconds
        arrival = self.now + self.random.expovariate(rate)
        while arrival < end:
            self._until(arrival)
            self._arrive(key(self.random))
            each()
            arrival = self.now + self.random.expovariate(rate)
        self._until(end)

    def share(self, name: str) -> float:
        """Part of the requests that a replica was given."""
        return self.taken[name] / self.taken.total()

    def quantile(self, q: float) -> float:
        """Seconds that answered requests took."""
        return sorted(self.seconds)[int(q * (len(self.seconds) - 1))]

    def _arrive(self, key: bytes | None) -> None:
        replica = self.made.admission.lease(self.made.version(), key)
        if replica is None:
            self.shed += 1
            return
        self.taken[replica.name] += 1
        most = max(self.most_in_flight[replica.name], replica.in_flight)
        self.most_in_flight[replica.name] = most
        took, answered = self.services[replica.name](self.random)
        self._number += 1
        heapq.heappush(self._ends, (self.now + took, self._number, replica, took, answered))

    def _until(self, time: float) -> None:
        while self._ends and self._ends[0][0] <= time:
            self.now, _, replica, took, answered = heapq.heappop(self._ends)
            balancer = self.made.version().balancer
            if isinstance(balancer, Learner):
                if answered:
                    balancer.replied(replica, took)
                else:
                    balancer.failed(replica, 0.0)
            if answered:
                self.seconds.append(took)
            outliers = self.made.version().outliers
            if outliers is not None:
                outliers.ended(replica, 200 if answered else 500, took)
            self.made.admission.release(replica, took)
        self.now = time
