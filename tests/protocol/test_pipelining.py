"""Several requests at once on one connection: answered in order, never too many of them."""

from __future__ import annotations

from fleet.telemetry import slab as words
from router.http.downstream import MAX_PIPELINED
from tests.protocol.play import play
from tests.protocol.support import Rig, replica, route, version


def get(path: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n"


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def test_replies_come_in_the_order_of_the_requests() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        post = b"POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        client.send(get(b"/1") + post + get(b"/3"))
        bodies = []
        for path, body in ((b"/1", b""), (b"/2", b"abc"), (b"/3", b"")):
            got = rig.replica.message()
            assert (got.start.split(b" ")[1], got.body) == (path, body)
            rig.replica.send(ok(path))
            bodies.append(client.message().body)
        assert len(rig.upstreams) == 1
        return bodies

    play(scenario)


async def test_a_refused_request_takes_its_place_in_the_order() -> None:
    def scenario(rig: Rig) -> object:
        rig.configure(routes=[route(path="/yes")])
        client = rig.client()
        client.send(get(b"/yes/1") + get(b"/no") + get(b"/yes/2") + get(b"/no"))
        assert rig.replica.message().start == b"GET /yes/1 HTTP/1.1"
        assert client.take() == b""
        rig.replica.send(ok(b"1"))
        assert rig.replica.message().start == b"GET /yes/2 HTTP/1.1"
        rig.replica.send(ok(b"2"))
        statuses = [m.status for m in client.messages()]
        assert statuses == [200, 404, 200, 404]
        assert not client.half_closed
        return statuses

    play(scenario)


async def test_a_bad_request_is_answered_after_those_before_it_and_nothing_after_it() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        bad = b"GET /bad HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n"
        client.send(get(b"/1") + get(b"/2") + bad + get(b"/4"))
        for path in (b"/1", b"/2"):
            assert rig.replica.message().start.split(b" ")[1] == path
            rig.replica.send(ok(path))
        got = client.messages()
        assert [m.status for m in got] == [200, 200, 400]
        assert got[-1].get(b"connection") == b"close"
        assert client.half_closed
        assert rig.replica.take() == b""
        assert len(rig.upstreams) == 1
        assert rig.count(words.STARTED) == 3
        return [m.body for m in got[:2]]

    play(scenario)


async def test_garbage_is_answered_after_the_request_before_it() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(get(b"/1") + b"\x00\x01garbage\r\n\r\n")
        rig.replica.send(ok(b"1"))
        assert [m.status for m in client.messages()] == [200, 400]
        assert client.half_closed
        assert rig.count(words.STARTED) == 2
        return None

    play(scenario)


async def test_reading_stops_while_many_wait_and_goes_on_when_few_do(rig: Rig) -> None:
    client = rig.client()
    client.send(get(b"/") * 40)
    assert client.paused
    for _ in range(39 - MAX_PIPELINED):
        rig.replica.take()
        rig.replica.send(ok(b"."))
        assert client.paused, "read on with many still waiting"
    rig.replica.take()
    rig.replica.send(ok(b"."))
    assert not client.paused


async def test_no_more_heads_of_one_read_are_understood_than_may_wait(rig: Rig) -> None:
    client = rig.client()
    paths = [b"/%d" % number for number in range(200)]
    client.send(b"".join(map(get, paths)) + b"GET /unfinished HTTP/1.1\r\n")
    for path in paths:
        assert len(client.protocol._pipeline) <= MAX_PIPELINED
        assert rig.replica.message().start.split(b" ")[1] == path
        rig.replica.send(ok(path))
        assert client.message().body == path
    assert not client.paused
    rig.advance(11)
    assert client.message().status == 408


async def test_what_was_held_back_is_answered_though_it_is_refused(rig: Rig) -> None:
    rig.configure(routes=[route(path="/yes")])
    client = rig.client()
    client.send(get(b"/yes") * 17 + get(b"/no") * 100 + get(b"/yes") + b"?" * 20 + b"\r\n")
    for _ in range(18):
        rig.replica.take()
        rig.replica.send(ok(b""))
    statuses = [message.status for message in client.messages()]
    assert statuses == [200] * 17 + [404] * 100 + [200, 400]
    assert client.half_closed


async def test_a_part_of_the_next_head_behind_a_body_is_not_taken_for_a_large_head(
    rig: Rig,
) -> None:
    rig.configure(limits={"header_size": 500})
    client = rig.client()
    post = b"POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    client.send(post + get(b"/2")[:20])
    rig.replica.send(ok(b"1"))
    assert client.message().status == 200
    client.send(get(b"/2")[20:])
    rig.replica.send(ok(b"2"))
    assert client.message().body == b"2"


async def test_the_time_in_the_queue_begins_when_its_turn_has_come(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    other, client = rig.client(), rig.client()
    client.send(get(b"/1") + get(b"/2"))
    rig.advance(15)  # longer than the queue's timeout
    other.send(get(b"/other"))
    rig.replica.send(ok(b"1"))
    assert client.message().body == b"1"
    rig.advance(5)
    assert client.take() == b"", "timed out although it had waited 5 s of 10"
    rig.upstreams[0].send(ok(b"other"))
    rig.upstreams[0].send(ok(b"2"))
    assert client.message().body == b"2"
    assert [line["wait_ms"] for line in rig.logged() if line["path"] == "/2"] == [5000.0]


async def test_a_client_that_takes_no_replies_is_not_read_from(rig: Rig) -> None:
    rig.configure(routes=[])
    client = rig.client()
    client.clog(True)
    client.send(get(b"/"))
    client.send(get(b"/"))
    assert client.paused
    assert client.written == b""
    client.clog(False)
    assert len(client.messages()) == 2
    client.clog(True)
    client.send(get(b"/"))
    rig.advance(80)
    assert client.closed, "a client that takes nothing holds its connection for ever"
