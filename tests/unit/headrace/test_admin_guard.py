"""Who may use the admin API: the rules by themselves, then through a server."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from headrace.admin import create_app
from headrace.admin.errors import ApiError
from headrace.admin.guard import Guard, is_loopback_host
from headrace.admin.routes import ROUTES, Route
from headrace.metrics.exposition import create_registry
from tests.unit.headrace.fakes import Api, FakeOperations

OK = None
LOCAL = {"Host": "127.0.0.1:9900"}
JSON = {"Content-Type": "application/json"}
RIGHT = {"Authorization": "Bearer s3cret"}

RULES: dict[str, tuple[str | None, str, dict[str, str], bool, int | None]] = {
    "with a token: the right one": ("s3cret", "GET", RIGHT, False, OK),
    "with a token: scheme in any case": (
        "s3cret",
        "GET",
        {"authorization": "bearer s3cret"},
        False,
        OK,
    ),
    "with a token: none sent": ("s3cret", "GET", LOCAL, False, 401),
    "with a token: a wrong one": ("s3cret", "GET", {"Authorization": "Bearer s3creT"}, False, 401),
    "with a token: its beginning": ("s3cret", "GET", {"Authorization": "Bearer s3"}, False, 401),
    "with a token: an empty one": ("s3cret", "GET", {"Authorization": "Bearer "}, False, 401),
    "with a token: another scheme": (
        "s3cret",
        "GET",
        {"Authorization": "Basic s3cret"},
        False,
        401,
    ),
    "with a token: without a scheme": ("s3cret", "GET", {"Authorization": "s3cret"}, False, 401),
    "with a token: bytes that are not UTF-8": (
        "s3cret",
        "GET",
        {"Authorization": "Bearer \udcff"},
        False,
        401,
    ),
    "with a token: any host may be asked": (
        "s3cret",
        "GET",
        RIGHT | {"Host": "gw.example.com", "Origin": "http://dash.example.com"},
        False,
        OK,
    ),
    "with a token: a form is refused": (
        "s3cret",
        "PUT",
        RIGHT | {"Content-Type": "text/plain"},
        True,
        415,
    ),
    "without: a loopback address": (None, "GET", LOCAL, False, OK),
    "without: localhost": (None, "GET", {"Host": "localhost:9900"}, False, OK),
    "without: IPv6 loopback": (None, "GET", {"Host": "[::1]:9900"}, False, OK),
    "without: no Host, as HTTP/1.0": (None, "GET", {}, False, OK),
    "without: a rebound name": (None, "GET", {"Host": "evil.example:9900"}, False, 403),
    "without: a name that begins well": (
        None,
        "GET",
        {"Host": "127.0.0.1.evil.example"},
        False,
        403,
    ),
    "without: the machine's own address": (None, "GET", {"Host": "10.0.0.5:9900"}, False, 403),
    "without: an empty Host": (None, "GET", {"Host": ""}, False, 403),
    "without: the same origin": (
        None,
        "POST",
        LOCAL | {"Origin": "http://127.0.0.1:9900"},
        False,
        OK,
    ),
    "without: another site": (None, "POST", LOCAL | {"Origin": "http://evil.example"}, False, 403),
    "without: another port of this host": (
        None,
        "POST",
        LOCAL | {"Origin": "http://127.0.0.1:3000"},
        False,
        403,
    ),
    "without: a page from a file": (None, "POST", LOCAL | {"Origin": "null"}, False, 403),
    "without: an Origin but no Host": (None, "POST", {"Origin": "http://None"}, False, 403),
    "without: a body as JSON": (None, "PUT", LOCAL | JSON, True, OK),
    "without: a body as JSON with a charset": (
        None,
        "PUT",
        LOCAL | {"Content-Type": "Application/JSON; charset=utf-8"},
        True,
        OK,
    ),
    "without: a body as a form": (
        None,
        "POST",
        LOCAL | {"Content-Type": "application/x-www-form-urlencoded"},
        True,
        415,
    ),
    "without: a body as text": (None, "PUT", LOCAL | {"Content-Type": "text/plain"}, True, 415),
    "without: a body of no type": (None, "PUT", LOCAL, True, 415),
    "without: a body of a GET is not looked at": (None, "GET", LOCAL, True, OK),
}


@pytest.mark.parametrize(
    ("token", "method", "headers", "has_body", "status"), RULES.values(), ids=RULES
)
def test_rule(
    token: str | None, method: str, headers: dict[str, str], has_body: bool, status: int | None
) -> None:
    guard = Guard(lambda: token, loopback=True)
    seen = None
    try:
        guard.check(method, CIMultiDict(headers), public=False, has_body=has_body)
    except ApiError as error:
        seen = error.status
    assert seen == status


@pytest.mark.parametrize("token", [None, "s3cret"], ids=["without a token", "with a token"])
def test_probes_are_open_to_all(token: str | None) -> None:
    headers = CIMultiDict({"Host": "evil.example", "Origin": "http://evil.example"})
    Guard(lambda: token, loopback=True).check("GET", headers, public=True, has_body=False)
    with pytest.raises(ApiError):
        Guard(lambda: token, loopback=True).check("GET", headers, public=False, has_body=False)


@pytest.mark.parametrize("token", [None, ""], ids=["none", "an empty one"])
def test_beyond_loopback_a_token_is_needed(token: str | None) -> None:
    with pytest.raises(ValueError, match="needs a token"):
        Guard(lambda: token, loopback=False)


HOSTS = {
    "localhost": True,
    "LOCALHOST:80": True,
    "127.0.0.1": True,
    "127.9.9.9:1": True,
    "[::1]": True,
    "[::1]:9900": True,
    "localhost.evil.example": False,
    "[::2]:9900": False,
    "[::1": True,
    "0.0.0.0": False,
    "2130706433": False,
    "": False,
    "[": False,
}


@pytest.mark.parametrize(("host", "loopback"), HOSTS.items(), ids=HOSTS)
def test_loopback_host(host: str, loopback: bool) -> None:
    assert is_loopback_host(host) is loopback


@pytest.mark.parametrize("route", ROUTES, ids=[f"{route.method} {route.path}" for route in ROUTES])
async def test_every_route_but_the_probes_asks_for_the_token(
    route: Route, operations: FakeOperations
) -> None:
    app = create_app(
        operations, create_registry(operations), token=lambda: "s3cret", loopback=False
    )
    async with TestClient(TestServer(app)) as client:
        path = route.path.format(pool="support", replica="support-v1-1")
        reply = await client.request(route.method, path)
        if route.path in ("/healthz", "/readyz"):
            assert reply.status == 200
        else:
            assert reply.status == 401
            assert reply.headers["WWW-Authenticate"] == "Bearer"
            assert (await reply.json())["error"]["code"] == "unauthorized"
            assert operations.calls == []
            allowed = await client.request(route.method, path, headers=RIGHT)
            assert allowed.status != 401


async def test_unknown_paths_are_not_told_apart_without_the_token(
    operations: FakeOperations,
) -> None:
    app = create_app(operations, create_registry(operations), token=lambda: "s3cret", loopback=True)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/v2")).status == 401
        assert (await client.get("/v2", headers=RIGHT)).status == 404


async def test_a_rebound_page_gets_nothing(api: Api, operations: FakeOperations) -> None:
    for path in ("/v1/status", "/metrics"):
        reply = await api.get(path, headers={"Host": "evil.example"})
        assert reply.status == 403
    reply = await api.post("/v1/reload", headers={"Origin": "http://evil.example"})
    assert reply.status == 403
    reply = await api.put("/v1/pools/support/scale", data='{"replicas": 0}')
    assert reply.status == 415
    assert operations.calls == []


def test_a_token_changed_by_a_reload_counts_at_once() -> None:
    tokens = ["old"]
    guard = Guard(lambda: tokens[0] or None, loopback=False)
    guard.check("GET", {"Authorization": "Bearer old"}, public=False, has_body=False)
    tokens[0] = "new"
    with pytest.raises(ApiError, match="token is wrong"):
        guard.check("GET", {"Authorization": "Bearer old"}, public=False, has_body=False)
    guard.check("GET", {"Authorization": "Bearer new"}, public=False, has_body=False)


def test_beyond_loopback_nothing_is_open_when_the_token_is_taken_away() -> None:
    tokens = ["old"]
    guard = Guard(lambda: tokens[0] or None, loopback=False)
    tokens[0] = ""
    for header in ("", "Bearer ", "Bearer old"):
        with pytest.raises(ApiError):
            guard.check("GET", {"Authorization": header}, public=False, has_body=False)
