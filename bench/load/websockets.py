"""Clients that each send a message over a websocket once the last one has come back.

    python -m bench.load.websockets PORT COUNT SECONDS

Prints `{}` when all are open and `SECONDS` later what came back in between.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

from bench import websocket
from bench.traffic import WEBSOCKET_PATH

MESSAGE = b"x" * 128
_SENT = websocket.frame(websocket.TEXT, MESSAGE, b"\x12\x34\x56\x78")
_BACK = len(websocket.frame(websocket.TEXT, MESSAGE))


class Counts:
    """Over all clients."""

    def __init__(self, count: int) -> None:
        self.ready = asyncio.Event()
        """All are open, or one has broken."""
        self.waiting = count
        self.messages = 0
        self.broken = 0


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, counts: Counts, opening: bytes) -> None:
        self._counts = counts
        self._opening = opening
        self._transport: asyncio.Transport
        self._got = b""
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.write(self._opening)

    def connection_lost(self, exc: Exception | None) -> None:
        self._counts.broken += 1
        self._counts.ready.set()

    def data_received(self, data: bytes) -> None:
        counts = self._counts
        self._got += data
        if not self._open:
            head, end, self._got = self._got.partition(b"\r\n\r\n")
            if not end:
                self._got = head
                return
            if b" 101 " not in head[:20]:
                self._transport.abort()
                return
            self._open = True
            counts.waiting -= 1
            if counts.waiting == 0:
                counts.ready.set()
            self._transport.write(_SENT)
        elif len(self._got) >= _BACK:
            found = websocket.first(self._got)
            if found is None or found.payload != MESSAGE:
                self._transport.abort()
                return
            self._got = self._got[found.length :]
            counts.messages += 1
            self._transport.write(_SENT)


async def run(port: int, count: int, seconds: float) -> None:
    """See the module."""
    loop = asyncio.get_running_loop()
    counts = Counts(count)
    opening = websocket.upgrade(port, WEBSOCKET_PATH)
    for _ in range(count):
        await loop.create_connection(lambda: Client(counts, opening), "127.0.0.1", port)
    await counts.ready.wait()
    print("{}", flush=True)
    before = counts.messages
    await asyncio.sleep(seconds)
    print(json.dumps({"messages": counts.messages - before, "broken": counts.broken}), flush=True)


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
