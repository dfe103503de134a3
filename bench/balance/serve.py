"""The live agents: one process, one port, an agent at each of 127.0.0.1, 127.0.0.2, ...

    python -m bench.balance.serve PORT KIND COUNT SEED

A request with `X-Priority`, as all of the load have, is served as `bench.balance.agents` has it, by
the agent at the address it came to; `X-Agent` in the reply says which profile that was. The agents'
time begins with the first of them. Anything else, such as a health check, is well and at once.
"""

from __future__ import annotations

import asyncio
import random
import sys

import uvloop

from bench.balance.agents import Station, fleet
from bench.traffic import REPLY

_OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Agent: %b\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)
_FAILED = b"HTTP/1.1 500 Internal Server Error\r\nX-Agent: %b\r\nContent-Length: %d\r\n\r\n%b"


class Agent:
    """One station and its replies."""

    def __init__(self, station: Station) -> None:
        form = _FAILED if station.profile.fails else _OK
        name = station.profile.name.encode()
        self.station = station
        self.reply = form % (name, len(REPLY), REPLY)
        self.well = _OK % (name, len(REPLY), REPLY)


class Clock:
    """When the load began."""

    def __init__(self) -> None:
        self.begin: float | None = None


class Connection(asyncio.Protocol):
    """One connection; requests one at a time."""

    def __init__(self, agents: list[Agent], clock: Clock) -> None:
        self._agents = agents
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._agent: Agent
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        address: str = transport.get_extra_info("sockname")[0]
        self._agent = self._agents[(int(address.rpartition(".")[2]) - 1) % len(self._agents)]

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        fields = head.lower()
        at = fields.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if not end or len(body) < length:
            return
        self._got = b""
        if b"\r\nx-priority:" not in fields:
            self._transport.write(self._agent.well)
            return
        now = self._loop.time()
        begin = self._clock.begin = self._clock.begin or now
        done = self._agent.station.done_at(now - begin)
        self._loop.call_at(begin + done, self._transport.write, self._agent.reply)


async def serve(port: int, kind: str, count: int, seed: int) -> None:
    """For ever."""
    loop = asyncio.get_running_loop()
    agents = [
        Agent(Station(profile, random.Random(f"{seed} {number}")))
        for number, profile in enumerate(fleet(kind, count))
    ]
    clock = Clock()
    server = await loop.create_server(
        lambda: Connection(agents, clock), "0.0.0.0", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
