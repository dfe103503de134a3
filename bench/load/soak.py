"""Mixed work for a long time: small and large bodies, streams, websockets, and clients that leave
in the middle.

    python -m bench.load.soak PORT SECONDS

Prints how often each kind was done, what went wrong, and one example of that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import uvloop

from bench import websocket
from bench.traffic import DONE, MARK, WEBSOCKET_PATH, request

LIMIT = 30.0
"""Seconds that one piece of work may take."""

PAUSE = 0.05
"""Mean seconds between two pieces of work of one client."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class WrongError(Exception):
    """The proxy did not do as it should."""


class Mixer:
    """One proxy and the counts. `rng` decides who leaves when."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._port = port
        self._rng = rng
        self.done: Counter[str] = Counter()
        self.errors = 0
        self.example = ""

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Streams]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def client(self, kind: str, work: Callable[[Streams], Awaitable[None]]) -> None:
        """The same kind of work again and again, each on a new connection."""
        while True:
            try:
                async with asyncio.timeout(LIMIT), self._connection() as streams:
                    await work(streams)
                self.done[kind] += 1
            except (OSError, TimeoutError, EOFError, WrongError) as error:
                self.errors += 1
                self.example = f"{kind}: {error!r}"
            await asyncio.sleep(self._rng.expovariate(1 / PAUSE))

    async def posts(self, streams: Streams) -> None:
        """Twenty small ones on one connection."""
        for _ in range(20):
            await self._exchange(streams, 300)

    async def bodies(self, streams: Streams) -> None:
        """64 KiB and 1 MiB, each way."""
        await self._exchange(streams, 64 << 10)
        await self._exchange(streams, 1 << 20)

    async def _exchange(self, streams: Streams, size: int) -> None:
        reader, writer = streams
        writer.write(request(self._port, size))
        head = await self._head(reader)
        await writer.drain()
        at = head.lower().find(b"content-length:")
        if at < 0:
            raise WrongError("no Content-Length")
        reply = await reader.readexactly(int(head[at + 15 :].split(b"\r\n", 1)[0]))
        if size < 4096 and not reply.endswith(MARK):
            raise WrongError("another reply")

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 101 ")):
            raise WrongError(head.split(b"\r\n", 1)[0].decode("latin-1"))
        return head

    async def stream(self, streams: Streams) -> None:
        """An event stream to its end."""
        reader, writer = streams
        writer.write(request(self._port, stream=True))
        await self._head(reader)
        await reader.readuntil(DONE)
        await reader.readuntil(b"0\r\n\r\n")

    async def left_stream(self, streams: Streams) -> None:
        """An event stream that the client leaves."""
        reader, writer = streams
        writer.write(request(self._port, stream=True))
        await self._head(reader)
        for _ in range(self._rng.randrange(20)):
            await reader.readuntil(b"\n\n")

    async def left_body(self, streams: Streams) -> None:
        """A body of which the client sends a part."""
        reader, writer = streams
        message = request(self._port, 1 << 20)
        writer.write(message[: self._rng.randrange(100, len(message))])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), self._rng.random() / 10)

    async def socket(self, streams: Streams) -> None:
        """Twenty messages and a goodbye, which one in four leaves out."""
        reader, writer = streams
        writer.write(websocket.upgrade(self._port, WEBSOCKET_PATH))
        await self._head(reader)
        for number in range(20):
            payload = b"%d" % number + b"x" * self._rng.randrange(2000)
            writer.write(websocket.frame(websocket.TEXT, payload, self._rng.randbytes(4)))
            back = websocket.frame(websocket.TEXT, payload)
            if await reader.readexactly(len(back)) != back:
                raise WrongError("another message")
        if self._rng.random() < 0.75:
            writer.write(websocket.frame(websocket.CLOSE, b"\x03\xe8", self._rng.randbytes(4)))
            await reader.read()


async def run(port: int, seconds: float) -> None:
    """See the module."""
    mixer = Mixer(port, random.Random(1))
    kinds: tuple[tuple[str, int, Callable[[Streams], Awaitable[None]]], ...] = (
        ("bodies", 2, mixer.bodies),
        ("left bodies", 4, mixer.left_body),
        ("left streams", 8, mixer.left_stream),
        ("posts", 8, mixer.posts),
        ("streams", 24, mixer.stream),
        ("websockets", 8, mixer.socket),
    )
    tasks = [
        asyncio.create_task(mixer.client(name, work))
        for name, count, work in kinds
        for _ in range(count)
    ]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(found, Exception):
            raise found
    print(json.dumps({"done": mixer.done, "errors": mixer.errors, "example": mixer.example}))


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), float(sys.argv[2])))
