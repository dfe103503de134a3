"""The runtime objects of the data plane: pools, versions and replicas of one worker.

They live across generations: a reload changes their settings and weights, never their queues
or what is in flight.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fleet.telemetry import slab as words
from fleet.telemetry.slab import cell_at
from fleet.wire import PoolEntry, ReplicaEntry
from router.budget import Budget
from router.circuit import Circuit
from router.classing import Classing
from router.concurrency import Gradient2
from router.counters import Counters
from router.hedging import Delays
from router.keys import replica_key
from router.queueing import DelayWatch, Queue, queue_for
from router.record import Record
from router.sessions import Sessions
from router.split import Split

if TYPE_CHECKING:
    from router.balance import Balancer
    from router.http.ports import UpstreamPort
    from router.observer import Observer
    from router.outliers import Detector
    from router.waiter import Waiter


class Replica:
    """A replica as this worker sees it. A lease is one call of `acquire`, ended by `release`."""

    __slots__ = (
        "_row",
        "authority",
        "cell",
        "draining",
        "ejected_until",
        "elsewhere",
        "gradient",
        "host",
        "idle",
        "idle_told",
        "in_flight",
        "name",
        "place",
        "port",
        "ready_at",
        "record",
        "room",
        "serving",
        "sessions",
        "share",
        "slots",
        "suspended_until",
        "tls",
        "token_fd",
        "version",
        "waiting_token",
        "warmth",
        "weight",
    )

    def __init__(self, entry: ReplicaEntry, version: Version, row: memoryview) -> None:
        self.name = entry.name
        self.version = version
        self.host = ""
        self.port = 0
        self.authority = b""
        self.weight = entry.weight
        self.share = 1.0
        """Chance to be taken when drawn: its weight, slow start included, over the largest of its
        version; see `router.balance.slow_start`."""
        self.warmth = 1.0
        """The part of its weight that slow start leaves it, over the largest of its version."""
        self.ready_at = -1.0
        """Monotonic time since which it serves; -1 while it does not, or none has seen it yet."""
        self.elsewhere = 0.0
        """Load, in requests, that it reports beyond what is in flight here."""
        self.record = Record()
        self.ejected_until = 0.0
        """Monotonic time until which it is ejected (`router.outliers`), 0 when it is not."""
        self.slots = entry.slots
        self.room = 0.0
        """What balancers measure its load by: its slots times its weight."""
        self.gradient: Gradient2 | None = None
        """Finds out `slots` (`concurrency: auto`); None: they are as configured."""
        self.tls = entry.tls
        self.serving = entry.serving
        self.draining = entry.draining
        self.suspended_until = 0.0
        """Monotonic time until which it is passed over, 0 when it is not."""
        self.in_flight = 0
        self.idle: list[UpstreamPort] = []
        self.idle_told = False
        self.place = -1
        """Index in `version.free`, -1 when not in it."""
        self.token_fd = -1
        """Semaphore shared with the other workers; -1: this worker alone holds the slots."""
        self.waiting_token = False
        self.sessions: Sessions | None = None
        """Those picked by their key; None until the first comes."""
        self.cell = entry.cell
        self._row = row[cell_at(entry.cell) : cell_at(entry.cell) + words.CELL_WORDS]
        self.resize(entry.slots, entry.weight, adaptive=entry.adaptive)
        self.move(entry.host, entry.port)

    def __repr__(self) -> str:
        state = "serving" if self.serving else "draining" if self.draining else "out"
        return f"<Replica {self.name} {state} {self.in_flight}/{self.slots}>"

    @property
    def suspended(self) -> bool:
        """A connection to it failed a moment ago."""
        return self.suspended_until > 0.0

    @property
    def usable(self) -> bool:
        """May get new requests, slots aside."""
        return self.serving and self.suspended_until == 0.0 == self.ejected_until

    @property
    def load(self) -> float:
        """Requests that it works on, as far as is known here."""
        return self.in_flight + self.elsewhere

    def resize(self, slots: int, weight: float, *, adaptive: bool) -> None:
        """Take over the size that a new membership says."""
        self.weight = weight
        if not adaptive:
            self.gradient = None
            self.slots = slots
            self.room = slots * weight
            return
        if self.gradient is None:
            self.gradient = Gradient2(slots)
        self.gradient.most = slots
        self.learn_limit()

    def learn_limit(self) -> None:
        """Use as many slots as the gradient allows, and tell control through the slab."""
        assert self.gradient is not None
        self.slots = self.gradient.limit
        self.room = self.slots * self.weight
        self._row[words.CELL_LIMIT] = self.slots

    def move(self, host: str, port: int) -> None:
        """Dial there from now on: a replica started again has another port. Port 0: a Unix socket,
        and a request without a Host goes to `localhost`.
        """
        if (host, port) == (self.host, self.port):
            return
        self.close_idle()
        self.host, self.port = host, port
        name = f"[{host}]" if ":" in host else host
        self.authority = f"{name}:{port}".encode() if port else b"localhost"

    def close_idle(self) -> None:
        """Close the kept connections."""
        kept, self.idle = self.idle, []
        for connection in kept:
            connection.close()

    def see(self, key: bytes) -> None:
        """A request of the session with this key is here."""
        if self.sessions is None:
            self.sessions = Sessions(self.version.counters.row, self.cell)
        self.sessions.see(key)

    def acquire(self) -> bool:
        """Take a slot if there is one."""
        if self.in_flight >= self.slots:
            return False
        if self.token_fd >= 0:
            try:
                os.eventfd_read(self.token_fd)
            except BlockingIOError:
                return False
        self.in_flight += 1
        self._row[words.CELL_ACQUIRED] += 1
        return True

    def release(self) -> None:
        """Give a slot back."""
        self.in_flight -= 1
        self._row[words.CELL_RELEASED] += 1
        if self.token_fd >= 0:
            os.eventfd_write(self.token_fd, 1)


class Version:
    """A named release of a pool, with its replicas, its queue and its counters."""

    __slots__ = (
        "admitting",
        "balancer",
        "block",
        "circuit",
        "connections",
        "counters",
        "delays",
        "demand_told",
        "dialling",
        "free",
        "lease_ewma",
        "name",
        "observer",
        "outliers",
        "packed",
        "pool",
        "ready_at",
        "replicas",
        "room",
        "served_by",
        "uneven",
        "usable_slots",
        "waiting",
        "watch",
        "weight",
    )

    def __init__(self, name: str, pool: Pool, counters: Counters, block: int) -> None:
        self.name = name
        self.pool = pool
        self.weight = 0
        self.block = block
        self.counters = counters
        self.replicas: dict[str, Replica] = {}
        self.free: list[Replica] = []
        """Usable replicas believed to have a free slot, in no order."""
        self.balancer: Balancer
        self.observer: Observer | None = None
        """Told of replies and failures; None while nothing is learned from them."""
        self.outliers: Detector | None = None
        self.packed = False
        """Its requests are packed onto the oldest replicas."""
        self.uneven = False
        """Some share is below 1, some weight is not 1, or some replica reports load."""
        self.admitting = False
        self.circuit: Circuit | None = None
        self.connections = 0
        """Open connections to its replicas, kept ones included."""
        self.dialling = 0
        """Connections that are being made."""
        self.delays = Delays(counters.row, counters.at)
        self.waiting: Queue[Waiter] = queue_for(pool.classing.settings)
        self.watch: DelayWatch | None = pool.delay_watch()
        """Tells when the wait has become too long; None: `queue.timeout` alone does."""
        self.ready_at = 0.0
        """Monotonic time at which a replica that starts is expected to serve; 0: none is."""
        self.demand_told = False
        self.usable_slots = 0
        """Slots of all usable replicas, as of the last `Pool.rebuild_split`."""
        self.room = 0.0
        """Their slots times their weights."""
        self.lease_ewma = 0.0
        """Mean seconds a slot is held, exponentially weighted (0.1 a sample)."""
        self.served_by = f"{pool.name}/{name}".encode()

    @property
    def in_flight(self) -> int:
        """Leases held now, by this worker."""
        row, at = self.counters.row, self.counters.at
        held: int = row[at + words.LEASED] - row[at + words.RELEASED]
        return held

    def offer(self, replica: Replica) -> None:
        """Put `replica` among the free if it is usable and has a slot."""
        if replica.place < 0 and replica.usable and replica.in_flight < replica.slots:
            replica.place = len(self.free)
            self.free.append(replica)

    def configure(self) -> None:
        """Take over the pool's settings; those who wait keep their times."""
        pool, before = self.pool, self.waiting
        self.watch = pool.delay_watch()
        self.waiting = queue_for(pool.classing.settings)
        for waiter in list(before):
            joined = before.leave(waiter)
            self.counters.add_band(waiter.band, words.BAND_UNQUEUED)
            waiter.reclassed(pool.classing)
            self.counters.add_band(waiter.band, words.BAND_QUEUED)
            self.waiting.join(waiter, joined)

    def withdraw(self, replica: Replica) -> None:
        """Take `replica` from among the free: full, draining or suspended."""
        place = replica.place
        if place < 0:
            return
        last = self.free.pop()
        if last is not replica:
            self.free[place] = last
            last.place = place
        replica.place = -1


class Pool:
    """One agent service."""

    __slots__ = (
        "affinity_cookie",
        "affinity_header",
        "budget",
        "classing",
        "entry",
        "name",
        "order",
        "queued",
        "replica_key",
        "spill",
        "split",
        "version_header",
        "versions",
    )

    def __init__(self, entry: PoolEntry) -> None:
        self.name = entry.name
        self.versions: dict[str, Version] = {}
        self.order: list[Version] = []
        """Versions as `split` numbers them."""
        self.split = Split((), ())
        self.spill: Split | None = None
        """The split over the versions with a usable replica; None when that is all or none."""
        self.queued = 0
        self.budget = Budget(entry.budget)
        self.configure(entry)

    def configure(self, entry: PoolEntry) -> None:
        """Take over the settings of a new generation."""
        self.entry = entry
        self.budget.configure(entry.budget)
        self.classing = Classing(entry.queue)
        self.affinity_header = _lower(entry.affinity_header)
        self.affinity_cookie = entry.affinity_cookie.encode() if entry.affinity_cookie else None
        self.version_header = _lower(entry.version_header)
        self.replica_key = replica_key(entry)
        """What replicas are hashed by; None when they are not."""

    def delay_watch(self) -> DelayWatch | None:
        """A new watch over the delay of one version's queue, if there is a target."""
        queue = self.entry.queue
        return None if queue.target is None else DelayWatch(queue.target, queue.interval)

    def rebuild_split(self) -> None:
        """After a change of versions, weights or usable replicas."""
        self.order = list(self.versions.values())
        for version in self.order:
            usable = [r for r in version.replicas.values() if r.usable]
            version.usable_slots = sum(r.slots for r in usable)
            version.room = sum(r.room for r in usable)
        names = tuple(v.name for v in self.order)
        weights = tuple(v.weight for v in self.order)
        if (names, weights) != (self.split.names, self.split.weights):
            self.split = Split(names, weights)
        reachable = tuple(v.weight if v.usable_slots else 0 for v in self.order)
        if reachable == weights or not any(reachable):
            self.spill = None
        elif self.spill is None or (names, reachable) != (self.spill.names, self.spill.weights):
            self.spill = Split(names, reachable)

    @property
    def started(self) -> int:
        """Requests that have come to the versions there are now, in this worker."""
        return sum(v.counters.row[v.counters.at + words.STARTED] for v in self.order)

    def mark(self, now: float) -> None:
        """Remember the counters as they are; once a second."""
        self.budget.mark(now, self.started)
        for version in self.order:
            version.delays.mark(now)

    def choose(self, session: bytes | None) -> Version | None:
        """The version of a request without an override; None when every weight is 0.

        Versions without a usable replica are passed over while another has one; when none has,
        the request is given to its own version and waits there.
        """
        split = self.spill or self.split
        if not any(split.weights):
            return None
        return self.order[split.next() if session is None else split.of_session(session)]


def _lower(name: str | None) -> bytes | None:
    return name.lower().encode() if name else None
