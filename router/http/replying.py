"""Sending replies to a client of HTTP/1.x, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.errors import Refusal
from router.http.connection import ClientConnection
from router.http.encode import (
    CLOSE,
    KEEP_ALIVE,
    LAST_CHUNK,
    body_framing,
    refusal_head,
    reply_head,
)
from router.http.exchange import Exchange
from router.http.head import Framing, RequestHead
from router.http.reply import ReplyHead

if TYPE_CHECKING:
    from router.plane import Plane

DISCARDED_BODY = 262_144
"""Bytes of an unwanted request body that are read and thrown away to keep a connection (Go's
net/http reads 256 KiB)."""


class Replying(ClientConnection):
    """The part of `DownstreamPort` that writes; see also `router.http.downstream`."""

    __slots__ = ("_exchange", "_framing", "_reply_started")

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane)
        self._exchange: Exchange | None = None
        """The exchange whose turn it is."""
        self._reply_started = False
        self._framing = Framing.NONE

    def send_tunnelled(self, data: bytes) -> None:
        """See `DownstreamPort`."""
        self._write(data)

    def close_tunnel(self) -> None:
        """See `DownstreamPort`."""
        assert self._exchange is not None
        self._exchange.head.keep_alive = False

    def send_head(self, head: ReplyHead, extra: bytes) -> None:
        """See `DownstreamPort`."""
        exchange = self._exchange
        assert exchange is not None
        self._reply_started = True
        request = exchange.head
        self._framing = framing = body_framing(head, request.minor)
        if self._plane.draining or not exchange.request_ended or framing is Framing.UNTIL_CLOSE:
            request.keep_alive = False
        self._write(reply_head(head, framing, extra, _connection(request)))

    def send_body(self, data: bytes) -> None:
        """See `DownstreamPort`."""
        if self._framing is Framing.CHUNKED:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._write(data)

    def send_end(self, trailers: bytes) -> None:
        """See `DownstreamPort`."""
        if self._framing is Framing.CHUNKED:
            self._write(b"0\r\n%b\r\n" % trailers if trailers else LAST_CHUNK)

    def send_refusal(self, refusal: Refusal, request_id: bytes) -> int:
        """See `DownstreamPort`."""
        exchange = self._exchange
        self._reply_started = True
        connection = CLOSE
        body = refusal.body(request_id)
        if exchange is not None:
            request = exchange.head
            if not exchange.request_ended and (
                request.expect_continue or request.length > DISCARDED_BODY
            ):
                request.keep_alive = False
            if self._plane.draining:
                request.keep_alive = False
            connection = _connection(request)
        self._write(refusal_head(refusal, len(body), request_id, connection))
        if exchange is not None and exchange.head.method == b"HEAD":
            return 0
        self._write(body)
        return len(body)


def _connection(request: RequestHead) -> bytes:
    """The line that tells the client what becomes of the connection."""
    if not request.keep_alive:
        return CLOSE
    return b"" if request.minor else KEEP_ALIVE
