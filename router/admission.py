"""The way to a slot: take one, wait for one in a bounded queue, or be refused.

A slot that comes free goes straight to the next waiter of its version, as the queue orders them
(`router.queueing`), so nobody overtakes the queue. Each version has a queue, since only its own
slots serve it; the limit is the pool's, over all versions, and so is the choice of who gives way
when it is reached. All entries and exits of the queue and all leases go through here, and are
counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from fleet.telemetry import slab as words
from router.hints import queue_hint
from router.pool import Pool, Replica, Version
from router.waiter import Waiter

TOO_MANY: Final = 429
"""The replica has refused: that says nothing of how long requests take."""


class Admission:
    """Slots and queues of one worker. `on_queue(version)` is called when a queue forms,
    `on_idle(replica)` when a draining replica has given back its last lease; `clock()` gives
    monotonic seconds.
    """

    def __init__(
        self,
        on_queue: Callable[[Version], None],
        on_idle: Callable[[Replica], None],
        await_token: Callable[[Replica], None],
        clock: Callable[[], float],
    ) -> None:
        self._on_queue = on_queue
        self.idle = on_idle
        self._await_token = await_token
        self._clock = clock

    def lease(self, version: Version, key: bytes | None = None) -> Replica | None:
        """A replica with one of its slots taken, or None when the request must wait."""
        if version.waiting:
            return None
        return self._take(version, key)

    def lease_other(
        self, version: Version, avoid: Iterable[Replica], key: bytes | None = None
    ) -> Replica | None:
        """As `lease`, but of none of `avoid` while another replica has a slot."""
        passed_over = {r for r in avoid if r.place >= 0 and r.version is version}
        if len(passed_over) == len(version.free):
            return self.lease(version, key)
        for replica in passed_over:
            version.withdraw(replica)
        leased = self.lease(version, key)
        for replica in passed_over:
            version.offer(replica)
        return leased

    def enqueue(self, waiter: Waiter, version: Version, *, front: bool = False) -> bool:
        """Wait for a slot; False: the queue is full. `front`: one that was in before."""
        pool = version.pool
        # again and again: the place made may be taken by what its connection sent behind it
        while pool.queued >= pool.entry.queue_limit and not front:
            if not self._displace(waiter, pool):
                version.counters.refused(waiter.band, "queue_full")
                return False
        now = self._clock()
        version.waiting.join(waiter, now, front=front)
        self._joined(waiter, version)
        if version.watch is not None:
            self.shed_stale(version, now)
        return True

    def leave(self, waiter: Waiter, version: Version) -> None:
        """Leave the queue without a slot: the client is gone."""
        version.waiting.leave(waiter)
        self._left(waiter, version)

    def release(self, replica: Replica, held: float, status: int = 200) -> None:
        """End a lease of `held` seconds and pass the slot on; `status` of its whole reply, 0 when
        there was none.
        """
        version = replica.version
        # counted before another worker can take the slot: the sum never shows more than there are
        version.counters.add(words.RELEASED)
        version.counters.add(words.LEASE_MICROSECONDS, int(held * 1e6))
        if replica.gradient is not None:
            answered = 0 < status < 500 and status != TOO_MANY
            replica.gradient.sample(held, replica.in_flight, answered=answered)
            if replica.gradient.limit != replica.slots:
                replica.learn_limit()
                version.pool.rebuild_split()
        replica.release()
        version.lease_ewma += 0.1 * (held - version.lease_ewma)
        version.offer(replica)
        if version.waiting:
            self.admit(version)
        if replica.draining and replica.in_flight == 0:
            self.idle(replica)

    def admit(self, version: Version) -> None:
        """Give free slots to waiters, in the queue's order.

        A waiter may give its slot back at once (its time is over); then this goes on with it, not
        one level deeper for each.
        """
        if version.admitting or not version.waiting or not version.free:
            return
        version.admitting = True
        now = self._clock()
        try:
            if version.watch is not None:
                self.shed_stale(version, now)
            while version.waiting and version.free:
                waiter, joined = version.waiting.take(now)
                replica = self._take(version, waiter.hash_key)
                if replica is None:
                    version.waiting.join(waiter, joined, front=True)
                    return
                self._left(waiter, version)
                version.counters.waited(waiter.band, now - joined)
                waiter.granted(replica)
        finally:
            version.admitting = False

    def expire(self, pool: Pool, now: float) -> None:
        """Send away those who have waited too long."""
        for version in pool.versions.values():
            if version.watch is not None:
                self.shed_stale(version, now)
            # not only from the front: those moved here, or in since a reload, may be due first
            for waiter in [w for w in version.waiting if w.queued_until <= now]:
                if waiter not in version.waiting:
                    continue  # gave way to what the connection of one before sent behind it
                self.leave(waiter, version)
                version.counters.add(words.QUEUE_TIMEOUTS)
                waiter.expired()

    def shed_stale(self, version: Version, now: float) -> None:
        """While the queue stands, send away those who have waited too long: of the lowest class
        that waits, and of the next one when that has not helped. After a stall all are late, and
        the higher are served soon once the lower are gone.
        """
        watch, waiting = version.watch, version.waiting
        assert watch is not None
        before = watch.stale_before(waiting.oldest(), now)
        if before is None:
            return
        lowest = len(version.pool.classing.names) - 1
        while (waiter := waiting.stale(before)) is not None:
            band = min(waiter.band, lowest)
            if watch.spares(band, now):
                return
            watch.shed(band, now)
            self._shed(waiter, version, "delay")

    def move(self, gone: Version, heir: Version | None) -> None:
        """Let those who wait for a vanished version wait on for `heir`, or send them away."""
        for waiter in list(gone.waiting):
            joined = gone.waiting.leave(waiter)
            self._left(waiter, gone)
            if heir is None:
                waiter.dropped()
            else:
                heir.waiting.join(waiter, joined)
                self._joined(waiter, heir)
                waiter.moved(heir)

    def retry_after(self, version: Version) -> int:
        """Seconds after which it is worth asking again; see `router.hints.queue_hint`."""
        return queue_hint(version, self._clock())

    def _displace(self, newcomer: Waiter, pool: Pool) -> bool:
        """Make room for `newcomer` in a full queue, if somebody has to give way to it."""
        found: tuple[Waiter, Version] | None = None
        for version in pool.versions.values():
            waiter = version.waiting.lesser(newcomer.band, newcomer.tenant)
            if waiter is not None and (found is None or waiter.band > found[0].band):
                found = waiter, version
        if found is None:
            return False
        same = found[0].band == newcomer.band
        self._shed(*found, "share" if same else "displaced")
        return True

    def _shed(self, waiter: Waiter, version: Version, reason: str) -> None:
        self.leave(waiter, version)
        version.counters.refused(waiter.band, reason)
        waiter.shed(reason)

    def _take(self, version: Version, key: bytes | None) -> Replica | None:
        while version.free:
            replica = version.balancer.pick(version, key)
            if replica.acquire():
                version.counters.add(words.LEASED)
                if key is not None:
                    replica.see(key)
                if replica.in_flight >= replica.slots:
                    version.withdraw(replica)
                return replica
            version.withdraw(replica)
            if replica.in_flight < replica.slots:
                self._await_token(replica)
        return None

    def _joined(self, waiter: Waiter, version: Version) -> None:
        version.pool.queued += 1
        version.counters.add(words.QUEUED)
        version.counters.add_band(waiter.band, words.BAND_QUEUED)
        if not version.demand_told:
            version.demand_told = True
            self._on_queue(version)

    def _left(self, waiter: Waiter, version: Version) -> None:
        version.pool.queued -= 1
        version.counters.add(words.UNQUEUED)
        version.counters.add_band(waiter.band, words.BAND_UNQUEUED)
        if not version.waiting:
            version.demand_told = False
