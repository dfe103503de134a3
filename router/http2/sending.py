"""Writing to a client of HTTP/2: a frame of each stream in turn, once a turn of the loop.

Bodies go out while the connection's window and the transport have room, so that a slow stream
stalls no other. A stream held up by its own window steps back until the client has widened it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.http.connection import ClientConnection
from router.http2.floods import Spending
from router.http2.frames import MAX_FRAME
from router.http2.session import Session
from router.http2.stream import Stream

if TYPE_CHECKING:
    from router.plane import Plane

ROUND: Final = 262_144
"""Bytes of bodies written in one turn of the loop."""

_HOLD_REPLIES: Final = 1


class Sending(ClientConnection):
    """See the module."""

    __slots__ = ("_awake", "_clogged", "_ready", "plane", "session", "spending")

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane)
        self.plane = plane
        self.session = Session(plane.limits)
        self.spending = Spending()
        self._ready: dict[Stream, None] = {}
        """Streams with something to send that is not held up by their own window."""
        self._awake = False
        self._clogged = False

    def pause_writing(self) -> None:
        """Called by the loop (`asyncio.Protocol`): who takes nothing is not read from either."""
        self._clogged = True
        self._set_hold(_HOLD_REPLIES, True)

    def resume_writing(self) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        self._clogged = False
        self._set_hold(_HOLD_REPLIES, False)
        self.wake()

    def wake(self) -> None:
        """There may be something to write: look once this turn of the loop is over."""
        if not self._awake:
            self._awake = True
            self.plane.gathers(self)

    def ready(self, stream: Stream) -> None:
        """`stream` has something to send."""
        if not stream.closed:
            self._ready[stream] = None
            self.wake()

    def say(self, frame: bytes) -> None:
        """Send a frame of our own behind those of the session."""
        self._out.append(self.session.data_to_send())
        self._out.append(frame)
        self.wake()

    def flush(self) -> None:
        """Write what the windows allow (`router.plane.Gathering`)."""
        self._awake = False
        if self._closing:
            self._out.clear()
            return
        room = 0 if self._clogged else ROUND
        while self._ready:
            begun = room
            for stream in list(self._ready):
                sent = stream.emit(min(room, MAX_FRAME))
                room -= sent
                if stream.closed or not stream.waiting or self._held_up(stream):
                    self._ready.pop(stream, None)
                elif sent:
                    self._ready[stream] = self._ready.pop(stream)  # behind the others
            if room == begun:
                break
        if self._ready and room <= 0 and not self._clogged:
            self.wake()
        data = self.session.data_to_send()
        if data:
            self._out.append(data)
        super().flush()

    def _held_up(self, stream: Stream) -> bool:
        """It waits for its own window, which will put it back."""
        window = self.session.outbound_flow_control_window
        return window > 0 and self.session.local_flow_control_window(stream.id) <= 0
