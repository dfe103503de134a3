"""HTTP/1.1 towards the client: parser callbacks, framing of replies and flow control.

One exchange is active at a time; requests that arrive behind it (pipelining, RFC 9112 section
9.3.2) wait parsed, in order, and reading stops when there are many of them.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

import httptools

from fleet.telemetry import slab as words
from router.errors import Refusal
from router.http.encode import CONTINUE, LAST_CHUNK, body_framing, refusal_head, reply_head
from router.http.exchange import Exchange
from router.http.head import Framing, parse_head
from router.http.reply import ReplyHead
from router.peer import Peer, peer_of
from router.timers import NEVER

if TYPE_CHECKING:
    from router.plane import Plane

MAX_PIPELINED = 16
"""Parsed requests that wait behind the active one before reading stops."""

DISCARDED_BODY = 262_144
"""Bytes of an unwanted request body that are read and thrown away to keep a connection (Go's
net/http reads 256 KiB)."""

LINGER = 2.0
"""Seconds a closing connection goes on reading, so that a reset does not overtake the reply
(RFC 9112 section 9.6)."""

_HOLD_BODY = 1
_HOLD_PIPELINE = 2
_HOLD_REPLIES = 4

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 seconds: close(2) sends RST (socket(7))."""


class Downstream(asyncio.Protocol):
    """A client's connection."""

    __slots__ = (
        "_advancing",
        "_client",
        "_closing",
        "_deaf",
        "_discarded",
        "_discarding",
        "_exchange",
        "_framing",
        "_head_size",
        "_holds",
        "_in_head",
        "_last",
        "_out",
        "_parser",
        "_pipeline",
        "_plane",
        "_raw",
        "_rejected",
        "_reply_started",
        "_target",
        "_transport",
        "_unsent",
        "deadline",
        "filed",
        "paused",
        "peer",
    )

    def __init__(self, plane: Plane, client: str | None = None) -> None:
        """`client` stands for the address of the transport's peer if given."""
        self._plane = plane
        # for the connection
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._client = client
        self.peer: Peer
        self.paused = False
        self.deadline = NEVER
        self.filed = -1.0
        self._holds = 0
        self._unsent = 0
        self._closing = False
        self._deaf = False
        """What comes in is not understood any more: closing, or behind a bad request."""
        self._rejected: Refusal | None = None
        """Answers the bad request behind the exchanges under way."""
        # for the request being read
        self._in_head = False
        self._head_size = 0
        self._target = b""
        self._raw: list[tuple[bytes, bytes]] = []
        self._last: Exchange | None = None
        self._discarding = False
        self._discarded = 0
        # for the reply being sent
        self._exchange: Exchange | None = None
        self._pipeline: deque[Exchange] = deque()
        self._advancing = False
        self._reply_started = False
        self._framing = Framing.NONE
        self._out: list[bytes] = []

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._transport = transport  # type: ignore[assignment]
        self.peer = peer_of(transport, self._plane.trusted, self._client)
        plane = self._plane
        plane.opened(self)
        if plane.connections > plane.limits.connections:
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
        if self._exchange is not None:
            self._exchange.client_gone()

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
        elif self._in_head:
            self._refuse_input(Refusal(408, "header_timeout", "the request's head came too slowly"))
        elif exchange is None:
            self._close()
        elif self._holds:
            self._set_deadline(now + self._plane.timeouts.body)
        else:
            self.deadline = NEVER
            exchange.head.keep_alive = False
            exchange.fail(Refusal(408, "body_timeout", "the request's body came too slowly"))

    def drain(self) -> None:
        """The worker is stopping: close when idle, or with the reply that is on its way."""
        if self._exchange is None and not self._in_head and not self._closing:
            self._close()

    # reading requests

    def data_received(self, data: bytes) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        if self._deaf:
            return
        before = self._in_head
        if before:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            self._bad_input(str(error))
        if before and self._in_head and not self._deaf:
            self._check_head_size(self._head_size)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if self._deaf:
            return
        self._in_head = True
        self._head_size = 0
        self._target = b""
        self._raw = []
        if self._exchange is None:
            self._set_deadline(monotonic() + self._plane.timeouts.header)

    def on_url(self, url: bytes) -> None:
        """Called by the parser, with parts of the target."""
        if self._deaf:
            return
        self._target += url
        if len(self._target) > self._plane.limits.target:
            self._refuse_input(Refusal(414, "target_too_long", "the request target is too long"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for header fields and for trailers, which are dropped."""
        if self._in_head:
            self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if self._deaf:
            return
        self._in_head = False
        raw = self._raw
        parser = self._parser
        size = len(self._target) + sum([len(n) + len(v) + 4 for n, v in raw])
        if not self._check_head_size(size):
            return
        try:
            head = parse_head(parser.get_method(), self._target, parser.get_http_version(), raw)
        except Refusal as refusal:
            self._refuse_input(refusal)
            return
        exchange = Exchange(self._plane, self, head)
        self._last = exchange
        if head.framing is Framing.NONE:
            exchange.request_ended = True
        if self._exchange is None:
            self._start(exchange)
        else:
            self._pipeline.append(exchange)
            if len(self._pipeline) >= MAX_PIPELINED:
                self._set_hold(_HOLD_PIPELINE, True)

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        if self._deaf:
            return
        exchange = self._last
        if exchange is None:
            self._discarded += len(data)
            if self._discarded > DISCARDED_BODY:
                self._close()
            return
        exchange.request_body(data)
        if self.deadline != NEVER and exchange is self._exchange:
            self.deadline = monotonic() + self._plane.timeouts.body

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self._deaf:
            return
        exchange, self._last = self._last, None
        if exchange is None:
            if self._discarding:
                self._discarding = False
                self._next()
            return
        if exchange is self._exchange:
            self.deadline = NEVER
        if not exchange.request_ended:
            exchange.request_end()

    def _start(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._reply_started = False
        self._framing = Framing.NONE
        if exchange.request_ended:
            self.deadline = NEVER
        else:
            self._set_deadline(monotonic() + self._plane.timeouts.body)
        exchange.start()

    def _check_head_size(self, size: int) -> bool:
        limits = self._plane.limits
        if size > limits.header_size:
            what = "the header is too large"
        elif len(self._raw) > limits.headers:
            what = "too many header fields"
        else:
            return True
        self._refuse_input(Refusal(431, "header_too_large", what))
        return False

    def _bad_input(self, message: str) -> None:
        """What follows cannot be understood: after the replies under way, 400 and close."""
        if self._deaf:
            return
        refusal = Refusal(400, "bad_request", message)
        last = self._last
        if self._discarding:
            self._close()
        elif last is None:
            self._refuse_input(refusal)
        elif last is self._exchange:
            last.head.keep_alive = False
            last.fail(refusal)
        else:
            self._pipeline.pop()
            self._refuse_input(refusal)

    def _refuse_input(self, refusal: Refusal) -> None:
        """Answer bytes that never became an exchange, after the replies under way, and close."""
        self._deaf = True
        self._in_head = False
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

    def send_continue(self) -> None:
        """See `DownstreamPort`."""
        self._write(CONTINUE)

    def send_head(self, head: ReplyHead, extra: bytes) -> None:
        """See `DownstreamPort`."""
        exchange = self._exchange
        assert exchange is not None
        self._reply_started = True
        request = exchange.head
        if self._plane.draining or not exchange.request_ended:
            request.keep_alive = False
        self._framing = framing = body_framing(head, request.minor)
        self._write(reply_head(head, framing, extra, close=not request.keep_alive))

    def send_body(self, data: bytes) -> None:
        """See `DownstreamPort`."""
        if self._framing is Framing.CHUNKED:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._write(data)

    def send_end(self) -> None:
        """See `DownstreamPort`."""
        if self._framing is Framing.CHUNKED:
            self._write(LAST_CHUNK)

    def send_refusal(self, refusal: Refusal, request_id: bytes) -> int:
        """See `DownstreamPort`."""
        exchange = self._exchange
        self._reply_started = True
        close = True
        body = refusal.body(request_id)
        if exchange is not None:
            request = exchange.head
            if not exchange.request_ended and (
                request.expect_continue or request.length > DISCARDED_BODY
            ):
                request.keep_alive = False
            if self._plane.draining:
                request.keep_alive = False
            close = not request.keep_alive
        self._write(refusal_head(refusal, len(body), request_id, close=close))
        if exchange is not None and exchange.head.method == b"HEAD":
            return 0
        self._write(body)
        return len(body)

    def truncate(self) -> None:
        """See `DownstreamPort`."""
        assert self._exchange is not None
        self._exchange.head.keep_alive = False
        if self._framing is Framing.UNTIL_CLOSE:
            self._reset()

    def abandon(self) -> None:
        """The worker's time is over: end now, and not cleanly if a reply is under way."""
        if self._exchange is not None and self._framing is Framing.UNTIL_CLOSE:
            self._reset()
        else:
            self.flush()
            self._transport.close()

    def _reset(self) -> None:
        """Cut the connection with a reset: a plain end would pass for the end of a body that
        is delimited by it.
        """
        self._closing = self._deaf = True
        self._out.clear()
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def hold(self, on: bool) -> None:
        """See `DownstreamPort`."""
        self._set_hold(_HOLD_BODY, on)
        if not on and self.deadline != NEVER:
            self.deadline = monotonic() + self._plane.timeouts.body

    def exchange_done(self, exchange: Exchange) -> None:
        """See `DownstreamPort`."""
        self._exchange = None
        if self._last is exchange:
            self._last = None
        if self._closing:
            return
        self._set_hold(_HOLD_REPLIES, self.paused)
        self._set_hold(_HOLD_BODY, False)
        if not exchange.head.keep_alive:
            self._close()
        elif exchange.request_ended:
            self._next()
        else:
            self._discarding = True
            self._discarded = 0
            self._set_deadline(monotonic() + self._plane.timeouts.body)

    def _next(self) -> None:
        if self._advancing:
            return
        self._advancing = True
        while self._pipeline and self._exchange is None and not self._closing:
            exchange = self._pipeline.popleft()
            self._set_hold(_HOLD_PIPELINE, len(self._pipeline) >= MAX_PIPELINED)
            self._start(exchange)
        self._advancing = False
        if self._exchange is not None or self._closing:
            return
        if self._rejected is not None:
            self._refuse_input(self._rejected)
        elif self._plane.draining and not self._in_head:
            self._close()
        else:
            timeouts = self._plane.timeouts
            wait = timeouts.header if self._in_head else timeouts.keep_alive
            self._set_deadline(monotonic() + wait)

    # helpers

    def _write(self, data: bytes) -> None:
        if not self._out:
            self._plane.gathers(self)
        self._out.append(data)

    def flush(self) -> None:
        """Write what was gathered (`router.plane.Gathering`)."""
        out, self._out = self._out, []
        if out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _set_hold(self, reason: int, on: bool) -> None:
        before = self._holds
        self._holds = before | reason if on else before & ~reason
        if self._closing or bool(before) == bool(self._holds):
            return
        if self._holds:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _set_deadline(self, at: float) -> None:
        self.deadline = at
        if not 0 <= self.filed <= at:
            self._plane.wheel.file(self)

    def _close(self) -> None:
        """Send what is written, then close; go on reading a while so as not to reset."""
        self.flush()
        self._set_hold(self._holds, False)
        self._closing = self._deaf = True
        self._pipeline.clear()
        if self._reply_started and self._transport.can_write_eof():
            self._unsent = self._transport.get_write_buffer_size()
            self._transport.write_eof()
            self._set_linger(monotonic())
        else:
            self._transport.close()

    def _linger(self, now: float) -> None:
        """Wait on while the client still takes what is written, then cut the connection."""
        unsent = self._transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent = unsent
            self._set_linger(now)
        else:
            self.deadline = NEVER
            self._transport.abort()

    def _set_linger(self, now: float) -> None:
        self._set_deadline(now + (self._plane.timeouts.body if self._unsent else LINGER))
