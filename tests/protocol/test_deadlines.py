"""Requests whose time is over, and circuit limits."""

from __future__ import annotations

import msgspec
import pytest

from fleet import wire
from fleet.telemetry import slab as words
from tests.protocol.steps import GET, OK, answer
from tests.protocol.support import TIMEOUTS, Rig, pool, replica, version

TIMED = b"GET / HTTP/1.1\r\nHost: h\r\nX-Request-Timeout: 2\r\n\r\n"


def deadline(rig: Rig, seconds: float) -> None:
    timeouts = msgspec.structs.replace(TIMEOUTS, request=seconds)
    route = wire.RouteEntry(
        host=None, path="/", methods=(), headers={}, pool="agents", timeouts=timeouts
    )
    rig.configure(routes=[route])


async def test_what_is_left_goes_upstream(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    first, second = rig.client(), rig.client()
    first.send(GET)
    second.send(TIMED)
    assert b"timeout" not in rig.replica.take().lower()
    rig.advance(0.5)
    rig.replica.send(OK)
    assert rig.replica.message().get(b"x-request-timeout") == b"1.500"
    answer(rig.replica, second)


async def test_grpc_hears_in_its_own_form(rig: Rig) -> None:
    client = rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\nGrpc-Timeout: 2S\r\n\r\n")
    got = rig.replica.message()
    assert (got.get(b"grpc-timeout"), got.get(b"x-request-timeout")) == (b"2000m", b"2.000")


async def test_a_client_can_shorten_the_routes_deadline_only(rig: Rig) -> None:
    deadline(rig, 1)
    for asked, left in ((b"5", b"1.000"), (b"500ms", b"0.500")):
        client = rig.client()
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Request-Timeout: %b\r\n\r\n" % asked)
        assert rig.replica.message().get(b"x-request-timeout") == left
        rig.replica.send(OK)


async def test_the_queue_gives_up_an_expired_request_unsent(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    first, second = rig.client(), rig.client()
    first.send(GET)
    second.send(TIMED)
    rig.advance(2.1)
    got = second.message()
    assert got.status == 504
    assert b"deadline_exceeded" in got.body
    rig.replica.take()
    rig.replica.send(OK)
    assert rig.replica.written == b"", "an expired request was sent"
    assert rig.count(words.DEADLINES) == 1


async def test_a_slot_that_comes_with_the_deadline_is_not_used(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    first, second = rig.client(), rig.client()
    first.send(GET)
    second.send(TIMED)
    rig.replica.take()
    rig.clock.now += 2.0
    rig.replica.send(OK)
    assert second.message().status == 504
    assert rig.replica.written == b""


async def test_a_slot_passes_by_any_number_of_expired_requests(rig: Rig) -> None:
    rig.configure(pool(queue_limit=1000))
    rig.members(version("v1", replica("a-1", slots=1)))
    first, last = rig.client(), rig.client()
    first.send(GET)
    expired = [rig.client() for _ in range(400)]
    for client in expired:
        client.send(TIMED)
    last.send(GET)
    rig.clock.now += 2.0
    rig.replica.send(OK)
    assert {client.message().status for client in expired} == {504}
    answer(rig.replica, last)


async def test_a_request_without_a_reply_in_time_is_aborted(rig: Rig) -> None:
    client = rig.client()
    client.send(TIMED)
    rig.advance(2.1)
    assert client.message().status == 504
    assert rig.replica.closed == "abort"
    client.send(GET)
    answer(rig.replica, client)


async def test_a_stream_is_cut_visibly(rig: Rig) -> None:
    client = rig.client()
    client.send(TIMED)
    rig.replica.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    rig.advance(2.1)
    got = client.message()
    assert (got.body, got.whole) == (b"a", False)
    assert rig.replica.closed == "abort"


async def test_a_reply_in_time_is_left_alone(rig: Rig) -> None:
    client = rig.client()
    client.send(TIMED)
    rig.replica.send(OK)
    rig.advance(3)
    assert client.message().body == b"ok"
    assert not client.half_closed


async def test_no_time_at_all_is_over_at_once(rig: Rig) -> None:
    client = rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Request-Timeout: 0\r\n\r\n")
    assert client.message().status == 504
    assert not rig.upstreams


async def test_a_timeout_that_is_none_gets_400(rig: Rig) -> None:
    client = rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Request-Timeout: soon\r\n\r\n")
    got = client.message()
    assert got.status == 400
    assert b"bad_timeout" in got.body


LIMITS = {
    "connections": ("connections", words.CIRCUIT_CONNECTIONS, 1, 0),
    "pending": ("pending", words.CIRCUIT_PENDING, 1, 2),
    "requests": ("requests", words.CIRCUIT_REQUESTS, 1, 0),
}


@pytest.mark.parametrize("of", ["pool", "version"])
@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS)
async def test_a_circuit_limit_refuses_what_is_above_it(
    rig: Rig, case: tuple[str, int, int, int], of: str
) -> None:
    name, word, limit, waiting = case
    entry = wire.CircuitEntry(**{name: limit})
    own = pool(circuit=entry) if of == "pool" else pool(version_circuits={"v1": entry})
    rig.configure(own)
    clients = [rig.client() for _ in range(2 + waiting)]
    for client in clients:
        client.send(GET)
    got = clients[-1].message()
    assert (got.status, got.get(b"retry-after")) == (503, b"1")
    assert b"circuit_open" in got.body
    assert rig.count(word) == 1
    rig.upstreams[0].send(OK)
    assert clients[0].message().body == b"ok"


async def test_connections_that_are_being_made_count(rig: Rig) -> None:
    rig.configure(pool(circuit=wire.CircuitEntry(connections=1)))
    rig.dialling = "manual"
    first, second = rig.client(), rig.client()
    first.send(GET)
    second.send(GET)
    assert b"circuit_open" in second.message().body
    answer(rig.dials.popleft().answer(), first)


async def test_a_kept_connection_makes_room_for_another(rig: Rig) -> None:
    rig.configure(pool(circuit=wire.CircuitEntry(connections=1)))
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    client = rig.client()
    for _ in range(4):
        client.send(GET)
        (busy,) = [u for u in rig.upstreams if u.written]
        busy.take()
        answer(busy, client)
    assert sum(not u.closed for u in rig.upstreams) == 1


async def test_a_connection_that_could_not_be_made_makes_room(rig: Rig) -> None:
    rig.configure(pool(circuit=wire.CircuitEntry(connections=1)))
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    rig.dialling = "manual"
    first, second = rig.client(), rig.client()
    for client in (first, second):
        client.send(GET)
    assert len(rig.dials) == 1
    assert b"circuit_open" in second.message().body
    rig.dials.popleft().refuse()
    assert len(rig.dials) == 1, "the one that failed has made room"
    answer(rig.dials.popleft().answer(), first)
