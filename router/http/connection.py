"""What both kinds of connection have in common: gathered writes and deadlines; and how a
client's connection stops reading and ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from router.timers import NEVER

if TYPE_CHECKING:
    from router.plane import Plane

LINGER = 2.0
"""Seconds a closing connection goes on reading, so that a reset does not overtake the reply
(RFC 9112 section 9.6)."""

GONE: Final = asyncio.Transport()
"""Stands for the transport of a connection that is lost; every use of it is an error. What TLS
holds for a connection, about 40 KiB, is freed at once with its transport, while the connection
itself may wait for the garbage collector or for its slot of the wheel."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 seconds: close(2) sends RST (socket(7))."""


class Connection:
    """A connection on the plane's timer wheel that gathers what it writes.

    It has the methods of `asyncio.Protocol` but not that base class: it is an extension type when
    the request path is compiled, which has no Python base.
    """

    __slots__ = ("_out", "_plane", "_transport", "deadline", "filed")

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._transport: asyncio.Transport
        self.deadline = NEVER
        self.filed = -1.0
        self._out: list[bytes] = []

    def flush(self) -> None:
        """Write what was gathered (`router.plane.Gathering`)."""
        out, self._out = self._out, []
        if out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _write(self, data: bytes) -> None:
        if not self._out:
            self._plane.gathers(self)
        self._out.append(data)

    def _set_deadline(self, at: float) -> None:
        self.deadline = at
        if not 0 <= self.filed <= at:
            self._plane.wheel.file(self)

    def eof_received(self) -> None:
        """Called by the loop (`asyncio.Protocol`), which then closes the connection."""

    def on_deadline(self, now: float) -> None:
        """Called by the wheel (`router.timers.Timed`)."""
        raise NotImplementedError


def as_protocol(connection: Connection) -> asyncio.Protocol:
    """`connection` under the type that the loop's functions are declared with."""
    return cast(asyncio.Protocol, connection)


class ClientConnection(Connection):
    """A connection that is held for several reasons and closed without losing its last reply."""

    __slots__ = ("_closing", "_holds", "_unsent")

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane)
        self._holds = 0
        self._closing = False
        self._unsent = 0

    def _set_hold(self, reason: int, on: bool) -> None:
        """Read on only when no reason to hold is left. `reason` is one bit."""
        before = self._holds
        self._holds = before | reason if on else before & ~reason
        if self._closing or bool(before) == bool(self._holds):
            return
        if self._holds:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _end(self, *, linger: bool) -> None:
        """Send what is written, then close; with `linger` read on a while so as not to reset. A
        client that does not answer the end of TLS is cut after that while, too.
        """
        self.flush()
        self._set_hold(self._holds, False)
        self._closing = True
        self._unsent = self._waiting_bytes()
        if linger and self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()
        self._set_linger(monotonic())

    def _reset(self) -> None:
        """Cut the connection with a reset: a plain end would pass for the end of a body that
        is delimited by it.
        """
        self._closing = True
        self._out.clear()
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _linger(self, now: float) -> None:
        """Wait on while the client still takes what is written, then cut the connection."""
        unsent = self._waiting_bytes()
        if unsent < self._unsent:
            self._unsent = unsent
            self._set_linger(now)
        else:
            self.deadline = NEVER
            self._transport.abort()

    def _waiting_bytes(self) -> int:
        """Bytes written that the client does not take. The loop does not tell how much TLS has
        handed down; there is none if the system has nothing left to send (SIOCOUTQ, tcp(7)).
        """
        transport = self._transport
        waiting = transport.get_write_buffer_size()
        sock = transport.get_extra_info("socket")
        if waiting or transport.can_write_eof() or sock is None:
            return waiting
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def _set_linger(self, now: float) -> None:
        self._set_deadline(now + (self._plane.timeouts.body if self._unsent else LINGER))
