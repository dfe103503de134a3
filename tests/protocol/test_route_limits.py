"""Limits of one route, and the limit of a whole request."""

# a wire changes state by calls mypy does not follow
# mypy: disable-error-code="unreachable,comparison-overlap"

from __future__ import annotations

import msgspec
import pytest

from fleet.telemetry import slab as words
from tests.protocol.support import LIMITS, TIMEOUTS, Rig, pool, replica, route, version

GET = b"GET /own/x HTTP/1.1\r\nHost: h\r\n\r\n"
OTHER = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /own/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
LATE = 0.1


def own(
    rig: Rig, timeouts: dict[str, float] | None = None, limits: dict[str, int] | None = None
) -> None:
    """A route `/own` with limits of its own, before one without."""
    special = msgspec.structs.replace(
        route(path="/own"),
        timeouts=msgspec.structs.replace(TIMEOUTS, **timeouts) if timeouts else None,
        limits=msgspec.structs.replace(LIMITS, **limits) if limits else None,
    )
    rig.configure(routes=[special, route()])


async def test_the_wait_for_a_reply_is_the_routes(rig: Rig) -> None:
    own(rig, {"first_byte": 5})
    client, other = rig.client(), rig.client()
    client.send(GET)
    other.send(OTHER)
    rig.advance(4.9)
    assert client.take() == b""
    rig.advance(LATE + 0.1)
    assert client.message().status == 504
    assert other.take() == b""


async def test_the_silence_of_a_stream_is_the_routes(rig: Rig) -> None:
    own(rig, {"stream_idle": 1})
    client, other = rig.client(), rig.client()
    for each, request in ((client, GET), (other, OTHER)):
        each.send(request)
        rig.replica.send(STREAM)
    rig.advance(1 + LATE)
    assert client.half_closed
    assert not other.half_closed


async def test_the_silence_of_a_tunnel_is_the_routes(rig: Rig) -> None:
    own(rig, {"tunnel_idle": 1})
    client = rig.client()
    client.send(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket"
    rig.replica.send(switch + b"\r\n\r\n")
    for _ in range(3):
        rig.advance(0.9)
        client.send(b"ping")
    assert not client.half_closed
    rig.advance(1 + LATE)
    assert client.half_closed


async def test_the_silence_of_a_body_is_the_routes(rig: Rig) -> None:
    own(rig, {"body": 2})
    client = rig.client()
    client.send(POST)
    rig.advance(2 + LATE)
    assert client.message().status == 408


async def test_the_rate_of_a_body_is_the_routes(rig: Rig) -> None:
    own(rig, {"body": 2}, {"body_rate": 10})
    client = rig.client()
    client.send(POST)
    for _ in range(5):
        rig.advance(0.5)
        client.send(b"a")
    assert client.message().status == 408


@pytest.mark.parametrize("framing", [b"Content-Length: 11", b"Transfer-Encoding: chunked"])
async def test_the_size_of_a_body_is_the_routes(rig: Rig, framing: bytes) -> None:
    own(rig, limits={"body": 10})
    body = b"b\r\n12345678901\r\n0\r\n\r\n" if b"chunked" in framing else b"12345678901"
    for path, status in ((b"/own", 413), (b"/", 200)):
        client = rig.client()
        client.send(b"POST " + path + b" HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n" + body)
        if status == 200:
            rig.replica.send(OK)
        assert client.message().status == status


async def test_a_request_that_takes_too_long_gets_504(rig: Rig) -> None:
    rig.configure(timeouts={"request": 3})
    client = rig.client()
    client.send(GET)
    rig.advance(2.9)
    assert client.take() == b""
    rig.advance(LATE + 0.1)
    got = client.message()
    assert got.status == 504
    assert b"deadline_exceeded" in got.body
    assert rig.replica.closed == "abort"
    client.send(GET)
    rig.replica.send(OK)
    assert client.message().body == b"ok"


async def test_a_reply_that_takes_too_long_is_cut_visibly(rig: Rig) -> None:
    own(rig, {"request": 3})
    client = rig.client()
    client.send(GET)
    for _ in range(4):
        rig.replica.send(STREAM if rig.clock.now == 1000.0 else b"1\r\na\r\n")
        rig.advance(0.9)
    got = client.message()
    assert (got.status, got.whole) == (200, False)
    assert client.half_closed
    assert rig.replica.closed == "abort"
    assert rig.logged()[-1]["outcome"] == "deadline_exceeded"


async def test_time_in_the_queue_counts_for_the_whole_request(rig: Rig) -> None:
    rig.configure(pool(queue_timeout=60), timeouts={"request": 3})
    rig.members(version("v1"))
    client = rig.client()
    client.send(GET)
    rig.advance(3 + LATE)
    assert client.message().status == 504
    assert rig.count(words.QUEUED) == rig.count(words.UNQUEUED) == 1
    rig.members(version("v1", replica("a-1")))
    assert not rig.upstreams


async def test_time_of_a_dial_counts_for_the_whole_request(rig: Rig) -> None:
    rig.configure(timeouts={"request": 1})
    rig.dialling = "manual"
    client = rig.client()
    client.send(GET)
    rig.advance(1 + LATE)
    assert client.message().status == 504
    assert rig.dials.popleft().answer().closed


async def test_an_open_websocket_is_not_limited_as_a_whole(rig: Rig) -> None:
    own(rig, {"request": 3})
    client = rig.client()
    client.send(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket"
    rig.replica.send(switch + b"\r\n\r\n")
    rig.advance(10)
    assert not client.half_closed


async def test_a_request_that_was_in_time_leaves_no_limit_behind(rig: Rig) -> None:
    rig.configure(timeouts={"request": 3})
    client = rig.client()
    for _ in range(3):
        client.send(GET)
        rig.advance(2)
        rig.replica.send(OK)
        assert client.message().body == b"ok"
