"""HTTP/1.1 towards a replica: one connection, one exchange at a time, kept between them."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import httptools

from router.errors import Refusal
from router.http.exchange import Exchange
from router.http.head import Framing
from router.http.reply import BadReplyError, ReplyHead, parse_reply
from router.pool import Replica
from router.timers import NEVER

if TYPE_CHECKING:
    from router.plane import Plane

MAX_REPLY_HEAD = 262_144
"""Bytes of a reply's head (Envoy allows 60 KiB, HAProxy one 16 KiB buffer)."""


class Upstream(asyncio.Protocol):
    """A connection to a replica."""

    __slots__ = (
        "_chunked_out",
        "_closed",
        "_complete",
        "_excess",
        "_exchange",
        "_head",
        "_head_size",
        "_held",
        "_out",
        "_parser",
        "_plane",
        "_raw",
        "_replica",
        "_transport",
        "deadline",
        "filed",
        "reused",
    )

    def __init__(self, plane: Plane, replica: Replica) -> None:
        self._plane = plane
        # for the connection
        self._replica = replica
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._closed = False
        self.deadline = NEVER
        self.filed = -1.0
        self.reused = False
        # for the exchange
        self._exchange: Exchange | None = None
        self._chunked_out = False
        self._raw: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._head: ReplyHead | None = None
        self._complete = False
        self._excess = False
        self._held = False
        self._out: list[bytes] = []

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._closed = True
        self._plane.wheel.forget(self)
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            self._unkeep()
            return
        head = self._head
        if head is not None and head.framing is Framing.UNTIL_CLOSE and exc is None:
            exchange.reply_end()
        elif head is not None:
            exchange.upstream_lost("upstream_truncated", "the replica broke off its reply")
        else:
            exchange.upstream_lost("upstream_closed", "the replica closed without a reply")

    def eof_received(self) -> None:
        """Called by the loop (`asyncio.Protocol`): must not be picked before it is closed."""
        self._unkeep()

    def pause_writing(self) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        if self._exchange is not None:
            self._exchange.upstream_paused(True)

    def resume_writing(self) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        if self._exchange is not None:
            self._exchange.upstream_paused(False)

    def on_deadline(self, now: float) -> None:
        """Called by the wheel (`router.timers.Timed`)."""
        exchange, self._exchange = self._exchange, None
        self.abort()
        if exchange is None:
            return
        if self._held:
            exchange.fail(Refusal(408, "client_stalled", "the client does not take its reply"))
        elif self._head is None:
            exchange.upstream_lost(
                "first_byte_timeout", "the replica did not begin to reply in time", status=504
            )
        else:
            exchange.upstream_lost("stream_idle_timeout", "the replica's reply stood still")

    def close(self) -> None:
        """See `UpstreamPort`."""
        self.flush()
        self._closed = True
        self._plane.wheel.forget(self)
        self._transport.close()

    # sending the request (UpstreamPort)

    def send(self, exchange: Exchange) -> None:
        """See `UpstreamPort`."""
        self._exchange = exchange
        self._head = None
        self._raw = []
        self._head_size = 0
        self._complete = False
        self._excess = False
        self._held = False
        plane = self._plane
        self._set_deadline(exchange.sent_at + plane.timeouts.first_byte)
        head = exchange.head
        self._chunked_out = False
        if head.framing is Framing.CHUNKED:
            framing = b"Transfer-Encoding: chunked\r\n"
            self._chunked_out = True
        elif head.framing is Framing.LENGTH:
            framing = b"Content-Length: %d\r\n" % head.length
        elif head.method in (b"POST", b"PUT", b"PATCH"):
            framing = b"Content-Length: 0\r\n"
        else:
            framing = b""
        self._write(
            b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%bX-Request-Id: %b\r\n%b\r\n"
            % (
                head.method,
                head.target,
                head.authority or self._replica.authority,
                head.lines,
                framing,
                exchange.request_id,
                exchange.forwarded(),
            )
        )

    def send_body(self, data: bytes) -> None:
        """See `UpstreamPort`."""
        if self._closed:
            return
        if self._chunked_out:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._write(data)
        self.deadline = monotonic() + self._plane.timeouts.first_byte

    def send_end(self) -> None:
        """See `UpstreamPort`."""
        if self._chunked_out and not self._closed:
            self._write(b"0\r\n\r\n")

    def hold(self, on: bool) -> None:
        """See `UpstreamPort`."""
        if self._closed:
            return
        self._held = on
        if on:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
            self.deadline = monotonic() + self._plane.timeouts.stream_idle

    def keep(self) -> None:
        """See `UpstreamPort`."""
        self._exchange = None
        head = self._head
        if self._closed:
            return
        if head is None or not head.keep_alive or self._excess or not self._replica.serving:
            self.close()
            return
        self._transport.resume_reading()
        self._set_deadline(monotonic() + self._plane.timeouts.upstream_keep_alive)
        self.reused = True
        self._replica.idle.append(self)

    def abort(self) -> None:
        """See `UpstreamPort`."""
        self._exchange = None
        self._unkeep()
        if not self._closed:
            self._closed = True
            self._plane.wheel.forget(self)
            self._transport.abort()

    # reading the reply

    def data_received(self, data: bytes) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        exchange = self._exchange
        if exchange is None:
            # bytes nobody asked for: whatever they are, they belong to no request
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._complete:
                self._broken(f"the replica's reply is not HTTP: {error}")
                return
            self._excess = True
        except httptools.HttpParserUpgrade:
            self._broken("the replica switched protocols unasked")
            return
        if self._exchange is None:
            return
        if self._complete:
            if exchange.head.method == b"HEAD":
                # llhttp would take the next reply for this one's body
                self._parser = httptools.HttpResponseParser(self)
            exchange.reply_end()
            return
        if self._head is None:
            self._head_size += len(data)
            if self._head_size > MAX_REPLY_HEAD:
                self._broken("the head of the replica's reply is too large")
        else:
            self.deadline = monotonic() + self._plane.timeouts.stream_idle

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if self._complete:
            self._excess = True
        self._raw = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for header fields and for trailers, which are dropped."""
        if self._head is None:
            self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        exchange = self._exchange
        if exchange is None or self._complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                self._broken("the replica switched protocols unasked")
            elif status < 100:
                self._broken("the status of the replica's reply is below 100")
            return
        try:
            version = self._parser.get_http_version()
            head = parse_reply(status, version, self._raw, exchange.head.method)
        except BadReplyError as error:
            self._broken(f"the replica's reply breaks HTTP: {error}")
            return
        self._head = head
        self._set_deadline(monotonic() + self._plane.timeouts.stream_idle)
        exchange.reply_head(head)
        if exchange.head.method == b"HEAD":
            self._complete = True

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        if self._complete:
            self._excess = True
        elif self._exchange is not None:
            self._exchange.reply_body(data)

    def on_message_complete(self) -> None:
        """Called by the parser; also at the end of each 1xx reply."""
        if self._head is not None:
            self._complete = True

    def _write(self, data: bytes) -> None:
        if not self._out:
            self._plane.gathers(self)
        self._out.append(data)

    def flush(self) -> None:
        """Write what was gathered (`router.plane.Gathering`)."""
        out, self._out = self._out, []
        if out and not self._closed:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _broken(self, message: str) -> None:
        exchange, self._exchange = self._exchange, None
        self.abort()
        if exchange is not None:
            exchange.upstream_lost("bad_reply", message)

    def _unkeep(self) -> None:
        if self in self._replica.idle:
            self._replica.idle.remove(self)

    def _set_deadline(self, at: float) -> None:
        self.deadline = at
        if not 0 <= self.filed <= at:
            self._plane.wheel.file(self)
