"""Metrics of requests: how many, how they ended, what they waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleet.telemetry.slab import SHED_REASONS
from headrace.metrics.metric import Distribution, Metric, Samples
from headrace.metrics.readers import (
    CLASS,
    VERSION,
    classes,
    of_classes,
    of_traffic,
    of_versions,
    traffic,
    versions,
)
from headrace.operations import Status

CODES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Values of `code`, by class; `none`: no reply was sent."""


def _requests(status: Status) -> Samples:
    for labels, totals in traffic(status):
        for code, count in zip(CODES, totals.requests, strict=True):
            yield (*labels, code), count


def _circuits(status: Status) -> Samples:
    for labels, version in versions(status):
        totals = version.totals
        for limit, count in (
            ("connections", totals.circuit_connections),
            ("pending", totals.circuit_pending),
            ("requests", totals.circuit_requests),
        ):
            yield (*labels, limit), count


def _shed(status: Status) -> Samples:
    for labels, of in classes(status):
        for reason, count in zip(SHED_REASONS, of.totals.shed, strict=True):
            yield (*labels, reason), count


REQUESTS: Final[Mapping[str, Metric]] = {
    "headrace_chunk_gap_seconds": Metric(
        kind="histogram",
        help="Time between two parts of a reply's body, as they come from the replica.",
        unit="seconds",
        labels=VERSION,
        read=of_versions(lambda v: Distribution(v.totals.chunk_gap, v.totals.chunk_gap_sum)),
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
        labels=CLASS,
        read=of_classes(lambda totals: totals.queued_now),
    ),
    "headrace_class_queue_wait_seconds": Metric(
        kind="histogram",
        help="Time requests of a priority class waited for the slot they got; those that never "
        "waited are not in it.",
        unit="seconds",
        labels=CLASS,
        read=of_classes(lambda totals: Distribution(totals.wait, totals.wait_sum)),
    ),
    "headrace_class_queued_total": Metric(
        kind="counter",
        help="Requests of a priority class that had to wait for a slot.",
        unit="requests",
        labels=CLASS,
        read=of_classes(lambda totals: totals.queued),
    ),
    "headrace_client_aborts_total": Metric(
        kind="counter",
        help="Requests whose client went away before its reply was complete.",
        unit="requests",
        labels=VERSION,
        read=of_traffic(lambda totals: totals.client_aborts),
    ),
    "headrace_deadlines_exceeded_total": Metric(
        kind="counter",
        help="Requests ended because the time allowed for them was over.",
        unit="requests",
        labels=VERSION,
        read=of_versions(lambda version: version.totals.deadlines),
    ),
    "headrace_first_byte_seconds": Metric(
        kind="histogram",
        help="Time from sending a request to a replica, the first one where a hedge has answered "
        "it, to the first byte of its reply.",
        unit="seconds",
        labels=VERSION,
        read=of_versions(lambda v: Distribution(v.totals.first_byte, v.totals.first_byte_sum)),
    ),
    "headrace_hedge_wins_total": Metric(
        kind="counter",
        help="Second tries that answered before the first.",
        unit="tries",
        labels=VERSION,
        read=of_versions(lambda version: version.totals.hedge_wins),
    ),
    "headrace_hedges_total": Metric(
        kind="counter",
        help="Second tries of late requests.",
        unit="tries",
        labels=VERSION,
        read=of_versions(lambda version: version.totals.hedges),
    ),
    "headrace_in_flight": Metric(
        kind="gauge",
        help="Requests that hold a slot now.",
        unit="requests",
        labels=VERSION,
        read=of_versions(lambda version: version.in_flight),
    ),
    "headrace_lease_seconds_total": Metric(
        kind="counter",
        help="Time slots were held, summed over finished requests.",
        unit="seconds",
        labels=VERSION,
        read=of_versions(lambda version: version.totals.lease_seconds),
    ),
    "headrace_queue_depth": Metric(
        kind="gauge",
        help="Requests that wait for a slot now.",
        unit="requests",
        labels=VERSION,
        read=of_versions(lambda version: version.queued),
    ),
    "headrace_queue_timeouts_total": Metric(
        kind="counter",
        help="Requests refused with 503 after waiting for a slot as long as allowed.",
        unit="requests",
        labels=VERSION,
        read=of_versions(lambda version: version.totals.queue_timeouts),
    ),
    "headrace_queue_wait_seconds": Metric(
        kind="histogram",
        help="Time requests waited for a slot; one that never waited counts as 0.",
        unit="seconds",
        labels=VERSION,
        read=of_versions(lambda v: Distribution(v.totals.wait, v.totals.wait_sum)),
    ),
    "headrace_request_bytes_total": Metric(
        kind="counter",
        help="Bytes of request bodies.",
        unit="bytes",
        labels=VERSION,
        read=of_traffic(lambda totals: totals.bytes_in),
    ),
    "headrace_request_duration_seconds": Metric(
        kind="histogram",
        help="Time from the end of a request's headers to the end of its reply, queueing included.",
        unit="seconds",
        labels=VERSION,
        read=of_traffic(lambda totals: Distribution(totals.duration, totals.duration_sum)),
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
        labels=VERSION,
        read=of_traffic(lambda totals: totals.bytes_out),
    ),
    "headrace_retries_denied_total": Metric(
        kind="counter",
        help="Retries and hedges not made because the pool's budget was spent.",
        unit="tries",
        labels=VERSION,
        read=of_versions(lambda version: version.totals.retries_denied),
    ),
    "headrace_retries_total": Metric(
        kind="counter",
        help="Requests sent once more to another replica.",
        unit="retries",
        labels=VERSION,
        read=of_versions(lambda version: version.totals.retries),
    ),
    "headrace_shed_total": Metric(
        kind="counter",
        help="Requests refused for lack of room, by priority class and reason.",
        unit="requests",
        labels=(*CLASS, "reason"),
        read=_shed,
    ),
    "headrace_upstream_failures_total": Metric(
        kind="counter",
        help="Failures of replicas: connections refused or broken, replies that are not HTTP.",
        unit="failures",
        labels=VERSION,
        read=of_versions(lambda version: version.totals.upstream_failures),
    ),
}
