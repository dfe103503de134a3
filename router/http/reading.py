"""Cutting what one side sends into heads, bodies and trailers, without I/O.

A reader is fed bytes as they come and calls its sink. What it holds back between two feeds is an
unfinished head, chunk line or trailer section only, and each of them is bounded; or, while it is
halted, what was fed. It raises `Refusal` at the first byte that no message may have there, and is
deaf from then on.
"""

from __future__ import annotations

from typing import Final, Protocol

from router.errors import Refusal
from router.http import grammar
from router.http.grammar import CHUNK, MalformedError, RawHeaders

MAX_EXTENSIONS = 16_384
"""Bytes of chunk extensions in one body (Go's net/http allows 16 KiB in excess of the data)."""

MAX_CHUNK_LINE = 4096
"""Bytes of the line before one chunk (Go: 4096)."""

MAX_TRAILERS = 16_384
"""Bytes of a trailer section (Node.js allows 16 KiB for head and trailers)."""

NO_TRAILERS: RawHeaders = ()


class Sink(Protocol):
    """Who is told of the body of a message."""

    def message_body(self, data: bytes) -> None:
        """A piece of the body, never an empty one: as a chunk that would be the last."""
        ...

    def message_end(self, trailers: RawHeaders) -> None:
        """The message is whole."""
        ...

    def tunnelled(self, data: bytes) -> None:
        """Bytes behind a switch of protocols."""
        ...


# What the next byte belongs to. Plain integers: looking up a member of an Enum takes 40 ns.
HEAD: Final = 0
LENGTH: Final = 1
CHUNK_LINE: Final = 2
CHUNK_DATA: Final = 3
CHUNK_END: Final = 4
TRAILERS: Final = 5
UNTIL_CLOSE: Final = 6
SWITCH: Final = 7
"""A switch of protocols that was asked for and not yet answered."""
TUNNEL: Final = 8
NOTHING: Final = 9
END: Final = 10
"""The message was the last: another byte is one too many."""


class Reader:
    """See the module. Subclasses read heads and say, by `_expect`, what follows."""

    __slots__ = ("_expect", "_extensions", "_held", "_left", "_searched", "_sink", "halted")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._expect = HEAD
        self._held = b""
        self._searched = 0
        """How much of `_held` is known not to end a head."""
        self._left = 0
        self._extensions = 0
        self.halted = False
        """The next head is not read yet: its bytes are kept until they are fed again."""

    @property
    def in_head(self) -> bool:
        """A part of a head has come."""
        return self._expect == HEAD and bool(self._held)

    def stop(self) -> None:
        """Ignore whatever comes from now on."""
        self._expect = NOTHING
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Take what has come. Raises `Refusal`."""
        if self._held:
            data = self._held + data
            self._held = b""
        try:
            self._feed(data)
        except MalformedError as error:
            self.stop()
            raise Refusal(400, "bad_request", str(error)) from None
        except Refusal:
            self.stop()
            raise

    def _feed(self, data: bytes) -> None:
        at, size = 0, len(data)
        while at < size:
            expect = self._expect
            if expect == HEAD:
                if self.halted:
                    self._held = data[at:]
                    return
                end = self._head(data, at)
            elif expect == LENGTH:
                end = self._length(data, at)
            elif expect <= CHUNK_END:
                end = self._chunks(data, at)
            elif expect == TRAILERS:
                end = self._trailers(data, at)
            elif expect == UNTIL_CLOSE:
                self._sink.message_body(data[at:] if at else data)
                return
            elif expect == TUNNEL:
                self._sink.tunnelled(data[at:] if at else data)
                return
            elif expect == SWITCH:
                raise Refusal(400, "early_data", "bytes before the switch of protocols")
            elif expect == END:
                raise Refusal(502, "bad_reply", "bytes follow the reply")
            else:
                return
            if end < 0:
                if self._expect != NOTHING:
                    self._held = data[at:] if at else data
                return
            at = end

    def _head(self, data: bytes, at: int) -> int:
        """Read a head and set `_expect`; gives its end, or -1 when it is not whole."""
        raise NotImplementedError

    def _head_end(self, data: bytes, at: int) -> int:
        """Where the empty line after a head or a trailer section ends, or -1."""
        end = data.find(b"\r\n\r\n", at + max(0, self._searched - 3))
        if end >= 0:
            self._searched = 0
            return end + 4
        grammar.check_part(data, at + max(0, self._searched - 1))
        self._searched = len(data) - at
        return -1

    def _length(self, data: bytes, at: int) -> int:
        end = at + self._left
        size = len(data)
        if end > size:
            self._left = end - size
            self._sink.message_body(data[at:] if at else data)
            return size
        self._expect = HEAD
        self._sink.message_body(data[at:end] if at or end < size else data)
        if self._expect != NOTHING:
            self._sink.message_end(NO_TRAILERS)
        return end

    def _chunks(self, data: bytes, at: int) -> int:
        """Read chunks up to the end of `data` or of the body; their contents go on as one."""
        pieces: list[bytes] = []
        expect, left, size = self._expect, self._left, len(data)
        while at < size:
            if expect == CHUNK_LINE:
                line = CHUNK.match(data, at)
                if line is None:
                    part = data[at : at + MAX_CHUNK_LINE + 1]
                    if len(part) > MAX_CHUNK_LINE:
                        raise Refusal(413, "extensions_too_large", "chunk extensions too large")
                    grammar.check_chunk_part(part)
                    break
                left = int(line[1], 16)
                if left >= 1 << 63:
                    raise MalformedError("the size of a chunk is out of range")
                at = line.end()
                extension = at - 2 - line.end(1)
                if extension:
                    self._extensions += extension
                    if self._extensions > MAX_EXTENSIONS:
                        raise Refusal(413, "extensions_too_large", "chunk extensions too large")
                expect = CHUNK_DATA if left else TRAILERS
                if not left or at == size:
                    break
            if expect == CHUNK_DATA:
                end = at + left
                pieces.append(data[at:end])
                if end > size:
                    left = end - size
                    at = size
                    break
                at = end
                expect = CHUNK_END
            if data[at : at + 2] == b"\r\n":
                at += 2
                expect = CHUNK_LINE
            elif at + 1 >= size and data[at:] in (b"", b"\r"):
                break
            else:
                raise MalformedError("a chunk is longer than its size says")
        self._expect, self._left = expect, left
        if pieces:
            self._sink.message_body(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if at < size and expect != TRAILERS and self._expect != NOTHING:
            self._held = data[at:]
            return size
        return at

    def _trailers(self, data: bytes, at: int) -> int:
        trailers = NO_TRAILERS
        if data[at : at + 2] == b"\r\n":
            end = at + 2
        else:
            end = self._head_end(data, at)
            if (len(data) if end < 0 else end) - at > MAX_TRAILERS:
                raise Refusal(431, "trailers_too_large", "the trailer section is too large")
            if end < 0:
                return -1
            trailers = grammar.fields(data, at, end - 2)
        self._searched = 0
        self._expect = HEAD
        self._sink.message_end(trailers)
        return end
