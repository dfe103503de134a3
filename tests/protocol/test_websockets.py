"""Websockets: asked for and granted as HTTP, then a tunnel of bytes both ways."""

# a wire changes state by calls mypy does not follow
# mypy: disable-error-code="unreachable,comparison-overlap"

from __future__ import annotations

from fleet.telemetry import slab as words
from tests.protocol.messages import parse
from tests.protocol.play import play
from tests.protocol.steps import GET, answer
from tests.protocol.support import Rig, replica, version

ASK = (
    b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GRANT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def opened(rig: Rig) -> tuple[object, object]:
    client = rig.client()
    client.send(ASK)
    rig.replica.take()
    rig.replica.send(GRANT)
    client.take()
    return client, rig.replica


async def test_bytes_go_both_ways_once_it_is_granted() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(ASK)
        asked = rig.replica.message()
        assert asked.start == b"GET /chat HTTP/1.1"
        assert asked.get(b"upgrade") == b"websocket"
        assert asked.get(b"connection") == b"Upgrade"
        assert asked.get(b"sec-websocket-version") == b"13"
        rig.replica.send(GRANT + b"\x81\x02hi")
        granted, _, rest = client.take().partition(b"\r\n\r\n")
        (head,) = parse(granted + b"\r\n\r\n")
        assert head.status == 101
        assert head.get(b"upgrade") == b"websocket"
        assert head.get(b"connection") == b"Upgrade"
        assert head.get(b"sec-websocket-accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert rest == b"\x81\x02hi"
        client.send(b"\x81\x80GET / HTTP/1.1\r\n\r\n\x00\xff")
        assert rig.replica.take() == b"\x81\x80GET / HTTP/1.1\r\n\r\n\x00\xff"
        rig.replica.send(b"\x88\x00")
        assert client.take() == b"\x88\x00"
        client.hang_up()
        assert rig.replica.closed == "close"
        line = rig.logged()[-1]
        assert (line["status"], line["outcome"]) == (101, "ok")
        assert (line["bytes_in"], line["bytes_out"]) == (22, 6)
        assert rig.count(words.UPSTREAM_FAILURES) == rig.count(words.CLIENT_ABORTS) == 0
        return rest

    play(scenario)


async def test_a_slot_is_held_until_it_ends(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    opened(rig)
    other = rig.client()
    other.send(GET)
    assert len(rig.upstreams) == 1
    rig.replica.hang_up()
    assert rig.clients[0].half_closed
    assert len(rig.upstreams) == 2
    answer(rig.replica, other)


async def test_a_refusal_is_a_reply_like_any_other() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(ASK)
        rig.replica.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        assert client.message().body == b"no"
        client.send(GET)
        assert len(rig.upstreams) == 1
        answer(rig.replica, client)
        return None

    play(scenario)


async def test_it_waits_its_turn_behind_another_request(rig: Rig) -> None:
    client = rig.client()
    client.send(GET + ASK)
    rig.replica.take()
    answer(rig.replica, client)
    assert rig.replica.message().get(b"upgrade") == b"websocket"
    rig.replica.send(GRANT)
    assert client.message().status == 101


async def test_data_before_it_is_granted_is_refused_and_goes_nowhere() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(ASK + b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
        got = client.message()
        assert (got.status, got.get(b"connection")) == (400, b"close")
        assert client.half_closed
        for upstream in rig.upstreams:
            assert b"smuggled" not in upstream.written
            assert upstream.closed == "abort"
        return got.status

    play(scenario)


async def test_a_grant_nobody_asked_for_or_of_something_else_is_refused(rig: Rig) -> None:
    for ask, grant in (
        (GET, GRANT),
        (ASK, GRANT.replace(b"websocket", b"other")),
        (ASK, GRANT.replace(b"Connection: Upgrade\r\n", b"")),
        (ASK, GRANT.replace(b"HTTP/1.1", b"HTTP/1.0")),
    ):
        client = rig.client()
        client.send(ask)
        rig.replica.send(grant)
        assert client.message().status == 502
        assert rig.replica.closed == "abort"


async def test_either_sides_full_buffer_stops_the_other_sides_reading(rig: Rig) -> None:
    opened(rig)
    client, upstream = rig.clients[0], rig.replica
    client.clog(True)
    assert upstream.paused
    client.clog(False)
    assert not upstream.paused
    upstream.clog(True)
    assert client.paused
    upstream.clog(False)
    assert not client.paused


async def test_silence_both_ways_ends_it_and_a_byte_either_way_puts_that_off(rig: Rig) -> None:
    rig.configure(timeouts={"tunnel_idle": 20})
    opened(rig)
    client, upstream = rig.clients[0], rig.replica
    rig.advance(19)
    client.send(b"a")
    rig.advance(19)
    upstream.send(b"b")
    rig.advance(19.9)
    assert not client.half_closed
    rig.advance(0.3)
    assert client.half_closed
    assert upstream.closed
    assert rig.logged()[-1]["outcome"] == "tunnel_idle_timeout"
    assert rig.count(words.UPSTREAM_FAILURES) == 0


async def test_a_large_message_passes_whatever_the_limit_of_bodies(rig: Rig) -> None:
    rig.configure(limits={"body": 10})
    opened(rig)
    rig.clients[0].send(b"x" * 1_000_000)
    assert rig.replica.take() == b"x" * 1_000_000


async def test_a_draining_worker_leaves_it_open_and_ends_it_cleanly_at_last(rig: Rig) -> None:
    opened(rig)
    rig.plane.draining = True
    for downstream in list(rig.plane.downstreams):
        downstream.drain()
    rig.clients[0].send(b"still")
    assert rig.replica.take() == b"still"
    for downstream in list(rig.plane.downstreams):
        downstream.abandon()
    rig.turn()
    assert rig.clients[0].closed == "close"
    assert rig.replica.closed == "close"


async def test_a_draining_replica_keeps_it_until_it_ends(rig: Rig) -> None:
    opened(rig)
    rig.members(version("v1", replica("a-1", serving=False, draining=True), replica("a-2")))
    rig.clients[0].send(b"still")
    assert rig.upstreams[0].take() == b"still"
    assert not rig.told
    rig.clients[0].hang_up()
    assert [m.replica for m in rig.told] == ["a-1"]  # type: ignore[union-attr]
