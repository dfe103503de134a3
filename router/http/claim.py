"""How an exchange comes to a slot: its first phases, and the time it has.

Phases are told in `router.http.exchange`; this is ROUTE and QUEUED, and the way back to them when
a try has failed. Deadlines run through all phases and begin here.
"""

from __future__ import annotations

from bisect import bisect_left
from time import monotonic
from typing import TYPE_CHECKING

from fleet.telemetry import slab as words
from fleet.telemetry.histogram import BOUNDS
from fleet.wire import LimitsEntry, TimeoutsEntry, TriesEntry
from router.circuit import WORDS as CIRCUIT_WORDS
from router.classing import Classing
from router.counters import Counters
from router.errors import Refusal, shed_refusal
from router.http import refusals
from router.http.head import RequestHead
from router.http.phase import Phase
from router.http.ports import DownstreamPort
from router.pool import Replica, Version
from router.timers import Alarm

if TYPE_CHECKING:
    from router.http.tries import Tries
    from router.plane import Plane


class Claim:
    """See the module. The exchange sets every attribute."""

    __slots__ = (
        "_attempts",
        "_classing",
        "_counters",
        "_downstream",
        "_due",
        "_plane",
        "_rules",
        "_tries",
        "_version",
        "band",
        "bytes_in",
        "hash_key",
        "head",
        "leased_at",
        "limits",
        "phase",
        "pool",
        "queued_until",
        "replica",
        "started",
        "timeouts",
    )

    _attempts: int
    """Leases so far."""
    _classing: Classing
    """The classes and tenants by which it came, or by which it waits."""
    _counters: Counters
    _downstream: DownstreamPort
    _due: Alarm | None
    """Ends the request when its time is over."""
    _plane: Plane
    _rules: TriesEntry
    _tries: Tries | None
    """What there was beyond the first try."""
    _version: Version | None
    band: int
    """Its priority class; see `router.classing`."""
    bytes_in: int
    hash_key: bytes | None
    head: RequestHead
    leased_at: float
    """Monotonic time of the lease held; 0 while there is none."""
    limits: LimitsEntry
    """Of its route."""
    phase: Phase
    pool: str
    queued_until: float
    replica: Replica | None
    started: float
    timeouts: TimeoutsEntry
    """Of its route."""

    @property
    def version(self) -> str:
        """Name of the version chosen; empty before it is."""
        return self._version.name if self._version else ""

    @property
    def serving(self) -> Version | None:
        """The version chosen; None before it is."""
        return self._version

    @property
    def priority(self) -> str:
        """Name of its priority class; empty when its pool has none."""
        if self._version is None or not self._classing.used:
            return ""
        return self._classing.names[self.band]

    @property
    def tenant(self) -> bytes:
        """Whose it is (`router.queueing.port.Waiting`); empty when nobody is named."""
        header = self._classing.tenant_header
        return (self.head.header(header) or b"") if header is not None else b""

    # ROUTE

    def start(self) -> None:
        """Route, split and admit."""
        self.started = monotonic()
        head = self.head
        try:
            route = self._plane.route(head)
            if route.timeouts is not None:
                self.timeouts = route.timeouts
            if route.limits is not None:
                self.limits = route.limits
            version = self._plane.choose_version(route.pool, head)
        except Refusal as refusal:
            self._counters.add(words.STARTED)
            self.refuse(refusal)
            return
        self._version = version
        self.pool = version.pool.name
        self._counters = version.counters
        self._counters.add(words.STARTED)
        self._classing = classing = version.pool.classing
        if classing.used:
            self.band = classing.band(route.priority, head.header)
        if self._plane.strained and self._refused_under_strain(version):
            return
        limit = self.limits.body
        if max(head.length, self.bytes_in) > limit:
            self.refuse(refusals.too_large(limit))
            return
        if head.final:
            self.refuse(refusals.last_hop())
            return
        self._rules = route.tries
        if (self.timeouts.request or head.timeout is not None) and not self._set_due():
            return
        replica_key = version.pool.replica_key
        if replica_key is not None:
            self.hash_key = replica_key(head, self._downstream.peer.client)
        self.queued_until = self.started + version.pool.entry.queue_timeout
        self._admit(version)

    def _refused_under_strain(self, version: Version) -> bool:
        reason = self._plane.pressed(version.pool, self.band)
        if reason is None:
            return False
        self._counters.refused(self.band, reason)
        if reason == "connections":
            self.head.keep_alive = False  # the room is for others
        self.shed(reason)
        return True

    def _set_due(self) -> bool:
        """Note when the request's time is over; False when it is already."""
        given = [] if self.head.timeout is None else [self.head.timeout.seconds]
        if self.timeouts.request:
            given.append(self.timeouts.request)
        seconds = min(given)
        if seconds <= 0.0:
            self._too_late()
            return False
        self._due = Alarm(self._plane.wheel, self.started + seconds, self._too_late)
        return True

    def _too_late(self) -> None:
        self._counters.add(words.DEADLINES)
        self.fail(refusals.too_late())

    def _admit(self, version: Version) -> None:
        admission = self._plane.admission
        circuit = version.circuit
        if circuit is not None and circuit.full("requests"):
            self._circuit_open("requests")
            return
        if self._tries is None:
            replica = admission.lease(version, self.hash_key)
        else:
            replica = admission.lease_other(version, self._tries.failed, self.hash_key)
        if replica is not None:
            self._leased(replica)
            return
        again = self._attempts > 0
        if circuit is not None and not again and circuit.full("pending"):
            self._circuit_open("pending")
            return
        self.phase = Phase.QUEUED
        if not admission.enqueue(self, version, front=again):
            self.shed("queue_full")

    def _circuit_open(self, limit: str) -> None:
        assert self._version is not None
        self.phase = Phase.ROUTE
        self._counters.add(CIRCUIT_WORDS[limit])
        self.refuse(refusals.circuit_open(limit, self._plane.admission.retry_after(self._version)))

    # QUEUED

    def granted(self, replica: Replica) -> None:
        """A slot has come free (`router.pool.Waiter`)."""
        self._leased(replica)

    def expired(self) -> None:
        """Waited too long (`router.pool.Waiter`)."""
        assert self._version is not None
        self.phase = Phase.ROUTE
        retry = self._plane.admission.retry_after(self._version)
        self.refuse(refusals.no_slot(retry, replicas=self._version.usable_slots > 0))

    def shed(self, reason: str) -> None:
        """There is no room for it, or it gives way to others (`router.pool.Waiter`)."""
        assert self._version is not None
        self.phase = Phase.ROUTE
        self.refuse(shed_refusal(reason, self._plane.admission.retry_after(self._version)))

    def moved(self, version: Version) -> None:
        """Its version has vanished (`router.pool.Waiter`)."""
        self._version = version
        self._counters = version.counters

    def reclassed(self, classing: Classing) -> None:
        """Its pool has other classes and tenants now (`router.pool.Waiter`)."""
        self.band = classing.band(self.priority or None, self.head.header)
        self._classing = classing

    def dropped(self) -> None:
        """Its pool has vanished (`router.pool.Waiter`)."""
        self.phase = Phase.ROUTE
        self.refuse(Refusal(503, "pool_removed", "the pool was removed from the configuration"))

    def try_again(self) -> None:
        """Ask for another slot; of another version when this one has lost its last replica, or
        has vanished since.
        """
        version = self._version
        assert version is not None
        self.phase = Phase.ROUTE
        there = version.pool.versions.get(version.name) is version
        if not there and not version.pool.versions:
            self.dropped()
            return
        if not there or not version.usable_slots:
            try:
                version = self._plane.choose_version(self.pool, self.head)
            except Refusal as refusal:
                if not there:
                    self.refuse(refusal)
                    return
            else:
                self.moved(version)
        if self._classing is not version.pool.classing:
            self.reclassed(version.pool.classing)
        self._admit(version)

    def _cancel_due(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _end_lease(self, status: int = 0) -> None:
        if self.leased_at:
            replica = self.replica
            assert replica is not None
            held = monotonic() - self.leased_at
            self.leased_at = 0.0
            self._plane.admission.release(replica, held, status)

    def _observe(self, buckets: int, total: int, seconds: float) -> None:
        self._counters.add(buckets + bisect_left(BOUNDS, seconds))
        self._counters.add(total, int(seconds * 1e6))

    # the rest of the exchange

    def _leased(self, replica: Replica) -> None:
        raise NotImplementedError

    def fail(self, refusal: Refusal) -> None:
        """See `router.http.exchange.Exchange`."""
        raise NotImplementedError

    def refuse(self, refusal: Refusal) -> None:
        """See `router.http.exchange.Exchange`."""
        raise NotImplementedError
