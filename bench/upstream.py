"""The agent behind every proxy: cheap, and faithful about bodies.

    python -m bench.upstream PORT [--interval SECONDS]

A request that asks for a stream gets 100 server-sent events, one each `interval`; a request of
more than 4 KiB gets a body of its own length once it has been read whole; a websocket its own
messages; any other 142 bytes.
"""

from __future__ import annotations

import argparse
import asyncio

import uvloop

from bench import websocket
from bench.traffic import DONE, EVENT, REPLY

CHUNKS = 100
ECHO_ABOVE = 4096
TICK = 0.001

_SMALL = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(REPLY),
    REPLY,
)
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)
_CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
_LAST = b"%x\r\n%b\r\n0\r\n\r\n" % (len(DONE), DONE)


class Pacer:
    """Sends every stream its events, spread over the interval as the streams began."""

    def __init__(self, interval: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._buckets: list[list[Agent]] = [[] for _ in range(max(1, round(interval / TICK)))]
        self._position = int(self._loop.time() / TICK)
        self._loop.call_later(TICK, self._tick)

    def join(self, agent: Agent) -> None:
        """The first event comes one interval from now."""
        self._buckets[self._position % len(self._buckets)].append(agent)

    def _tick(self) -> None:
        now = int(self._loop.time() / TICK)
        for position in range(self._position + 1, now + 1):
            at = position % len(self._buckets)
            self._buckets[at] = [agent for agent in self._buckets[at] if agent.event()]
        self._position = now
        self._loop.call_later(TICK, self._tick)


class Agent(asyncio.Protocol):
    """One connection; requests one at a time."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._transport: asyncio.Transport
        self._begun = b""
        self._left = 0
        self._length = 0
        self._stream = False
        self._events = 0
        self._echo = b""
        self._socket = False
        """A websocket now."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._events = CHUNKS + 1

    def data_received(self, data: bytes) -> None:
        if self._socket:
            self._frames(data)
        elif self._left:
            self._rest(data)
        else:
            self._head(data)

    def _rest(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left <= 0:
            self._left = 0
            self._reply()

    def _head(self, data: bytes) -> None:
        self._begun += data
        end = self._begun.find(b"\r\n\r\n")
        if end < 0:
            return
        head, payload = self._begun[:end].lower(), self._begun[end + 4 :]
        if b"\r\nupgrade: websocket" in head:
            self._accept(self._begun[:end])
            return
        at = head.find(b"\r\ncontent-length:")
        self._length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(payload) < min(self._length, ECHO_ABOVE):
            return
        self._begun = b""
        self._stream = b'"stream":true' in payload
        self._left = self._length
        self._rest(payload)

    def _accept(self, head: bytes) -> None:
        at = head.lower().find(b"sec-websocket-key:")
        key = head[at + 18 :].split(b"\r\n", 1)[0].strip()
        self._begun = b""
        self._socket = True
        self._transport.write(_SWITCH + websocket.accept(key) + b"\r\n\r\n")

    def _frames(self, data: bytes) -> None:
        buffer = self._begun + data if self._begun else data
        while (found := websocket.first(buffer)) is not None:
            buffer = buffer[found.length :]
            self._transport.write(websocket.frame(found.opcode, found.payload))
            if found.opcode == websocket.CLOSE:
                self._transport.close()
        self._begun = buffer

    def _reply(self) -> None:
        if self._stream:
            self._events = 0
            self._transport.write(_STREAM)
            self._pacer.join(self)
        elif self._length > ECHO_ABOVE:
            if len(self._echo) != self._length:
                self._echo = b"x" * self._length
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._length)
            self._transport.write(self._echo)
        else:
            self._transport.write(_SMALL)

    def event(self) -> bool:
        """Send the next event; False when that was the last."""
        self._events += 1
        if self._events > CHUNKS:
            return False
        self._transport.write(_CHUNK if self._events < CHUNKS else _LAST)
        return self._events < CHUNKS


async def serve(port: int, interval: float) -> None:
    """For ever, on all loopback addresses."""
    pacer = Pacer(interval)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Agent(pacer), "0.0.0.0", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--interval", type=float, default=0.02)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.interval))
