"""Metrics of replicas and of the scaler that decides how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from fleet.model import ReplicaState
from headrace.metrics.metric import Metric, Samples
from headrace.metrics.readers import VERSION, of_versions, versions
from headrace.operations import Status

RULES: Final = ("failures", "gateway_errors", "latency", "success_rate")
"""Values of `rule`."""

STATES: Final = tuple(state for state in ReplicaState if state is not ReplicaState.STOPPED)
"""Values of `state`; a stopped replica is no longer counted."""


def _forecast_errors(status: Status) -> Samples:
    return (
        (labels, version.forecast_error)
        for labels, version in versions(status)
        if version.forecast_error is not None
    )


def _replicas(status: Status) -> Samples:
    for pool in status.pools:
        counts = Counter((r.version, r.state) for r in pool.replicas)
        names = dict.fromkeys([v.version for v in pool.versions] + [v for v, _ in counts])
        for version in names:
            for state in STATES:
                yield (pool.pool, version, state.value), counts[version, state]


def _ejections(status: Status) -> Samples:
    for labels, version in versions(status):
        for rule in RULES:
            yield (*labels, rule), version.ejections.get(rule, 0)


def _replicas_ejected(status: Status) -> Samples:
    for pool in status.pools:
        out = Counter(v for v, _ in {(e.version, e.replica) for e in pool.ejected})
        for version in pool.versions:
            yield (pool.pool, version.version), out[version.version]


REPLICAS: Final[Mapping[str, Metric]] = {
    "headrace_ejections_total": Metric(
        kind="counter",
        help="Times a worker ejected a replica, by rule.",
        unit="ejections",
        labels=(*VERSION, "rule"),
        read=_ejections,
    ),
    "headrace_forecast_error_ratio": Metric(
        kind="gauge",
        help="Mean absolute error of the forecast over the mean load, of versions with one.",
        unit="ratio",
        labels=VERSION,
        read=_forecast_errors,
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
        labels=VERSION,
        read=of_versions(lambda version: version.decided),
    ),
    "headrace_replicas_desired": Metric(
        kind="gauge",
        help="Replicas asked for now.",
        unit="replicas",
        labels=VERSION,
        read=of_versions(lambda version: version.desired),
    ),
    "headrace_replicas_ejected": Metric(
        kind="gauge",
        help="Replicas that some worker has ejected now.",
        unit="replicas",
        labels=VERSION,
        read=_replicas_ejected,
    ),
    "headrace_scale_dry_run": Metric(
        kind="gauge",
        help="1 while the pool's decisions are not carried out.",
        unit="1",
        labels=("pool",),
        read=lambda status: [((pool.pool,), pool.dry_run) for pool in status.pools],
    ),
    "headrace_sessions": Metric(
        kind="gauge",
        help="Sessions that came to the replicas in the last 5 to 10 minutes; an estimate.",
        unit="sessions",
        labels=VERSION,
        read=of_versions(lambda version: version.sessions),
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
        labels=VERSION,
        read=of_versions(lambda version: version.slots),
    ),
    "headrace_version_effective_weight": Metric(
        kind="gauge",
        help="Weight the workers split by; lags the weight until a replica is ready.",
        unit="weight",
        labels=VERSION,
        read=of_versions(lambda version: version.effective_weight),
    ),
    "headrace_version_weight": Metric(
        kind="gauge",
        help="Weight as configured or set by hand.",
        unit="weight",
        labels=VERSION,
        read=of_versions(lambda version: version.weight),
    ),
}
