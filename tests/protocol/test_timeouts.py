"""Deadlines, with a clock moved by hand: never early, at most a tick or two late."""

# a wire changes state by calls mypy does not follow
# mypy: disable-error-code="unreachable,comparison-overlap"

from __future__ import annotations

from fleet.telemetry import slab as words
from tests.protocol.steps import GET, OK, answer
from tests.protocol.support import Rig, replica, version

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"
LATE = 0.15


async def test_a_slow_head_gets_408(rig: Rig) -> None:
    client = rig.client()
    rig.advance(30)
    client.send(GET[:5])
    rig.advance(9.9)
    client.send(GET[5:9])
    assert client.take() == b""
    rig.advance(LATE)
    got = client.message()
    assert (got.status, got.get(b"connection")) == (408, b"close")
    assert client.half_closed


async def test_the_time_for_a_second_head_begins_with_its_first_byte(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(OK)
    client.take()
    rig.advance(60)
    client.send(GET[:5])
    rig.advance(9.9)
    assert client.take() == b""
    rig.advance(LATE)
    assert client.message().status == 408


async def test_a_part_of_a_head_behind_a_reply_has_its_time_from_the_reply_on(rig: Rig) -> None:
    client = rig.client()
    client.send(GET + GET[:5])
    rig.advance(50)
    answer(rig.replica, client)
    rig.advance(9.9)
    assert client.take() == b""
    rig.advance(LATE)
    assert client.message().status == 408


async def test_a_slow_body_gets_408_and_each_piece_gives_it_more_time(rig: Rig) -> None:
    client = rig.client()
    client.send(POST)
    for _ in range(3):
        rig.advance(29)
        client.send(b"a")
    rig.advance(29.9)
    assert client.take() == b""
    rig.advance(LATE)
    got = client.message()
    assert (got.status, got.get(b"connection")) == (408, b"close")
    assert rig.replica.closed == "abort"
    assert client.half_closed


async def test_a_body_that_drips_is_late_however_steadily(rig: Rig) -> None:
    rig.configure(limits={"body_rate": 240})
    client = rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(29):
        rig.advance(1)
        client.send(b"a")
    assert client.take() == b""
    rig.advance(1.5)
    got = client.message()
    assert (got.status, got.get(b"connection")) == (408, b"close")
    assert rig.replica.closed == "abort"


async def test_a_slow_body_above_the_least_rate_goes_on(rig: Rig) -> None:
    rig.configure(limits={"body_rate": 240})
    client = rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 30000\r\n\r\n")
    for _ in range(100):
        rig.advance(1)
        client.send(b"a" * 300)
    assert len(rig.replica.message().body) == 30000
    answer(rig.replica, client)


async def test_a_body_that_may_not_be_sent_is_not_late(rig: Rig) -> None:
    rig.configure(timeouts={"body": 10})
    client = rig.client()
    client.send(POST)
    rig.replica.clog(True)
    rig.advance(19)
    rig.replica.clog(False)
    rig.advance(5)
    assert client.take() == b"", "its time had run out while nothing was read"
    client.send(b"a" * 10)
    answer(rig.replica, client)


async def test_an_unwanted_body_that_does_not_come_ends_the_connection(rig: Rig) -> None:
    rig.configure(routes=[])
    client = rig.client()
    client.send(POST)
    assert client.message().status == 404
    rig.advance(29.9)
    assert not client.half_closed
    rig.advance(LATE)
    assert client.half_closed


async def test_a_replica_that_does_not_reply_makes_504(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.advance(59.9)
    assert client.take() == b""
    rig.advance(LATE)
    assert client.message().status == 504
    assert rig.replica.closed == "abort"
    assert rig.count(words.UPSTREAM_FAILURES, 1) == 1
    client.send(GET)
    answer(rig.replica, client)


async def test_interim_replies_do_not_put_off_the_504(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    for _ in range(3):
        rig.advance(19.9)
        rig.replica.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    rig.advance(0.3 + LATE)
    assert [m.status for m in client.messages()] == [103, 103, 103, 504]


async def test_the_wait_for_a_reply_begins_with_the_last_piece_of_the_body(rig: Rig) -> None:
    client = rig.client()
    client.send(POST)
    for _ in range(10):
        rig.advance(20)
        client.send(b"a")
    rig.advance(59.9)
    assert client.take() == b""
    answer(rig.replica, client)


async def test_a_stream_that_stands_still_is_cut(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(5):
        rig.advance(19.9)
        rig.replica.send(b"1\r\na\r\n")
    rig.advance(19.9)
    assert not client.half_closed
    rig.advance(LATE)
    got = client.message()
    assert (got.body, got.whole) == (b"aaaaa", False)
    assert client.half_closed
    assert rig.replica.closed == "abort"


async def test_a_short_stream_timeout_holds_from_the_head_of_the_reply_on(rig: Rig) -> None:
    rig.configure(timeouts={"stream_idle": 0.5})
    client = rig.client()
    client.send(GET)
    rig.replica.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    rig.advance(0.5 + LATE)
    assert client.half_closed


async def test_an_idle_client_is_closed(rig: Rig) -> None:
    fresh, used = rig.client(), rig.client()
    used.send(GET)
    rig.replica.send(OK)
    rig.advance(74.9)
    assert not fresh.closed
    assert not used.half_closed
    rig.advance(LATE)
    assert fresh.closed == "close"
    assert used.half_closed


async def test_an_idle_upstream_is_closed(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    rig.replica.send(OK)
    rig.advance(3.9)
    assert not rig.replica.closed
    rig.advance(LATE)
    assert rig.replica.closed
    client.take()
    client.send(GET)
    assert len(rig.upstreams) == 2
    answer(rig.replica, client)


async def test_a_wait_in_the_queue_ends_with_503_and_a_hint(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1", slots=1)))
    first, second = rig.client(), rig.client()
    first.send(GET)
    second.send(GET)
    rig.advance(9.9)
    assert second.take() == b""
    rig.advance(LATE)
    got = second.message()
    assert got.status == 503
    assert b"queue_timeout" in got.body
    assert got.get(b"retry-after") == b"1"
    assert not second.half_closed
    assert rig.count(words.QUEUE_TIMEOUTS, 1) == 1
    second.send(GET)
    answer(rig.replica, first)
    answer(rig.replica, second)


async def test_a_wait_without_any_replica_says_so(rig: Rig) -> None:
    rig.members(version("v1"))
    client = rig.client()
    client.send(GET)
    rig.advance(10 + LATE)
    got = client.message()
    assert (got.status, got.get(b"retry-after")) == (503, b"10")
    assert b"no_replica" in got.body
