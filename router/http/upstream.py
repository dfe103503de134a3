"""HTTP/1.1 towards a replica: one connection, one exchange at a time, kept between them."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from router.errors import Refusal
from router.http.connection import GONE, Connection
from router.http.exchange import Exchange
from router.http.grammar import RawHeaders
from router.http.head import Framing
from router.http.names import trailer_lines
from router.http.ports import Caller
from router.http.replies import ReplyReader
from router.http.reply import ReplyHead
from router.pool import Replica

if TYPE_CHECKING:
    from router.plane import Plane


class Upstream(Connection):
    """A connection to a replica."""

    __slots__ = (
        "_chunk_at",
        "_chunked_out",
        "_closed",
        "_complete",
        "_exchange",
        "_head",
        "_held",
        "_reader",
        "_replica",
        "_sent",
        "_timeouts",
        "_trailers",
        "reused",
    )

    def __init__(self, plane: Plane, replica: Replica) -> None:
        super().__init__(plane)
        # for the connection
        self._replica = replica
        self._reader = ReplyReader(self)
        self._closed = False
        self.reused = False
        # for the exchange
        self._exchange: Caller | None = None
        self._chunked_out = False
        self._head: ReplyHead | None = None
        self._complete = False
        self._trailers: RawHeaders = ()
        self._held = False
        self._sent = False
        """Bytes of the request have been given to the system."""
        self._timeouts = plane.timeouts
        self._chunk_at = 0.0
        """When a part of the reply's body came last; 0: none has, or the client is to blame."""

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._transport = transport  # type: ignore[assignment]
        self._replica.version.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._closed = True
        self._replica.version.connections -= 1
        self._plane.wheel.forget(self)
        self._transport = GONE
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            self._unkeep()
            return
        head = self._head
        if head is not None and head.framing is Framing.UNTIL_CLOSE and exc is None:
            exchange.reply_end(b"")
        elif head is not None:
            exchange.upstream_lost("upstream_truncated", "the replica broke off its reply")
        else:
            exchange.upstream_lost("upstream_closed", "the replica closed without a reply")

    def eof_received(self) -> None:
        """Called by the loop (`asyncio.Protocol`): must not be picked before it is closed."""
        self._unkeep()
        if self._exchange is not None and not self._sent:
            exchange, self._exchange = self._exchange, None
            self._out.clear()
            exchange.upstream_lost("upstream_unsent", "the replica closed before the request")

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
        elif self._head.status == 101:
            exchange.upstream_lost("tunnel_idle_timeout", "the tunnel stood still")
        else:
            exchange.upstream_lost("stream_idle_timeout", "the replica's reply stood still")

    def close(self) -> None:
        """See `UpstreamPort`."""
        self.flush()
        self._exchange = None
        self._reader.stop()
        self._closed = True
        self._plane.wheel.forget(self)
        self._transport.close()

    # sending the request (UpstreamPort)

    def send(self, exchange: Exchange, now: float) -> None:
        """See `UpstreamPort`."""
        self._exchange = exchange
        self._head = None
        self._complete = False
        self._held = self._sent = False
        self._timeouts = timeouts = exchange.timeouts
        self._chunk_at = 0.0
        head = exchange.head
        self._reader.expect(head.method, websocket=head.websocket)
        self._set_deadline(now + timeouts.first_byte)
        self._chunked_out = False
        if head.framing is Framing.CHUNKED:
            framing = b"Transfer-Encoding: chunked\r\n"
            self._chunked_out = True
        elif head.framing is Framing.LENGTH:
            framing = b"Content-Length: %d\r\n" % head.length
        elif head.method in (b"POST", b"PUT", b"PATCH"):
            framing = b"Content-Length: 0\r\n"
        elif head.websocket:
            framing = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        else:
            framing = b""
        if head.expect_continue and not exchange.request_ended:
            framing += b"Expect: 100-continue\r\n"
        self._write(
            b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b"
            b"Via: %b headrace\r\nX-Request-Id: %b\r\n%b\r\n"
            % (
                head.method,
                head.target,
                head.authority or self._replica.authority,
                head.lines,
                framing,
                head.protocol,
                exchange.request_id,
                exchange.forwarded(),
            )
        )

    def hand_over(self, caller: Caller) -> None:
        """See `UpstreamPort`."""
        self._exchange = caller

    def send_body(self, data: bytes) -> None:
        """See `UpstreamPort`."""
        if self._closed:
            return
        if self._chunked_out:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._write(data)
        self.deadline = monotonic() + self._timeouts.first_byte

    def send_end(self, trailers: bytes) -> None:
        """See `UpstreamPort`."""
        if self._chunked_out and not self._closed:
            self._write(b"0\r\n%b\r\n" % trailers)

    def send_tunnelled(self, data: bytes) -> None:
        """See `UpstreamPort`."""
        if not self._closed:
            self._write(data)
            self.deadline = monotonic() + self._timeouts.tunnel_idle

    def hold(self, on: bool) -> None:
        """See `UpstreamPort`."""
        if self._closed:
            return
        self._held = on
        if on:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
            self._chunk_at = 0.0
            self.deadline = monotonic() + self._silence()

    def keep(self) -> None:
        """See `UpstreamPort`."""
        self._exchange = None
        head = self._head
        if self._closed:
            return
        if head is None or not head.keep_alive or not self._replica.serving:
            self.close()
            return
        self._transport.resume_reading()
        self._set_deadline(monotonic() + self._plane.timeouts.upstream_keep_alive)
        self.reused = True
        self._replica.idle.append(self)

    def abort(self) -> None:
        """See `UpstreamPort`."""
        self._exchange = None
        self._reader.stop()
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
        before = exchange.bytes_out
        try:
            self._reader.feed(data)
        except Refusal as error:
            caller = self._exchange or exchange  # another may have taken over with the head
            if self._complete:
                self.abort()
                caller.reply_end(b"")
            else:
                self._broken(f"the replica's reply breaks HTTP: {error.message}")
            return
        if self._complete and self._exchange is not None:
            if self._chunk_at and self._exchange.bytes_out != before:
                self._exchange.chunk_gap(monotonic() - self._chunk_at)
            trailers = self._trailers
            routing = self._plane.routing_fields
            self._exchange.reply_end(trailer_lines(trailers, routing) if trailers else b"")
        elif self._head is not None and self._exchange is not None:
            now = monotonic()
            self.deadline = now + self._silence()
            if self._exchange.bytes_out != before and self._head.status != 101:
                if self._chunk_at:
                    self._exchange.chunk_gap(now - self._chunk_at)
                self._chunk_at = now

    def reply(self, head: ReplyHead) -> None:
        """See `ReplySink`."""
        exchange = self._exchange
        if exchange is None:
            return
        if head.status < 200 and head.status != 101:
            exchange.reply_interim(head)
            return
        self._head = head
        self._set_deadline(monotonic() + self._silence())
        exchange.reply_head(head)

    def message_body(self, data: bytes) -> None:
        """See `Sink`."""
        if self._exchange is not None:
            self._exchange.reply_body(data)

    def message_end(self, trailers: RawHeaders) -> None:
        """See `Sink`. What the reader still holds belongs to no request."""
        self._complete = True
        self._trailers = trailers
        self._reader.idle()

    def tunnelled(self, data: bytes) -> None:
        """See `Sink`."""
        if self._exchange is not None:
            self._exchange.tunnel_out(data)

    def _silence(self) -> float:
        """Seconds without a byte that end the reply or the tunnel."""
        timeouts = self._timeouts
        if self._head is not None and self._head.status == 101:
            return timeouts.tunnel_idle
        return timeouts.stream_idle

    def flush(self) -> None:
        """Write what was gathered (`router.plane.Gathering`)."""
        if self._closed:
            self._out.clear()
        else:
            self._sent = True
            super().flush()

    def _broken(self, message: str) -> None:
        exchange, self._exchange = self._exchange, None
        self.abort()
        if exchange is not None:
            exchange.upstream_lost("bad_reply", message)

    def _unkeep(self) -> None:
        if self in self._replica.idle:
            self._replica.idle.remove(self)
