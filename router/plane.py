"""The data plane of one worker: what exchanges and connections share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from random import Random
from time import monotonic
from typing import Protocol

from fleet.telemetry import slab as words
from fleet.telemetry.slab import worker_at
from fleet.wire import (
    Demand,
    Ejected,
    Idle,
    LimitsEntry,
    Loads,
    Members,
    Returned,
    RouteEntry,
    Suspect,
    Table,
    TimeoutsEntry,
    ToControl,
)
from router.accesslog import AccessLog
from router.admission import Admission
from router.balance.slow_start import reshare
from router.counters import Counters
from router.dialling import Dialler, failure
from router.equip import Equipment
from router.errors import Refusal
from router.http.head import RequestHead
from router.http.names import routing_fields
from router.http.phase import Phase
from router.http.ports import Caller, ClientPort
from router.http.upstream import Upstream
from router.overload import Overload, resident_bytes, shrink_heap
from router.peer import TrustedProxies
from router.pool import Pool, Replica, Version
from router.sessions import TURN, turn
from router.table import Directory, TakeToken
from router.timers import TimerWheel

SUSPENSION = 1.0
"""Seconds a replica that refused a connection gets no requests, unless control clears it."""

UNROUTED_BLOCK = 0

MEMORY_EVERY = 0.5
"""Seconds between two looks at the resident size, which take about 10 microseconds each."""

SHRINK_EVERY = 2.0
"""Seconds between two times that free memory is given back to the system, while it is short."""

RESERVED_SHARE = 16
"""One connection in so many is kept for critical pools, if there are any."""


class Gathering(Protocol):
    """A connection that gathers what it writes."""

    def flush(self) -> None:
        """Write what was gathered."""
        ...


class Plane:
    """See the module. `tell(message)` reaches control."""

    def __init__(self, row: memoryview, tell: Callable[[ToControl], None], log: AccessLog) -> None:
        self._loop = asyncio.get_running_loop()
        self._row = row
        self._tell = tell
        self.log = log
        self.wheel = TimerWheel(monotonic())
        self.admission = Admission(self._queue_formed, self._idle, self._await_token, self._now)
        self._equipment = Equipment(self, monotonic)
        self.directory = Directory(row, self.admission, self._equipment)
        self.unrouted = Counters(row, UNROUTED_BLOCK)
        self.dialler = Dialler()
        self.trusted = TrustedProxies()
        self.timeouts: TimeoutsEntry
        self.limits: LimitsEntry
        self.overload = Overload()
        self.strained = False
        """There is something to refuse requests for before they are admitted: see `pressed`."""
        self._memory_due = 0.0
        self._shrink_due = 0.0
        self._reserved = 0
        """Connections kept for critical pools."""
        self.refuse_paths = False
        self.routing_fields: frozenset[bytes] = frozenset()
        """Header fields the configuration goes by, in lower case."""
        self.draining = False
        self._soon: Callable[[Callable[[], None]], object] = self._loop.call_soon
        self._gathering: list[Gathering] = []
        self.downstreams: set[ClientPort] = set()
        self._suspended: list[Replica] = []
        self._ramping: set[Version] = set()
        self._marked = 0.0
        self._turn_due = monotonic() + TURN
        self.random = Random()
        self._dials: set[asyncio.Task[None]] = set()
        self._id_prefix = os.urandom(8).hex().encode()
        self._id = 0

    @property
    def connections(self) -> int:
        """Client connections open now."""
        return len(self.downstreams)

    # what control pushes

    def apply(self, table: Table) -> None:
        """Serve a new generation."""
        self.timeouts = table.timeouts
        self.limits = table.limits
        self.refuse_paths = table.paths == "refuse"
        self.routing_fields = routing_fields(_fields_of(table))
        self.log.enabled = table.log_enabled
        self.log.sample = table.log_sample
        self.trusted = TrustedProxies(table.trusted_proxies)
        self.overload.configure(table.overload)
        critical = any(pool.critical for pool in table.pools)
        self._reserved = max(1, table.limits.connections // RESERVED_SHARE) if critical else 0
        self._weigh()
        self.directory.apply(table)
        for pool, version in self.dialler.configure(table.upstream_tls):
            for replica in self.directory.pools[pool].versions[version].replicas.values():
                replica.close_idle()
        self._reshare(*self.directory.pools.values())

    def members(self, message: Members, take_token: TakeToken) -> None:
        """Serve with a new membership."""
        self.directory.members(message, take_token)
        pool = self.directory.pools.get(message.pool)
        if pool is not None:
            pool.budget.strained = message.strained
            self._reshare(pool)

    def loads(self, message: Loads) -> None:
        """Hear what control was told of the load of replicas."""
        pool = self.directory.pools.get(message.pool)
        if pool is None:
            return
        until = monotonic() + pool.entry.balancing.load_stale
        for version in pool.versions.values():
            for name in version.replicas.keys() & message.loads.keys():
                self._equipment.reports.report(version.replicas[name], message.loads[name], until)

    # what exchanges ask for

    def new_id(self) -> bytes:
        """A request id: 16 random hex digits of this process and a counter."""
        self._id += 1
        return b"%b%08x" % (self._id_prefix, self._id)

    def route(self, head: RequestHead) -> RouteEntry:
        """The route of a request. Raises `Refusal` (404)."""
        route = self.directory.routes.match(head.host, head.path, head.method, head.header)
        if route is None:
            raise Refusal(404, "no_route", "no route matches this request")
        return route

    def choose_version(self, name: str, head: RequestHead) -> Version:
        """The version of the pool `name`. Raises `Refusal` (400 or 503)."""
        pool = self.directory.pools[name]
        if pool.version_header is not None:
            wanted = head.header(pool.version_header)
            if wanted is not None:
                version = pool.versions.get(wanted.decode("latin-1"))
                if version is None:
                    raise Refusal(400, "unknown_version", "the pool has no version of that name")
                return version
        session: bytes | None = None
        if pool.affinity_header is not None:
            session = head.header(pool.affinity_header)
        elif pool.affinity_cookie is not None:
            session = head.cookie(pool.affinity_cookie)
        chosen = pool.choose(session or None)
        if chosen is None:
            raise Refusal(503, "no_version", "every version of the pool has weight 0")
        return chosen

    def pressed(self, pool: Pool, band: int) -> str | None:
        """Why a request of that class of the pool is to be refused before it is admitted, as one
        of `SHED_REASONS`; to be asked while `strained`.
        """
        critical = pool.entry.critical
        if self._crowded and not critical:
            return "connections"
        if not self.overload.severity:
            return None
        bands = len(pool.classing.names)
        return self.overload.refuses(pool.name, band, bands, critical=critical)

    def connect(self, replica: Replica, caller: Caller) -> None:
        """Give the caller a kept connection at once, or a new one when it is made."""
        if replica.idle:
            caller.connected(replica.idle.pop())
            return
        replica.version.dialling += 1
        dial = self._loop.create_task(self._dial(replica, caller))
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)

    async def _dial(self, replica: Replica, caller: Caller) -> None:
        limit = caller.timeouts.connect
        upstream: Upstream | None = None
        failed = ""
        try:
            async with asyncio.timeout(limit):
                upstream = await self.dialler.dial(replica, lambda: Upstream(self, replica))
        except TimeoutError:
            failed = f"no answer within {limit:g}s"
        except (OSError, ValueError) as error:
            failed = failure(error)
        finally:
            replica.version.dialling -= 1
        if caller.phase is not Phase.CONNECTING:
            if upstream is not None:
                upstream.close()
        elif upstream is not None:
            caller.connected(upstream)
        else:
            caller.connect_failed(failed)

    def suspect(self, replica: Replica, error: str, *, suspend: bool) -> None:
        """A connection to `replica` failed: tell control, and `suspend` it for a while."""
        replica.close_idle()
        if replica.suspended or not replica.serving:
            return
        if suspend:
            replica.suspended_until = monotonic() + SUSPENSION
            self._suspended.append(replica)
            replica.version.withdraw(replica)
            replica.version.pool.rebuild_split()
        self._tell(Suspect(replica=replica.name, error=error))

    # connections

    def opened(self, downstream: ClientPort) -> None:
        """A client has connected."""
        self.downstreams.add(downstream)
        self._row[worker_at() + words.CONNECTIONS_OPENED] += 1
        if self._reserved:
            self._weigh()

    def closed(self, downstream: ClientPort) -> None:
        """A client's connection is gone."""
        self.downstreams.discard(downstream)
        self._row[worker_at() + words.CONNECTIONS_CLOSED] += 1
        if self._reserved:
            self._weigh()

    def count(self, word: int) -> None:
        """Add 1 to one of the worker's own words (`fleet.telemetry.slab`)."""
        self._row[worker_at() + word] += 1

    def gathers(self, connection: Gathering) -> None:
        """`connection` has begun to gather what it writes: let it flush once this turn of the
        loop is over.

        A head and its body, or the pieces of one read, then take one system call, and a peer that
        is woken finds all there is for it. A small POST takes 0.7 to 0.86 of the CPU time that
        flushing after each read takes (medians of alternating rounds in two runs).
        """
        if not self._gathering:
            self._soon(self._flush)
        self._gathering.append(connection)

    def _flush(self) -> None:
        gathering, self._gathering = self._gathering, []
        for connection in gathering:
            try:
                connection.flush()
            except Exception as error:
                context = {"message": "a connection cannot be written to", "exception": error}
                self._loop.call_exception_handler(context)

    # time

    def tick(self, lag: float = 0.0) -> None:
        """Move the wheel, the queues and the suspensions; to be called about every wheel tick.
        `lag`: seconds this call comes late.
        """
        now = monotonic()
        memory = None
        if self.overload.watches_memory and now >= self._memory_due:
            self._memory_due = now + MEMORY_EVERY
            memory = self._resident(now)
        self.overload.read(lag, memory)
        self._weigh()
        self.wheel.advance(now)
        for pool in self.directory.pools.values():
            if pool.queued:
                self.admission.expire(pool, now)
        if now >= self._marked + 1.0:
            self._marked = now
            for pool in self.directory.pools.values():
                pool.mark(now)
        if now >= self._turn_due:
            self._turn_due = now + TURN
            turn(self.directory.pools.values())
        for replica in [r for r in self._suspended if r.suspended_until <= now]:
            self._suspended.remove(replica)
            replica.suspended_until = 0.0
            self._usable_again(replica)
        for pool in self.directory.pools.values():
            for version in pool.versions.values():
                if version.outliers is not None:
                    version.outliers.tick(now)
        self._ramping |= {r.version for r in self._equipment.reports.expire(now)}
        if self._ramping:
            self._ramping = {v for v in self._ramping if reshare(v, now)}

    def _resident(self, now: float) -> int | None:
        """The resident size; what is free goes back to the system first when that is too large."""
        memory = resident_bytes()
        if memory is None or now < self._shrink_due or not self.overload.short_of_memory(memory):
            return memory
        self._shrink_due = now + SHRINK_EVERY
        shrink_heap()
        return resident_bytes()

    def _reshare(self, *pools: Pool) -> None:
        now = monotonic()
        for pool in pools:
            self._ramping |= {v for v in pool.versions.values() if reshare(v, now)}

    def _usable_again(self, replica: Replica) -> None:
        replica.version.offer(replica)
        replica.version.pool.rebuild_split()
        self.admission.admit(replica.version)

    # router.outliers.OnEjection

    def eject(self, replica: Replica, rule: str, reason: str, seconds: float) -> None:
        """See `router.outliers.OnEjection`."""
        replica.ejected_until = monotonic() + seconds
        replica.version.withdraw(replica)
        replica.version.pool.rebuild_split()
        self._tell(Ejected(replica=replica.name, rule=rule, reason=reason, seconds=seconds))

    def restore(self, replica: Replica, reason: str) -> None:
        """See `router.outliers.OnEjection`. It warms up again, as after a start."""
        replica.ejected_until = 0.0
        replica.ready_at = -1.0
        self._usable_again(replica)
        self._reshare(replica.version.pool)
        self._tell(Returned(replica=replica.name, reason=reason))

    @property
    def _crowded(self) -> bool:
        """Only the connections kept for critical pools are left."""
        return self._reserved > 0 and self.connections > self.limits.connections - self._reserved

    def _weigh(self) -> None:
        self.strained = self.overload.severity > 0 or self._crowded

    @staticmethod
    def _now() -> float:
        return monotonic()

    # what admission tells

    def _queue_formed(self, version: Version) -> None:
        self._tell(Demand(pool=version.pool.name, version=version.name))

    def _idle(self, replica: Replica) -> None:
        if replica.idle_told:
            return
        replica.idle_told = True
        if replica.token_fd >= 0:
            self._loop.remove_reader(replica.token_fd)
            os.close(replica.token_fd)
            replica.token_fd = -1
        self._tell(Idle(replica=replica.name))

    def _await_token(self, replica: Replica) -> None:
        if not replica.waiting_token:
            replica.waiting_token = True
            self._loop.add_reader(replica.token_fd, self._token_free, replica)

    def _token_free(self, replica: Replica) -> None:
        self._loop.remove_reader(replica.token_fd)
        replica.waiting_token = False
        replica.version.offer(replica)
        self.admission.admit(replica.version)


def _fields_of(table: Table) -> Iterator[str]:
    for route in table.routes:
        yield from route.headers
    for pool in table.pools:
        yield from filter(None, (pool.version_header, pool.affinity_header))
