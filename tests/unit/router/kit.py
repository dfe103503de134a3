"""Runtime objects without a plane: a pool with a version and replicas, over a row of counters."""

from __future__ import annotations

from fleet import wire
from router.admission import Admission
from router.classing import Classing
from router.equip import Equipment
from router.pool import Pool, Replica, Version
from router.table import Directory
from tests.support.rows import row


def replica_entry(number: int, *, slots: int = 1, **changes: object) -> wire.ReplicaEntry:
    fields: dict[str, object] = {
        "name": f"r{number}", "host": "127.0.0.1", "port": 9000 + number, "slots": slots,
        "cell": number, "serving": True,
    }  # fmt: skip
    return wire.ReplicaEntry(**(fields | changes))  # type: ignore[arg-type]


def version_entry(
    name: str = "v1", *replicas: wire.ReplicaEntry, weight: int = 1, block: int = 1
) -> wire.VersionEntry:
    return wire.VersionEntry(name=name, weight=weight, block=block, replicas=replicas)


def pool_entry(
    *versions: wire.VersionEntry,
    name: str = "p",
    limit: int = 10,
    balance: str = "least_request",
    queue: wire.QueueEntry | None = None,
) -> wire.PoolEntry:
    return wire.PoolEntry(
        name=name, versions=versions, balance=balance, affinity_header=None, affinity_cookie=None,
        queue_limit=limit, queue_timeout=10.0, served_by=True, version_header=None,
        queue=queue or wire.QueueEntry(),
    )  # fmt: skip


def table_of(*pools: wire.PoolEntry, generation: int = 1) -> wire.Table:
    return wire.Table(
        generation=generation, listeners=(), new_listeners=(),
        routes=tuple(
            wire.RouteEntry(host=None, path=f"/{p.name}", methods=(), headers={}, pool=p.name)
            for p in pools
        ),
        pools=pools,
        timeouts=wire.TimeoutsEntry(
            header=1, body=1, keep_alive=1, connect=1, first_byte=1, stream_idle=1,
            upstream_keep_alive=1,
        ),
        limits=wire.LimitsEntry(header_size=1, headers=1, target=1, body=1, connections=1),
        log_enabled=False, log_sample=0.0,
    )  # fmt: skip


class Waits:
    """A request in a queue that notes what becomes of it."""

    def __init__(
        self, name: str, until: float = 10.0, *, band: int = 0, tenant: bytes = b""
    ) -> None:
        self.name = name
        self.hash_key: bytes | None = None
        self.queued_until = until
        self.band = band
        self.tenant = tenant
        self.fate: list[str] = []
        self.replica: Replica | None = None

    def __repr__(self) -> str:
        return f"<Waits {self.name} {self.fate}>"

    def granted(self, replica: Replica) -> None:
        self.fate.append("granted")
        self.replica = replica

    def expired(self) -> None:
        self.fate.append("expired")

    def shed(self, reason: str) -> None:
        self.fate.append(f"shed: {reason}")

    def reclassed(self, classing: Classing) -> None:
        self.band = min(self.band, len(classing.names) - 1)

    def moved(self, version: Version) -> None:
        self.fate.append(f"moved to {version.name}")

    def dropped(self) -> None:
        self.fate.append("dropped")


class House:
    """A directory with its admission, and what they told."""

    def __init__(self, of: memoryview | None = None) -> None:
        self.row = row() if of is None else of
        self.now = 0.0
        self.formed: list[str] = []
        self.idle: list[str] = []
        self.awaited: list[str] = []
        self.admission = Admission(
            lambda v: self.formed.append(v.name),
            lambda r: self.idle.append(r.name),
            lambda r: self.awaited.append(r.name),
            lambda: self.now,
        )
        self.ejections: list[str] = []
        self.directory = Directory(self.row, self.admission, Equipment(self, lambda: 0.0))

    def eject(self, replica: Replica, rule: str, reason: str, seconds: float) -> None:
        """As the plane does, but at time 0 and told in one line."""
        replica.ejected_until = seconds
        replica.version.withdraw(replica)
        replica.version.pool.rebuild_split()
        self.ejections.append(f"{replica.name} for {seconds:g}s: {rule}: {reason}")

    def restore(self, replica: Replica, reason: str) -> None:
        replica.ejected_until = 0.0
        replica.version.offer(replica)
        replica.version.pool.rebuild_split()
        self.ejections.append(f"{replica.name} is back: {reason}")

    def apply(self, *pools: wire.PoolEntry) -> None:
        self.directory.apply(table_of(*pools))

    def members(self, *versions: wire.VersionEntry, pool: str = "p") -> None:
        self.directory.members(wire.Members(pool=pool, versions=versions), lambda: -1)

    def pool(self, name: str = "p") -> Pool:
        return self.directory.pools[name]

    def version(self, name: str = "v1") -> Version:
        return self.pool().versions[name]


def house(*replicas: wire.ReplicaEntry, limit: int = 10, balance: str = "least_request") -> House:
    """A house of one pool `p` with one version `v1`."""
    made = House()
    made.apply(pool_entry(version_entry(), limit=limit, balance=balance))
    made.members(version_entry("v1", *replicas))
    return made
