"""Clients that each get one reply, keep their connection and do nothing more.

    python -m bench.load.idle PORT COUNT

Prints the number of open connections when all are there; ends when its input does.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from bench.traffic import MARK, request

AT_ONCE = 32


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._got = b""
        self.idle: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.open = True

    def itself(self) -> Client:
        """A protocol factory."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._message)  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if not self.idle.done():
            self.idle.set_result(False)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if MARK in self._got and not self.idle.done():
            self._got = b""
            self.idle.set_result(True)


async def run(port: int, count: int) -> None:
    """See the module."""
    loop = asyncio.get_running_loop()
    message = request(port)
    clients: list[Client] = []

    async def some() -> None:
        while len(clients) < count:
            client = Client(message)
            clients.append(client)
            await loop.create_connection(client.itself, "127.0.0.1", port)
            await client.idle

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())
    print(sum(client.open for client in clients), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), int(sys.argv[2])))
