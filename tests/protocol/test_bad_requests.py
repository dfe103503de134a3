"""Requests that must not be passed on: each is refused, and no replica hears of it."""

from __future__ import annotations

import pytest

from fleet.telemetry import slab as words
from tests.protocol.play import play
from tests.protocol.support import Rig

SMALL = {"target": 256, "headers": 16, "header_size": 900}
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def request(*lines: bytes, line: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: h", *lines, b"", b""])


REFUSED = {
    "length and chunks": (
        request(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "chunks and length": (
        request(b"Transfer-Encoding: chunked", b"Content-Length: 4") + b"0\r\n\r\n", 400),
    "two lengths": (request(b"Content-Length: 1", b"Content-Length: 2") + b"ab", 400),
    "the same length twice": (request(b"Content-Length: 1", b"Content-Length: 1") + b"a", 400),
    "a list of lengths": (request(b"Content-Length: 1, 1") + b"a", 400),
    "a signed length": (request(b"Content-Length: +1") + b"a", 400),
    "a negative length": (request(b"Content-Length: -1"), 400),
    "a hexadecimal length": (request(b"Content-Length: 0x1") + b"a", 400),
    "an empty length": (request(b"Content-Length: "), 400),
    "a length beyond 64 bits": (request(b"Content-Length: 99999999999999999999"), 400),
    "chunked twice in one field": (request(b"Transfer-Encoding: chunked, chunked"), 400),
    "chunked twice in two fields": (
        request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "chunked not last": (request(b"Transfer-Encoding: chunked, gzip"), 400),
    "another coding before chunked": (
        request(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501),
    "identity": (request(b"Transfer-Encoding: identity"), 501),
    "a misspelt chunked": (request(b"Transfer-Encoding: xchunked"), 501),
    "an empty coding": (request(b"Transfer-Encoding: "), 400),
    "chunks on HTTP/1.0": (
        request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0") + b"0\r\n\r\n", 400),
    "a space before the colon": (request(b"Transfer-Encoding : chunked"), 400),
    "a folded field": (request(b"X-A: 1\r\n 2"), 400),
    "a line ended by LF alone": (b"GET / HTTP/1.1\nHost: h\n\n", 400),
    "a NUL in a value": (request(b"X-A: a\x00b"), 400),
    "a CR in a value": (request(b"X-A: a\rb"), 400),
    "a field without a name": (request(b": 1"), 400),
    "a field without a colon": (request(b"X-A"), 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (request(b"Host: g"), 400),
    "two equal hosts": (request(b"Host: h"), 400),
    "a host with a path": (b"GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", 400),
    "a host with user information": (b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400),
    "a host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a bad authority in the target": (request(line=b"GET http://u@h/ HTTP/1.1"), 400),
    "no authority in the target": (request(line=b"GET http:///x HTTP/1.1"), 400),
    "a target without a slash": (request(line=b"GET x HTTP/1.1"), 400),
    "a target of another scheme": (request(line=b"GET ftp://h/x HTTP/1.1"), 400),
    "a star for GET": (request(line=b"GET * HTTP/1.1"), 400),
    "dot segments, by setting": (request(line=b"GET /a/../admin HTTP/1.1"), 400),
    "dot segments between backslashes": (request(line=b"GET /a\\..\\admin HTTP/1.1"), 400),
    "a fragment": (request(line=b"GET /a#b HTTP/1.1"), 400),
    "a space in the target": (request(line=b"GET /a b HTTP/1.1"), 400),
    "no version": (b"GET /\r\nHost: h\r\n\r\n", 400),
    "HTTP/2.0": (request(line=b"GET / HTTP/2.0"), 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (request(line=b"GET / HTTP/0.9"), 505),
    "CONNECT": (b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 405),
    "TRACE": (request(line=b"TRACE / HTTP/1.1"), 405),
    "a websocket by POST": (request(b"Connection: upgrade", b"Upgrade: websocket"), 400),
    "data before a websocket": (
        request(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 1",
                line=b"GET / HTTP/1.1") + b"x", 400),
    "another upgrade": (request(b"Connection: upgrade", b"Upgrade: TLS/1.0"), 501),
    "an underscore in a framing field": (request(b"Content_Length: 1"), 400),
    "two spaces in the request line": (request(line=b"GET  / HTTP/1.1"), 400),
    "a space behind the version": (request(line=b"GET / HTTP/1.1 "), 400),
    "another protocol's version": (request(line=b"GET / RTSP/1.0"), 400),
    "a bare LF before the request": (b"\n" + request(), 400),
    "five empty lines before the request": (b"\r\n" * 5 + request(), 400),
    "h2c with a body": (
        request(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 36"), 501),
    "an unknown expectation": (request(b"Expect: teapot", b"Content-Length: 0"), 417),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a method that is no token": (request(line=b"FR(B / HTTP/1.1"), 400),
    "too long a target": (request(line=b"GET /" + b"a" * 300 + b" HTTP/1.1"), 414),
    "too many fields": (request(*[b"X: 1"] * 20), 431),
    "too large a header": (request(b"X: " + b"a" * 1000), 431),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_nothing_reaches_a_replica_of_a_request_with(case: tuple[bytes, int]) -> None:
    raw, status = case

    def scenario(rig: Rig) -> object:
        rig.configure(paths="refuse", limits=SMALL)
        client = rig.client()
        client.send(raw + SMUGGLED)
        got = client.message()
        assert got.status == status
        assert got.get(b"connection") == b"close"
        assert client.half_closed
        assert not rig.upstreams
        assert not rig.dials
        assert rig.count(words.REQUESTS + got.status // 100, 0) == 1
        return None

    play(scenario)


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_the_status_says_what_is_wrong_with(rig: Rig, case: tuple[bytes, int]) -> None:
    rig.configure(paths="refuse", limits=SMALL)
    client = rig.client()
    client.send(case[0])
    if not client.written:
        client.send(b"\r\n\r\n")
    assert client.message().status == case[1]


async def test_a_header_without_end_is_refused(rig: Rig) -> None:
    rig.configure(limits={"header_size": 1000})
    client = rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: ")
    for _ in range(20):
        client.send(b"a" * 100)
    assert client.message().status == 431
    assert client.half_closed


BAD_BODIES = {
    "a chunk size that is none": b"zz\r\n",
    "a negative chunk size": b"-1\r\n",
    "a chunk longer than its size": b"1\r\nab\r\n",
    "a chunk line ended by LF alone": b"1\nab\r\n",
    "an overflowing chunk size": b"fffffffffffffffff\r\n",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_request_is_broken_off_at(body: bytes) -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(body + SMUGGLED)
        got = client.message()
        assert (got.status, got.get(b"connection")) == (400, b"close")
        assert client.half_closed
        assert rig.replica.closed == "abort"
        assert b"smuggled" not in rig.replica.written
        return got.status

    play(scenario)


async def test_a_bad_chunk_after_the_reply_has_begun_truncates_it(rig: Rig) -> None:
    client = rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    rig.replica.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    client.send(b"zz\r\n")
    got = client.message()
    assert (got.status, got.body, got.whole) == (200, b"a", False)
    assert client.half_closed
    assert rig.replica.closed == "abort"


@pytest.mark.parametrize("announced", [True, False], ids=["by its length", "as its chunks come"])
async def test_a_body_above_the_limit_is_refused(rig: Rig, announced: bool) -> None:
    rig.configure(limits={"body": 10})
    client = rig.client()
    if announced:
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n")
        assert not rig.upstreams
    else:
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"6\r\nabcdef\r\n")
        assert rig.replica.take().endswith(b"6\r\nabcdef\r\n")
        client.send(b"5\r\nghijk\r\n")
        assert rig.replica.closed == "abort"
    assert client.message().status == 413
