"""Reading the running parts into `headrace.operations` status types."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from fleet.config.merge import effective_concurrency, effective_process
from fleet.config.schema import Pool
from fleet.model import Decision, ReplicaState
from fleet.telemetry import slab as words
from fleet.telemetry.slab import worker_at
from headrace.gateway import WorkerGateway
from headrace.operations import (
    ONE_CLASS,
    ClassStatus,
    PoolStatus,
    RefusedConnections,
    VersionStatus,
    WorkerStatus,
)
from headrace.overrides import SizeOverride
from headrace.shifts import Demand
from scaler.loop import ScalerLoop
from scaler.members import Counts
from scaler.replicas import ReplicaManager


def driver_kind(pool: Pool) -> str:
    """`process`, `static`, or `mixed` when the versions differ."""
    kinds = {
        "static" if effective_process(pool, version) is None else "process"
        for version in pool.versions
    }
    return kinds.pop() if len(kinds) == 1 else "mixed"


def workers(gateway: WorkerGateway) -> tuple[WorkerStatus, ...]:
    """Every worker as it stands."""
    statuses = []
    for worker in gateway.supervisor.workers:
        row = gateway.slab.row(worker.index)
        at = worker_at()
        opened = row[at + words.CONNECTIONS_OPENED]
        closed = row[at + words.CONNECTIONS_CLOSED]
        statuses.append(
            WorkerStatus(
                index=worker.index,
                pid=worker.pid,
                generation=worker.generation,
                restarts=worker.restarts,
                connections=max(0, opened - closed),
                http2_connections=max(
                    0, row[at + words.HTTP2_OPENED] - row[at + words.HTTP2_CLOSED]
                ),
                http2_requests=row[at + words.HTTP2_REQUESTS],
            )
        )
    return tuple(statuses)


def refused_connections(gateway: WorkerGateway) -> RefusedConnections:
    """Connections of clients that were not served, over all workers."""
    word = gateway.slab.word
    return RefusedConnections(
        at_limit=word(worker_at() + words.CONNECTIONS_REFUSED),
        handshake=word(worker_at() + words.HANDSHAKES_FAILED),
        proxy_header=word(worker_at() + words.PROXY_HEADERS_FAILED),
    )


def log_lines_dropped(gateway: WorkerGateway) -> int:
    """Access log lines the workers dropped."""
    return gateway.slab.word(worker_at() + words.LOG_LINES_DROPPED)


def class_statuses(
    gateway: WorkerGateway, name: str, pool: Pool, version: str
) -> tuple[ClassStatus, ...]:
    """The priority classes of a version, the highest first."""
    names = pool.queue.classes or (ONE_CLASS,)
    bands = gateway.bands(name, version, len(names))
    return tuple(map(ClassStatus, names, bands))


def demands(
    name: str, pool: Pool, gateway: WorkerGateway, replicas: ReplicaManager, scaler: ScalerLoop
) -> dict[str, Demand]:
    """What the versions of a pool have, and what they want."""
    return {
        version: _demand(name, pool, version, gateway, replicas.counts(name, version), scaler)
        for version in pool.versions
    }


def _demand(
    name: str,
    pool: Pool,
    version: str,
    gateway: WorkerGateway,
    counts: Counts,
    scaler: ScalerLoop,
) -> Demand:
    totals, decision = gateway.totals(name, version), scaler.latest(name, version)
    return Demand(
        slots=gateway.slots_per_replica(name, version) or effective_concurrency(pool, version),
        ready=counts.ready,
        desired=_asked_for(decision, counts.ready),
        wanted=decision.wanted if decision else 0,
        busy=totals.in_flight + totals.queued_now,
        scaled=effective_process(pool, version) is not None,
    )


def _asked_for(decision: Decision | None, present: int) -> int:
    """Replicas asked for; `present` ones when nothing has been decided."""
    if decision is None:
        return present
    return decision.current if decision.dry_run else decision.desired


def pool_status(
    name: str,
    pool: Pool,
    *,
    weights: Mapping[str, int],
    weights_overridden: bool,
    size: SizeOverride | None,
    gateway: WorkerGateway,
    replicas: ReplicaManager,
    scaler: ScalerLoop,
    weights_waiting: str,
) -> PoolStatus:
    """One pool as it stands."""
    members = replicas.replicas(name)
    sessions = {r.name: count for r in members if (count := gateway.sessions(r))}
    in_force = gateway.weights_in_force(name)
    versions = []
    for version in pool.versions:
        own = [r for r in members if r.version == version]
        states = [r.state for r in own]
        totals = gateway.totals(name, version)
        decision = scaler.latest(name, version)
        desired = replicas.desired(name, version)
        ready = states.count(ReplicaState.READY)
        versions.append(
            VersionStatus(
                version=version,
                weight=weights[version],
                effective_weight=in_force.get(version, 0),
                desired=len(own) if desired is None else desired,
                decided=decision.desired if decision else len(own),
                ready=ready,
                starting=states.count(ReplicaState.STARTING) + states.count(ReplicaState.BACKOFF),
                unhealthy=states.count(ReplicaState.UNHEALTHY),
                draining=states.count(ReplicaState.DRAINING),
                in_flight=totals.in_flight,
                queued=totals.queued_now,
                slots=sum(gateway.slots(r) for r in own if r.state is ReplicaState.READY),
                totals=totals,
                ejections=gateway.ejections.counts(name, version),
                classes=class_statuses(gateway, name, pool, version),
                sessions=sum(sessions.get(r.name, 0) for r in own),
                forecast_error=scaler.forecast_error(name, version),
                decision=decision and replace(decision, seen=None),
            )
        )
    return PoolStatus(
        pool=name,
        driver=driver_kind(pool),
        min=pool.scale.min,
        max=pool.scale.max,
        versions=tuple(versions),
        replicas=members,
        ejected=gateway.ejections.now(members),
        sessions=sessions,
        weights_overridden=weights_overridden,
        scale_override=size.replicas if size else None,
        override_ends=size.until if size else None,
        lost_signals=scaler.lost(name),
        weights_waiting=weights_waiting,
        dry_run=pool.scale.dry_run,
    )
