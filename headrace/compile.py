"""From the configuration to what the workers run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from fleet.config.merge import (
    effective_limits,
    effective_static,
    effective_timeouts,
    is_adaptive,
)
from fleet.config.schema import (
    Balance,
    Circuit,
    Config,
    Limits,
    Listener,
    Pool,
    Queue,
    Route,
    Timeouts,
)
from fleet.model import Replica, ReplicaState
from fleet.wire import (
    BalanceEntry,
    BudgetEntry,
    CircuitEntry,
    HedgeEntry,
    LimitsEntry,
    ListenerEntry,
    OutliersEntry,
    OverloadEntry,
    PoolEntry,
    QueueEntry,
    ReplicaEntry,
    RouteEntry,
    Table,
    TimeoutsEntry,
    TriesEntry,
    UpstreamTlsEntry,
    VersionEntry,
)

BlockOf = Callable[[str, str], int]
"""Telemetry block of a pool's version."""

Weights = Mapping[str, Mapping[str, int]]
"""Weights in force, by pool and version."""


def table(
    config: Config,
    generation: int,
    weights: Weights,
    block: BlockOf,
    new_listeners: Sequence[str],
) -> Table:
    """The routing table of one generation."""
    return Table(
        generation=generation,
        listeners=tuple(_listener(listener) for listener in config.listen),
        new_listeners=tuple(new_listeners),
        routes=tuple(_route(config, route) for route in config.routes),
        pools=tuple(_pool(name, pool, weights[name], block) for name, pool in config.pools.items()),
        timeouts=_timeouts(config.timeouts),
        limits=_limits(config.limits),
        log_enabled=config.log.access.enabled,
        log_sample=config.log.access.sample,
        trusted_proxies=config.trusted_proxies,
        upstream_tls=tuple(_upstream_tls(config)),
        paths=config.paths,
        overload=OverloadEntry(lag=config.overload.lag, memory=config.overload.memory),
    )


def version_entries(
    pool: str,
    weights: Mapping[str, int],
    replicas: Sequence[Replica],
    block: BlockOf,
    *,
    shared: bool,
    config: Pool | None = None,
    expected: Mapping[str, float] | None = None,
    packed: Collection[str] = (),
) -> tuple[VersionEntry, ...]:
    """The membership of a pool as the workers need it. `config`: the pool's settings, without
    which no slots are found out; `expected`: when the next replica of a version is, in monotonic
    seconds, see `VersionEntry.ready_at`; `packed`: versions whose requests are packed.
    """
    return tuple(
        VersionEntry(
            name=version,
            weight=weight,
            block=block(pool, version),
            packed=version in packed,
            ready_at=(expected or {}).get(version, 0.0),
            replicas=tuple(
                _replica(r, shared=shared, adaptive=_adaptive(config, version))
                for r in replicas
                if r.version == version and r.host and r.cell >= 0
            ),
        )
        for version, weight in weights.items()
    )


def _adaptive(pool: Pool | None, version: str) -> bool:
    return pool is not None and version in pool.versions and is_adaptive(pool, version)


def _replica(replica: Replica, *, shared: bool, adaptive: bool) -> ReplicaEntry:
    return ReplicaEntry(
        name=replica.name,
        host=replica.host,
        port=replica.port,
        slots=replica.slots,
        cell=replica.cell,
        serving=replica.state is ReplicaState.READY,
        draining=replica.state in (ReplicaState.DRAINING, ReplicaState.STOPPED),
        adaptive=adaptive,
        shared=shared,
        tls=replica.tls,
        weight=replica.weight,
    )


def _upstream_tls(config: Config) -> Iterator[UpstreamTlsEntry]:
    for name, pool in config.pools.items():
        for version in pool.versions:
            static = effective_static(pool, version)
            if static is not None and any(e.startswith("https://") for e in static.endpoints):
                yield UpstreamTlsEntry(pool=name, version=version, tls=static.tls.settings)


def _route(config: Config, route: Route) -> RouteEntry:
    timeouts, limits = effective_timeouts(config, route), effective_limits(config, route)
    return RouteEntry(
        host=route.match.host,
        path=route.match.path,
        methods=route.match.methods,
        headers=route.match.headers,
        pool=route.pool,
        tries=effective_tries(route, config.pools[route.pool]),
        priority=route.priority,
        timeouts=_timeouts(timeouts) if timeouts != config.timeouts else None,
        limits=_limits(limits) if limits != config.limits else None,
    )


def _listener(listener: Listener) -> ListenerEntry:
    return ListenerEntry(
        address=listener.address,
        tls=listener.tls.settings if listener.tls is not None else None,
        proxy_protocol=listener.proxy_protocol == "accept",
    )


def _pool(name: str, pool: Pool, weights: Mapping[str, int], block: BlockOf) -> PoolEntry:
    affinity = pool.affinity
    return PoolEntry(
        name=name,
        versions=tuple(
            VersionEntry(name=version, weight=weights[version], block=block(name, version))
            for version in pool.versions
        ),
        balance=pool.balance.policy,
        balancing=_balancing(pool.balance),
        affinity_replica=affinity is not None and affinity.replica,
        outliers=OutliersEntry(**pool.outliers.model_dump()) if pool.outliers else None,
        affinity_header=affinity.header if affinity else None,
        affinity_cookie=affinity.cookie if affinity else None,
        queue_limit=pool.queue.limit,
        queue_timeout=pool.queue.timeout,
        served_by=pool.served_by,
        version_header=pool.version_header,
        budget=BudgetEntry(**pool.retry.budget.model_dump()),
        circuit=_circuit(pool.circuit),
        version_circuits={
            version: entry
            for version, settings in pool.versions.items()
            if (entry := _circuit(settings.circuit)) is not None
        },
        queue=_queue(pool.queue),
        critical=pool.critical,
    )


def _queue(queue: Queue) -> QueueEntry:
    return QueueEntry(
        classes=queue.classes,
        class_header=queue.priority.header,
        class_values=queue.priority.values,
        class_default=queue.priority.default or "",
        order=queue.order,
        aging=queue.aging,
        tenant_header=queue.tenant.header if queue.tenant is not None else None,
        tenant_weights=queue.tenant.weights if queue.tenant is not None else {},
        target=queue.target,
        interval=queue.interval,
    )


def _balancing(balance: Balance) -> BalanceEntry:
    load = balance.load
    return BalanceEntry(
        decay=balance.decay,
        factor=balance.factor,
        slow_start=balance.slow_start,
        header=balance.header,
        cookie=balance.cookie,
        address=balance.address,
        load_header=load.header if load else None,
        load_per_request=load.per_request if load else 1.0,
        load_stale=load.stale if load else 0.0,
        load_shown=load is not None and load.shown,
    )


def effective_tries(route: Route, pool: Pool) -> TriesEntry:
    """How requests of `route` are tried: its own settings over those of its pool."""
    tries = pool.retry.model_dump(exclude={"budget"})
    if route.retry is not None:
        tries |= route.retry.model_dump(exclude_none=True)
    return TriesEntry(
        **tries,
        hedge=HedgeEntry(**route.hedge.model_dump()) if route.hedge is not None else None,
    )


def strained(pool: Pool, replicas: Sequence[Replica]) -> bool:
    """Whether the scaler has nothing more to add; where it never adds any, it is not asked to."""
    static = all(effective_static(pool, version) is not None for version in pool.versions)
    if static or pool.scale.min == pool.scale.max:
        return False
    leaving = (ReplicaState.DRAINING, ReplicaState.STOPPED)
    return sum(replica.state not in leaving for replica in replicas) >= pool.scale.max


def _circuit(circuit: Circuit | None) -> CircuitEntry | None:
    return CircuitEntry(**circuit.model_dump()) if circuit is not None else None


def _timeouts(timeouts: Timeouts) -> TimeoutsEntry:
    return TimeoutsEntry(**timeouts.model_dump())


def _limits(limits: Limits) -> LimitsEntry:
    return LimitsEntry(**limits.model_dump())
