"""A client of HTTP/2 for transcripts: it sends any frame, and keeps no rule itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from router.http2.connection import Connection
from router.http2.frames import PREFACE
from tests.protocol.support import Rig

Fields = Sequence[tuple[bytes, bytes]]

GET: Fields = (
    (b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/x"), (b":authority", b"h"),
)  # fmt: skip
POST: Fields = ((b":method", b"POST"), *GET[1:])


def but(fields: Fields, **changes: bytes | None) -> Fields:
    """`fields` with other pseudo-header fields; None: without."""
    kept = [(n, changes.get(n[1:].decode(), v)) for n, v in fields]
    return tuple((n, v) for n, v in kept if v is not None)


class Reply:
    """What has come on one stream."""

    def __init__(self) -> None:
        self.heads: list[list[tuple[bytes, bytes]]] = []
        self.body = b""
        self.ended = False
        self.reset: int | None = None

    def __repr__(self) -> str:
        return f"<Reply {self.heads} {self.body[:60]!r} ended={self.ended} reset={self.reset}>"

    @property
    def status(self) -> int:
        """Of the final reply; 0 when there is none."""
        statuses = [int(dict(head).get(b":status", b"0")) for head in self.heads]
        return next((s for s in statuses if s >= 200), 0)

    @property
    def fields(self) -> dict[bytes, bytes]:
        """Of the final reply."""
        return next(dict(h) for h in self.heads if int(dict(h)[b":status"]) >= 200)

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        return [] if b":status" in dict(self.heads[-1]) else self.heads[-1]


class Client:
    """A connection; `take` reads what the gateway has written since."""

    def __init__(
        self, rig: Rig, settings: dict[int, int] | None = None, *, preface: bytes | None = None
    ) -> None:
        self.rig = rig
        self.wire = rig.client(Connection)
        self.encoder = Encoder()
        self._decoder = Decoder()
        self._left = b""
        self._block = b""
        self.streams: dict[int, Reply] = defaultdict(Reply)
        self.settings: dict[int, int] = {}
        self.room: dict[int, int] = defaultdict(int)
        """Sums of WINDOW_UPDATE, by stream."""
        self.pongs = 0
        self.goaways: list[GoAwayFrame] = []
        if preface is None:
            preface = PREFACE + SettingsFrame(0, settings=settings or {}).serialize()
        self.wire.send(preface)

    def send(self, *frames: Frame | bytes) -> None:
        parts = [f if isinstance(f, bytes) else f.serialize() for f in frames]
        self.wire.send(b"".join(parts))

    def head(self, stream: int, fields: Fields = GET, *, end: bool = True) -> HeadersFrame:
        flags = ["END_HEADERS", *(["END_STREAM"] if end else [])]
        return HeadersFrame(stream, data=self.encoder.encode(fields), flags=flags)

    def request(self, stream: int, fields: Fields = GET, body: bytes | None = None) -> Reply:
        """A whole request, its body in one frame."""
        frames: list[Frame] = [self.head(stream, fields, end=body is None)]
        if body is not None:
            frames.append(data(stream, body, end=True))
        self.send(*frames)
        return self.reply(stream)

    def reply(self, stream: int) -> Reply:
        self.take()
        return self.streams[stream]

    def take(self) -> None:
        self._left += self.wire.take()
        while len(self._left) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._left[:9]))
            if len(self._left) < 9 + length:
                return
            frame.parse_body(memoryview(self._left[9 : 9 + length]))
            self._left = self._left[9 + length :]
            self._got(frame)

    def _got(self, frame: Any) -> None:
        reply = self.streams[frame.stream_id] if frame.stream_id else Reply()
        if isinstance(frame, HeadersFrame | ContinuationFrame):
            self._block += bytes(frame.data)
            if "END_HEADERS" in frame.flags:
                block, self._block = self._block, b""
                fields = [(bytes(n), bytes(v)) for n, v in self._decoder.decode(block, raw=True)]
                reply.heads.append(fields)
        elif isinstance(frame, DataFrame):
            assert not reply.ended
            reply.body += bytes(frame.data)
        elif isinstance(frame, RstStreamFrame):
            reply.reset = frame.error_code
        elif isinstance(frame, WindowUpdateFrame):
            self.room[frame.stream_id] += frame.window_increment
        elif isinstance(frame, SettingsFrame):
            self.settings.update(frame.settings)
        elif isinstance(frame, PingFrame):
            self.pongs += "ACK" in frame.flags
        elif isinstance(frame, GoAwayFrame):
            self.goaways.append(frame)
        if "END_STREAM" in frame.flags:
            reply.ended = True

    @property
    def goaway(self) -> int | None:
        """Why the connection ends; None while it does not."""
        self.take()
        return self.goaways[-1].error_code if self.goaways else None


def data(stream: int, body: bytes, *, end: bool = False) -> DataFrame:
    return DataFrame(stream, data=body, flags=["END_STREAM"] if end else [])


def window(stream: int, size: int) -> bytes:
    """Also those that must not be."""
    return b"\0\0\4\x08\0" + stream.to_bytes(4, "big") + size.to_bytes(4, "big")


def reset(stream: int, code: int = 8) -> RstStreamFrame:
    return RstStreamFrame(stream, error_code=code)


def raw(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """A frame of any kind and content."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload
