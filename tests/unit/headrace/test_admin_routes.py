"""Each route asks the right verb, and answers what it said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fleet.cluster import ClusterStatus
from fleet.model import Decision, Event, Replica, ReplicaState
from headrace.admin.routes import ROUTES
from headrace.operations import Explanation, PoolStatus, ReloadResult, Status
from tests.unit.headrace.fakes import (
    DECISION,
    EVENTS,
    EXPLAINED,
    HELD,
    STATUS,
    SUPPORT,
    Api,
    FakeOperations,
)

VERBS: dict[str, tuple[str, str, Any, tuple[Any, ...]]] = {
    "decisions of all pools": ("GET", "/v1/decisions", None, ("decisions", None, 100)),
    "decisions of one pool": (
        "GET",
        "/v1/decisions?pool=support&limit=1",
        None,
        ("decisions", "support", 1),
    ),
    "events": ("GET", "/v1/events", None, ("events", 100)),
    "some events": ("GET", "/v1/events?limit=1000", None, ("events", 1000)),
    "why a size": (
        "GET",
        "/v1/pools/support/explain",
        None,
        ("explain", "support", None, None),
    ),
    "why a version had its size": (
        "GET",
        "/v1/pools/support/explain?version=v1&at=1767268800.5",
        None,
        ("explain", "support", "v1", 1767268800.5),
    ),
    "reload": ("POST", "/v1/reload", None, ("reload",)),
    "weights": (
        "PUT",
        "/v1/pools/support/weights",
        {"v1": 90, "v2": 10},
        ("set_weights", "support", {"v1": 90, "v2": 10}),
    ),
    "the file's weights": (
        "DELETE",
        "/v1/pools/support/weights",
        None,
        ("set_weights", "support", None),
    ),
    "a size for good": (
        "PUT",
        "/v1/pools/support/scale",
        {"replicas": 3},
        ("scale", "support", 3, None),
    ),
    "a size for a while": (
        "PUT",
        "/v1/pools/support/scale",
        {"replicas": 3, "for": "10m"},
        ("scale", "support", 3, 600.0),
    ),
    "no replicas at all": (
        "PUT",
        "/v1/pools/support/scale",
        {"replicas": 0},
        ("scale", "support", 0, None),
    ),
    "the scaler's size": (
        "DELETE",
        "/v1/pools/support/scale",
        None,
        ("scale", "support", None, None),
    ),
    "drain": ("POST", "/v1/replicas/support-v1-1/drain", None, ("drain", "support-v1-1")),
}


@pytest.mark.parametrize(("method", "path", "body", "call"), VERBS.values(), ids=VERBS)
async def test_verb(
    api: Api,
    operations: FakeOperations,
    method: str,
    path: str,
    body: Any,
    call: tuple[Any, ...],
) -> None:
    reply = await api.request(method, path, json=body)
    assert reply.status == 200
    assert reply.content_type == "application/json"
    assert reply.headers["Cache-Control"] == "no-store"
    assert operations.calls == [call]


ANSWERS: dict[str, tuple[str, str, Any, Any, Any]] = {
    "status": ("GET", "/v1/status", None, Status, STATUS),
    "a pool": ("GET", "/v1/pools/support", None, PoolStatus, SUPPORT),
    "decisions": ("GET", "/v1/decisions", None, list[Decision], [DECISION, HELD]),
    "events": ("GET", "/v1/events?limit=1", None, list[Event], [EVENTS[0]]),
    "an explanation": (
        "GET",
        "/v1/pools/support/explain?version=v1",
        None,
        list[Explanation],
        [EXPLAINED],
    ),
    "a reload": (
        "POST",
        "/v1/reload",
        None,
        ReloadResult,
        ReloadResult(applied=True, generation=4),
    ),
    "a drained replica": (
        "POST",
        "/v1/replicas/support-v1-1/drain",
        None,
        Replica,
        replace(SUPPORT.replicas[0], state=ReplicaState.DRAINING),
    ),
    "a held pool": (
        "PUT",
        "/v1/pools/support/scale",
        {"replicas": 3},
        PoolStatus,
        replace(SUPPORT, scale_override=3),
    ),
}


@pytest.mark.parametrize(
    ("method", "path", "body", "type_", "value"), ANSWERS.values(), ids=ANSWERS
)
async def test_answer_decodes_to_what_was_said(
    api: Api, method: str, path: str, body: Any, type_: Any, value: Any
) -> None:
    reply = await api.request(method, path, json=body)
    assert msgspec.json.decode(await reply.read(), type=type_) == value


READINESS = {
    "ready": (STATUS, 200, []),
    "draining": (replace(STATUS, draining=True), 503, ["the daemon is stopping"]),
    "a worker lags": (
        replace(
            STATUS,
            ready=False,
            workers=(STATUS.workers[0], replace(STATUS.workers[1], generation=2)),
        ),
        503,
        ["worker 1 has generation 2, not 3"],
    ),
    "a worker is dead": (
        replace(STATUS, ready=False, workers=(replace(STATUS.workers[0], pid=None),)),
        503,
        ["worker 0 is being restarted"],
    ),
    "before any worker": (
        replace(STATUS, ready=False, workers=()),
        503,
        ["the daemon is starting"],
    ),
}


@pytest.mark.parametrize(("status", "code", "reasons"), READINESS.values(), ids=READINESS)
async def test_readiness(
    api: Api, operations: FakeOperations, status: Status, code: int, reasons: list[str]
) -> None:
    operations.current = status
    reply = await api.get("/readyz")
    assert reply.status == code
    assert await reply.json() == {"ready": not reasons, "reasons": reasons}


async def test_the_cluster_is_that_of_the_status(api: Api) -> None:
    reply = await api.get("/v1/cluster")
    assert reply.status == 200
    assert msgspec.json.decode(await reply.read(), type=ClusterStatus) == STATUS.cluster


async def test_a_daemon_by_itself_has_no_cluster(api: Api, operations: FakeOperations) -> None:
    operations.current = replace(STATUS, cluster=None)
    reply = await api.get("/v1/cluster")
    assert reply.status == 404
    assert "this daemon is in no cluster" in await reply.text()


async def test_health_needs_nothing_of_the_daemon(api: Api, operations: FakeOperations) -> None:
    operations.failure = RuntimeError("broken")
    reply = await api.get("/healthz")
    assert reply.status == 200
    assert await reply.json() == {"status": "ok"}


async def test_metrics_in_the_form_prometheus_asks_for(api: Api) -> None:
    plain = await api.get("/metrics")
    assert plain.content_type == "text/plain"
    assert "headrace_store_connected 1.0" in await plain.text()
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    modern = await api.get("/metrics", headers=accept)
    assert modern.content_type == "application/openmetrics-text"
    parsed = text_string_to_metric_families(await modern.text())  # type: ignore[no-untyped-call]
    families = {family.name: family for family in parsed}
    assert families["headrace_requests"].type == "counter"


async def test_head_is_get_without_a_body(api: Api) -> None:
    reply = await api.head("/healthz")
    assert reply.status == 200
    assert await reply.read() == b""


def test_the_table_of_routes_is_sorted_and_names_each_once() -> None:
    keys = [(route.path, route.method) for route in ROUTES]
    assert keys == sorted(set(keys))
