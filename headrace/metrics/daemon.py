"""Metrics of the daemon: its configuration, workers, store and cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleet.cluster import Role
from headrace.metrics.metric import Metric
from headrace.metrics.readers import of_cluster, of_daemon, of_workers

DAEMON: Final[Mapping[str, Metric]] = {
    "headrace_build_info": Metric(
        kind="gauge",
        help="Always 1; the label tells which release runs.",
        unit="1",
        labels=("version",),
        read=lambda status: [((status.version,), 1)],
    ),
    "headrace_cluster_fenced_writes_total": Metric(
        kind="counter",
        help="Writes of this daemon that the store refused because it leads no longer.",
        unit="writes",
        read=of_cluster(lambda cluster: cluster.fenced),
    ),
    "headrace_cluster_members": Metric(
        kind="gauge",
        help="Daemons that share the scaling, as the plan this one follows has them.",
        unit="daemons",
        read=of_cluster(lambda cluster: len(cluster.members)),
    ),
    "headrace_config_generation": Metric(
        kind="gauge",
        help="Generation of the configuration in force; grows by one with each reload applied.",
        unit="generations",
        read=of_daemon(lambda status: status.generation),
    ),
    "headrace_config_last_reload_successful": Metric(
        kind="gauge",
        help="1 when the configuration file is what runs, 0 when its newest edit was rejected.",
        unit="1",
        read=of_daemon(lambda status: status.rejected is None),
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
        read=of_workers(lambda worker: worker.connections),
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
    "headrace_http2_connections": Metric(
        kind="gauge",
        help="Client connections by HTTP/2 open now, among headrace_connections.",
        unit="connections",
        labels=("worker",),
        read=of_workers(lambda worker: worker.http2_connections),
    ),
    "headrace_http2_requests_total": Metric(
        kind="counter",
        help="Requests that came by HTTP/2.",
        unit="requests",
        labels=("worker",),
        read=of_workers(lambda worker: worker.http2_requests),
    ),
    "headrace_leader": Metric(
        kind="gauge",
        help="1 while this daemon decides for its cluster, else 0.",
        unit="1",
        read=of_cluster(lambda cluster: cluster.role is Role.LEADER),
    ),
    "headrace_leader_changes_total": Metric(
        kind="counter",
        help="Times that this daemon saw another leader than before.",
        unit="changes",
        read=of_cluster(lambda cluster: cluster.leader_changes),
    ),
    "headrace_log_lines_dropped_total": Metric(
        kind="counter",
        help="Log lines, the daemon's own too, dropped because they were not taken fast enough.",
        unit="lines",
        read=of_daemon(lambda status: status.log_lines_dropped),
    ),
    "headrace_store_connected": Metric(
        kind="gauge",
        help="1 while the store answers, else 0.",
        unit="1",
        read=of_daemon(lambda status: status.store_connected),
    ),
    "headrace_worker_restarts_total": Metric(
        kind="counter",
        help="Times the worker died and was started again.",
        unit="restarts",
        labels=("worker",),
        read=of_workers(lambda worker: worker.restarts),
    ),
}
