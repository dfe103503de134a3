"""An open loop of Poisson arrivals over as many connections as it takes.

    python -m bench.load.arrivals PORT RATE SECONDS SEED [HIGH]

Latency counts from the scheduled time. `HIGH` is the share of requests that carry
`X-Priority: high`; the others carry `low`. `X-Session` is one of 256. Prints the
figures of `bench.balance.outcome`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from functools import partial

import uvloop

from bench.balance.outcome import Reply, figures
from bench.load.replies import ReplyReader
from bench.traffic import request

WARM_UP = 1.0
"""Seconds at the beginning that are not counted."""

SESSIONS = 256
"""Different values of `X-Session`, each as likely."""

PATIENCE = 10.0
"""Seconds after the last arrival; what is not answered then has no answer, status 0."""


class Connection(asyncio.Protocol):
    """One request at a time; told to `run` when the reply is whole or the connection is lost."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reader = ReplyReader()
        self._transport: asyncio.Transport
        self._pending: tuple[float, str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def ask(self, scheduled: float, priority: str, message: bytes) -> None:
        """Send a request."""
        self._pending = scheduled, priority
        self._transport.write(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost(self)
        # a reply that lasts until the connection closes ends here
        self._answered(self._reader.status)

    def data_received(self, data: bytes) -> None:
        if not self._reader.feed(data):
            return
        self._answered(self._reader.status)
        if self._reader.reusable:
            self._run.free.append(self)
        else:
            self._transport.close()

    def give_up(self) -> None:
        """No answer."""
        self._answered(0)
        self._transport.abort()

    def _answered(self, status: int) -> None:
        if self._pending is not None:
            (scheduled, priority), self._pending = self._pending, None
            self._run.note(scheduled, priority, status, self._reader.agent)


class Run:
    """All arrivals of one measurement."""

    def __init__(self, port: int, high: float, rng: random.Random) -> None:
        self._port = port
        self._high = high
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._dialling: set[asyncio.Task[None]] = set()
        self._messages = {
            name: [_message(port, name, session) for session in range(SESSIONS)]
            for name in ("high", "low")
        }
        self.all: set[Connection] = set()
        self.free: list[Connection] = []
        self.replies: list[Reply] = []
        self._counted_from = self._loop.time() + WARM_UP
        self._waiting = 0
        self._quiet = asyncio.Event()

    async def load(self, rate: float, seconds: float) -> None:
        """All of it, and the wait for the last replies."""
        at = self._loop.time()
        end = at + WARM_UP + seconds
        while (at := at + self._rng.expovariate(rate)) < end:
            delay = at - self._loop.time()
            if delay > 0.0:
                await asyncio.sleep(delay)
            # the loop's clock is in milliseconds: what is sent early counts from then
            self._arrive(min(at, self._loop.time()))
        self._quiet.clear()
        if self._waiting:
            try:
                await asyncio.wait_for(self._quiet.wait(), PATIENCE)
            except TimeoutError:
                for connection in list(self.all):
                    connection.give_up()

    def _arrive(self, scheduled: float) -> None:
        self._waiting += 1
        priority = "high" if self._rng.random() < self._high else "low"
        message = self._rng.choice(self._messages[priority])
        if self.free:
            self.free.pop().ask(scheduled, priority, message)
        else:
            task = self._loop.create_task(self._dial(scheduled, priority, message))
            self._dialling.add(task)
            task.add_done_callback(self._dialling.discard)

    async def _dial(self, scheduled: float, priority: str, message: bytes) -> None:
        try:
            _, connection = await self._loop.create_connection(
                partial(Connection, self), "127.0.0.1", self._port
            )
        except OSError:
            self.note(scheduled, priority, 0, "")
            return
        self.all.add(connection)
        connection.ask(scheduled, priority, message)

    def lost(self, connection: Connection) -> None:
        """It is closed."""
        self.all.discard(connection)
        if connection in self.free:
            self.free.remove(connection)

    def note(self, scheduled: float, priority: str, status: int, agent: str) -> None:
        """One request has its outcome."""
        self._waiting -= 1
        if not self._waiting:
            self._quiet.set()
        if scheduled >= self._counted_from:
            latency = self._loop.time() - scheduled
            self.replies.append(Reply(latency, status, agent, priority if self._high else ""))


def _message(port: int, priority: str, session: int) -> bytes:
    head, end, rest = request(port).partition(b"\r\nContent-Type")
    fields = f"\r\nX-Priority: {priority}\r\nX-Session: {session}"
    return head + fields.encode() + end + rest


async def run(port: int, rate: float, seconds: float, seed: int, high: float) -> None:
    """See the module."""
    made = Run(port, high, random.Random(seed))
    await made.load(rate, seconds)
    print(json.dumps(figures(made.replies, seconds)))


if __name__ == "__main__":
    uvloop.run(
        run(
            int(sys.argv[1]),
            float(sys.argv[2]),
            float(sys.argv[3]),
            int(sys.argv[4]),
            float(sys.argv[5]) if len(sys.argv) > 5 else 0.0,
        )
    )
