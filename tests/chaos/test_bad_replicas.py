"""Requests that may be repeated do not fail while one replica is sound, whatever the other does.

The replicas are sockets of the test, so that nothing but the gateway's own tries helps: they pass
their health checks (a connection is enough), and nobody takes them out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.daemon_kit import ROUTES, one_pool
from tests.support.daemon import Daemon, agent, daemon, left_behind
from tests.support.servers import redis_server

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUESTS = 100
MEMORY = 16 << 20
"""Bytes by which a worker may have grown: allocators keep what they had once."""


async def _sound(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsound")


async def _silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _loris(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsound":
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.1)


async def _closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    _reset(writer)


async def _nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n")


async def _sends_more_than_it_says(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nfar more")


async def _declines(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 No\r\nX-Headrace-Retry: true\r\nContent-Length: 0\r\n\r\n")


async def _resets_in_the_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    await asyncio.sleep(0.05)
    _reset(writer)


async def _sends_less_than_it_says(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def _replica(behaviour: Behaviour) -> AsyncIterator[str]:
    """A server that answers every request so: its endpoint."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                await reader.readuntil(b"\r\n\r\n")
                await behaviour(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def _config(endpoints: list[str], workers: int = 1) -> dict[str, Any]:
    pool = {
        "driver": {"static": {"endpoints": endpoints}},
        "health": {"path": None, "interval": "200ms"},
        # nothing takes the bad replica out: half of all requests may need a second try
        "retry": {"budget": {"share": 1, "floor": 100}},
    }
    return {
        "routes": ROUTES,
        "pools": {"support": pool},
        "timeouts": {"first_byte": "300ms"},
        "workers": workers,
    }


async def _gets(url: str, count: int, clients: int = 8) -> Counter[str]:
    """What became of so many GETs."""
    ends: Counter[str] = Counter()
    left = iter(range(count))

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in left:
            try:
                async with session.get(url) as reply:
                    text = await reply.text()
                    ends["200" if reply.status == 200 else f"{reply.status} {text}"] += 1
            except aiohttp.ClientError as error:
                ends[type(error).__name__] += 1

    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client(session))
    return ends


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _memory(running: Daemon) -> int:
    """Bytes resident in the workers."""
    return sum(_resident(worker["pid"]) for worker in (await running.status())["workers"])


async def _books_balance(running: Daemon) -> None:
    """Every lease has ended and nobody waits."""
    await running.until(
        lambda status: all(
            version["in_flight"] == version["queued"] == 0
            for pool in status["pools"]
            for version in pool["versions"]
        ),
        "every lease is given back",
    )


HARMLESS: dict[str, Behaviour] = {
    "accepts and never answers": _silent,
    "closes without a word": _closes,
    "declines": _declines,
    "dribbles its head": _loris,
    "resets": _resets,
    "sends more than it says": _sends_more_than_it_says,
    "speaks something else": _nonsense,
}


@pytest.mark.parametrize("behaviour", HARMLESS.values(), ids=HARMLESS)
async def test_nothing_fails_beside_a_replica_that(behaviour: Behaviour, tmp_path: Path) -> None:
    async with (
        _replica(_sound) as sound,
        _replica(behaviour) as bad,
        daemon(tmp_path, _config([bad, sound])) as running,
    ):
        await running.until_ready("support", 2)
        await _gets(running.url, 20)
        before = await _memory(running)
        ends = await _gets(running.url, REQUESTS)
        await _books_balance(running)
        grown = await _memory(running) - before
        assert await running.stop() == 0
    assert ends == {"200": REQUESTS}
    assert grown < MEMORY
    assert left_behind(tmp_path) == []


VISIBLE: dict[str, Behaviour] = {
    "resets in the middle of a body": _resets_in_the_body,
    "sends less than it says": _sends_less_than_it_says,
}


@pytest.mark.parametrize("behaviour", VISIBLE.values(), ids=VISIBLE)
async def test_no_cut_reply_passes_for_a_whole_one_beside_a_replica_that(
    behaviour: Behaviour, tmp_path: Path
) -> None:
    async with (
        _replica(_sound) as sound,
        _replica(behaviour) as bad,
        daemon(tmp_path, _config([bad, sound])) as running,
    ):
        await running.until_ready("support", 2)
        ends = await _gets(running.url, REQUESTS)
        await _books_balance(running)
        assert await running.stop() == 0
    assert ends.total() == REQUESTS
    assert set(ends) == {"200", "ClientPayloadError"}


FAULTS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_nothing_fails_when_half_of_the_replicas_are(
    fault: signal.Signals, workers: int, tmp_path: Path
) -> None:
    config = one_pool(
        driver=agent("--latency", "20ms"),
        scale={"min": 4, "max": 4},
        queue={"limit": 1000, "timeout": "20s"},
        retry={"budget": {"share": 1, "floor": 100}},
    )
    config |= {"workers": workers, "timeouts": {"first_byte": "1s"}}
    async with daemon(tmp_path, config) as running:
        await running.until_ready("support", 4)
        load = asyncio.create_task(_gets(f"{running.url}/stats", 6 * REQUESTS))
        replicas = (await running.pool("support"))["replicas"]
        for replica in replicas[:2]:
            os.kill(replica["pid"], fault)
        ends = await load
        await _books_balance(running)
        if fault is signal.SIGSTOP:
            for replica in replicas[:2]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(replica["pid"], signal.SIGCONT)
        assert await running.stop() == 0
    assert ends == {"200": 6 * REQUESTS}
    assert left_behind(tmp_path) == []


async def test_nothing_fails_when_the_store_is_killed(tmp_path: Path) -> None:
    async with (
        redis_server(tmp_path) as (url, server),
        daemon(tmp_path, {**one_pool(scale={"min": 2, "max": 2}), "store": url}) as running,
    ):
        await running.until_ready("support", 2)
        await running.until(lambda s: s["store_connected"], "the store is connected")
        load = asyncio.create_task(_gets(f"{running.url}/stats", 4 * REQUESTS))
        server.kill()
        await running.until(lambda s: not s["store_connected"], "the store is lost")
        ends = await load + await _gets(f"{running.url}/stats", REQUESTS)
        await _books_balance(running)
        assert await running.stop() == 0
    assert ends == {"200": 5 * REQUESTS}


async def test_a_replica_that_pauses_is_passed_by_hedges(tmp_path: Path) -> None:
    """Every fourth reply of one replica takes a second; another answers in its place."""
    count = 0

    async def pauses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        if count % 4 == 0:
            await asyncio.sleep(1)
        await _sound(reader, writer)

    async with _replica(_sound) as sound, _replica(pauses) as bad:
        config = _config([bad, sound])
        config["timeouts"] = {"first_byte": "10s"}
        config["routes"] = [{**ROUTES[0], "hedge": {"quantile": 0.5, "least": "50ms"}}]
        async with daemon(tmp_path, config) as running:
            await running.until_ready("support", 2)
            assert await _gets(running.url, REQUESTS) == {"200": REQUESTS}
            assert await _gets(running.url, REQUESTS) == {"200": REQUESTS}
            won = re.search(r"^headrace_hedge_wins_total.* (\S+)$", await running.metrics(), re.M)
            await _books_balance(running)
            assert await running.stop() == 0
    assert won is not None
    assert float(won.group(1)) > 0
