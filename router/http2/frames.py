"""Cutting what a client sends into frames, and the limits that hold before a frame is understood.

`h2` gives up a whole batch of frames, with the events of those before, when one of them is bad. So
it is given one frame at a time, and what became of a message does not depend on how its bytes were
cut. Limits of header blocks are counted here, since no byte of a block is decompressed before all
of it is there (RFC 9113 section 4.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from h2.errors import ErrorCodes

from router.http2.errors import ConnectionFault

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME: Final = 16_384
"""Bytes of a frame's payload: the protocol's own default (RFC 9113 section 4.2)."""
MAX_CONTINUATIONS: Final = 32
"""Frames that go on with one header block (h2 allows 64, nghttp2 8)."""

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

ACK: Final = 0x1
END_HEADERS: Final = 0x4

_HEAD: Final = 9


class Frame(NamedTuple):
    """A whole frame; `data` are all its bytes."""

    kind: int
    flags: int
    stream_id: int
    data: bytes

    @property
    def payload(self) -> bytes:
        """What is behind the frame's own head."""
        return self.data[_HEAD:]


class FrameReader:
    """See the module. `max_block`: bytes of one header block, compressed."""

    __slots__ = ("_block", "_block_size", "_continuations", "_held", "_max_block", "_state")

    def __init__(self, max_block: int) -> None:
        self._max_block = max_block
        self._held = b""
        self._state = 0  # 0: the preface is due, 1: the first SETTINGS, 2: anything
        self._block = 0
        self._block_size = 0
        self._continuations = 0

    @property
    def in_block(self) -> bool:
        """A header block has begun."""
        return self._block != 0

    @property
    def unfinished(self) -> bool:
        """The preface or SETTINGS is still due, a header block has begun, or a frame has that is
        not of a body.
        """
        if self._state < 2 or self._block:
            return True
        held = self._held
        return bool(held) and not (len(held) > 3 and held[3] == DATA)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Raises ConnectionFault."""
        if self._held:
            data = self._held + data
            self._held = b""
        at, size = 0, len(data)
        if self._state == 0:
            if data[: len(PREFACE)] != PREFACE[:size]:
                raise _broken("what came is not the preface of HTTP/2")
            if size < len(PREFACE):
                self._held = data
                return
            at = len(PREFACE)
            self._state = 1
        while size - at >= _HEAD:
            length = int.from_bytes(data[at : at + 3], "big")
            if length > MAX_FRAME:
                message = f"a frame of more than {MAX_FRAME} bytes"
                raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, "http2_error", message)
            end = at + _HEAD + length
            kind, flags = data[at + 3], data[at + 4]
            stream_id = int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFF_FFFF
            if end > size:
                break
            self._check(kind, flags, stream_id, length)
            yield Frame(kind, flags, stream_id, data[at:end])
            at = end
        self._held = data[at:]

    def _check(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        if self._state == 1:
            if kind != SETTINGS or flags & ACK:
                raise _broken("the first frame is not SETTINGS")
            self._state = 2
        if kind == SETTINGS and flags & ACK and length:
            message = "an acknowledgement with settings"
            raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, "http2_error", message)
        if self._block and (kind != CONTINUATION or stream_id != self._block):
            raise _broken("another frame inside a header block")
        if kind == HEADERS:
            self._block_size = length
            self._continuations = 0
        elif kind == CONTINUATION:
            self._block_size += length
            self._continuations += 1
            if self._continuations > MAX_CONTINUATIONS:
                raise _flood("continuation", "too many frames in one header block")
        else:
            return
        if self._block_size > self._max_block:
            raise _flood("header", "a header block is too large to be read")
        self._block = 0 if flags & END_HEADERS else stream_id


def _broken(message: str) -> ConnectionFault:
    return ConnectionFault(ErrorCodes.PROTOCOL_ERROR, "http2_error", message)


def _flood(what: str, message: str) -> ConnectionFault:
    return ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, f"http2_{what}_flood", message)
