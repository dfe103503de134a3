"""Websockets through a real daemon to an agent that echoes: every kind of message, of every size,
whole and in odd pieces. After the cases of the Autobahn test suite (sections 1, 2, 5, 7 and 9).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web
from edge_kit import DEADLINE, Client, address

from tests.support.daemon import Daemon, daemon
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MiB = 1 << 20
SIZES = [0, 1, 125, 126, 127, 65535, 65536, MiB, 16 * MiB]
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


async def _echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(max_msg_size=0, autoclose=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT and message.data.startswith("close "):
            await socket.close(code=int(message.data[6:]), message=b"asked for")
        elif message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    await socket.close(code=socket.close_code or 1000)
    return socket


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response()


@contextlib.asynccontextmanager
async def echoing(directory: Path) -> AsyncIterator[Daemon]:
    """A daemon in front of one agent that echoes."""
    app = web.Application()
    app.add_routes([web.get("/healthz", _healthy), web.get("/ws", _echo)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        static = {"endpoints": [f"http://{host}:{port}"]}
        pool = {"driver": {"static": static}, "health": {"interval": "200ms"}}
        async with daemon(directory, {"routes": [{"pool": "p"}], "pools": {"p": pool}}) as running:
            await running.until_ready("p", 1)
            yield running
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    async with echoing(tmp_path_factory.mktemp("echo")) as daemon_:
        yield daemon_


def frame(kind: int, payload: bytes, *, final: bool = True) -> bytes:
    """A client's frame (RFC 6455 section 5.2); the mask of zeros leaves the payload legible."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = b"\xfe" + struct.pack("!H", size)
    else:
        length = b"\xff" + struct.pack("!Q", size)
    return bytes((kind | (0x80 if final else 0),)) + length + bytes(4) + payload


class Raw(Client):
    """A client that writes frames as it pleases."""

    async def open(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.send(
            "/ws", "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
        )  # fmt: skip
        async with asyncio.timeout(DEADLINE):
            head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")

    async def frame(self) -> tuple[int, bytes]:
        """The next frame of the other side: its kind, final bit aside, and its payload."""
        async with asyncio.timeout(DEADLINE):
            first, size = await self._reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
            return first & 0x0F, await self._reader.readexactly(size)


async def test_messages_of_every_size_come_back(running: Daemon) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{running.url}/ws", max_msg_size=0) as socket,
    ):
        for size in SIZES:
            data = os.urandom(size)
            async with asyncio.timeout(6 * DEADLINE):
                await socket.send_bytes(data)
                assert await socket.receive_bytes() == data, f"{size} bytes"
                await socket.send_str("ä" * (size // 2))
                assert await socket.receive_str() == "ä" * (size // 2), f"{size} bytes of text"


async def test_frames_pass_as_they_are_in_whatever_pieces(running: Daemon) -> None:
    async with Raw(await address(running)) as client:
        await client.open()
        sent = (
            frame(PING, b"are you there")
            + frame(TEXT, b"whole")
            + frame(BINARY, b"in ", final=False)
            + frame(PING, b"between")
            + frame(CONTINUATION, b"three ", final=False)
            + frame(CONTINUATION, b"parts")
            + frame(BINARY, bytes(300))
            + frame(PONG, b"unasked")
            + frame(TEXT, b"")
        )
        expected = [
            (PONG, b"are you there"),
            (TEXT, b"whole"),
            (PONG, b"between"),
            (BINARY, b"in three parts"),
            (BINARY, bytes(300)),
            (TEXT, b""),
        ]
        for size in (len(sent), 1, 2, 7, 127):
            for at in range(0, len(sent), size):
                client.writer.write(sent[at : at + size])
                await asyncio.sleep(0)
            assert [await client.frame() for _ in expected] == expected, f"pieces of {size}"


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
async def test_close_codes_pass_both_ways(running: Daemon, code: int) -> None:
    async with Raw(await address(running)) as client:
        await client.open()
        client.writer.write(frame(CLOSE, struct.pack("!H", code) + b"bye"))
        kind, payload = await client.frame()
        assert (kind, payload[:2]) == (CLOSE, struct.pack("!H", code))
        assert await client.rest() == b""
    async with Raw(await address(running)) as client:
        await client.open()
        client.writer.write(frame(TEXT, b"close %d" % code))
        answer = struct.pack("!H", code) + b"asked for"
        assert await client.frame() == (CLOSE, answer)
        client.writer.write(frame(CLOSE, answer))
        assert await client.rest() == b""


async def test_a_client_that_does_not_read_stalls_its_agent_and_costs_no_memory(
    tmp_path: Path,
) -> None:
    async with echoing(tmp_path) as running, Raw(await address(running)) as client:
        await client.open()
        pid = (await running.status())["workers"][0]["pid"]
        message = frame(BINARY, bytes(MiB))
        for _ in range(16):  # whatever a worker needs to carry them at all
            client.writer.write(message)
            assert await client.frame() == (BINARY, bytes(MiB))
        before = _resident(pid)
        written = 0

        async def stalled() -> bool:
            nonlocal written
            try:
                async with asyncio.timeout(0.5):
                    client.writer.write(message)
                    written += 1
                    await client.writer.drain()
            except TimeoutError:
                return True
            return False

        # what both kernels, the gateway and the agent hold between them is some tens of MiB
        client.writer.transport.set_write_buffer_limits(0)  # type: ignore[attr-defined]
        await wait_until(stalled, "nobody takes anything any more", 6 * DEADLINE)
        assert written < 100  # one that holds back nothing takes everything
        assert _resident(pid) - before < 32 * MiB
        for _ in range(written):
            assert await client.frame() == (BINARY, bytes(MiB))


def _resident(pid: int) -> int:
    """Bytes of memory of a process (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
