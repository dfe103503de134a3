"""HTTP/1.1 towards the client: the order of requests and replies, and flow control.

One exchange is active at a time; requests that arrive behind it (pipelining, RFC 9112 section
9.3.2) wait parsed, in order, and reading stops when there are many of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from fleet.telemetry import slab as words
from router.errors import Refusal
from router.http.connection import GONE
from router.http.encode import interim_head, switch_head
from router.http.exchange import Exchange
from router.http.grammar import RawHeaders
from router.http.head import Framing, RequestHead
from router.http.names import trailer_lines
from router.http.phase import Phase
from router.http.reply import ReplyHead
from router.http.replying import DISCARDED_BODY, Replying
from router.http.requests import RequestReader
from router.peer import Peer, peer_of
from router.timers import NEVER

if TYPE_CHECKING:
    from router.plane import Plane

MAX_PIPELINED = 16
"""Parsed requests that wait behind the active one before reading stops."""

_HOLD_BODY = 1
_HOLD_PIPELINE = 2
_HOLD_REPLIES = 4


class Downstream(Replying):
    """A client's connection."""

    __slots__ = (
        "_advancing",
        "_body_from",
        "_client",
        "_deaf",
        "_discarded",
        "_discarding",
        "_last",
        "_pipeline",
        "_reader",
        "_rejected",
        "paused",
        "peer",
    )

    def __init__(self, plane: Plane, client: str | None = None) -> None:
        """`client` stands for the address of the transport's peer if given."""
        super().__init__(plane)
        # for the connection
        self._reader = RequestReader(self, plane)
        self._client = client
        self.peer: Peer
        self.paused = False
        self._deaf = False
        """What comes in is not understood any more: closing, or behind a bad request."""
        self._rejected: Refusal | None = None
        """Answers the bad request behind the exchanges under way."""
        # for the request being read
        self._last: Exchange | None = None
        self._body_from = 0.0
        self._discarding = False
        self._discarded = 0
        # behind the reply being sent
        self._pipeline: deque[Exchange] = deque()
        self._advancing = False

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._transport = transport  # type: ignore[assignment]
        self.peer = peer_of(transport, self._plane.trusted, self._client)
        plane = self._plane
        plane.opened(self)
        if plane.connections > plane.limits.connections:
            plane.count(words.CONNECTIONS_REFUSED)
            self._refuse_input(Refusal(503, "too_many_connections", "too many connections"))
            return
        self._set_deadline(monotonic() + plane.timeouts.keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._closing = self._deaf = True
        self._out.clear()
        self._pipeline.clear()
        self._plane.closed(self)
        self._plane.wheel.forget(self)
        self._reader.stop()
        if self._exchange is not None:
            self._exchange.client_gone()
        self._transport = GONE

    def pause_writing(self) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self.paused = True
        if self._exchange is not None:
            self._exchange.downstream_paused(True)
        else:
            self._set_hold(_HOLD_REPLIES, True)

    def resume_writing(self) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self.paused = False
        self._set_hold(_HOLD_REPLIES, False)
        if self._exchange is not None:
            self._exchange.downstream_paused(False)

    def on_deadline(self, now: float) -> None:
        """Called by the wheel (`router.timers.Timed`)."""
        exchange = self._exchange
        if self._closing:
            self._linger(now)
        elif self._reader.in_head:
            self._refuse_input(Refusal(408, "header_timeout", "the request's head came too slowly"))
        elif exchange is None:
            self._close()
        elif self._holds:
            self._set_deadline(now + exchange.timeouts.body)
        else:
            self.deadline = NEVER
            exchange.head.keep_alive = False
            exchange.fail(Refusal(408, "body_timeout", "the request's body came too slowly"))

    def drain(self) -> None:
        """The worker is stopping: close when idle, or with the reply that is on its way."""
        if self._exchange is None and not self._reader.in_head and not self._closing:
            self._close()

    # reading requests (RequestSink)

    def data_received(self, data: bytes) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        if self._deaf:
            return
        reader = self._reader
        in_head = reader.in_head
        try:
            reader.feed(data)
        except Refusal as refusal:
            self._bad_input(refusal)
        exchange = self._exchange
        if exchange is not None:
            if exchange is self._last and not self._deaf:
                self._time_body(exchange)
        elif reader.in_head and not in_head and not self._deaf:
            self._set_deadline(monotonic() + self._plane.timeouts.header)

    def request(self, head: RequestHead) -> None:
        """See `RequestSink`."""
        exchange = Exchange(self._plane, self, head)
        self._last = exchange
        if head.framing is Framing.NONE:
            exchange.request_ended = True
            self._last = exchange if head.websocket else None
        if self._exchange is None:
            self._start(exchange)
        else:
            self._pipeline.append(exchange)
            if len(self._pipeline) >= MAX_PIPELINED:
                self._set_hold(_HOLD_PIPELINE, True)
                self._reader.halted = True

    def message_body(self, data: bytes) -> None:
        """See `Sink`."""
        exchange = self._last
        if exchange is None:
            self._discarded += len(data)
            if self._discarded > DISCARDED_BODY:
                self._close()
            return
        exchange.request_body(data)

    def message_end(self, trailers: RawHeaders) -> None:
        """See `Sink`."""
        exchange, self._last = self._last, None
        if exchange is None:
            if self._discarding:
                self._discarding = False
                self._next()
            return
        if exchange is self._exchange:
            self.deadline = NEVER
        routing = self._plane.routing_fields
        exchange.request_end(trailer_lines(trailers, routing) if trailers else b"")

    def tunnelled(self, data: bytes) -> None:
        """See `Sink`."""
        if self._exchange is not None:
            self._exchange.tunnel_in(data)

    def _start(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._reply_started = False
        self._framing = Framing.NONE
        self.deadline = NEVER
        exchange.start()
        self._body_from = exchange.started

    def _time_body(self, exchange: Exchange) -> None:
        """Let the body go on for as long as it is neither silent nor slow.

        It may take `timeouts.body` longer than it would at the least rate (Apache httpd's
        mod_reqtimeout counts the same way).
        """
        if exchange.request_ended or (exchange.head.expect_continue and not exchange.bytes_in):
            return
        wait = exchange.timeouts.body
        due = monotonic() + wait
        rate = exchange.limits.body_rate
        if rate:
            due = min(due, self._body_from + wait + exchange.bytes_in / rate)
        self._set_deadline(due)

    def _bad_input(self, refusal: Refusal) -> None:
        """What follows cannot be understood: after the replies under way, refuse and close."""
        if self._deaf:
            return
        last = self._last
        if self._discarding:
            self._close()
        elif last is None:
            self._refuse_input(refusal)
        elif last is self._exchange:
            last.head.keep_alive = False
            last.fail(refusal)
        else:
            self._pipeline.remove(last)
            self._refuse_input(refusal)

    def _refuse_input(self, refusal: Refusal) -> None:
        """Answer bytes that never became an exchange, after the replies under way, and close."""
        self._deaf = True
        self._reader.stop()
        self._last = None
        if self._exchange is not None:
            self._rejected = refusal
            return
        plane = self._plane
        plane.unrouted.add(words.STARTED)
        request_id = plane.new_id()
        self.send_refusal(refusal, request_id)
        plane.unrouted.add(words.REQUESTS + refusal.status // 100)
        plane.log.refusal(refusal, request_id, self.peer.client)
        self._close()

    # sending replies (DownstreamPort)

    def send_interim(self, head: ReplyHead) -> None:
        """See `DownstreamPort`."""
        self._write(interim_head(head))
        exchange = self._exchange
        if head.status == 100 and exchange is not None:
            self._body_from = monotonic()
            self._time_body(exchange)

    def open_tunnel(self, head: ReplyHead, extra: bytes) -> None:
        """See `DownstreamPort`."""
        self._reply_started = True
        self._last = None
        self._write(switch_head(head, extra))
        self._reader.switch(True)

    def truncate(self) -> None:
        """See `DownstreamPort`."""
        assert self._exchange is not None
        self._exchange.head.keep_alive = False
        if self._framing is Framing.UNTIL_CLOSE:
            self._deaf = True
            self._reset()

    def abandon(self) -> None:
        """The worker's time is over: end now, and not cleanly if a reply is under way."""
        if self._exchange is not None and self._framing is Framing.UNTIL_CLOSE:
            self._reset()
        else:
            self.flush()
            self._transport.close()

    def hold(self, on: bool) -> None:
        """See `DownstreamPort`."""
        self._set_hold(_HOLD_BODY, on)
        exchange = self._exchange
        if not on and self.deadline != NEVER and exchange is not None:
            rate = exchange.limits.body_rate
            self._body_from = monotonic() - (exchange.bytes_in / rate if rate else 0.0)
            self._time_body(exchange)

    def exchange_done(self, exchange: Exchange) -> None:
        """See `DownstreamPort`."""
        self._exchange = None
        if self._last is exchange:
            self._last = None
        if self._closing:
            return
        if exchange.head.websocket:
            self._reader.switch(False)
        self._set_hold(_HOLD_REPLIES, self.paused)
        self._set_hold(_HOLD_BODY, False)
        if not exchange.head.keep_alive:
            self._close()
        elif exchange.request_ended:
            self._next()
        else:
            self._discarding = True
            self._discarded = 0
            self._set_deadline(monotonic() + exchange.timeouts.body)

    def _next(self) -> None:
        if self._advancing:
            return
        self._advancing = True
        while self._pipeline and self._exchange is None and not self._closing:
            exchange = self._pipeline.popleft()
            self._set_hold(_HOLD_PIPELINE, len(self._pipeline) >= MAX_PIPELINED)
            self._start(exchange)
            if exchange.phase is not Phase.DONE:
                self._time_body(exchange)
        self._advancing = False
        if self._reader.halted and len(self._pipeline) < MAX_PIPELINED:
            self._reader.halted = False
            self.data_received(b"")
        if self._exchange is not None or self._closing:
            return
        if self._rejected is not None:
            self._refuse_input(self._rejected)
        elif self._plane.draining and not self._reader.in_head:
            self._close()
        else:
            timeouts = self._plane.timeouts
            wait = timeouts.header if self._reader.in_head else timeouts.keep_alive
            self._set_deadline(monotonic() + wait)

    # helpers

    def _close(self) -> None:
        self._deaf = True
        self._reader.stop()
        self._pipeline.clear()
        self._end(linger=self._reply_started)
