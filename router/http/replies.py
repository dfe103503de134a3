"""Reading replies: the status line, the header and their limits."""

from __future__ import annotations

from typing import Protocol

from router.errors import Refusal
from router.http import grammar, reading
from router.http.grammar import STATUS_LINE
from router.http.head import Framing
from router.http.reading import Reader, Sink
from router.http.reply import ReplyHead, parse_reply

MAX_REPLY_HEAD = 262_144
"""Bytes of a reply's heads, 1xx included (Envoy allows 60 KiB, HAProxy one 16 KiB buffer)."""


class ReplySink(Sink, Protocol):
    """Who is told of replies."""

    def reply(self, head: ReplyHead) -> None:
        """The head of a reply has come; it is final unless its status is below 200."""
        ...


class ReplyReader(Reader):
    """See the module. Between two replies it expects nothing."""

    __slots__ = ("_head_size", "_method", "_replies", "_websocket")

    def __init__(self, sink: ReplySink) -> None:
        super().__init__(sink)
        self._replies = sink
        self._method = b""
        self._websocket = False
        self._head_size = 0

    def expect(self, method: bytes, *, websocket: bool) -> None:
        """The next reply answers a request of that method."""
        self._expect = reading.HEAD
        self._method = method
        self._websocket = websocket
        self._head_size = 0
        self._extensions = 0

    def idle(self) -> None:
        """The reply is whole; nothing may follow it."""
        self._expect = reading.END

    def _head(self, data: bytes, at: int) -> int:
        end = -1 if self._searched else data.find(b"\r\n\r\n", at) + 4
        if end < 4:
            end = self._head_end(data, at)
        size = self._head_size + (len(data) if end < 0 else end) - at
        if size > MAX_REPLY_HEAD:
            raise Refusal(502, "bad_reply", "the head of the reply is too large")
        line = STATUS_LINE.match(data, at)
        if line is None:
            if end < 0 and data.find(b"\n", at) < 0:
                return -1
            raise Refusal(502, "bad_reply", "the status line is malformed")
        if end < 0:
            return -1
        minor, status = line.groups()
        head = parse_reply(
            int(status),
            minor[0] - 48,
            grammar.fields(data, line.end(), end - 2),
            self._method,
            websocket=self._websocket,
        )
        if head.status == 101:
            self._expect = reading.TUNNEL
        elif head.status < 200:
            self._head_size = size
        else:
            self._final(head, excess=len(data) - end)
        self._replies.reply(head)
        if self._expect == reading.HEAD and head.status >= 200:
            self._sink.message_end(reading.NO_TRAILERS)
        return end

    def _final(self, head: ReplyHead, excess: int) -> None:
        framing = head.framing
        if framing is Framing.NONE:
            left = 0
        elif framing is Framing.LENGTH:
            self._expect = reading.LENGTH
            self._left = left = head.length
        else:
            chunked = framing is Framing.CHUNKED
            self._expect = reading.CHUNK_LINE if chunked else reading.UNTIL_CLOSE
            return
        if excess > left:
            raise Refusal(502, "bad_reply", "bytes follow the reply")
