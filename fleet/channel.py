"""Framed messages and file descriptors over a Unix stream socket.

A frame is `length (4 bytes, big endian) | kind (1 byte) | payload`. Descriptors ride with the
first byte of their frame (SCM_RIGHTS, unix(7)) and so arrive with or before it; the receiver
takes them in order. Sending never blocks: what the kernel does not take waits in memory.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence

MESSAGE = 0
LOG = 1

_HEADER = struct.Struct(">IB")
_READ = 262_144
MAX_FDS = 250  # the kernel's SCM_MAX_FD is 253
MAX_FRAME = 64 * 1024 * 1024


class Channel:
    """One end of the socket. `on_frame(kind, payload)` and `on_close()` are called by the loop."""

    def __init__(
        self,
        sock: socket.socket,
        on_frame: Callable[[int, bytes], None],
        on_close: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_frame = on_frame
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._in = bytearray()
        self._fds: deque[int] = deque()
        self._out: deque[tuple[memoryview, Sequence[int]]] = deque()
        self.pending = 0
        """Bytes not yet taken by the kernel."""
        self.closed = False
        self._loop.add_reader(sock.fileno(), self._readable)

    def send(self, payload: bytes, kind: int = MESSAGE, fds: Sequence[int] = ()) -> None:
        """Queue one frame. `fds` are duplicated at once, so the caller may close its own."""
        if self.closed:
            return
        if len(payload) > MAX_FRAME:
            raise ValueError(f"a frame of {len(payload)} bytes is above {MAX_FRAME}")
        if len(fds) > MAX_FDS:
            raise ValueError(f"at most {MAX_FDS} descriptors a frame, not {len(fds)}")
        own = [os.dup(fd) for fd in fds]
        frame = memoryview(_HEADER.pack(len(payload), kind) + payload)
        idle = not self._out
        self._out.append((frame, own))
        self.pending += len(frame)
        if idle:
            self._writable()

    def take_fd(self) -> int:
        """The next received descriptor. Raises IndexError when none came."""
        return self._fds.popleft()

    def drain(self) -> None:
        """Handle what has arrived and not been read yet; for when the other end is gone."""
        while not self.closed and self._readable():
            pass

    def close(self) -> None:
        """Close at once; frames not yet sent are dropped. `on_close` is not called."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        for _, own in self._out:
            for fd in own:
                os.close(fd)
        self._out.clear()
        self.pending = 0
        while self._fds:
            os.close(self._fds.popleft())
        self._sock.close()

    def _lost(self) -> None:
        if not self.closed:
            self.close()
            self._on_close()

    def _readable(self) -> bool:
        """Read once; False when there was nothing."""
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(
                _READ, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return False
        except OSError:
            self._lost()
            return False
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(raw[: len(raw) - len(raw) % received.itemsize])
                self._fds.extend(received)
        if not data or flags & socket.MSG_CTRUNC:
            # truncated descriptors would be taken for others': no frame can be trusted any more
            self._lost()
            return False
        self._in += data
        while not self.closed and len(self._in) >= _HEADER.size:
            length, kind = _HEADER.unpack_from(self._in)
            end = _HEADER.size + length
            if len(self._in) < end:
                break
            payload = bytes(self._in[_HEADER.size : end])
            del self._in[:end]
            self._on_frame(kind, payload)
        return True

    def _writable(self) -> None:
        while self._out:
            frame, fds = self._out[0]
            try:
                if fds:
                    rights = array.array("i", fds).tobytes()
                    sent = self._sock.sendmsg(
                        [frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
                    )
                else:
                    sent = self._sock.send(frame)
            except BlockingIOError:
                break
            except OSError:
                self._loop.call_soon(self._lost)
                return
            for fd in fds:
                with contextlib.suppress(OSError):
                    os.close(fd)
            self.pending -= sent
            if sent == len(frame):
                self._out.popleft()
            else:
                self._out[0] = (frame[sent:], ())
        if self._out:
            self._loop.add_writer(self._sock.fileno(), self._writable)
        else:
            self._loop.remove_writer(self._sock.fileno())
