"""The way to a slot: take one, wait for one in a bounded queue, or be refused.

A slot that comes free goes straight to the first waiter of its version, so nobody overtakes the
queue. All entries and exits of the queue and all leases go through here, and are counted here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from fleet.telemetry import slab as words
from router.pool import Pool, Replica, Version, Waiter

MAX_RETRY_AFTER = 60


class Admission:
    """Slots and queues of one worker. `on_queue(version)` is called when a queue forms,
    `on_idle(replica)` when a draining replica has given back its last lease.
    """

    def __init__(
        self,
        on_queue: Callable[[Version], None],
        on_idle: Callable[[Replica], None],
        await_token: Callable[[Replica], None],
    ) -> None:
        self._on_queue = on_queue
        self.idle = on_idle
        self._await_token = await_token

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
        if pool.queued >= pool.entry.queue_limit and not front:
            version.counters.add(words.SHED)
            return False
        version.waiting[waiter] = None
        if front:
            version.waiting.move_to_end(waiter, last=False)
        self._joined(version)
        return True

    def leave(self, waiter: Waiter, version: Version) -> None:
        """Leave the queue without a slot: the client is gone."""
        del version.waiting[waiter]
        self._left(version)

    def release(self, replica: Replica, held: float) -> None:
        """End a lease of `held` seconds and pass the slot on."""
        version = replica.version
        # counted before another worker can take the slot: the sum never shows more than there are
        version.counters.add(words.RELEASED)
        version.counters.add(words.LEASE_MICROSECONDS, int(held * 1e6))
        replica.release()
        version.lease_ewma += 0.1 * (held - version.lease_ewma)
        version.offer(replica)
        if version.waiting:
            self.admit(version)
        if replica.draining and replica.in_flight == 0:
            self.idle(replica)

    def admit(self, version: Version) -> None:
        """Give free slots to waiters, first come first served.

        A waiter may give its slot back at once (its time is over); then this goes on with it, not
        one level deeper for each.
        """
        if version.admitting:
            return
        version.admitting = True
        try:
            while version.waiting:
                waiter = next(iter(version.waiting))
                replica = self._take(version, waiter.hash_key)
                if replica is None:
                    return
                del version.waiting[waiter]
                self._left(version)
                waiter.granted(replica)
        finally:
            version.admitting = False

    def expire(self, pool: Pool, now: float) -> None:
        """Send away those who have waited too long."""
        for version in pool.versions.values():
            # not only from the front: those moved here, or in since a reload, may be due first
            for waiter in [w for w in version.waiting if w.queued_until <= now]:
                self.leave(waiter, version)
                version.counters.add(words.QUEUE_TIMEOUTS)
                waiter.expired()

    def move(self, gone: Version, heir: Version | None) -> None:
        """Let those who wait for a vanished version wait on for `heir`, or send them away."""
        for waiter in list(gone.waiting):
            self.leave(waiter, gone)
            if heir is None:
                waiter.dropped()
            else:
                heir.waiting[waiter] = None
                self._joined(heir)
                waiter.moved(heir)

    def retry_after(self, version: Version) -> int:
        """Seconds until the queue as it stands has drained, as far as is known; 1 to 60."""
        slots = version.usable_slots
        if slots == 0:
            return max(1, min(MAX_RETRY_AFTER, math.ceil(version.pool.entry.queue_timeout)))
        drain = len(version.waiting) * version.lease_ewma / slots
        return max(1, min(MAX_RETRY_AFTER, math.ceil(drain)))

    def _take(self, version: Version, key: bytes | None) -> Replica | None:
        while version.free:
            replica = version.balancer.pick(version, key)
            if replica.acquire():
                version.counters.add(words.LEASED)
                if replica.in_flight >= replica.slots:
                    version.withdraw(replica)
                return replica
            version.withdraw(replica)
            if replica.in_flight < replica.slots:
                self._await_token(replica)
        return None

    def _joined(self, version: Version) -> None:
        version.pool.queued += 1
        version.counters.add(words.QUEUED)
        if not version.demand_told:
            version.demand_told = True
            self._on_queue(version)

    def _left(self, version: Version) -> None:
        version.pool.queued -= 1
        version.counters.add(words.UNQUEUED)
        if not version.waiting:
            version.demand_told = False
