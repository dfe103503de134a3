"""Reading requests: the request line, the header and their limits."""

from __future__ import annotations

from typing import Protocol

from fleet.wire import LimitsEntry
from router.errors import Refusal
from router.http import grammar, reading
from router.http.grammar import REQUEST_LINE, TargetError, VersionError
from router.http.head import Framing, RequestHead, parse_head
from router.http.reading import Reader, Sink

MAX_BLANK_LINES = 4
"""Empty lines before a request that are passed over (RFC 9112 section 2.2 asks for one)."""


class Settings(Protocol):
    """What may change from one generation of the configuration to the next."""

    limits: LimitsEntry
    refuse_paths: bool


class RequestSink(Sink, Protocol):
    """Who is told of requests."""

    def request(self, head: RequestHead) -> None:
        """The head of a request has come."""
        ...


class RequestReader(Reader):
    """See the module."""

    __slots__ = ("_blank_lines", "_requests", "_settings")

    def __init__(self, sink: RequestSink, settings: Settings) -> None:
        super().__init__(sink)
        self._requests = sink
        self._settings = settings
        self._blank_lines = 0

    def switch(self, on: bool) -> None:
        """The replica has switched protocols, or answered otherwise."""
        if self._expect == reading.SWITCH:
            self._expect = reading.TUNNEL if on else reading.HEAD

    def _head(self, data: bytes, at: int) -> int:
        if data[at : at + 1] == b"\r" and (after := self._blank_line(data, at)) != at:
            return after
        limits = self._settings.limits
        end = -1 if self._searched else data.find(b"\r\n\r\n", at) + 4
        if end < 4:
            end = self._head_end(data, at)
        if end < 0:
            self._check_part(data, at, limits)
            return -1
        line = REQUEST_LINE.match(data, at)
        if line is None:
            raise _bad_line(data[at : data.index(b"\n", at) + 1])
        method, target, minor = line.groups()
        if len(target) > limits.target:
            raise Refusal(414, "target_too_long", "the request target is too long")
        if end - at > limits.header_size:
            raise Refusal(431, "header_too_large", "the header is too large")
        raw = grammar.fields(data, line.end(), end - 2)
        if len(raw) > limits.headers:
            raise Refusal(431, "header_too_large", "too many header fields")
        head = parse_head(
            method, target, minor[0] - 48, raw, refuse_paths=self._settings.refuse_paths
        )
        self._blank_lines = 0
        self._extensions = 0
        framing = head.framing
        if framing is Framing.LENGTH:
            self._expect = reading.LENGTH
            self._left = head.length
        elif framing is Framing.CHUNKED:
            self._expect = reading.CHUNK_LINE
        elif head.websocket:
            self._expect = reading.SWITCH
            if end < len(data):
                raise Refusal(400, "early_data", "bytes before the switch of protocols")
        self._requests.request(head)
        return end

    def _blank_line(self, data: bytes, at: int) -> int:
        if data[at : at + 2] != b"\r\n":
            return at
        self._blank_lines += 1
        if self._blank_lines > MAX_BLANK_LINES:
            raise Refusal(400, "bad_request", "too many empty lines before a request")
        return at + 2

    def _check_part(self, data: bytes, at: int, limits: LimitsEntry) -> None:
        """Do not wait for the rest of what is refused already."""
        size = len(data) - at
        line_end = data.find(b"\n", at)
        if line_end >= 0:
            if REQUEST_LINE.match(data, at) is None:
                raise _bad_line(data[at : line_end + 1])
            if data.find(b" HTTP/", at, line_end) - data.find(b" ", at) - 1 > limits.target:
                raise Refusal(414, "target_too_long", "the request target is too long")
        elif data.find(b" ", at) >= 0 and size > limits.target + data.find(b" ", at) - at + 11:
            raise Refusal(414, "target_too_long", "the request target is too long")
        if size > limits.header_size:
            raise Refusal(431, "header_too_large", "the header is too large")


def _bad_line(line: bytes) -> Refusal:
    error = grammar.bad_request_line(line)
    if isinstance(error, VersionError):
        return Refusal(505, "bad_version", str(error))
    code = "bad_target" if isinstance(error, TargetError) else "bad_request"
    return Refusal(400, code, str(error))
