"""One request and its reply on a connection of HTTP/2: what an exchange takes for its client.

Towards the replica: pieces of the body are passed on as they come, and the client is given new
room for them (WINDOW_UPDATE) only when nothing holds them. Towards the client: what the replica
sends waits here for the client's windows, and above `HIGH` the replica is held.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes

from fleet.telemetry import slab as words
from router.errors import Refusal
from router.http.exchange import Exchange
from router.http.grammar import RawHeaders
from router.http.head import Framing, RequestHead
from router.http.names import trailer_lines
from router.http.phase import Phase
from router.http.reply import ReplyHead
from router.http2.errors import Malformed
from router.http2.frames import MAX_FRAME
from router.http2.hpack import Fields
from router.http2.reply import fields_of, refusal_fields, reply_fields, tunnel_fields
from router.timers import NEVER

if TYPE_CHECKING:
    from router.http2.connection import Connection

HIGH = 65_536
"""Bytes of a reply that wait for the client before its replica is held."""
LOW = 16_384


class Stream:
    """See the module (`DownstreamPort`)."""

    __slots__ = (
        "_body_from",
        "_connection",
        "_ended",
        "_exchange",
        "_head",
        "_held",
        "_offset",
        "_pending",
        "_reset",
        "_trailers",
        "_unacknowledged",
        "closed",
        "deadline",
        "id",
        "paused",
        "peer",
        "request_ended",
        "waiting",
    )

    def __init__(self, connection: Connection, stream_id: int) -> None:
        self._connection = connection
        self.id = stream_id
        self.peer = connection.peer
        self.closed = False
        self.deadline = NEVER
        """Owned by the connection: `Connection.time`."""
        # the request
        self._exchange: Exchange | None = None
        self.request_ended = False
        self._body_from = 0.0
        self._held = False
        self._unacknowledged = 0
        # the reply
        self.paused = False
        self._head: Fields | None = None
        self._pending: deque[bytes] = deque()
        self._offset = 0
        """How much of the first piece that waits is gone."""
        self.waiting = 0
        """Bytes of the reply's body that wait."""
        self._trailers: Fields = []
        self._ended = False
        """Nothing comes behind what waits."""
        self._reset: ErrorCodes | None = None
        """Ends the stream, instead of a clean end."""

    def __repr__(self) -> str:
        return f"<Stream {self.id} waiting={self.waiting} {self._exchange!r}>"

    # the request, as the connection reads it

    def begin(self, head: RequestHead, *, ended: bool) -> None:
        """The request's head has come; `ended`: and nothing more will."""
        exchange = Exchange(self._connection.plane, self, head)
        exchange.request_ended = ended or head.websocket
        self.request_ended = ended
        self._exchange = exchange
        exchange.start()
        self._body_from = exchange.started

    def reject(self, refusal: Refusal, *, bodiless: bool) -> None:
        """Answer what never became an exchange."""
        plane = self._connection.plane
        plane.unrouted.add(words.STARTED)
        request_id = plane.new_id()
        self._refuse(refusal, request_id, bodiless=bodiless)
        plane.unrouted.add(words.REQUESTS + refusal.status // 100)
        plane.log.refusal(refusal, request_id, self.peer.client)

    def body(self, data: bytes, size: int) -> None:
        """A piece of the request's body, `size` bytes by the windows' count, has come."""
        if size:
            self._unacknowledged += size
            if not self._held:
                self._acknowledge()
        exchange = self._exchange
        if exchange is None or not data:
            return
        head = exchange.head
        if exchange.phase is Phase.TUNNEL:
            exchange.tunnel_in(data)
        elif head.websocket:
            self._fault(Malformed("bytes before the switch of protocols", "early_data"))
        elif head.framing is not Framing.CHUNKED and exchange.bytes_in + len(data) > head.length:
            self._fault(Malformed("the body is longer than Content-Length", "bad_framing"))
        else:
            exchange.request_body(data)

    def end(self, trailers: RawHeaders) -> None:
        """The client has ended its side."""
        self.request_ended = True
        self._connection.time(self, NEVER)
        exchange = self._exchange
        if exchange is None:
            return
        head = exchange.head
        if head.websocket:
            exchange.client_gone()
            self.send_end(b"")
        elif head.framing is not Framing.CHUNKED and exchange.bytes_in < head.length:
            self._fault(Malformed("the body is shorter than Content-Length", "bad_framing"))
        else:
            routing = self._connection.plane.routing_fields
            exchange.request_end(trailer_lines(trailers, routing) if trailers else b"")

    def bad_trailers(self, refusal: Refusal) -> None:
        """The client has ended its side with trailers that must not be."""
        self.request_ended = True
        if self._exchange is not None:
            self._fault(refusal)

    def gone(self) -> None:
        """The stream is over without us: reset by the client, or its connection is lost."""
        self._close()
        if self._exchange is not None:
            self._exchange.client_gone()

    def break_off(self, code: ErrorCodes) -> None:
        """End the stream while its request may be under way."""
        self.reset(code)
        if self._exchange is not None:
            self._exchange.client_gone()

    def time_body(self) -> None:
        """Let the body go on for as long as it is neither silent nor slow; see
        `Downstream._time_body`.
        """
        exchange = self._exchange
        if exchange is None or self.request_ended or self._held or exchange.head.websocket:
            return
        if exchange.head.expect_continue and not exchange.bytes_in:
            return
        wait = exchange.timeouts.body
        due = monotonic() + wait
        rate = exchange.limits.body_rate
        if rate:
            due = min(due, self._body_from + wait + exchange.bytes_in / rate)
        self._connection.time(self, due)

    def on_deadline(self) -> None:
        """The body, or the client that takes the reply, has come to a stop."""
        self._connection.time(self, NEVER)
        exchange = self._exchange
        if exchange is not None:
            exchange.fail(Refusal(408, "body_timeout", "the request's body came too slowly"))
        else:
            self.reset(ErrorCodes.CANCEL)

    # the reply, as the exchange gives it (DownstreamPort)

    def send_interim(self, head: ReplyHead) -> None:
        """See `DownstreamPort`."""
        if self.closed:
            return
        session = self._connection.session
        session.send_headers(self.id, reply_fields(head, b""))
        self._connection.wake()
        if head.status == 100:
            self._body_from = monotonic()
            self.time_body()

    def send_head(self, head: ReplyHead, extra: bytes) -> None:
        """See `DownstreamPort`."""
        self._head = reply_fields(head, extra)
        self._connection.ready(self)

    def send_body(self, data: bytes) -> None:
        """See `DownstreamPort`."""
        if self.closed:
            return
        self._pending.append(data)
        self.waiting += len(data)
        self._connection.ready(self)
        if self.waiting > HIGH and not self.paused:
            self.paused = True
            if self._exchange is not None:
                self._exchange.downstream_paused(True)

    def send_end(self, trailers: bytes) -> None:
        """See `DownstreamPort`."""
        self._ended = True
        if trailers:
            self._trailers = fields_of(trailers)
        self._connection.ready(self)

    def send_refusal(self, refusal: Refusal, request_id: bytes) -> int:
        """See `DownstreamPort`."""
        exchange = self._exchange
        bodiless = exchange is not None and exchange.head.method == b"HEAD"
        return self._refuse(refusal, request_id, bodiless=bodiless)

    def open_tunnel(self, head: ReplyHead, extra: bytes) -> None:
        """See `DownstreamPort`."""
        self._head = tunnel_fields(head, extra)
        self._connection.ready(self)

    def send_tunnelled(self, data: bytes) -> None:
        """See `DownstreamPort`."""
        self.send_body(data)

    def close_tunnel(self) -> None:
        """See `DownstreamPort`."""
        self.send_end(b"")

    def truncate(self) -> None:
        """See `DownstreamPort`."""
        if not self.closed:
            self.emit(MAX_FRAME)
            self.reset(self._reset or ErrorCodes.INTERNAL_ERROR)

    def hold(self, on: bool) -> None:
        """See `DownstreamPort`."""
        if on == self._held or self.closed:
            return
        self._held = on
        exchange = self._exchange
        if on:
            self._connection.time(self, NEVER)
        elif exchange is not None:
            self._acknowledge()
            rate = exchange.limits.body_rate
            self._body_from = monotonic() - (exchange.bytes_in / rate if rate else 0.0)
            self.time_body()

    def exchange_done(self, exchange: Exchange) -> None:
        """See `DownstreamPort`."""
        self._exchange = None
        self._held = True  # no more room for what nobody takes
        self.paused = False
        if not self.closed:
            self._connection.time(self, self._stalls_at())

    # sending, when the connection has room

    def emit(self, room: int) -> int:
        """Send the head, then what the windows allow of one DATA frame, then the end.

        Gives the bytes of body sent, at most `room`.
        """
        session = self._connection.session
        clean = self._ended and self._reset is None and not self._trailers
        if self._head is not None:
            head, self._head = self._head, None
            last = clean and not self.waiting
            session.send_headers(self.id, head, end_stream=last)
            if last:
                self._over()
                return 0
        sent = 0
        if self.waiting and room > 0:
            sent = min(self.waiting, room, session.local_flow_control_window(self.id), MAX_FRAME)
            if sent <= 0:
                return 0
            last = clean and sent == self.waiting
            session.send_data(self.id, self._take(sent), end_stream=last)
            self._connection.spending.sent += 1
            if last:
                self._over()
                return sent
            self._progress()
        if self._ended and not self.waiting:
            if self._reset is not None:
                self.reset(self._reset)
                return sent
            if self._trailers:
                session.send_headers(self.id, self._trailers, end_stream=True)
            else:
                session.end_stream(self.id)
            self._over()
        return sent

    def reset(self, code: ErrorCodes) -> None:
        """End the stream at once, both ways."""
        self._connection.session.reset_stream(self.id, code)
        self._connection.wake()
        self._close()

    # helpers

    def _refuse(self, refusal: Refusal, request_id: bytes, *, bodiless: bool) -> int:
        if isinstance(refusal, Malformed):
            self._reset = ErrorCodes.PROTOCOL_ERROR
        body = refusal.body(request_id)
        self._head = refusal_fields(refusal, len(body), request_id)
        if body and not bodiless:
            self._pending.append(body)
            self.waiting += len(body)
        self._ended = True
        self._connection.ready(self)
        return 0 if bodiless else len(body)

    def _fault(self, refusal: Refusal) -> None:
        """The request has broken the rules after its head."""
        assert self._exchange is not None
        if isinstance(refusal, Malformed):
            self._reset = ErrorCodes.PROTOCOL_ERROR
        self._exchange.fail(refusal)

    def _take(self, size: int) -> bytes:
        """The first `size` bytes that wait."""
        self.waiting -= size
        first = self._pending[0]
        start = self._offset
        if len(first) - start > size:
            self._offset = start + size
            return first[start : self._offset]
        parts = []
        while size:
            first = self._pending[0]
            part = first[self._offset : self._offset + size]
            size -= len(part)
            parts.append(part)
            if self._offset + len(part) == len(first):
                self._pending.popleft()
                self._offset = 0
            else:
                self._offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _progress(self) -> None:
        """The client has taken a piece."""
        if self._exchange is None:
            self._connection.time(self, self._stalls_at())
        elif self.paused and self.waiting < LOW:
            self.paused = False
            self._exchange.downstream_paused(False)

    def _stalls_at(self) -> float:
        return monotonic() + self._connection.plane.timeouts.stream_idle

    def _acknowledge(self) -> None:
        size, self._unacknowledged = self._unacknowledged, 0
        if size:
            self._connection.session.acknowledge_received_data(size, self.id)
            self._connection.wake()

    def _over(self) -> None:
        """Our side is ended; a request that still comes in is not wanted any more."""
        if self.request_ended:
            self._close()
        else:
            self.reset(ErrorCodes.NO_ERROR)

    def _close(self) -> None:
        self.closed = True
        self._pending.clear()
        self.waiting = 0
        self._connection.time(self, NEVER)
        self._acknowledge()
        self._connection.forget(self)
