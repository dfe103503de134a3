"""What is relayed: every framing, both ways, whatever the pieces it comes in."""

from __future__ import annotations

import pytest

from fleet.telemetry import slab as words
from tests.protocol.play import play
from tests.protocol.support import Rig

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
REQUESTS = {
    "no body": (GET, b""),
    "a body by length": (
        b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
    ),
    "a body by chunks": (
        b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"hello",
    ),
    "an empty body by length": (b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", b""),
    "an empty body by chunks": (
        b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"",
    ),
    "the absolute form": (b"GET http://h/x HTTP/1.1\r\nHost: other\r\n\r\n", b""),
    "spaces around values": (
        b"POST /x HTTP/1.1\r\nHost: h \t\r\nContent-Length: 5  \r\n\r\nhello",
        b"hello",
    ),
}
REPLIES = {
    "a body by length": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes", 200, b"yes"),
    "a body by chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nye\r\n1\r\ns\r\n0\r\nT: 1\r\n\r\n",
        200,
        b"yes",
    ),
    "an empty body": (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", 500, b""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "not modified, with a length": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        304,
        b"",
    ),
    "a 1xx first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nyes",
        201,
        b"yes",
    ),
    "an unknown status": (b"HTTP/1.1 799 Odd\r\nContent-Length: 3\r\n\r\nyes", 799, b"yes"),
    "spaces around the length": (b"HTTP/1.1 200 OK\r\nContent-Length: 3 \r\n\r\nyes", 200, b"yes"),
}  # fmt: skip


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_a_request_reaches_the_replica_as_sent_with(request_: tuple[bytes, bytes]) -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(request_[0])
        got = rig.replica.message()
        assert got.start.split(b" ")[1:] == [b"/x", b"HTTP/1.1"]
        assert (got.body, got.whole) == (request_[1], True)
        assert got.get(b"host") == b"h"
        rig.replica.send(REPLIES["a body by length"][0])
        assert client.message().body == b"yes"
        return got.start, got.body

    play(scenario)


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
async def test_a_reply_reaches_the_client_as_sent_with(reply: tuple[bytes, int, bytes]) -> None:
    raw, status, body = reply

    def scenario(rig: Rig) -> object:
        client = rig.client()
        for _ in range(2):  # the second time on the connections kept
            client.send(GET)
            rig.replica.send(raw)
            got = client.messages()[-1]
            client.take()
            assert (got.status, got.body, got.whole) == (status, body, True)
        assert len(rig.upstreams) == 1
        assert not client.half_closed
        return got.start, got.body

    play(scenario)


async def test_a_head_reply_has_a_length_but_no_body_and_the_connection_is_kept() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n")
        rig.replica.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        head = client.message(bodiless=True)
        assert (head.status, head.get(b"content-length")) == (200, b"1000")
        rig.replica.take()
        client.send(GET)
        assert rig.replica.message().start == b"GET /x HTTP/1.1"
        rig.replica.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
        assert client.message().body == b"yes"
        assert len(rig.upstreams) == 1
        return head.start

    play(scenario)


async def test_a_head_reply_with_chunks_announces_none() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n")
        rig.replica.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        head = client.message(bodiless=True)
        assert head.get(b"transfer-encoding") is None
        return head.start

    play(scenario)


async def test_a_reply_until_close_becomes_chunks_for_a_1_1_client() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(GET)
        rig.replica.send(b"HTTP/1.1 200 OK\r\n\r\nall ")
        rig.replica.send(b"of it")
        rig.replica.hang_up()
        got = client.message()
        assert (got.body, got.whole) == (b"all of it", True)
        client.send(GET)
        assert len(rig.upstreams) == 2
        rig.replica.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert client.message().status == 204
        return got.body

    play(scenario)


@pytest.mark.parametrize(
    "reply",
    [b"HTTP/1.1 200 OK\r\n\r\nall of it",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n"],
    ids=["until close", "chunked"],
)  # fmt: skip
async def test_a_1_0_client_gets_a_reply_without_length_until_close(reply: bytes) -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(b"GET /x HTTP/1.0\r\nHost: h\r\n\r\n")
        rig.replica.send(reply)
        rig.replica.hang_up()
        got = client.message()
        assert got.get(b"transfer-encoding") is None
        assert got.get(b"connection") == b"close"
        assert got.body == b"all of it"
        assert client.half_closed
        return got.body

    play(scenario)


async def test_an_event_reaches_the_client_in_the_turn_it_is_read(rig: Rig) -> None:
    client = rig.client()
    client.send(GET)
    upstream = rig.replica.protocol

    def read(data: bytes) -> bytes:
        upstream.data_received(data)
        rig.turn()
        return client.take()

    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    assert read(head + b"\r\n").endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    for n in range(3):
        assert read(b"9\r\ndata: %d\n\n\r\n" % n) == b"9\r\ndata: %d\n\n\r\n" % n
    assert read(b"0\r\n\r\n") == b"0\r\n\r\n"


async def test_a_body_is_passed_on_while_it_comes(rig: Rig) -> None:
    client = rig.client()
    client.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nab")
    rig.replica.take()
    client.send(b"cd")
    assert rig.replica.take() == b"cd"
    client.send(b"ef")
    assert rig.replica.take() == b"ef"
    rig.replica.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.message().status == 204


async def test_bytes_and_requests_are_counted_once(rig: Rig) -> None:
    client = rig.client()
    client.send(REQUESTS["a body by chunks"][0])
    rig.replica.send(REPLIES["a body by chunks"][0])
    assert rig.count(words.BYTES_IN, 1) == 5
    assert rig.count(words.BYTES_OUT, 1) == 3
    assert rig.count(words.STARTED, 1) == rig.count(words.REQUESTS + 2, 1) == 1
    (line,) = rig.logged()
    assert (line["status"], line["outcome"], line["replica"]) == (200, "ok", "a-1")
