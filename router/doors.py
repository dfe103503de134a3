"""The listeners of one worker: sockets that control has opened, and how clients on them are met.

A door is made anew when its settings change; connections that came through the old one stay as
they are, and those that come meanwhile wait in the socket, which stays open.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Mapping
from typing import Final, Protocol

from fleet.telemetry import slab as words
from fleet.tls import server_context
from fleet.wire import ListenerEntry
from router.handshakes import count_failures
from router.negotiation import client_protocol
from router.plane import Plane
from router.proxy_protocol import MAX_V2, BadHeaderError, parse

BACKLOG: Final = 4096
SHUTDOWN_TIMEOUT: Final = 30.0
"""Seconds a client has to take what is left of the last reply and to answer the end of TLS; then
the connection is cut."""

RESPITE: Final = 0.5
"""Seconds without accepting when the process has no descriptor left (accept(2), EMFILE)."""

_OUT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Door(Protocol):
    """One listener at work; `asyncio.Server` is one."""

    def close(self) -> None:
        """Accept nothing more."""
        ...


class Doors:
    """All doors of a worker."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._sockets: dict[str, socket.socket] = {}
        self._entries: dict[str, ListenerEntry] = {}
        self._doors: dict[str, Door] = {}
        self._closed = False

    async def open(
        self, entries: tuple[ListenerEntry, ...], new: Mapping[str, socket.socket]
    ) -> None:
        """Serve `entries` and nothing else; `new` are the sockets not held yet, by address."""
        self._sockets.update(new)
        wanted = {entry.address: entry for entry in entries}
        for address in self._sockets.keys() - wanted.keys():
            self._shut(address)
            self._sockets.pop(address).close()
        for address, entry in wanted.items():
            if self._entries.get(address) != entry and not self._closed:
                self._shut(address)
                self._doors[address] = await self._made(entry, self._sockets[address].dup())
                self._entries[address] = entry
        if self._closed:
            self.close()

    def close(self) -> None:
        """Accept nothing more, anywhere, for good."""
        self._closed = True
        for address in list(self._doors):
            self._shut(address)
        while self._sockets:
            self._sockets.popitem()[1].close()

    def _shut(self, address: str) -> None:
        self._entries.pop(address, None)
        door = self._doors.pop(address, None)
        if door is not None:
            door.close()

    async def _made(self, entry: ListenerEntry, sock: socket.socket) -> Door:
        loop = asyncio.get_running_loop()
        context = server_context(entry.tls) if entry.tls is not None else None
        if context is not None:
            count_failures(context, lambda: self._plane.count(words.HANDSHAKES_FAILED))
        handshake = entry.tls.handshake_timeout if entry.tls is not None else None
        if entry.proxy_protocol:
            return ProxyDoor(self._plane, sock, context, handshake)
        shutdown = SHUTDOWN_TIMEOUT if context is not None else None
        plane = self._plane
        tls = context is not None
        unix = sock.family == socket.AF_UNIX
        create = loop.create_unix_server if unix else loop.create_server
        return await create(
            lambda: client_protocol(plane, None, tls=tls),
            sock=sock,
            backlog=BACKLOG,
            ssl=context,
            ssl_handshake_timeout=handshake,
            ssl_shutdown_timeout=shutdown,
        )


class ProxyDoor:
    """A listener whose connections begin with a PROXY header.

    The header is taken off the socket to the byte before anything else reads from it, since TLS
    may follow: what is there is looked at first (MSG_PEEK, recv(2)), and only what belongs to the
    header is taken.
    """

    def __init__(
        self,
        plane: Plane,
        sock: socket.socket,
        context: ssl.SSLContext | None,
        handshake: float | None,
    ) -> None:
        self._plane = plane
        self._sock = sock
        self._context = context
        self._handshake = handshake
        self._loop = asyncio.get_running_loop()
        self._respite: asyncio.TimerHandle | None = None
        self._waiting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listen()

    def close(self) -> None:
        """See `Door`. Connections whose header has not come yet are closed."""
        self._loop.remove_reader(self._sock)
        if self._respite is not None:
            self._respite.cancel()
        for client in list(self._waiting):
            self._forget(client)
            client.close()
        self._sock.close()

    def _listen(self) -> None:
        self._respite = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            try:
                client, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF:
                    raise
                self._loop.remove_reader(self._sock)
                self._respite = self._loop.call_later(RESPITE, self._listen)
                return
            if len(self._waiting) >= self._plane.limits.connections:
                self._plane.count(words.CONNECTIONS_REFUSED)
                client.close()
                continue
            client.setblocking(False)
            header = bytearray()
            timeout = self._plane.timeouts.header
            self._waiting[client] = self._loop.call_later(timeout, self._give_up, client)
            self._loop.add_reader(client, self._read, client, header)

    def _read(self, client: socket.socket, header: bytearray) -> None:
        try:
            seen = client.recv(MAX_V2, socket.MSG_PEEK)
            if not seen:
                raise BadHeaderError("closed")
            found = parse(bytes(header) + seen)
            header += client.recv(len(seen) if found is None else found.size - len(header))
        except (BlockingIOError, InterruptedError):
            return
        except (BadHeaderError, OSError):
            self._give_up(client)
            return
        if found is not None:
            self._forget(client)
            task = self._loop.create_task(self._serve(client, found.client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket, address: str | None) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: client_protocol(self._plane, address, tls=self._context is not None),
                client,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT if self._context is not None else None,
            )
        except OSError:
            client.close()  # gone, or not able to speak TLS

    def _give_up(self, client: socket.socket) -> None:
        self._plane.count(words.PROXY_HEADERS_FAILED)
        self._forget(client)
        client.close()

    def _forget(self, client: socket.socket) -> None:
        self._loop.remove_reader(client)
        self._waiting.pop(client).cancel()
