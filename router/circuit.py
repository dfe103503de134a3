"""Circuit limits: what a version and its pool may have at once, in one worker.

They bound what trouble can pile up where slots and queues do not: a pool of many replicas, or a
version that shares a host with others. (Envoy's circuit breakers: `max_connections`,
`max_pending_requests`, `max_requests`.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.telemetry import slab as words
from fleet.wire import CircuitEntry

if TYPE_CHECKING:
    from router.pool import Pool, Replica, Version

UNLIMITED = CircuitEntry()

WORDS = {
    "connections": words.CIRCUIT_CONNECTIONS,
    "pending": words.CIRCUIT_PENDING,
    "requests": words.CIRCUIT_REQUESTS,
}
"""Where refusals are counted, by limit."""


class Circuit:
    """The limits that hold for one version."""

    __slots__ = ("_own", "_pool", "_version")

    def __init__(self, version: Version, own: CircuitEntry, pool: CircuitEntry) -> None:
        self._version = version
        self._own = own
        self._pool = pool

    def full(self, limit: str) -> bool:
        """Whether one more of what `limit` names (see WORDS) is too many."""
        own = getattr(self._own, limit)
        pool = getattr(self._pool, limit)
        return (own is not None and _count(limit, self._version) >= own) or (
            pool is not None and _pool_count(limit, self._version.pool) >= pool
        )

    def may_add(self) -> bool:
        """Whether one more request may be made, and `may_dial` any replica for it."""
        kept = any(replica.idle for replica in self._version.replicas.values())
        return not self.full("requests") and (kept or not self.full("connections"))

    def may_dial(self, replica: Replica) -> bool:
        """Whether the replica may be asked: on a kept connection, or on one more.

        When there are too many, a kept one to another replica of the version makes room.
        """
        if replica.idle or not self.full("connections"):
            return True
        for other in self._version.replicas.values():
            if other.idle:
                other.idle.pop().close()
                return True
        return False


def circuit_of(version: Version) -> Circuit | None:
    """None when nothing is limited."""
    entry = version.pool.entry
    own = entry.version_circuits.get(version.name)
    if own is None and entry.circuit is None:
        return None
    return Circuit(version, own or UNLIMITED, entry.circuit or UNLIMITED)


def _count(limit: str, version: Version) -> int:
    if limit == "pending":
        return len(version.waiting)
    if limit == "connections":
        return version.connections + version.dialling
    row, at = version.counters.row, version.counters.at
    held: int = row[at + words.LEASED] - row[at + words.RELEASED]
    return held


def _pool_count(limit: str, pool: Pool) -> int:
    return sum(_count(limit, version) for version in pool.versions.values())
