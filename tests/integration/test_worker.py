"""Real worker processes, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct

from fleet import wire
from fleet.telemetry.slab import cell_at, worker_at
from tests.integration.worker_kit import DEADLINE, Agent, Client, Control
from tests.protocol.messages import parse
from tests.support.ports import free_port


async def test_requests_are_spread_over_kept_connections_and_logged() -> None:
    async with Agent("a") as a, Agent("b") as b, Control() as control:
        await control.serve(a.port, b.port)
        async with Client(control.port) as client:
            replies = [await client.get(f"/{n}") for n in range(10)]
        assert [r.body for r in replies] == [b"a", b"b"] * 5
        assert (a.connections, b.connections) == (1, 1)
        assert control.slab.version(1).requests == (0, 0, 10, 0, 0, 0)
        assert control.slab.word(worker_at()) == 1
        (worker,) = control.workers
        worker.channel.send(wire.encode(wire.Shutdown(timeout=5)))
        assert await worker.exit_code() == 0
        worker.channel.drain()
        lines = [json.loads(line) for line in worker.log.splitlines()]
        assert [line["path"] for line in lines] == [f"/{n}" for n in range(10)]


async def test_a_replica_that_refuses_is_passed_over_and_told_of() -> None:
    async with Agent("a") as a, Control() as control:
        await control.serve(free_port(), a.port)
        async with Client(control.port) as client:
            assert [(await client.get()).body for _ in range(4)] == [b"a"] * 4
        await control.workers[0].hears(wire.Suspect(replica="r0", error="Connection refused"))
        assert control.slab.version(1).retries == 1


async def test_a_stream_in_flight_is_finished_at_shutdown() -> None:
    async with Agent("a") as a, Control() as control:
        await control.serve(a.port)
        (worker,) = control.workers
        async with Client(control.port) as streaming, Client(control.port) as idle:
            await idle.get()
            streaming.send("/stream")
            got = await streaming.until(b"begin\r\n")
            worker.channel.send(wire.encode(wire.Shutdown(timeout=15)))
            assert await idle.rest() == b"", "closed while the stream goes on"
            a.go.set()
            (reply,) = parse(got + await streaming.rest())
        assert (reply.body, reply.whole) == (b"beginend", True)
        assert await worker.exit_code() == 0
        assert control.slab.version(1).in_flight == 0


async def test_a_stream_that_does_not_end_is_cut_visibly_when_the_time_is_over() -> None:
    async with Agent("a") as a, Control() as control:
        await control.serve(a.port)
        (worker,) = control.workers
        async with Client(control.port) as client:
            client.send("/stream")
            got = await client.until(b"begin\r\n")
            worker.channel.send(wire.encode(wire.Shutdown(timeout=0.2)))
            (reply,) = parse(got + await client.rest())
        assert not reply.whole
        assert await worker.exit_code() == 0


async def test_a_worker_ends_when_control_is_gone() -> None:
    async with Agent("a") as a, Control() as control:
        await control.serve(a.port)
        (worker,) = control.workers
        async with Client(control.port) as client:
            await client.get()
            worker.channel.close()
            assert await client.rest() == b""
        assert await worker.exit_code() == 0


async def test_a_replica_that_resets_every_connection_leaks_no_slot() -> None:
    def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        no_time = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_time)
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with server, Control() as control:
        await control.serve(server.sockets[0].getsockname()[1], slots=4, queue_timeout=1.5)
        (worker,) = control.workers

        async def ask() -> int:
            async with Client(control.port) as client:
                return (await client.get()).status

        statuses = await asyncio.gather(*[ask() for _ in range(20)])
        assert set(statuses) <= {502, 503}
        totals = control.slab.version(1)
        assert (totals.in_flight, totals.queued_now) == (0, 0)
        assert totals.started == sum(totals.requests) == 20
        worker.channel.send(wire.encode(wire.Shutdown(timeout=1)))
        assert await worker.exit_code() == 0


async def test_two_workers_never_exceed_a_replicas_slots_together() -> None:
    slots, each = 3, 25
    async with Agent("a", turns=3) as a, Agent("b", turns=3) as b, Control(workers=2) as control:
        await control.serve(a.port, b.port, slots=slots)

        def word(worker: int, at: int) -> int:
            with control.slab.row(worker) as row:
                return row[at]

        async def load(client: Client) -> list[int]:
            return [(await client.get()).status for _ in range(each)]

        async with asyncio.timeout(2 * DEADLINE), contextlib.AsyncExitStack() as stack:
            clients: list[Client] = []
            while min(word(worker, worker_at()) for worker in range(2)) < 8:
                # the kernel chooses which of the two takes a connection
                clients.append(await stack.enter_async_context(Client(control.port)))
                await clients[-1].get()
            statuses = await asyncio.gather(*map(load, clients))
        assert statuses == [[200] * each] * len(clients)
        assert (a.peak, b.peak) == (slots, slots)
        assert a.served + b.served == len(clients) * (each + 1)
        for worker in range(2):
            for cell in (0, 1):
                assert word(worker, cell_at(cell)) == word(worker, cell_at(cell) + 1) > 0
        assert control.slab.version(1).queued > 0
        for ended in control.workers:
            ended.channel.send(wire.encode(wire.Shutdown(timeout=1)))
            assert await ended.exit_code() == 0
