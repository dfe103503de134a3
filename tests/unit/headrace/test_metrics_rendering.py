"""`/metrics` is parsed again, and compared with the numbers it was made of."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fleet.model import ReplicaState
from headrace.metrics import METRICS
from headrace.metrics.daemon import DAEMON
from headrace.metrics.exposition import create_registry
from headrace.metrics.metric import Metric
from headrace.metrics.replicas import REPLICAS
from headrace.metrics.requests import REQUESTS
from headrace.operations import Status
from tests.unit.headrace.fakes import (
    STATUS,
    SUPPORT,
    FakeOperations,
    ejection,
    replica,
    version_status,
)

Series = tuple[str, tuple[tuple[str, str], ...]]


def scrape(status: Status = STATUS) -> dict[Series, float]:
    text = generate_latest(create_registry(FakeOperations(status))).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> Series:
    return f"headrace_{name}", tuple(sorted(labels.items()))


V1 = {"pool": "support", "version": "v1"}
LOW = {"pool": "support", "version": "v2", "class": "low"}
NOWHERE = {"pool": "", "version": ""}
LONGEST = {"le": "+Inf"}

VALUES = {
    "sessions": (of("sessions", **V1), 31),
    "the release": (of("build_info", version="0.1.0"), 1),
    "replies by class": (of("requests_total", **V1, code="2xx"), 990),
    "requests without a reply": (of("requests_total", **V1, code="none"), 2),
    "requests that matched no pool": (of("requests_total", **NOWHERE, code="4xx"), 9),
    "a histogram's first bucket": (of("queue_wait_seconds_bucket", **V1, le="0.001"), 970),
    "buckets are cumulative": (of("queue_wait_seconds_bucket", **V1, le="0.05"), 1000),
    "the open bucket": (of("queue_wait_seconds_bucket", **V1, **LONGEST), 1000),
    "a histogram's count": (of("queue_wait_seconds_count", **V1), 1000),
    "a histogram's sum": (of("queue_wait_seconds_sum", **V1), 1.5),
    "durations": (of("request_duration_seconds_bucket", **V1, le="0.1"), 900),
    "durations of what matched no pool": (of("request_duration_seconds_count", **NOWHERE), 9),
    "sum of durations": (of("request_duration_seconds_sum", **V1), 125.25),
    "first bytes": (of("first_byte_seconds_bucket", **V1, le="0.025"), 998),
    "sum of first bytes": (of("first_byte_seconds_sum", **V1), 20.25),
    "time slots were held": (of("lease_seconds_total", **V1), 120.5),
    "waiting requests": (of("queue_depth", **V1), 3),
    "busy slots": (of("in_flight", **V1), 5),
    "slots": (of("slots", **V1), 8),
    "connections by HTTP/2": (of("http2_connections", worker="0"), 2),
    "requests by HTTP/2": (of("http2_requests_total", worker="0"), 31),
    "waiting requests of a class": (of("class_queue_depth", **LOW), 4),
    "those of a class that waited": (of("class_queued_total", **LOW), 9),
    "waits of a class": (of("class_queue_wait_seconds_bucket", **LOW, le="1.0"), 5),
    "sum of the waits of a class": (of("class_queue_wait_seconds_sum", **LOW), 3.5),
    "shed requests": (
        of("shed_total", **V1, **{"class": "default"}, reason="queue_full"),
        1,
    ),
    "queue timeouts": (of("queue_timeouts_total", **V1), 2),
    "retries": (of("retries_total", **V1), 7),
    "retries denied": (of("retries_denied_total", **V1), 9),
    "hedges": (of("hedges_total", **V1), 11),
    "hedges that won": (of("hedge_wins_total", **V1), 10),
    "deadlines": (of("deadlines_exceeded_total", **V1), 12),
    "too many connections": (of("circuit_open_total", **V1, limit="connections"), 13),
    "too many waiting": (of("circuit_open_total", **V1, limit="pending"), 14),
    "too many requests": (of("circuit_open_total", **V1, limit="requests"), 15),
    "upstream failures": (of("upstream_failures_total", **V1), 8),
    "client aborts": (of("client_aborts_total", **V1), 2),
    "bytes in": (of("request_bytes_total", **V1), 300_000),
    "bytes out": (of("response_bytes_total", **V1), 142_000),
    "ready replicas": (of("replicas", **V1, state="ready"), 2),
    "a state that none is in": (of("replicas", **V1, state="backoff"), 0),
    "starting replicas": (
        of("replicas", pool="support", version="v2", state="starting"),
        1,
    ),
    "wanted replicas": (of("replicas_desired", **V1), 2),
    "how far a forecast was off": (of("forecast_error_ratio", **V1), 0.125),
    "decided replicas": (of("replicas_decided", **V1), 2),
    "no dry run": (of("scale_dry_run", pool="support"), 0),
    "weight": (of("version_weight", pool="support", version="v2"), 5),
    "weight in force": (of("version_effective_weight", pool="support", version="v2"), 0),
    "ejections by a rule": (of("ejections_total", **V1, rule="failures"), 0),
    "no replica is ejected": (of("replicas_ejected", **V1), 0),
    "no signal is lost": (of("signal_lost", pool="support"), 0),
    "generation": (of("config_generation"), 3),
    "the file is what runs": (of("config_last_reload_successful"), 1),
    "reloads": (of("config_reloads_total", result="applied"), 2),
    "rejected reloads": (of("config_reloads_total", result="rejected"), 1),
    "the store answers": (of("store_connected"), 1),
    "this daemon leads": (of("leader"), 1),
    "leaders came and went": (of("leader_changes_total"), 1),
    "members of the cluster": (of("cluster_members"), 2),
    "writes that were refused": (of("cluster_fenced_writes_total"), 2),
    "restarts of a worker": (of("worker_restarts_total", worker="1"), 1),
    "connections of a worker": (of("connections", worker="0"), 6),
    "gaps between chunks up to 5 ms": (of("chunk_gap_seconds_bucket", **V1, le="0.005"), 4),
    "seconds between chunks": (of("chunk_gap_seconds_sum", **V1), 0.5),
    "connections above the limit": (of("connections_refused_total", reason="limit"), 5),
    "handshakes that failed": (of("connections_refused_total", reason="handshake"), 6),
    "connections without PROXY header": (of("connections_refused_total", reason="proxy_header"), 7),
    "dropped log lines": (of("log_lines_dropped_total"), 4),
}


@pytest.mark.parametrize(("series", "value"), VALUES.values(), ids=VALUES)
def test_value(series: Series, value: float) -> None:
    assert scrape()[series] == value


def test_a_daemon_by_itself_has_no_series_of_a_cluster() -> None:
    names = {name for name, _ in scrape(replace(STATUS, cluster=None))}
    assert {name for name in names if "cluster" in name or "leader" in name} == set()


def test_every_metric_is_checked_above() -> None:
    checked = {series[0] for series, _ in VALUES.values()}
    for name, metric in METRICS.items():
        suffixes = ("_bucket", "_sum") if metric.kind == "histogram" else ("",)
        assert checked >= {name + suffix for suffix in suffixes}


TROUBLES = {
    "a rejected file": (
        replace(STATUS, rejected="a.yml:1:1: x"),
        of("config_last_reload_successful"),
        0,
    ),
    "a lost store": (replace(STATUS, store_connected=False), of("store_connected"), 0),
    "lost signals": (
        replace(STATUS, pools=(replace(SUPPORT, lost_signals=("redis:a: gone", "redis:b: gone")),)),
        of("signal_lost", pool="support"),
        2,
    ),
    "a replica that two workers have ejected": (
        replace(STATUS, pools=(replace(SUPPORT, ejected=(ejection(0), ejection(1))),)),
        of("replicas_ejected", **V1),
        1,
    ),
    "ejections": (
        replace(
            STATUS,
            pools=(replace(SUPPORT, versions=(version_status(ejections={"latency": 2}),)),),
        ),
        of("ejections_total", **V1, rule="latency"),
        2,
    ),
    "a replica of a version that is no longer configured": (
        replace(
            STATUS,
            pools=(
                replace(SUPPORT, replicas=(replica("support-v0-9", "v0", ReplicaState.DRAINING),)),
            ),
        ),
        of("replicas", pool="support", version="v0", state="draining"),
        1,
    ),
}


@pytest.mark.parametrize(("status", "series", "value"), TROUBLES.values(), ids=TROUBLES)
def test_trouble_shows(status: Status, series: Series, value: float) -> None:
    assert scrape(status)[series] == value


def test_without_pools_there_is_still_an_answer() -> None:
    names = {name for name, _ in scrape(replace(STATUS, pools=()))}
    assert "headrace_build_info" in names
    assert "headrace_replicas" not in names


def test_the_status_is_asked_for_once_a_scrape() -> None:
    asked = []

    class Counting(FakeOperations):
        def status(self) -> Status:
            asked.append(1)
            return super().status()

    registry = create_registry(Counting())
    assert asked == []
    generate_latest(registry)
    assert asked == [1]


def test_the_process_itself_is_measured() -> None:
    assert scrape()[("process_resident_memory_bytes", ())] > 1_000_000


@pytest.mark.parametrize("subject", [DAEMON, REPLICAS, REQUESTS])
def test_metrics_stand_in_order(subject: Mapping[str, Metric]) -> None:
    assert list(subject) == sorted(subject)


def test_no_metric_stands_twice() -> None:
    assert len(METRICS) == len(DAEMON) + len(REPLICAS) + len(REQUESTS)


def test_names_follow_the_conventions() -> None:
    for name, metric in METRICS.items():
        assert name.startswith("headrace_")
        assert name.endswith("_total") == (metric.kind == "counter"), name
        assert (metric.kind == "histogram") <= name.endswith("_seconds"), name
        assert metric.help.endswith(".")
