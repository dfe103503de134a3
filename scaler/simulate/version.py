"""One simulated version: its replicas, their free slots, and its queue."""

from __future__ import annotations

from collections import Counter, deque
from random import Random
from typing import Final

from fleet.model import Observation, Reading
from fleet.telemetry.histogram import BUCKETS
from fleet.telemetry.slab import VersionTotals
from scaler.simulate.distribution import Distribution

START_TIMES: Final = 32
"""Measured start times kept, as `Observation.start_seconds` says."""


class SimVersion:
    """The replicas of one version. A replica is a number; it is never used again.

    `free` has a replica once for each of its free slots. The slot that has been free the longest
    is taken first, which spreads requests much as `least_request` does. `owners` is shared by all
    versions and has the version of each replica.
    """

    __slots__ = (
        "_born",
        "_cold_start",
        "_owners",
        "_rng",
        "arrived",
        "busy_seconds",
        "cut",
        "deadlines",
        "desired",
        "free",
        "leaving",
        "name",
        "queue",
        "ready",
        "replica_seconds",
        "served",
        "slots",
        "start_times",
        "started",
        "starting",
        "starts",
        "wait_counts",
        "waited",
        "weight",
    )

    def __init__(
        self,
        name: str,
        *,
        weight: int,
        slots: int,
        cold_start: Distribution,
        rng: Random,
        owners: list[SimVersion],
    ) -> None:
        self.name = name
        self.weight = weight
        self.slots = slots
        self.queue: deque[int] = deque()
        """Numbers of the requests that wait, first come first."""
        self.free: deque[int] = deque()
        self.ready: set[int] = set()
        self.starting: dict[int, float] = {}
        """When each replica that starts will be ready, the oldest first."""
        self.leaving: dict[int, int] = {}
        """Draining replicas, each with its requests in flight."""
        self.deadlines: dict[int, float] = {}
        """When each draining replica is stopped in any case."""
        self.arrived = 0
        self.started = 0
        """Requests that got a slot."""
        self.waited = 0
        """Of them, those that waited for it."""
        self.served = 0
        """Leases that have ended."""
        self.busy_seconds = 0.0
        """Slot-seconds of those leases."""
        self.cut = 0
        """Requests of replicas that drained for too long."""
        self.wait_counts = [0] * BUCKETS
        """Of those that waited."""
        self.start_times: deque[float] = deque(maxlen=START_TIMES)
        self.starts = 0
        self.desired = 0
        self.replica_seconds = 0.0
        """Of replicas that are gone."""
        self._born: dict[int, float] = {}
        self._cold_start = cold_start
        self._rng = rng
        self._owners = owners

    def __repr__(self) -> str:
        return (
            f"<SimVersion {self.name} {len(self.ready)} ready {len(self.starting)} starting "
            f"{len(self.leaving)} leaving, queue {len(self.queue)}>"
        )

    @property
    def in_flight(self) -> int:
        """Requests that hold a slot, those of draining replicas included."""
        return len(self.ready) * self.slots - len(self.free) + sum(self.leaving.values())

    @property
    def alive(self) -> int:
        """Replicas that cost: ready, starting and draining."""
        return len(self._born)

    def begin(self, size: int, now: float) -> None:
        """Have `size` ready replicas from the beginning; they are no starts."""
        for _ in range(size):
            replica = self._new()
            self._born[replica] = now
            self._serve(replica)
        self.desired = size

    def resize(self, size: int, now: float, drain_timeout: float) -> float | None:
        """Start or drain replicas until `size` are wanted.

        Returns when the first of those started here is ready, None when none is.
        """
        self.desired = size
        surplus = len(self.ready) + len(self.starting) - size
        if surplus > 0:
            self._shrink(surplus, now, drain_timeout)
            return None
        soonest = None
        for _ in range(-surplus):
            replica = self._new()
            ready_at = now + self._cold_start.sample(self._rng)
            self._born[replica] = now
            self.starting[replica] = ready_at
            self.starts += 1
            soonest = ready_at if soonest is None else min(soonest, ready_at)
        return soonest

    def settle(self, now: float) -> float | None:
        """Replicas whose start is over become ready, those that drained too long are stopped.

        Returns when the next start is over, None when nothing starts.
        """
        for replica in [r for r, at in self.starting.items() if at <= now]:
            ready_at = self.starting.pop(replica)
            self.start_times.append(ready_at - self._born[replica])
            self._serve(replica)
        for replica in [r for r, at in self.deadlines.items() if at <= now]:
            self.cut += self.leaving[replica]
            self.gone(replica, self.deadlines[replica])
        return min(self.starting.values(), default=None)

    def gone(self, replica: int, at: float) -> None:
        """A replica that was draining has stopped."""
        self.leaving.pop(replica, None)
        self.deadlines.pop(replica, None)
        self.replica_seconds += at - self._born.pop(replica)

    def cost(self, now: float) -> float:
        """Replica-seconds until now."""
        return self.replica_seconds + sum(now - born for born in self._born.values())

    def totals(self) -> VersionTotals:
        """The counters that the router's readings are made of.

        The latencies of replies are not simulated: those histograms stay empty.
        """
        return VersionTotals(
            started=self.started,
            requests=(0, 0, self.served, 0, 0, 0),
            in_flight=self.in_flight,
            queued_now=len(self.queue),
            queued=self.waited + len(self.queue),
            released=self.served,
            lease_seconds=self.busy_seconds,
            wait=self.waits(),
        )

    def waits(self) -> tuple[int, ...]:
        """Histogram of the waits of requests that got a slot."""
        return (self.wait_counts[0] + self.started - self.waited, *self.wait_counts[1:])

    def observe(
        self, pool: str, now: float, at: float, readings: tuple[Reading, ...]
    ) -> Observation:
        """What the scaler sees of it at `now` in the run and Unix time `at`."""
        return Observation(
            pool=pool,
            version=self.name,
            at=at,
            monotonic=now,
            weight=self.weight,
            desired=self.desired,
            ready=len(self.ready),
            starting=len(self.starting),
            in_flight=self.in_flight,
            queued=len(self.queue),
            slots=self.slots,
            readings=readings,
            arrived=self.arrived,
            served=self.served,
            busy=self.busy_seconds,
            waits=self.waits(),
            starting_for=tuple(now - self._born[replica] for replica in self.starting),
            start_seconds=tuple(self.start_times),
        )

    def _new(self) -> int:
        self._owners.append(self)
        return len(self._owners) - 1

    def _serve(self, replica: int) -> None:
        self.ready.add(replica)
        self.free.extend([replica] * self.slots)

    def _shrink(self, surplus: int, now: float, drain_timeout: float) -> None:
        """Victims as `scaler.reconcile` chooses them: the youngest that starts, then the idlest."""
        for replica in list(self.starting)[::-1][:surplus]:
            del self.starting[replica]
            self.gone(replica, now)
            surplus -= 1
        if not surplus:
            return
        idle = Counter(self.free)
        victims = sorted(self.ready, key=lambda r: (-idle[r], -r))[:surplus]
        for replica in victims:
            self.ready.discard(replica)
            self.leaving[replica] = self.slots - idle[replica]
            self.deadlines[replica] = now + drain_timeout
            if idle[replica] == self.slots:
                self.gone(replica, now)
        left = set(victims)
        self.free = deque(replica for replica in self.free if replica not in left)
