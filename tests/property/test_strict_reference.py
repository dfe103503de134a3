"""What we take for a message is one to h11 too, and it ends at the same byte.

h11 (https://github.com/python-hyper/h11) is a strict parser by another author. It may refuse what
we serve only where we know why; what both take must be the same message.
"""

from __future__ import annotations

from typing import Any

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.wire import LimitsEntry
from router.errors import Refusal
from router.http.grammar import RawHeaders
from router.http.head import Framing, RequestHead
from router.http.replies import ReplyReader
from router.http.reply import ReplyHead
from router.http.requests import RequestReader

LINES = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", b"POST /x?y HTTP/1.1\r\n", b"PUT /x HTTP/1.0\r\n",
     b"GET  / HTTP/1.1\r\n", b"GET / HTTP/1.1\n", b"GET /\r\n", b"HEAD /a b HTTP/1.1\r\n"]
)  # fmt: skip
STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 No\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 304\r\n",
     b"HTTP/1.1 20 OK\r\n", b"HTTP/1.1 200 O\nK\r\n"]
)  # fmt: skip
FIELDS = st.sampled_from(
    [b"Host: h\r\n", b"Content-Length: 3\r\n", b"Content-Length: 03\r\n", b"Content-Length: 0\r\n",
     b"Content-Length: +3\r\n", b"Content-Length : 3\r\n", b"Content-Length: 3, 3\r\n",
     b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:chunked \r\n",
     b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: chunked, chunked\r\n",
     b"Transfer-Encoding: \x0bchunked\r\n", b"X: \xff\r\n", b"X: a\rb\r\n", b"X: a\nb\r\n",
     b" X: 1\r\n", b"X:\r\n", b": 1\r\n", b"X\x00: 1\r\n", b"Connection: close\r\n"]
)  # fmt: skip
BODIES = st.lists(
    st.sampled_from(
        [b"abc", b"3\r\nabc\r\n", b"3;a=b\r\nabc\r\n", b'3;a="\r\nabc\r\n', b"3\nabc\r\n",
         b"3\r\nabcd\r\n", b"03\r\nabc\r\n", b"+3\r\nabc\r\n", b"3 \r\nabc\r\n", b"0\r\n\r\n",
         b"0\r\nX: 1\r\n\r\n", b"0\r\n X: 1\r\n\r\n", b"0\r\nX: 1\n\r\n", b"\r\n"]
    ),
    max_size=4,
).map(b"".join)  # fmt: skip
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)


class Settings:
    limits = LimitsEntry(header_size=65536, headers=128, target=8192, body=1 << 30, connections=1)
    refuse_paths = False


class Heard:
    """One message as we read it."""

    def __init__(self) -> None:
        self.method = b""
        self.status = 0
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self.ended = False
        self.framing = Framing.NONE

    def request(self, head: RequestHead) -> None:
        if self.ended or self.method:
            return
        self.method, self.framing = head.method, head.framing
        self.fields = [(n, v.strip(b" \t")) for n, v in head.headers]
        self.ended = head.framing is Framing.NONE

    def reply(self, head: ReplyHead) -> None:
        self.status, self.framing = head.status, head.framing

    def message_body(self, data: bytes) -> None:
        assert data
        if not self.ended:
            self.body += data

    def message_end(self, trailers: RawHeaders) -> None:
        if not self.ended:
            self.trailers = [(n.lower(), v.strip(b" \t")) for n, v in trailers]
        self.ended = True

    def tunnelled(self, data: bytes) -> None:
        raise AssertionError("nobody asked for a tunnel")


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    out, at, turn = [], 0, 0
    while at < len(data):
        out.append(data[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(out[-1]), turn + 1
    return out


def reference(side: type[h11.Sentinel], data: bytes, method: str = "") -> dict[str, Any] | None:
    """The first message as h11 reads it; None when it refuses it."""
    connection = h11.Connection(our_role=side)
    if method:
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
        connection.send(h11.EndOfMessage())
    got: dict[str, Any] = {"head": None, "body": b"", "trailers": [], "ended": False}
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request | h11.Response):
                got["head"] = event
            elif isinstance(event, h11.Data):
                got["body"] += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                got["ended"] = True
                got["trailers"] = list(event.headers)
                return got
            else:
                return got
    except h11.RemoteProtocolError:
        return None


@settings(max_examples=400, deadline=None)
@given(LINES, st.lists(FIELDS, max_size=3), BODIES, SIZES)
def test_a_request_we_send_on_is_the_same_to_h11(
    line: bytes, fields: list[bytes], body: bytes, sizes: list[int]
) -> None:
    data = line + b"Host: h\r\n" + b"".join(fields) + b"\r\n" + body
    heard = Heard()
    reader = RequestReader(heard, Settings())
    for piece in pieces(data, sizes):
        try:
            reader.feed(piece)
        except Refusal:
            break
    if not heard.ended:
        return
    expected = reference(h11.SERVER, data)
    assert expected is not None, "h11 refuses what we would send on"
    assert (heard.method, heard.body) == (expected["head"].method, expected["body"])
    assert heard.fields == list(expected["head"].headers)
    assert heard.trailers == expected["trailers"]
    assert expected["ended"]


@settings(max_examples=400, deadline=None)
@given(STATUS_LINES, st.lists(FIELDS, max_size=3), BODIES, SIZES, st.sampled_from(["GET", "HEAD"]))
def test_a_reply_we_pass_on_is_the_same_to_h11(
    line: bytes, fields: list[bytes], body: bytes, sizes: list[int], method: str
) -> None:
    data = line + b"".join(fields) + b"\r\n" + body
    heard = Heard()
    reader = ReplyReader(heard)
    reader.expect(method.encode(), websocket=False)
    try:
        for piece in pieces(data, sizes):
            reader.feed(piece)
    except Refusal:
        if not heard.ended:
            return
    if not heard.ended:
        return
    expected = reference(h11.CLIENT, data, method)
    assert expected is not None, "h11 refuses what we would pass on"
    assert (heard.status, heard.body) == (expected["head"].status_code, expected["body"])
    assert heard.trailers == expected["trailers"]
    assert expected["ended"]
