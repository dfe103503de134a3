"""HTTP/2 towards the client: one connection, many streams (RFC 9113).

Frames are understood by `Session` one at a time; each stream is a client of its own to an
exchange (`Stream`). Deadlines of streams are kept here, so that none is filed for a request that
is read and answered at once. What is sent is written by `Sending`.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from fleet.telemetry import slab as words
from router.errors import Refusal
from router.http.connection import GONE
from router.http2 import frames
from router.http2.errors import ConnectionFault
from router.http2.frames import Frame, FrameReader
from router.http2.request import request_head, request_trailers
from router.http2.sending import Sending
from router.http2.session import goaway
from router.http2.stream import Stream
from router.peer import Peer, peer_of
from router.timers import NEVER

if TYPE_CHECKING:
    from router.plane import Plane

GRACE: Final = 0.5
"""Seconds from the notice that the connection will end to the last stream that is served."""

_ANY_STREAM: Final = (1 << 31) - 1
_METERED: Final = {
    frames.GOAWAY: "goaway",
    frames.PING: "ping",
    frames.PRIORITY: "priority",
    frames.RST_STREAM: "reset",
    frames.SETTINGS: "settings",
    frames.WINDOW_UPDATE: "window_update",
}
_FREE: Final = frozenset({frames.CONTINUATION, frames.DATA, frames.HEADERS})


class Connection(Sending):
    """See the module."""

    __slots__ = (
        "_begun",
        "_deaf",
        "_end_from",
        "_frames",
        "_head_due",
        "_idle_due",
        "_last",
        "_streams",
        "_timed",
        "client",
        "peer",
    )

    def __init__(self, plane: Plane, client: str | None = None) -> None:
        """`client` stands for the address of the transport's peer if given."""
        super().__init__(plane)
        self.client = client
        self.peer: Peer
        self._frames = FrameReader(self.session.max_read)
        self._streams: dict[int, Stream] = {}
        self._timed: set[Stream] = set()
        self._begun: list[Stream] = []
        """Streams whose requests began in what is being read."""
        self._deaf = False
        self._head_due = NEVER
        self._idle_due = NEVER
        self._end_from = NEVER
        """When the notice that the connection will end was sent."""
        self._last = _ANY_STREAM
        """The last stream that is served."""

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._transport = transport  # type: ignore[assignment]
        plane = self.plane
        self.peer = peer_of(transport, plane.trusted, self.client)
        plane.opened(self)
        plane.count(words.HTTP2_OPENED)
        self.wake()
        if plane.connections > plane.limits.connections:
            plane.count(words.CONNECTIONS_REFUSED)
            message = "too many connections"
            self._give_up(
                ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "too_many_connections", message)
            )
            return
        now = monotonic()
        self._head_due = now + plane.timeouts.header
        self._idle_due = now + plane.timeouts.keep_alive
        self._hasten(min(self._head_due, self._idle_due))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._closing = self._deaf = True
        self._out.clear()
        self.plane.closed(self)
        self.plane.count(words.HTTP2_CLOSED)
        self._drop_streams()
        self.plane.wheel.forget(self)
        self._transport = GONE

    def drain(self) -> None:
        """The worker is stopping: announce it, soon name the last stream, close when all are done.

        (RFC 9113 section 6.8: two GOAWAY frames, so that a request on its way is served.)
        """
        now = monotonic()
        if self._closing or self._deaf:
            return
        if self._end_from == NEVER:
            self._end_from = now
            self.say(goaway(_ANY_STREAM, ErrorCodes.NO_ERROR, "shutting down"))
        elif self._last == _ANY_STREAM and now >= self._end_from + GRACE:
            self._name_last("shutting down")

    def abandon(self) -> None:
        """The worker's time is over: end now, and not cleanly if a reply is under way."""
        if self._closing:
            return
        for stream in list(self._streams.values()):
            stream.break_off(ErrorCodes.INTERNAL_ERROR)
        self.flush()
        self._deaf = True
        self._transport.close()

    # reading

    def data_received(self, data: bytes) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        if self._deaf:
            return
        progress = False
        reader = self._frames
        try:
            for frame in reader.feed(data):
                self._frame(frame)
                progress = True
        except ConnectionFault as fault:
            self._give_up(fault)
            return
        except ProtocolError as error:
            # h2 has its GOAWAY ready
            self._fail(ConnectionFault(ErrorCodes(error.error_code), "http2_error", str(error)))
            return
        for stream in self._begun:
            stream.time_body()
        self._begun.clear()
        if not reader.unfinished:
            self._head_due = NEVER
        elif self._head_due == NEVER or (progress and not reader.in_block):
            self._head_due = monotonic() + self.plane.timeouts.header
            self._hasten(self._head_due)
        self.wake()

    def _frame(self, frame: Frame) -> None:
        kind = frame.kind
        if kind not in _FREE:
            self.spending.spend(_METERED.get(kind, "unknown"), monotonic())
            if kind == frames.WINDOW_UPDATE and self._zero_increment(frame):
                return
            if kind == frames.RST_STREAM and not self._known(frame.stream_id):
                # h2 passes over it
                message = "RST_STREAM of a stream not begun"
                raise ConnectionFault(ErrorCodes.PROTOCOL_ERROR, "http2_error", message)
            if kind == frames.GOAWAY and frame.stream_id == 0:
                # for h2 it ends the connection, but replies under way are still to be sent
                self._name_last("")
                return
        events = self.session.receive_data(frame.data)
        for event in events:
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event)

    def _known(self, stream_id: int) -> bool:
        """It was begun, whether or not it is over."""
        return stream_id % 2 == 1 and stream_id <= self.session.highest_inbound_stream_id

    def _zero_increment(self, frame: Frame) -> bool:
        """An increment of 0 is an error of its stream alone (RFC 9113 section 6.9)."""
        stream, payload = self._streams.get(frame.stream_id), frame.payload
        if stream is None or len(payload) != 4 or int.from_bytes(payload, "big") & _ANY_STREAM:
            return False
        self.spending.spend("reset", monotonic())
        stream.break_off(ErrorCodes.PROTOCOL_ERROR)
        return True

    def _request(self, event: RequestReceived) -> None:
        stream_id = event.stream_id
        fields = self.session.decoder.fields
        plane = self.plane
        if stream_id > self._last or len(self._streams) >= plane.limits.streams:
            self.spending.spend("reset", monotonic())
            self.session.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        ended = event.stream_ended is not None
        stream = self._streams[stream_id] = Stream(self, stream_id)
        plane.count(words.HTTP2_REQUESTS)
        try:
            head = request_head(
                fields,
                ended=ended,
                limits=plane.limits,
                refuse_paths=plane.refuse_paths,
                websocket_key=_websocket_key,
            )
        except Refusal as refusal:
            stream.request_ended = ended
            self.spending.spend("reset", monotonic())
            stream.reject(refusal, bodiless=(b":method", b"HEAD") in fields)
            return
        stream.begin(head, ended=ended)
        if not ended:
            self._begun.append(stream)

    def _data(self, event: DataReceived) -> None:
        ended = event.stream_ended is not None
        if not event.data and not ended:
            self.spending.spend("empty_data", monotonic())
        stream = self._streams[event.stream_id]
        stream.body(bytes(event.data), event.flow_controlled_length)
        if ended:
            stream.end(())
        elif stream not in self._begun:
            stream.time_body()

    def _trailers(self, event: TrailersReceived) -> None:
        stream = self._streams[event.stream_id]
        try:
            trailers = request_trailers(self.session.decoder.fields)
        except Refusal as refusal:
            stream.bad_trailers(refusal)
        else:
            stream.end(trailers)

    def _stream_reset(self, event: StreamReset) -> None:
        if not event.remote_reset:
            self.spending.spend("reset", monotonic())
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.gone()

    def _window_updated(self, event: WindowUpdated) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is not None and stream.waiting:
            self._ready[stream] = None

    def _settings_changed(self, event: RemoteSettingsChanged) -> None:
        for stream in self._streams.values():
            if stream.waiting:
                self._ready[stream] = None

    # deadlines

    def time(self, stream: Stream, at: float) -> None:
        """Look after `stream` at `at`, or no more (`NEVER`)."""
        stream.deadline = at
        if at == NEVER:
            self._timed.discard(stream)
        else:
            self._timed.add(stream)
            self._hasten(at)

    def _hasten(self, at: float) -> None:
        if at < self.deadline:
            self._set_deadline(at)

    def on_deadline(self, now: float) -> None:
        """Called by the wheel (`router.timers.Timed`)."""
        if self._closing:
            self._linger(now)
            return
        if self._head_due <= now:
            message = "a frame or a header block came too slowly"
            self._give_up(ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "header_timeout", message))
            return
        for stream in [s for s in self._timed if s.deadline <= now]:
            if stream.deadline <= now:  # not moved by the end of another
                stream.on_deadline()
        if not self._streams and self._idle_due <= now:
            self._name_last("idle")
        self._set_deadline(
            min(
                self._head_due,
                self._idle_due if not self._streams else NEVER,
                *(s.deadline for s in self._timed),
            )
        )

    # the end

    def flush(self) -> None:
        """Write, and close behind the last stream that is served."""
        super().flush()
        if self._last != _ANY_STREAM and not self._streams:
            self._finish()

    def forget(self, stream: Stream) -> None:
        """`stream` is over."""
        if self._streams.pop(stream.id, None) is None:
            return
        self._ready.pop(stream, None)
        if not self._streams:
            self._idle_due = monotonic() + self.plane.timeouts.keep_alive
            self._hasten(self._idle_due)
            if self._last != _ANY_STREAM:
                self.wake()

    def _name_last(self, message: str) -> None:
        """Serve no stream beyond those there are; close when they are done."""
        if self._last == _ANY_STREAM:
            self._last = self.session.highest_inbound_stream_id
            self.say(goaway(self._last, ErrorCodes.NO_ERROR, message))

    def _give_up(self, fault: ConnectionFault) -> None:
        """Tell the client why the connection ends, and end it."""
        self.say(goaway(self.session.highest_inbound_stream_id, fault.code, fault.message))
        self._fail(fault)

    def _fail(self, fault: ConnectionFault) -> None:
        """End the connection for what the client has done."""
        plane = self.plane
        refusal = Refusal(0, fault.reason, fault.message)
        plane.log.refusal(refusal, plane.new_id(), self.peer.client)
        self._drop_streams()
        self._finish()

    def _finish(self) -> None:
        """Close, once all that is written is out."""
        if not self._deaf:
            self._deaf = True
            self.deadline = NEVER
            self._end(linger=True)

    def _drop_streams(self) -> None:
        for stream in list(self._streams.values()):
            stream.gone()


def _websocket_key() -> bytes:
    """A nonce as RFC 6455 section 4.1 asks for."""
    return base64.b64encode(os.urandom(16))


_HANDLERS: Final[dict[type, Callable[[Connection, Any], None]]] = {
    DataReceived: Connection._data,
    RemoteSettingsChanged: Connection._settings_changed,
    RequestReceived: Connection._request,
    StreamReset: Connection._stream_reset,
    TrailersReceived: Connection._trailers,
    WindowUpdated: Connection._window_updated,
}
