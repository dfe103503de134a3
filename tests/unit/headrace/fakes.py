"""A daemon that is not there: `Operations` over one made-up status, remembering its calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from aiohttp import web
from aiohttp.test_utils import TestClient
from msgspec.structs import replace

from fleet.cluster import ClusterStatus, Role
from fleet.errors import UnknownNameError
from fleet.model import (
    Decision,
    Direction,
    Event,
    Observation,
    Proposal,
    Reading,
    Replica,
    ReplicaState,
)
from fleet.telemetry.histogram import BUCKETS
from fleet.telemetry.slab import SHED_REASONS, BandTotals, VersionTotals
from headrace.operations import (
    ClassStatus,
    Ejection,
    Explanation,
    PoolStatus,
    RefusedConnections,
    ReloadResult,
    Status,
    VersionStatus,
    WorkerStatus,
)

Api: TypeAlias = "TestClient[web.Request, web.Application]"
"""A client of the admin API."""

NOW = 1_767_268_800.0
"""2026-01-01 12:00:00 UTC."""


def histogram(**counts: int) -> tuple[int, ...]:
    """Counts by bucket index: `histogram(b3=7)`."""
    return tuple(counts.get(f"b{i}", 0) for i in range(BUCKETS))


def one_class(shed: int = 0, name: str = "default") -> tuple[ClassStatus, ...]:
    """The one class of a pool without classes, `shed` requests refused by a full queue."""
    refused = (shed,) + (0,) * (len(SHED_REASONS) - 1)
    band = BandTotals(queued=0, queued_now=0, wait=histogram(), wait_sum=0.0, shed=refused)
    return (ClassStatus(name, band),)


def version_status(**changes: Any) -> VersionStatus:
    """A version with two ready replicas and no traffic, but for `changes`."""
    usual = VersionStatus(
        version="v1",
        weight=95,
        effective_weight=95,
        desired=2,
        decided=2,
        ready=2,
        starting=0,
        unhealthy=0,
        draining=0,
        in_flight=0,
        queued=0,
        slots=8,
        totals=VersionTotals(),
        classes=one_class(),
    )
    return replace(usual, **changes)


def replica(name: str, version: str, state: ReplicaState = ReplicaState.READY) -> Replica:
    return Replica(
        name=name,
        pool="support",
        version=version,
        host="127.0.0.1",
        port=20001 + int(name.rpartition("-")[2]),
        slots=4,
        state=state,
        cell=1,
        pid=4200,
        since=NOW - 60,
    )


def ejection(worker: int, **changes: Any) -> Ejection:
    usual = Ejection(
        replica="support-v1-1",
        version="v1",
        worker=worker,
        rule="failures",
        reason="5 failures in a row",
        until=NOW + 30,
    )
    return replace(usual, **changes)


DECISION = Decision(
    pool="support",
    version="v1",
    at=NOW - 5,
    current=1,
    wanted=2,
    desired=2,
    direction=Direction.UP,
    reason="router.in_flight 5 of 4 wanted per replica: 2 replicas",
)
EXPLAINED = replace(
    Explanation.of(
        DECISION,
        [
            Event(
                at=NOW - 95,
                kind="replica.draining",
                message="1 wanted; the least costly of 2: 0 in flight, 3 sessions, 12m old",
                pool="support",
                version="v1",
                replica="support-v1-1",
            )
        ],
    ),
    current=1,
    wanted=4,
    reason="up 1 -> 2: queue 20 needs 4 replicas at 5 each, "
    "limited by max (the pool has at most 2)",
    proposals=(
        Proposal(signal="queue", replicas=4, reason="queue 20 needs 4 replicas at 5 each"),
        Proposal(signal="load", replicas=None, reason="load lost: no answer"),
    ),
    limits=("max (the pool has at most 2)",),
    seen=Observation(
        pool="support",
        version="v1",
        at=NOW - 5,
        monotonic=100.0,
        weight=95,
        desired=1,
        ready=1,
        starting=0,
        in_flight=4,
        queued=16,
        slots=4,
        readings=(
            Reading(signal="queue", value=20.0, target=5.0),
            Reading(signal="load", value=None, target=1.0, error="no answer"),
        ),
    ),
)
"""A decision with all that it was made of."""
HELD = Decision(
    pool="support",
    version="v2",
    at=NOW - 9,
    current=1,
    wanted=1,
    desired=1,
    direction=Direction.HOLD,
    reason="all signals within tolerance",
)
EVENTS = (
    Event(
        at=NOW - 60,
        kind="replica.ready",
        message="healthy after 0.4s",
        pool="support",
        version="v1",
        replica="support-v1-2",
    ),
    Event(at=NOW - 7200, kind="config.applied", message="generation 1"),
)

SUPPORT = PoolStatus(
    pool="support",
    driver="process",
    min=1,
    max=10,
    versions=(
        version_status(
            in_flight=5,
            queued=3,
            totals=VersionTotals(
                started=1008,
                requests=(2, 0, 990, 0, 4, 4),
                in_flight=5,
                queued_now=3,
                queued=30,
                shed=1,
                queue_timeouts=2,
                retries=7,
                retries_denied=9,
                hedges=11,
                hedge_wins=10,
                deadlines=12,
                circuit_connections=13,
                circuit_pending=14,
                circuit_requests=15,
                upstream_failures=8,
                client_aborts=2,
                bytes_in=300_000,
                bytes_out=142_000,
                released=995,
                lease_seconds=120.5,
                duration=histogram(b6=900, b8=100),
                duration_sum=125.25,
                wait=histogram(b0=970, b5=30),
                wait_sum=1.5,
                first_byte=histogram(b4=998),
                first_byte_sum=20.25,
                chunk_gap=histogram(b2=4),
                chunk_gap_sum=0.5,
            ),
            classes=one_class(shed=1),
            forecast_error=0.125,
            decision=DECISION,
            sessions=31,
        ),
        version_status(
            version="v2",
            weight=5,
            effective_weight=0,
            desired=1,
            ready=0,
            slots=0,
            decision=HELD,
            classes=(
                *one_class(name="high"),
                ClassStatus(
                    "low",
                    BandTotals(
                        queued=9,
                        queued_now=4,
                        wait=histogram(b9=5),
                        wait_sum=3.5,
                        shed=(0,) * 7,
                    ),
                ),
            ),
        ),
    ),
    replicas=(
        replica("support-v1-1", "v1"),
        replica("support-v1-2", "v1"),
        replica("support-v2-3", "v2", ReplicaState.STARTING),
    ),
    sessions={"support-v1-1": 20, "support-v1-2": 11},
)

CLUSTER = ClusterStatus(
    name="prod",
    member="gw1",
    role=Role.LEADER,
    leader="gw1",
    token=7,
    lease=3.0,
    members=("gw1", "gw2"),
    leader_changes=1,
    fenced=2,
)

STATUS = Status(
    version="0.1.0",
    config="/etc/headrace/headrace.yml",
    listen=("127.0.0.1:8080",),
    generation=3,
    rejected=None,
    started=NOW - 7500,
    ready=True,
    draining=False,
    store="redis://10.0.0.5:6379/0",
    store_connected=True,
    workers=(
        WorkerStatus(
            index=0,
            pid=4100,
            generation=3,
            restarts=0,
            connections=6,
            http2_connections=2,
            http2_requests=31,
        ),
        WorkerStatus(
            index=1,
            pid=4101,
            generation=3,
            restarts=1,
            connections=4,
            http2_connections=0,
            http2_requests=0,
        ),
    ),
    pools=(SUPPORT,),
    unrouted=VersionTotals(requests=(0, 0, 0, 0, 9, 0), started=9, duration=histogram(b0=9)),
    reloads=2,
    reloads_rejected=1,
    log_lines_dropped=4,
    refused=RefusedConnections(at_limit=5, handshake=6, proxy_header=7),
    cluster=CLUSTER,
)


class FakeOperations:
    """Answers from `current`, and writes each verb into `calls`."""

    def __init__(self, status: Status = STATUS) -> None:
        self.current = status
        self.calls: list[tuple[Any, ...]] = []
        self.reload_result = ReloadResult(applied=True, generation=4)
        self.failure: Exception | None = None
        """Raised by every verb when set."""

    def status(self) -> Status:
        self._raise()
        return self.current

    async def reload(self) -> ReloadResult:
        self._called("reload")
        return self.reload_result

    async def set_weights(self, pool: str, weights: Mapping[str, int] | None) -> PoolStatus:
        self._called("set_weights", pool, None if weights is None else dict(weights))
        known = self._pool(pool)
        versions = [
            replace(v, weight=(weights or {}).get(v.version, v.weight)) for v in known.versions
        ]
        return replace(known, versions=tuple(versions), weights_overridden=weights is not None)

    async def scale(
        self, pool: str, replicas: int | None, seconds: float | None = None
    ) -> PoolStatus:
        self._called("scale", pool, replicas, seconds)
        ends = None if seconds is None else NOW + seconds
        return replace(self._pool(pool), scale_override=replicas, override_ends=ends)

    async def drain(self, replica: str) -> Replica:
        self._called("drain", replica)
        for pool in self.current.pools:
            for candidate in pool.replicas:
                if candidate.name == replica:
                    return replace(candidate, state=ReplicaState.DRAINING)
        raise UnknownNameError(f"there is no replica {replica}")

    async def decisions(self, pool: str | None, limit: int) -> Sequence[Decision]:
        self._called("decisions", pool, limit)
        if pool is not None:
            self._pool(pool)
        return (DECISION, HELD)[:limit]

    async def explain(
        self, pool: str, version: str | None, at: float | None
    ) -> Sequence[Explanation]:
        self._called("explain", pool, version, at)
        self._pool(pool)
        if at is not None and at < NOW - 3600:
            return ()
        known = EXPLAINED, Explanation.of(HELD, ())
        return tuple(d for d in known if version in (None, d.version))

    async def events(self, limit: int) -> Sequence[Event]:
        self._called("events", limit)
        return EVENTS[:limit]

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        self._raise()

    def _raise(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _pool(self, name: str) -> PoolStatus:
        for pool in self.current.pools:
            if pool.pool == name:
                return pool
        raise UnknownNameError(f"there is no pool {name}")
