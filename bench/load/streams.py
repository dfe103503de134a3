"""Clients that each read one event stream after another.

    python -m bench.load.streams PORT COUNT RAMP SECONDS

Prints `{}` when all have begun and `SECONDS` later what was received in between.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

from bench.traffic import DONE, request

END = b"0\r\n\r\n"


class Counts:
    """Over all clients."""

    def __init__(self, count: int) -> None:
        self.ready = asyncio.Event()
        """All have begun, or one has broken."""
        self._waiting = count
        self.events = 0
        self.reads = 0
        self.broken = 0

    def begun(self) -> None:
        """One more stream has."""
        self._waiting -= 1
        if self._waiting == 0:
            self.ready.set()

    def broke(self) -> None:
        """A connection has ended."""
        self.broken += 1
        self.ready.set()


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, counts: Counts, message: bytes) -> None:
        self._counts = counts
        self._message = message
        self._transport: asyncio.Transport
        self._tail = b""
        self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.write(self._message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._counts.broke()

    def data_received(self, data: bytes) -> None:
        counts = self._counts
        if not self._begun:
            self._begun = True
            counts.begun()
        counts.reads += 1
        counts.events += data.count(b"\n\n")
        self._tail = (self._tail + data)[-64:]
        if self._tail.endswith(END) and DONE in self._tail:
            self._tail = b""
            self._transport.write(self._message)


def _say(values: dict[str, int]) -> None:
    print(json.dumps(values), flush=True)


async def run(port: int, count: int, ramp: float, seconds: float) -> None:
    """See the module."""
    loop = asyncio.get_running_loop()
    counts = Counts(count)
    message = request(port, stream=True)
    for _ in range(count):
        await loop.create_connection(lambda: Client(counts, message), "127.0.0.1", port)
        await asyncio.sleep(ramp / count)
    await counts.ready.wait()
    _say({})
    before = counts.events, counts.reads
    await asyncio.sleep(seconds)
    found = {
        "events": counts.events - before[0],
        "reads": counts.reads - before[1],
        "broken": counts.broken,
    }
    _say(found)


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
