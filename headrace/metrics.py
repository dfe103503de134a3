"""`/metrics`: a `Status` as Prometheus metrics, rendered when scraped and never on a request.

`METRICS` is the whole list, by the name a query uses; `docs/metrics.md` is checked against it.
Naming: https://prometheus.io/docs/practices/naming/. Labels are pools, versions, states and
worker indices only, so the number of series is bounded by the configuration. Requests that
matched no pool have empty `pool` and `version` labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector

from fleet.cluster import ClusterStatus, Role
from fleet.model import ReplicaState
from fleet.telemetry.histogram import BOUNDS
from fleet.telemetry.slab import SHED_REASONS, BandTotals, VersionTotals
from headrace.operations import Operations, Status, VersionStatus, WorkerStatus

Labels: TypeAlias = tuple[str, ...]

CODES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Values of `code`, by class; `none`: no reply was sent."""

RULES: Final = ("failures", "gateway_errors", "latency", "success_rate")
"""Values of `rule`."""

STATES: Final = tuple(state for state in ReplicaState if state is not ReplicaState.STOPPED)
"""Values of `state`; a stopped replica is no longer counted."""


class Distribution(Struct, frozen=True):
    """What one histogram sample holds: counts by bucket, not cumulative, and their sum."""

    counts: Sequence[int]
    sum: float


Samples: TypeAlias = Iterable[tuple[Labels, float | Distribution]]


class Metric(Struct, frozen=True, kw_only=True):
    """One metric: what it is, and how it is read off a `Status`."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    unit: str
    """What one is one of; `1` for a flag."""
    labels: Labels = ()
    read: Callable[[Status], Samples]


_VERSION: Final = ("pool", "version")
_CLASS: Final = (*_VERSION, "class")


def _traffic(status: Status) -> Iterator[tuple[Labels, VersionTotals]]:
    """Counters of every version, and of what matched no pool."""
    yield ("", ""), status.unrouted
    for pool in status.pools:
        for version in pool.versions:
            yield (pool.pool, version.version), version.totals


def _of_traffic(
    read: Callable[[VersionTotals], float | Distribution],
) -> Callable[[Status], Samples]:
    return lambda status: ((labels, read(totals)) for labels, totals in _traffic(status))


def _of_versions(
    read: Callable[[VersionStatus], float | Distribution],
) -> Callable[[Status], Samples]:
    return lambda status: (
        ((pool.pool, version.version), read(version))
        for pool in status.pools
        for version in pool.versions
    )


def _forecast_errors(status: Status) -> Samples:
    return (
        ((pool.pool, version.version), version.forecast_error)
        for pool in status.pools
        for version in pool.versions
        if version.forecast_error is not None
    )


def _of_workers(read: Callable[[WorkerStatus], float]) -> Callable[[Status], Samples]:
    return lambda status: (((str(w.index),), read(w)) for w in status.workers)


def _one(read: Callable[[Status], float]) -> Callable[[Status], Samples]:
    return lambda status: [((), read(status))]


def _of_cluster(read: Callable[[ClusterStatus], float]) -> Callable[[Status], Samples]:
    """Only where the daemon is one of several."""
    return lambda status: [((), read(status.cluster))] if status.cluster is not None else []


def _requests(status: Status) -> Samples:
    for labels, totals in _traffic(status):
        for code, count in zip(CODES, totals.requests, strict=True):
            yield (*labels, code), count


def _circuits(status: Status) -> Samples:
    for pool in status.pools:
        for version in pool.versions:
            totals = version.totals
            for limit, count in (
                ("connections", totals.circuit_connections),
                ("pending", totals.circuit_pending),
                ("requests", totals.circuit_requests),
            ):
                yield (pool.pool, version.version, limit), count


def _replicas(status: Status) -> Samples:
    for pool in status.pools:
        counts = Counter((r.version, r.state) for r in pool.replicas)
        versions = dict.fromkeys([v.version for v in pool.versions] + [v for v, _ in counts])
        for version in versions:
            for state in STATES:
                yield (pool.pool, version, state.value), counts[version, state]


def _ejections(status: Status) -> Samples:
    for pool in status.pools:
        for version in pool.versions:
            for rule in RULES:
                yield (pool.pool, version.version, rule), version.ejections.get(rule, 0)


def _replicas_ejected(status: Status) -> Samples:
    for pool in status.pools:
        out = Counter(v for v, _ in {(e.version, e.replica) for e in pool.ejected})
        for version in pool.versions:
            yield (pool.pool, version.version), out[version.version]


def _of_classes(
    read: Callable[[BandTotals], float | Distribution],
) -> Callable[[Status], Samples]:
    """Of pools that have classes; the others' numbers are those of their versions."""
    return lambda status: (
        ((pool.pool, version.version, of.name), read(of.totals))
        for pool in status.pools
        for version in pool.versions
        if len(version.classes) > 1
        for of in version.classes
    )


def _shed(status: Status) -> Samples:
    for pool in status.pools:
        for version in pool.versions:
            for of in version.classes:
                for reason, count in zip(SHED_REASONS, of.totals.shed, strict=True):
                    yield (pool.pool, version.version, of.name, reason), count


METRICS: Final[dict[str, Metric]] = {
    "headrace_build_info": Metric(
        kind="gauge",
        help="Always 1; the label tells which release runs.",
        unit="1",
        labels=("version",),
        read=lambda status: [((status.version,), 1)],
    ),
    "headrace_chunk_gap_seconds": Metric(
        kind="histogram",
        help="Time between two parts of a reply's body, as they come from the replica.",
        unit="seconds",
        labels=_VERSION,
        read=_of_versions(lambda v: Distribution(v.totals.chunk_gap, v.totals.chunk_gap_sum)),
    ),
    "headrace_circuit_open_total": Metric(
        kind="counter",
        help="Requests refused with 503 because a circuit limit was reached, by limit.",
        unit="requests",
        labels=("pool", "version", "limit"),
        read=_circuits,
    ),
    "headrace_class_queue_depth": Metric(
        kind="gauge",
        help="Requests of a priority class that wait for a slot now.",
        unit="requests",
        labels=_CLASS,
        read=_of_classes(lambda totals: totals.queued_now),
    ),
    "headrace_class_queue_wait_seconds": Metric(
        kind="histogram",
        help="Time requests of a priority class waited for the slot they got; those that never "
        "waited are not in it.",
        unit="seconds",
        labels=_CLASS,
        read=_of_classes(lambda totals: Distribution(totals.wait, totals.wait_sum)),
    ),
    "headrace_class_queued_total": Metric(
        kind="counter",
        help="Requests of a priority class that had to wait for a slot.",
        unit="requests",
        labels=_CLASS,
        read=_of_classes(lambda totals: totals.queued),
    ),
    "headrace_client_aborts_total": Metric(
        kind="counter",
        help="Requests whose client went away before its reply was complete.",
        unit="requests",
        labels=_VERSION,
        read=_of_traffic(lambda totals: totals.client_aborts),
    ),
    "headrace_cluster_fenced_writes_total": Metric(
        kind="counter",
        help="Writes of this daemon that the store refused because it leads no longer.",
        unit="writes",
        read=_of_cluster(lambda cluster: cluster.fenced),
    ),
    "headrace_cluster_members": Metric(
        kind="gauge",
        help="Daemons that share the scaling, as the plan this one follows has them.",
        unit="daemons",
        read=_of_cluster(lambda cluster: len(cluster.members)),
    ),
    "headrace_config_generation": Metric(
        kind="gauge",
        help="Generation of the configuration in force; grows by one with each reload applied.",
        unit="generations",
        read=_one(lambda status: status.generation),
    ),
    "headrace_config_last_reload_successful": Metric(
        kind="gauge",
        help="1 when the configuration file is what runs, 0 when its newest edit was rejected.",
        unit="1",
        read=_one(lambda status: status.rejected is None),
    ),
    "headrace_config_reloads_total": Metric(
        kind="counter",
        help="Reloads of the configuration file, by result: applied or rejected.",
        unit="reloads",
        labels=("result",),
        read=lambda status: [
            (("applied",), status.reloads),
            (("rejected",), status.reloads_rejected),
        ],
    ),
    "headrace_connections": Metric(
        kind="gauge",
        help="Client connections open now.",
        unit="connections",
        labels=("worker",),
        read=_of_workers(lambda worker: worker.connections),
    ),
    "headrace_connections_refused_total": Metric(
        kind="counter",
        help="Client connections closed before any request: limit, handshake or proxy_header.",
        unit="connections",
        labels=("reason",),
        read=lambda status: [
            (("handshake",), status.refused.handshake),
            (("limit",), status.refused.at_limit),
            (("proxy_header",), status.refused.proxy_header),
        ],
    ),
    "headrace_deadlines_exceeded_total": Metric(
        kind="counter",
        help="Requests ended because the time allowed for them was over.",
        unit="requests",
        labels=_VERSION,
        read=_of_versions(lambda version: version.totals.deadlines),
    ),
    "headrace_ejections_total": Metric(
        kind="counter",
        help="Times a worker ejected a replica, by rule.",
        unit="ejections",
        labels=(*_VERSION, "rule"),
        read=_ejections,
    ),
    "headrace_first_byte_seconds": Metric(
        kind="histogram",
        help="Time from sending a request to a replica, the first one where a hedge has answered "
        "it, to the first byte of its reply.",
        unit="seconds",
        labels=_VERSION,
        read=_of_versions(lambda v: Distribution(v.totals.first_byte, v.totals.first_byte_sum)),
    ),
    "headrace_forecast_error_ratio": Metric(
        kind="gauge",
        help="Mean absolute error of the forecast over the mean load, of versions with one.",
        unit="ratio",
        labels=_VERSION,
        read=_forecast_errors,
    ),
    "headrace_hedge_wins_total": Metric(
        kind="counter",
        help="Second tries that answered before the first.",
        unit="tries",
        labels=_VERSION,
        read=_of_versions(lambda version: version.totals.hedge_wins),
    ),
    "headrace_hedges_total": Metric(
        kind="counter",
        help="Second tries of late requests.",
        unit="tries",
        labels=_VERSION,
        read=_of_versions(lambda version: version.totals.hedges),
    ),
    "headrace_http2_connections": Metric(
        kind="gauge",
        help="Client connections by HTTP/2 open now, among headrace_connections.",
        unit="connections",
        labels=("worker",),
        read=_of_workers(lambda worker: worker.http2_connections),
    ),
    "headrace_http2_requests_total": Metric(
        kind="counter",
        help="Requests that came by HTTP/2.",
        unit="requests",
        labels=("worker",),
        read=_of_workers(lambda worker: worker.http2_requests),
    ),
    "headrace_in_flight": Metric(
        kind="gauge",
        help="Requests that hold a slot now.",
        unit="requests",
        labels=_VERSION,
        read=_of_versions(lambda version: version.in_flight),
    ),
    "headrace_leader": Metric(
        kind="gauge",
        help="1 while this daemon decides for its cluster, else 0.",
        unit="1",
        read=_of_cluster(lambda cluster: cluster.role is Role.LEADER),
    ),
    "headrace_leader_changes_total": Metric(
        kind="counter",
        help="Times that this daemon saw another leader than before.",
        unit="changes",
        read=_of_cluster(lambda cluster: cluster.leader_changes),
    ),
    "headrace_lease_seconds_total": Metric(
        kind="counter",
        help="Time slots were held, summed over finished requests.",
        unit="seconds",
        labels=_VERSION,
        read=_of_versions(lambda version: version.totals.lease_seconds),
    ),
    "headrace_log_lines_dropped_total": Metric(
        kind="counter",
        help="Log lines, the daemon's own too, dropped because they were not taken fast enough.",
        unit="lines",
        read=_one(lambda status: status.log_lines_dropped),
    ),
    "headrace_queue_depth": Metric(
        kind="gauge",
        help="Requests that wait for a slot now.",
        unit="requests",
        labels=_VERSION,
        read=_of_versions(lambda version: version.queued),
    ),
    "headrace_queue_timeouts_total": Metric(
        kind="counter",
        help="Requests refused with 503 after waiting for a slot as long as allowed.",
        unit="requests",
        labels=_VERSION,
        read=_of_versions(lambda version: version.totals.queue_timeouts),
    ),
    "headrace_queue_wait_seconds": Metric(
        kind="histogram",
        help="Time requests waited for a slot; one that never waited counts as 0.",
        unit="seconds",
        labels=_VERSION,
        read=_of_versions(lambda v: Distribution(v.totals.wait, v.totals.wait_sum)),
    ),
    "headrace_replicas": Metric(
        kind="gauge",
        help="Replicas now, by state.",
        unit="replicas",
        labels=("pool", "version", "state"),
        read=_replicas,
    ),
    "headrace_replicas_decided": Metric(
        kind="gauge",
        help="Replicas by the latest decision; those asked for unless the pool is on a dry run.",
        unit="replicas",
        labels=_VERSION,
        read=_of_versions(lambda version: version.decided),
    ),
    "headrace_replicas_desired": Metric(
        kind="gauge",
        help="Replicas asked for now.",
        unit="replicas",
        labels=_VERSION,
        read=_of_versions(lambda version: version.desired),
    ),
    "headrace_replicas_ejected": Metric(
        kind="gauge",
        help="Replicas that some worker has ejected now.",
        unit="replicas",
        labels=_VERSION,
        read=_replicas_ejected,
    ),
    "headrace_request_bytes_total": Metric(
        kind="counter",
        help="Bytes of request bodies.",
        unit="bytes",
        labels=_VERSION,
        read=_of_traffic(lambda totals: totals.bytes_in),
    ),
    "headrace_request_duration_seconds": Metric(
        kind="histogram",
        help="Time from the end of a request's headers to the end of its reply, queueing included.",
        unit="seconds",
        labels=_VERSION,
        read=_of_traffic(lambda totals: Distribution(totals.duration, totals.duration_sum)),
    ),
    "headrace_requests_total": Metric(
        kind="counter",
        help="Finished requests, by class of the reply's status; none: no reply was sent.",
        unit="requests",
        labels=("pool", "version", "code"),
        read=_requests,
    ),
    "headrace_response_bytes_total": Metric(
        kind="counter",
        help="Bytes of reply bodies.",
        unit="bytes",
        labels=_VERSION,
        read=_of_traffic(lambda totals: totals.bytes_out),
    ),
    "headrace_retries_denied_total": Metric(
        kind="counter",
        help="Retries and hedges not made because the pool's budget was spent.",
        unit="tries",
        labels=_VERSION,
        read=_of_versions(lambda version: version.totals.retries_denied),
    ),
    "headrace_retries_total": Metric(
        kind="counter",
        help="Requests sent once more to another replica.",
        unit="retries",
        labels=_VERSION,
        read=_of_versions(lambda version: version.totals.retries),
    ),
    "headrace_scale_dry_run": Metric(
        kind="gauge",
        help="1 while the pool's decisions are not carried out.",
        unit="1",
        labels=("pool",),
        read=lambda status: [((pool.pool,), pool.dry_run) for pool in status.pools],
    ),
    "headrace_shed_total": Metric(
        kind="counter",
        help="Requests refused for lack of room, by priority class and reason.",
        unit="requests",
        labels=(*_CLASS, "reason"),
        read=_shed,
    ),
    "headrace_signal_lost": Metric(
        kind="gauge",
        help="Signals of the pool that have no value now.",
        unit="signals",
        labels=("pool",),
        read=lambda status: [((pool.pool,), len(pool.lost_signals)) for pool in status.pools],
    ),
    "headrace_slots": Metric(
        kind="gauge",
        help="Slots of all ready replicas.",
        unit="slots",
        labels=_VERSION,
        read=_of_versions(lambda version: version.slots),
    ),
    "headrace_store_connected": Metric(
        kind="gauge",
        help="1 while the store answers, else 0.",
        unit="1",
        read=_one(lambda status: status.store_connected),
    ),
    "headrace_upstream_failures_total": Metric(
        kind="counter",
        help="Failures of replicas: connections refused or broken, replies that are not HTTP.",
        unit="failures",
        labels=_VERSION,
        read=_of_versions(lambda version: version.totals.upstream_failures),
    ),
    "headrace_version_effective_weight": Metric(
        kind="gauge",
        help="Weight the workers split by; lags the weight until a replica is ready.",
        unit="weight",
        labels=_VERSION,
        read=_of_versions(lambda version: version.effective_weight),
    ),
    "headrace_version_weight": Metric(
        kind="gauge",
        help="Weight as configured or set by hand.",
        unit="weight",
        labels=_VERSION,
        read=_of_versions(lambda version: version.weight),
    ),
    "headrace_worker_restarts_total": Metric(
        kind="counter",
        help="Times the worker died and was started again.",
        unit="restarts",
        labels=("worker",),
        read=_of_workers(lambda worker: worker.restarts),
    ),
}


class StatusCollector(Collector):
    """Every metric of `METRICS`, from one `status()` a scrape."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def collect(self) -> Iterator[Family]:
        """See `prometheus_client.registry.Collector`."""
        status = self._operations.status()
        for name, metric in METRICS.items():
            yield _family(name, metric, metric.read(status))


def create_registry(operations: Operations) -> CollectorRegistry:
    """What `/metrics` answers: `METRICS`, and CPU, memory and files of this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatusCollector(operations))
    ProcessCollector(registry=registry)
    return registry


def _family(name: str, metric: Metric, samples: Samples) -> Family:
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    match metric.kind:
        case "counter":
            family = CounterMetricFamily(name, metric.help, labels=metric.labels)
        case "gauge":
            family = GaugeMetricFamily(name, metric.help, labels=metric.labels)
        case "histogram":
            family = HistogramMetricFamily(name, metric.help, labels=metric.labels)
    for labels, value in samples:
        if isinstance(family, HistogramMetricFamily):
            assert isinstance(value, Distribution)
            family.add_metric(labels, _buckets(value.counts), value.sum)
        else:
            assert not isinstance(value, Distribution)
            family.add_metric(labels, value)
    return family


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulative, as the exposition format wants them."""
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True))
