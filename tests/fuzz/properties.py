"""What must hold of any bytes whatever that a client or a replica sends. Pure.

Input: one byte that says how the rest is cut (and for replies, what they answer), then the bytes
of the connection. Raises AssertionError, or whatever a reader raises that it must not.
"""

from __future__ import annotations

from collections.abc import Callable

import h11

from fleet.wire import LimitsEntry
from router.errors import Refusal
from router.http.grammar import RawHeaders
from router.http.head import RequestHead
from router.http.reading import Reader
from router.http.replies import ReplyReader
from router.http.reply import ReplyHead
from router.http.requests import RequestReader


class Settings:
    limits = LimitsEntry(header_size=65536, headers=128, target=8192, body=1 << 30, connections=1)
    refuse_paths = False


class Transcript:
    """Every message that was heard, as lists of what must not depend on how bytes were cut."""

    def __init__(self) -> None:
        self.heads: list[tuple[object, ...]] = []
        self.bodies: list[bytes] = []
        self.ends: list[RawHeaders] = []
        self.tunnel = b""
        self.idle: Callable[[], None] = lambda: None
        """What a connection to a replica does at the end of its one reply."""

    def request(self, head: RequestHead) -> None:
        self.heads.append((head.method, head.target, head.authority, head.framing, head.lines))
        self.bodies.append(b"")
        if head.framing.value == "none":
            self.ends.append(())

    def reply(self, head: ReplyHead) -> None:
        self.heads.append((head.status, head.framing, head.length, head.keep_alive, head.lines))
        self.bodies.append(b"")

    def message_body(self, data: bytes) -> None:
        assert data, "an empty piece of a body would be its last chunk"
        self.bodies[-1] += data

    def message_end(self, trailers: RawHeaders) -> None:
        self.ends.append(tuple(trailers))
        self.idle()

    def tunnelled(self, data: bytes) -> None:
        self.tunnel += data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transcript) and self._told == other._told

    @property
    def _told(self) -> tuple[object, ...]:
        return self.heads, self.bodies, self.ends, self.tunnel

    __hash__ = None  # type: ignore[assignment]


def check_requests(data: bytes) -> None:
    """Requests on one connection."""
    cut, data = data[:1], data[1:]
    whole, refused = _heard(lambda t: RequestReader(t, Settings()), [data])
    pieces, refused_cut = _heard(lambda t: RequestReader(t, Settings()), _cut(data, cut))
    _same_however_cut(whole, refused, pieces, refused_cut)
    if whole.ends and not refused:
        expected = _to_h11(h11.Connection(h11.SERVER), data)
        if expected is not None:
            assert expected == whole.bodies[0], f"h11 reads {expected!r}"


def check_replies(data: bytes) -> None:
    """The reply to one request."""
    cut, data = data[:1], data[1:]
    method = b"HEAD" if cut >= b"\x80" else b"GET"

    def reader(transcript: Transcript) -> ReplyReader:
        made = ReplyReader(transcript)
        made.expect(method, websocket=False)
        transcript.idle = made.idle
        return made

    whole, refused = _heard(reader, [data])
    pieces, refused_cut = _heard(reader, _cut(data, cut))
    _same_however_cut(whole, refused, pieces, refused_cut)
    if whole.ends and not refused:
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
        connection.send(h11.EndOfMessage())
        expected = _to_h11(connection, data)
        if expected is not None:
            assert expected == b"".join(whole.bodies), f"h11 reads {expected!r}"


def _heard(make: Callable[[Transcript], Reader], pieces: list[bytes]) -> tuple[Transcript, bool]:
    transcript = Transcript()
    reader = make(transcript)
    try:
        for piece in pieces:
            reader.feed(piece)
    except Refusal as refusal:
        assert 400 <= refusal.status < 600
        return transcript, True
    return transcript, False


def _same_however_cut(
    whole: Transcript, refused: bool, pieces: Transcript, refused_cut: bool
) -> None:
    assert refused == refused_cut, "refused or not, by where it was cut"
    if not refused:
        assert whole == pieces, "another message, by where it was cut"
    for one, other in zip(whole.heads, pieces.heads, strict=False):
        assert one == other


def _cut(data: bytes, cut: bytes) -> list[bytes]:
    size = 1 + (cut[0] & 0x7F if cut else 0)
    return [data[at : at + size] for at in range(0, len(data), size)]


def _to_h11(connection: h11.Connection, data: bytes) -> bytes | None:
    """The body of the first message as h11 reads it; None when it refuses or waits for more."""
    body = b""
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return body
            elif event in (h11.NEED_DATA, h11.PAUSED):
                return None
    except h11.RemoteProtocolError:
        return None
