"""What HTTP/2 must not bring: each case has its answer, and no replica sees a byte of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    SettingsFrame,
)

from fleet.telemetry import slab as words
from tests.protocol.http2_kit import GET, POST, Client, Fields, but, data, raw, reset, window
from tests.protocol.play import play
from tests.protocol.support import Rig

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROTOCOL = ErrorCodes.PROTOCOL_ERROR
LIMITS = {"header_size": 4096, "headers": 20, "target": 200, "body": 1000}


def plus(name: bytes, value: bytes) -> Fields:
    return (*GET, (name, value))


MALFORMED: dict[str, Fields] = {
    "no method": but(GET, method=None),
    "no scheme": but(GET, scheme=None),
    "no path": but(GET, path=None),
    "no field at all": (),
    "a method twice": ((b":method", b"GET"), *GET),
    "an authority twice": (*GET, (b":authority", b"h")),
    "a pseudo-header of replies": (*GET, (b":status", b"200")),
    "an unknown pseudo-header": (*GET, (b":x", b"1")),
    "a pseudo-header behind a field": (GET[0], (b"a", b"b"), *GET[1:]),
    "a protocol without CONNECT": (*GET, (b":protocol", b"websocket")),
    "an empty method": but(GET, method=b""),
    "a method that is no token": but(GET, method=b"GE T"),
    "a line inside the method": but(GET, method=b"GET / HTTP/1.1\r\nX: "),
    "another scheme": but(GET, scheme=b"ftp"),
    "an empty path": but(GET, path=b""),
    "a path without a slash": but(GET, path=b"x"),
    "a path in absolute form": but(GET, path=b"http://other/x"),
    "a star for GET": but(GET, path=b"*"),
    "a space in the path": but(GET, path=b"/a b"),
    "a line end in the path": but(GET, path=b"/ HTTP/1.1\r\nX: y"),
    "a fragment in the path": but(GET, path=b"/a#b"),
    "8-bit bytes in the path": but(GET, path=b"/\xc3\xa9"),
    "an authority and another host": plus(b"host", b"other"),
    "an empty authority": but(GET, authority=b""),
    "the connection field": plus(b"connection", b"close"),
    "keep-alive": plus(b"keep-alive", b"timeout=5"),
    "proxy-connection": plus(b"proxy-connection", b"keep-alive"),
    "transfer-encoding": plus(b"transfer-encoding", b"chunked"),
    "upgrade": plus(b"upgrade", b"websocket"),
    "te beyond trailers": plus(b"te", b"trailers, deflate"),
    "te of another coding": plus(b"te", b"gzip"),
    "an upper-case name": plus(b"Content-Type", b"a"),
    "an empty name": plus(b"", b"a"),
    "a space in a name": plus(b"a b", b"c"),
    "a colon in a name": plus(b"a:b", b"c"),
    "a line end in a name": plus(b"a: b\r\nc", b"d"),
    "8-bit bytes in a name": plus(b"\xc3\xa9", b"c"),
    "CR and LF in a value": plus(b"a", b"b\r\nx: y"),
    "LF in a value": plus(b"a", b"b\nc"),
    "CR in a value": plus(b"a", b"b\rc"),
    "NUL in a value": plus(b"a", b"b\0c"),
    "a control byte in a value": plus(b"a", b"b\x07c"),
    "a space before a value": plus(b"a", b" b"),
    "a tab behind a value": plus(b"a", b"b\t"),
    "a body announced that does not come": (*POST, (b"content-length", b"3")),
}

REFUSED: dict[str, tuple[Fields, int]] = {
    "no authority": (but(GET, authority=None), 400),
    "two hosts": ((*but(GET, authority=None), (b"host", b"a"), (b"host", b"b")), 400),
    "user information in the authority": (but(GET, authority=b"u@h"), 400),
    "a bad port in the authority": (but(GET, authority=b"h:99999"), 400),
    "a path in the authority": (but(GET, authority=b"h/x"), 400),
    "CONNECT": (((b":method", b"CONNECT"), (b":authority", b"h:1")), 405),
    "CONNECT with a path": (but(GET, method=b"CONNECT"), 405),
    "TRACE": (but(GET, method=b"TRACE"), 405),
    "CONNECT for another protocol": (
        (*but(GET, method=b"CONNECT"), (b":protocol", b"connect-udp")), 501),
    "an encoded NUL in the path": (but(GET, path=b"/%00"), 400),
    "a lone percent in the path": (but(GET, path=b"/%"), 400),
    "a bad length": ((*POST, (b"content-length", b"+5")), 400),
    "two lengths": ((*POST, (b"content-length", b"5"), (b"content-length", b"5")), 400),
    "a list of lengths": ((*POST, (b"content-length", b"5, 5")), 400),
    "a length of 2**63": ((*POST, (b"content-length", b"%d" % (1 << 63))), 400),
    "a twin of the length": ((*POST, (b"content_length", b"5")), 400),
    "another expectation": ((*POST, (b"expect", b"magic")), 417),
    "too long a path": (but(GET, path=b"/" + b"a" * 200), 414),
    "too large a header": ((*GET, (b"a", b"b" * 4096)), 431),
    "too many fields": ((*GET, *[(b"a", b"b")] * 21), 431),
}  # fmt: skip


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_requests_are_refused_and_their_stream_is_reset(fields: Fields) -> None:
    def scenario(rig: Rig) -> object:
        rig.configure(limits=LIMITS)
        client = Client(rig)
        reply = client.request(1, fields)
        assert (reply.status, reply.ended, reply.reset) == (400, False, PROTOCOL)
        assert not any(upstream.written for upstream in rig.upstreams)
        assert rig.count(words.REQUESTS + 4) == 1
        client.request(3)
        rig.replica.send(OK)
        assert (client.reply(3).body, client.goaway) == (b"ok", None)
        return None

    play(scenario)


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("body", [None, b"smuggled"])
async def test_requests_are_refused_as_by_http_1(
    rig: Rig, fields: Fields, status: int, body: bytes | None
) -> None:
    rig.configure(limits=LIMITS)
    client = Client(rig)
    reply = client.request(1, fields, body)
    assert (reply.status, reply.ended) == (status, True)
    assert reply.reset in (None, ErrorCodes.NO_ERROR)
    assert b'"error"' in reply.body
    assert not any(upstream.written for upstream in rig.upstreams)
    client.request(3)
    rig.replica.send(OK)
    assert (client.reply(3).body, client.goaway) == (b"ok", None)


async def test_a_refusal_of_head_has_no_body(rig: Rig) -> None:
    reply = Client(rig).request(1, but(GET, method=b"HEAD", scheme=b"ftp"))
    assert (reply.status, reply.body, reply.reset) == (400, b"", PROTOCOL)


LENGTHS: dict[str, tuple[int, list[bytes]]] = {
    "one byte too few": (5, [b"abcd"]),
    "nothing": (5, [b""]),
    "one byte too many": (5, [b"abcdef"]),
    "too many in the last piece": (5, [b"abc", b"def"]),
    "anything where nothing was announced": (0, [b"a"]),
}


@pytest.mark.parametrize(("length", "pieces"), LENGTHS.values(), ids=LENGTHS)
async def test_a_body_must_be_as_long_as_announced(length: int, pieces: list[bytes]) -> None:
    def scenario(rig: Rig) -> object:
        client = Client(rig)
        fields = (*POST, (b"content-length", b"%d" % length))
        client.send(client.head(1, fields, end=False))
        for piece in pieces[:-1]:
            client.send(data(1, piece))
        client.send(data(1, pieces[-1], end=True))
        reply = client.reply(1)
        assert (reply.status, reply.reset) == (400, PROTOCOL)
        assert rig.upstreams[0].closed == "abort", "the replica must not take it for whole"
        client.request(3)
        rig.replica.send(OK)
        assert (client.reply(3).body, client.goaway) == (b"ok", None)
        return None

    play(scenario)


async def test_a_body_announced_beyond_the_limit_is_refused(rig: Rig) -> None:
    rig.configure(limits=LIMITS)
    client = Client(rig)
    reply = client.request(1, (*POST, (b"content-length", b"1001")), b"begun")
    assert (reply.status, reply.ended, reply.reset) == (413, True, None)
    assert not rig.upstreams


async def test_a_body_beyond_the_limit_is_refused(rig: Rig) -> None:
    rig.configure(limits=LIMITS)
    client = Client(rig)
    client.send(client.head(1, POST, end=False), data(1, b"a" * 900))
    client.send(data(1, b"b" * 101))
    reply = client.reply(1)
    assert (reply.status, reply.ended, reply.reset) == (413, True, ErrorCodes.NO_ERROR)
    assert rig.replica.closed == "abort"


TRAILERS: dict[str, tuple[Fields, int]] = {
    "a pseudo-header": (((b":path", b"/"),), 400),
    "a status": (((b":status", b"200"),), 400),
    "an upper-case name": (((b"X", b"y"),), 400),
    "CR and LF in a value": (((b"x", b"y\r\n\r\nGET / HTTP/1.1"),), 400),
    "transfer-encoding": (((b"transfer-encoding", b"chunked"),), 400),
    "too much": (((b"x", b"y" * 16_384),), 431),
}


@pytest.mark.parametrize(("fields", "status"), TRAILERS.values(), ids=TRAILERS)
async def test_bad_trailers_spoil_their_request(rig: Rig, fields: Fields, status: int) -> None:
    client = Client(rig)
    client.send(client.head(1, POST, end=False), data(1, b"hi"))
    client.send(client.head(1, fields))
    reply = client.reply(1)
    assert (reply.status, reply.reset) == (status, PROTOCOL if status == 400 else None)
    assert rig.replica.closed == "abort"
    assert b"0\r\n" not in rig.replica.written
    client.request(3)
    rig.replica.send(OK)
    assert (client.reply(3).body, client.goaway) == (b"ok", None)


# what ends one stream

Sent = Callable[[Client], list[Frame | bytes]]

STREAM_ERRORS: dict[str, tuple[Sent, ErrorCodes]] = {
    "an increment of nothing": (lambda c: [window(1, 0)], PROTOCOL),
    "a window beyond its bound": (
        lambda c: [window(1, (1 << 31) - 1)], ErrorCodes.FLOW_CONTROL_ERROR),
    "HEADERS behind the end": (lambda c: [c.head(1)], ErrorCodes.STREAM_CLOSED),
    "DATA behind the end": (lambda c: [data(1, b"more")], ErrorCodes.STREAM_CLOSED),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "code"), STREAM_ERRORS.values(), ids=STREAM_ERRORS)
async def test_an_error_of_a_stream_ends_it_alone(sent: Sent, code: ErrorCodes) -> None:
    def scenario(rig: Rig) -> object:
        client = Client(rig)
        client.send(client.head(1), client.head(3))
        first, second = rig.upstreams
        client.send(*sent(client))
        assert client.reply(1).reset == code
        assert first.closed == "abort"
        second.send(OK)
        assert (client.reply(3).body, client.goaway) == (b"ok", None)
        return None

    play(scenario)


async def test_frames_behind_a_reset_are_passed_over(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, POST, end=False), data(1, b"a"), reset(1))
    client.send(data(1, b"b"), window(1, 10), reset(1), client.head(1, ((b"x", b"y"),)))
    client.request(3)
    rig.replica.send(OK)
    assert (client.reply(3).body, client.goaway) == (b"ok", None)


# what ends the connection


CONNECTION_ERRORS: dict[str, tuple[Sent, ErrorCodes]] = {
    "DATA on no stream": (lambda c: [raw(0, b"x")], PROTOCOL),
    "DATA on a stream not begun": (lambda c: [data(9, b"x")], PROTOCOL),
    "HEADERS on no stream": (lambda c: [raw(1, b"\x82", 4)], PROTOCOL),
    "HEADERS on a stream of ours": (lambda c: [c.head(2)], PROTOCOL),
    "HEADERS on an older stream": (lambda c: [c.head(9), c.head(5)], PROTOCOL),
    "HEADERS on a stream that is over": (lambda c: [c.head(1)], ErrorCodes.STREAM_CLOSED),
    "trailers without an end": (
        lambda c: [c.head(3, POST, end=False), c.head(3, ((b"x", b"y"),), end=False)], PROTOCOL),
    "CONTINUATION of nothing": (lambda c: [raw(9, b"\x82", 4, 3)], PROTOCOL),
    "another frame inside a header block": (
        lambda c: [HeadersFrame(3, data=b"\x82"), PingFrame(0, opaque_data=b"12345678")], PROTOCOL),
    "CONTINUATION of another stream": (
        lambda c: [HeadersFrame(3, data=b"\x82"), ContinuationFrame(5, data=b"\x84")], PROTOCOL),
    "a frame of an unknown kind inside a header block": (
        lambda c: [HeadersFrame(3, data=b"\x82"), raw(77, b"x")], PROTOCOL),
    "PUSH_PROMISE from a client": (
        lambda c: [PushPromiseFrame(1, promised_stream_id=2, data=b"\x82", flags=["END_HEADERS"])],
        PROTOCOL),
    "PRIORITY of a wrong size": (lambda c: [raw(2, b"1234", 0, 3)], ErrorCodes.FRAME_SIZE_ERROR),
    "a stream that depends on itself": (
        lambda c: [PriorityFrame(3, depends_on=3, stream_weight=1)], PROTOCOL),
    "RST_STREAM of a stream not begun": (lambda c: [reset(9)], PROTOCOL),
    "RST_STREAM of a stream of ours": (lambda c: [c.head(3), reset(2)], PROTOCOL),
    "SETTINGS of a wrong size": (lambda c: [raw(4, b"12345")], ErrorCodes.FRAME_SIZE_ERROR),
    "SETTINGS on a stream": (lambda c: [raw(4, b"", 0, 1)], PROTOCOL),
    "an acknowledgement with settings": (
        lambda c: [raw(4, b"\0\3\0\0\0\1", 1)], ErrorCodes.FRAME_SIZE_ERROR),
    "a window too large by setting": (
        lambda c: [raw(4, b"\0\4\xff\xff\xff\xff")], ErrorCodes.FLOW_CONTROL_ERROR),
    "frames too small by setting": (lambda c: [SettingsFrame(0, settings={5: 1})], PROTOCOL),
    "PING of a wrong size": (lambda c: [raw(6, b"1234567")], ErrorCodes.FRAME_SIZE_ERROR),
    "PING on a stream": (lambda c: [raw(6, b"12345678", 0, 1)], PROTOCOL),
    "GOAWAY on a stream": (lambda c: [raw(7, bytes(8), 0, 1)], PROTOCOL),
    "an increment of nothing for all": (lambda c: [window(0, 0)], PROTOCOL),
    "a window for all beyond its bound": (
        lambda c: [window(0, (1 << 31) - 1)], ErrorCodes.FLOW_CONTROL_ERROR),
    "an increment on a stream not begun": (lambda c: [window(9, 1)], PROTOCOL),
    "too large a frame": (lambda c: [raw(0, b"x" * 16_385, 0, 1)], ErrorCodes.FRAME_SIZE_ERROR),
    "padding beyond the frame": (
        lambda c: [c.head(3, POST, end=False), raw(0, b"\x05abc", 8, 3)], PROTOCOL),
    "a header block that is no HPACK": (
        lambda c: [HeadersFrame(3, data=b"\xff\xff\xff\xff\xff", flags=["END_HEADERS"])],
        ErrorCodes.COMPRESSION_ERROR),
    "a reference to nothing in a header block": (
        lambda c: [HeadersFrame(3, data=b"\xfe", flags=["END_HEADERS"])],
        ErrorCodes.COMPRESSION_ERROR),
    "a table beyond its bound": (
        lambda c: [HeadersFrame(3, data=b"\x3f\xe1\x7f\x82", flags=["END_HEADERS"])],
        ErrorCodes.COMPRESSION_ERROR),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "code"), CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS)
async def test_an_error_of_the_connection_ends_it(sent: Sent, code: ErrorCodes) -> None:
    def scenario(rig: Rig) -> object:
        client = Client(rig)
        client.request(1)
        rig.replica.send(OK)
        assert client.reply(1).body == b"ok"
        client.send(*sent(client))
        assert client.goaway == code
        assert len(client.goaways) == 1
        assert client.wire.half_closed
        for upstream in rig.upstreams[1:]:
            assert upstream.closed
        assert "http2_error" in [line["outcome"] for line in rig.logged()]
        return None

    play(scenario)


PREFACES = {
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "another preface": b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n",
    "PING first": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + raw(6, b"12345678"),
    "an acknowledgement first": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + raw(4, b"", 1),
}


@pytest.mark.parametrize("sent", PREFACES.values(), ids=PREFACES)
async def test_a_connection_begins_with_preface_and_settings(rig: Rig, sent: bytes) -> None:
    client = Client(rig, preface=sent)
    assert client.goaway == PROTOCOL
    assert client.wire.half_closed
    assert not rig.upstreams


async def test_http_2_without_tls_is_refused(rig: Rig) -> None:
    client = rig.client()
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())
    assert client.message().status == 505
    assert client.half_closed
    assert not rig.upstreams
