"""Worker processes driven as control drives them, and agents that count what they get."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Self

from fleet import channel, wire
from fleet.telemetry.slab import Slab
from tests.protocol.messages import Message, parse

DEADLINE = 20.0
ROOT = Path(__file__).resolve().parents[2]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Agent:
    """A replica. `/stream` sends one chunk, then waits for `go`; all else takes some turns of the
    loop and answers the agent's name.
    """

    def __init__(self, name: str, turns: int = 0) -> None:
        self.name = name
        self.port = 0
        self.served = 0
        self.in_flight = 0
        self.peak = 0
        self.connections = 0
        self.go = asyncio.Event()
        self._turns = turns
        self._server: asyncio.Server
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.in_flight += 1
                self.peak = max(self.peak, self.in_flight)
                last = await self._work(head, writer)
                # counted before it leaves: the slot is free as soon as the gateway has it
                self.in_flight -= 1
                self.served += 1
                writer.write(last)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _work(self, head: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Returns the last bytes of the reply."""
        if b" /stream " in head:
            writer.write(STREAM_HEAD + b"5\r\nbegin\r\n")
            await self.go.wait()
            return b"3\r\nend\r\n0\r\n\r\n"
        for _ in range(self._turns):
            await asyncio.sleep(0)
        text = self.name.encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


class Worker:
    """One worker process and our end of its channel."""

    def __init__(self, process: asyncio.subprocess.Process, sock: socket.socket) -> None:
        self.process = process
        self.told: list[wire.ToControl] = []
        self.log = b""
        self._more = asyncio.Event()
        self.channel = channel.Channel(sock, self._frame, lambda: None)

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == channel.LOG:
            self.log += payload
        else:
            self.told.append(wire.to_control.decode(payload))
            self._more.set()

    async def hears(self, message: wire.ToControl) -> None:
        async with asyncio.timeout(DEADLINE):
            while message not in self.told:
                self._more.clear()
                await self._more.wait()

    async def exit_code(self) -> int:
        """The exit code; AssertionError when it had anything to complain of."""
        assert self.process.stderr is not None
        async with asyncio.timeout(DEADLINE):
            assert (await self.process.stderr.read()).decode() == ""
            return await self.process.wait()


class Control:
    """`workers` workers on one listening socket, with one pool `p` at `/` of one version."""

    def __init__(self, workers: int = 1) -> None:
        self._count = workers
        self.workers: list[Worker] = []
        self.slab = Slab.create(workers)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.port: int = self.listener.getsockname()[1]
        self._semaphores: list[int] = []

    async def __aenter__(self) -> Self:
        for index in range(self._count):
            ours, theirs = socket.socketpair()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "router.worker", str(index), str(self._count),
                str(theirs.fileno()), str(self.slab.fd),
                pass_fds=(theirs.fileno(), self.slab.fd), cwd=ROOT, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            theirs.close()
            self.workers.append(Worker(process, ours))
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.channel.close()
            if worker.process.returncode is None:
                worker.process.kill()
            await worker.process.wait()
        for fd in self._semaphores:
            os.close(fd)
        self.listener.close()
        self.slab.close()
        os.close(self.slab.fd)

    async def serve(self, *ports: int, slots: int = 8, queue_timeout: float = 15.0) -> None:
        """Push a table and replicas at `ports`, and wait until every worker serves them."""
        version = wire.VersionEntry(name="v1", weight=1, block=1)
        table = wire.Table(
            generation=1, listeners=(wire.ListenerEntry(address="here"),), new_listeners=("here",),
            routes=(wire.RouteEntry(host=None, path="/", methods=(), headers={}, pool="p"),),
            pools=(
                wire.PoolEntry(
                    name="p", versions=(version,), balance="round_robin", affinity_header=None,
                    affinity_cookie=None, queue_limit=1000, queue_timeout=queue_timeout,
                    served_by=True,
                    version_header=None,
                ),
            ),
            timeouts=wire.TimeoutsEntry(
                header=5, body=5, keep_alive=60, connect=2, first_byte=15, stream_idle=15,
                upstream_keep_alive=4,
            ),
            limits=wire.LimitsEntry(
                header_size=65536, headers=100, target=8192, body=1 << 20, connections=1000
            ),
            log_enabled=True, log_sample=1.0,
        )  # fmt: skip
        shared = len(self.workers) > 1
        entries = tuple(
            wire.ReplicaEntry(
                name=f"r{n}", host="127.0.0.1", port=port, slots=slots, cell=n, serving=True,
                shared=shared,
            )
            for n, port in enumerate(ports)
        )  # fmt: skip
        if shared:
            self._semaphores = [
                os.eventfd(slots, os.EFD_SEMAPHORE | os.EFD_NONBLOCK) for _ in ports
            ]
        names = tuple(e.name for e in entries) if shared else ()
        version = wire.VersionEntry(name="v1", weight=1, block=1, replicas=entries)
        members = wire.Members(pool="p", versions=(version,), new_shared=names)
        for worker in self.workers:
            worker.channel.send(wire.encode(table), fds=[self.listener.fileno()])
            worker.channel.send(wire.encode(members), fds=self._semaphores)
        for worker in self.workers:
            await worker.hears(wire.Applied(generation=1))


class Client:
    """A client's connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    def send(self, path: str = "/") -> None:
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())

    async def until(self, mark: bytes) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self._reader.readuntil(mark)

    async def rest(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self._reader.read()

    async def get(self, path: str = "/") -> Message:
        self.send(path)
        head = await self.until(b"\r\n\r\n")
        length = int(parse(head)[0].get(b"content-length") or 0)
        async with asyncio.timeout(DEADLINE):
            return parse(head + await self._reader.readexactly(length))[0]
