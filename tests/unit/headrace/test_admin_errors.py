"""What is refused, with which status, code and sentence; and that the verb is not called then."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from fleet.errors import (
    HeadraceError,
    InvalidRequestError,
    StoreUnavailableError,
    UnknownNameError,
)
from headrace.admin import create_app, serve
from headrace.admin.app import MAX_BODY
from headrace.metrics.exposition import create_registry
from headrace.operations import ReloadResult
from tests.unit.headrace.fakes import Api, FakeOperations

WEIGHTS = "/v1/pools/support/weights"
SCALE = "/v1/pools/support/scale"

REFUSALS: dict[str, tuple[str, str, str | None, int, str, str]] = {
    "an unknown path": ("GET", "/v2", None, 404, "not_found", "there is no /v2"),
    "a wrong method": (
        "POST",
        "/v1/status",
        None,
        405,
        "method_not_allowed",
        "/v1/status takes GET, HEAD, not POST",
    ),
    "an unknown pool": ("GET", "/v1/pools/x", None, 404, "unknown_name", "there is no pool x"),
    "an unknown replica": (
        "POST",
        "/v1/replicas/x/drain",
        None,
        404,
        "unknown_name",
        "there is no replica x",
    ),
    "no body": ("PUT", WEIGHTS, None, 400, "invalid_request", "a JSON body is needed"),
    "a body that is not JSON": ("PUT", WEIGHTS, "{", 400, "invalid_request", "truncated"),
    "a body that is not UTF-8": ("PUT", WEIGHTS, '{"\udcff": 1}', 400, "invalid_request", "utf-8"),
    "an empty object": ("PUT", WEIGHTS, "{}", 400, "invalid_request", "length >= 1"),
    "a weight in quotes": ("PUT", WEIGHTS, '{"v1": "9"}', 400, "invalid_request", "`int`"),
    "a negative weight": ("PUT", WEIGHTS, '{"v1": -1}', 400, "invalid_request", ">= 0"),
    "a weight that is true": ("PUT", WEIGHTS, '{"v1": true}', 400, "invalid_request", "`int`"),
    "a weight too large": ("PUT", WEIGHTS, '{"v1": 9000000}', 400, "invalid_request", "1000000"),
    "no size": ("PUT", SCALE, "{}", 400, "invalid_request", "`replicas`"),
    "a size too large": ("PUT", SCALE, '{"replicas": 10001}', 400, "invalid_request", "10000"),
    "an unknown field": (
        "PUT",
        SCALE,
        '{"replicas": 1, "fro": "1m"}',
        400,
        "invalid_request",
        "unknown field `fro`",
    ),
    "a time without a unit": (
        "PUT",
        SCALE,
        '{"replicas": 1, "for": "10"}',
        400,
        "invalid_request",
        "for: expected a duration",
    ),
    "no time at all": (
        "PUT",
        SCALE,
        '{"replicas": 1, "for": "0s"}',
        400,
        "invalid_request",
        "for: expected a duration above 0",
    ),
    "a body where none is taken": ("POST", "/v1/reload", "{}", 400, "invalid_request", "no body"),
    "a limit of zero": ("GET", "/v1/events?limit=0", None, 400, "invalid_request", "1 to 1000"),
    "a limit too large": (
        "GET",
        "/v1/events?limit=1001",
        None,
        400,
        "invalid_request",
        "1 to 1000",
    ),
    "a limit that is no number": (
        "GET",
        "/v1/events?limit=many",
        None,
        400,
        "invalid_request",
        "'many'",
    ),
    "a time that is none": (
        "GET",
        "/v1/pools/support/explain?at=noon",
        None,
        400,
        "invalid_request",
        "at must be a Unix time",
    ),
    "a time beyond all dates": (
        "GET",
        "/v1/pools/support/explain?at=1e300",
        None,
        400,
        "invalid_request",
        "at must be a Unix time",
    ),
    "a misspelt parameter": (
        "GET",
        "/v1/decisions?pol=support",
        None,
        400,
        "invalid_request",
        "unknown query parameter 'pol'; known: limit, pool",
    ),
    "a parameter that is not taken": (
        "GET",
        "/v1/status?pool=support",
        None,
        400,
        "invalid_request",
        "known: none",
    ),
    "a parameter given twice": (
        "GET",
        "/v1/events?limit=1&limit=2",
        None,
        400,
        "invalid_request",
        "twice",
    ),
    "a body too large": (
        "PUT",
        WEIGHTS,
        '{"v1": 1' + " " * MAX_BODY + "}",
        413,
        "too_large",
        f"the body is above {MAX_BODY} bytes",
    ),
}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "message"), REFUSALS.values(), ids=REFUSALS
)
async def test_refusal(
    api: Api,
    operations: FakeOperations,
    method: str,
    path: str,
    body: str | None,
    status: int,
    code: str,
    message: str,
) -> None:
    data = None if body is None else body.encode("utf-8", "surrogateescape")
    headers = {} if data is None else {"Content-Type": "application/json"}
    reply = await api.request(method, path, data=data, headers=headers)
    assert reply.status == status
    error = (await reply.json())["error"]
    assert error["code"] == code
    assert message in error["message"]
    assert [call for call in operations.calls if call[0] != "drain"] == []


async def test_a_body_of_the_largest_size_is_read(api: Api, operations: FakeOperations) -> None:
    body = b'{"v1": 1}'.ljust(MAX_BODY - 1)
    headers = {"Content-Type": "application/json"}
    reply = await api.put(WEIGHTS, data=body, headers=headers)
    assert reply.status == 200


async def test_a_wrong_method_names_the_right_ones(api: Api) -> None:
    reply = await api.post(WEIGHTS)
    assert reply.headers["Allow"] == "DELETE, PUT"


FAILURES: dict[str, tuple[Exception, int, dict[str, Any]]] = {
    "a request that cannot be": (
        InvalidRequestError("min is 1"),
        400,
        {"code": "invalid_request", "message": "min is 1"},
    ),
    "an unknown name": (
        UnknownNameError("no version v9"),
        404,
        {"code": "unknown_name", "message": "no version v9"},
    ),
    "the store is away": (
        StoreUnavailableError("no answer"),
        503,
        {"code": "store_unavailable", "message": "no answer"},
    ),
    "another failure of the daemon": (
        HeadraceError("out of cells"),
        500,
        {"code": "failed", "message": "out of cells"},
    ),
    "a bug says nothing of itself": (
        RuntimeError("secret"),
        500,
        {"code": "internal", "message": "an error in the daemon; see its log"},
    ),
}


@pytest.mark.parametrize(("failure", "status", "error"), FAILURES.values(), ids=FAILURES)
async def test_failure(
    api: Api,
    operations: FakeOperations,
    failure: Exception,
    status: int,
    error: dict[str, Any],
) -> None:
    operations.failure = failure
    with capture_logs() as lines:
        reply = await api.post("/v1/reload")
    assert reply.status == status
    assert await reply.json() == {"error": error}
    assert [line["event"] for line in lines] == (
        ["admin request failed"] if isinstance(failure, RuntimeError) else []
    )


async def test_a_rejected_reload_is_a_conflict_with_every_problem(
    api: Api, operations: FakeOperations
) -> None:
    problems = ("a.yml:3:5: pools.x: unknown key", "a.yml:9:1: routes: expected a list")
    operations.reload_result = ReloadResult(applied=False, generation=3, errors=problems)
    reply = await api.post("/v1/reload")
    assert reply.status == 409
    assert await reply.json() == {
        "error": {
            "code": "config_rejected",
            "message": "the configuration was rejected; generation 3 runs on",
            "details": list(problems),
        }
    }


async def test_an_address_in_use_is_one_sentence(operations: FakeOperations) -> None:
    def app() -> web.Application:
        return create_app(
            operations, create_registry(operations), token=lambda: None, loopback=True
        )

    server = await serve(app(), "127.0.0.1:0")
    try:
        with pytest.raises(HeadraceError) as caught:
            await serve(app(), server.address)
        assert str(caught.value).startswith(f"the admin API cannot listen on {server.address}: ")
    finally:
        await server.stop()
