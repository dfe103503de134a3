"""Applying what control pushes: a new generation, or a new membership.

Everything is built first and swapped in at the end; requests in flight keep the objects they
hold, and what vanished drains.
"""

from __future__ import annotations

from collections.abc import Callable

from fleet.wire import Members, PoolEntry, Table, VersionEntry
from router.admission import Admission
from router.circuit import circuit_of
from router.counters import Counters
from router.equip import Equipment
from router.pool import Pool, Replica, Version
from router.record import Record
from router.routes import Routes

TakeToken = Callable[[], int]
"""The next semaphore received with the message."""

_OVER = 1e-9
"""End of an ejection that is over: the next tick finds it and tells."""


class Directory:
    """The routing table in force and the pools it leads to."""

    def __init__(self, row: memoryview, admission: Admission, equipment: Equipment) -> None:
        self._row = row
        self._admission = admission
        self._equipment = equipment
        self.generation = 0
        self.routes = Routes(())
        self.pools: dict[str, Pool] = {}

    def apply(self, table: Table) -> None:
        """Swap in a new generation. Versions that stay keep their replicas."""
        routes = Routes(table.routes)
        pools: dict[str, Pool] = {}
        for entry in table.pools:
            pool = self.pools.get(entry.name) or Pool(entry)
            refit = _equipment(pool.entry) != _equipment(entry)
            requeue = pool.entry.queue != entry.queue
            pool.configure(entry)
            if requeue:
                for version in pool.versions.values():
                    version.configure()
            self._versions(pool, entry.versions, None)
            if refit:
                for version in pool.versions.values():
                    self._equipment.fit(version)
            pools[entry.name] = pool
        gone = [pool for name, pool in self.pools.items() if name not in pools]
        self.routes, self.pools, self.generation = routes, pools, table.generation
        for pool in gone:
            self._versions(pool, (), None)

    def members(self, message: Members, take_token: TakeToken) -> None:
        """Swap in a new membership of one pool."""
        tokens = {name: take_token() for name in message.new_shared}
        pool = self.pools.get(message.pool)
        if pool is not None:
            self._versions(pool, message.versions, tokens)

    def _versions(
        self, pool: Pool, entries: tuple[VersionEntry, ...], tokens: dict[str, int] | None
    ) -> None:
        """Bring versions to `entries`, and replicas too unless `tokens` is None."""
        versions: dict[str, Version] = {}
        for entry in entries:
            version = pool.versions.get(entry.name)
            if version is None or version.block != entry.block:
                version = Version(entry.name, pool, Counters(self._row, entry.block), entry.block)
                self._equipment.fit(version)
            version.weight = entry.weight
            version.circuit = circuit_of(version)
            versions[entry.name] = version
            if tokens is not None:
                version.ready_at = entry.ready_at
                self._equipment.pack(version, entry.packed)
                self._replicas(version, entry, tokens)
        gone = [v for name, v in pool.versions.items() if versions.get(name) is not v]
        pool.versions = versions
        pool.rebuild_split()
        heir = max(versions.values(), key=lambda v: v.weight, default=None)
        for version in gone:
            self._replicas(version, VersionEntry(name=version.name, weight=0, block=-1), {})
            self._admission.move(version, versions.get(version.name) or heir)
        for version in versions.values():
            self._admission.admit(version)

    def _replicas(self, version: Version, entry: VersionEntry, tokens: dict[str, int]) -> None:
        before = version.replicas
        version.replicas = replicas = {}
        for item in entry.replicas:
            replica = before.get(item.name)
            if replica is None or replica.cell != item.cell:
                replica = Replica(item, version, self._row)
            token = tokens.get(item.name)
            if token is not None:
                replica.token_fd = token
            replica.move(item.host, item.port)
            replica.resize(item.slots, item.weight, adaptive=item.adaptive)
            replica.draining = item.draining
            if item.serving and not replica.serving:
                replica.suspended_until = 0.0
                replica.record = Record()
                if replica.ejected_until:
                    replica.ejected_until = _OVER
            if not item.serving:
                replica.ready_at = -1.0
            replica.serving = item.serving
            replicas[item.name] = replica
            self._refile(version, replica)
        for name, replica in before.items():
            if replicas.get(name) is not replica:
                replica.serving = False
                replica.draining = True
                self._refile(version, replica)

    def _refile(self, version: Version, replica: Replica) -> None:
        if replica.usable and replica.in_flight < replica.slots:
            version.offer(replica)
        else:
            version.withdraw(replica)
        if not replica.serving:
            replica.close_idle()
        if replica.draining and replica.in_flight == 0:
            self._admission.idle(replica)


def _equipment(entry: PoolEntry) -> tuple[object, ...]:
    """The settings that `Equipment.fit` goes by."""
    return entry.balance, entry.balancing, entry.affinity_replica, entry.outliers
