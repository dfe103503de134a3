from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.channel import LOG, MAX_FDS, MESSAGE, Channel

DEADLINE = 10.0


class End:
    """One end, with what it has heard."""

    def __init__(self, sock: socket.socket) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.closed = asyncio.Event()
        self._more = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.channel = Channel(sock, self._frame, self.closed.set)

    def _frame(self, kind: int, payload: bytes) -> None:
        self.frames.append((kind, payload))
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)

    async def _notify(self) -> None:
        async with self._more:
            self._more.notify_all()

    async def heard(self, count: int) -> list[tuple[int, bytes]]:
        async with asyncio.timeout(DEADLINE), self._more:
            await self._more.wait_for(lambda: len(self.frames) >= count)
        return self.frames


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = socket.socketpair()
    yield a, b
    a.close()
    b.close()


def frame(payload: bytes, kind: int = MESSAGE) -> bytes:
    return struct.pack(">IB", len(payload), kind) + payload


def opened() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_frames_arrive_in_order_with_their_kind(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    a, b = End(sockets[0]), End(sockets[1])
    a.channel.send(b"one")
    a.channel.send(b"log line", LOG)
    a.channel.send(b"")
    assert await b.heard(3) == [(MESSAGE, b"one"), (LOG, b"log line"), (MESSAGE, b"")]
    b.channel.send(b"back")
    assert await a.heard(1) == [(MESSAGE, b"back")]
    a.channel.close()
    b.channel.close()


async def test_frames_are_put_together_from_single_bytes(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    end = End(sockets[1])
    for byte in frame(b"hello") + frame(b"x" * 70, LOG):
        sockets[0].send(bytes([byte]))
        end.channel.drain()
    assert end.frames == [(MESSAGE, b"hello"), (LOG, b"x" * 70)]
    end.channel.close()


async def test_a_large_frame_waits_in_memory_and_arrives_whole(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    a = End(sockets[0])
    big = os.urandom(4_000_000)
    a.channel.send(big)
    a.channel.send(b"behind it")
    assert 0 < a.channel.pending <= len(big) + 19
    b = End(sockets[1])
    assert await b.heard(2) == [(MESSAGE, big), (MESSAGE, b"behind it")]
    assert a.channel.pending == 0
    a.channel.close()
    b.channel.close()


async def test_descriptors_come_with_their_frame_and_in_order(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    before = opened()
    a, b = End(sockets[0]), End(sockets[1])
    a.channel.send(b"x" * 1_000_000)  # what follows has to wait for the kernel
    for n in range(3):
        files = [os.eventfd(10 * n + i + 1, os.EFD_NONBLOCK) for i in range(2)]
        a.channel.send(b"frame %d" % n, fds=files)
        for fd in files:
            os.close(fd)
    await b.heard(4)
    values = []
    for _ in range(6):
        fd = b.channel.take_fd()
        values.append(os.eventfd_read(fd))
        assert not os.get_inheritable(fd)
        os.close(fd)
    assert values == [1, 2, 11, 12, 21, 22]
    with pytest.raises(IndexError):
        b.channel.take_fd()
    a.channel.close()
    b.channel.close()
    assert opened() == before - 2


async def test_as_many_descriptors_as_allowed_arrive(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    a, b = End(sockets[0]), End(sockets[1])
    fd = os.eventfd(0)
    a.channel.send(b"all", fds=[fd] * MAX_FDS)
    with pytest.raises(ValueError, match="at most 250"):
        a.channel.send(b"more", fds=[fd] * (MAX_FDS + 1))
    os.close(fd)
    await b.heard(1)
    for _ in range(MAX_FDS):
        os.close(b.channel.take_fd())
    a.channel.close()
    b.channel.close()


async def test_closing_gives_back_every_descriptor(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    before = opened()
    a, b = End(sockets[0]), End(sockets[1])
    fd = os.eventfd(0)
    a.channel.send(b"sent", fds=[fd])
    a.channel.send(b"x" * 1_000_000, fds=[fd])
    a.channel.send(b"never sent", fds=[fd])
    os.close(fd)
    await b.heard(1)
    a.channel.close()
    b.channel.close()
    assert opened() == before - 2
    a.channel.send(b"into the void")
    assert a.channel.pending == 0


async def test_what_came_before_the_end_is_heard_before_the_end(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    sockets[0].sendall(frame(b"last words") + frame(b"cut short")[:-1])
    sockets[0].close()
    b = End(sockets[1])
    async with asyncio.timeout(DEADLINE):
        await b.closed.wait()
    assert b.frames == [(MESSAGE, b"last words")]
    assert b.channel.closed


async def test_the_other_ends_death_is_noticed_when_sending(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    a = End(sockets[0])
    sockets[1].close()
    a.channel.send(b"anyone?")
    async with asyncio.timeout(DEADLINE):
        await a.closed.wait()
    assert a.channel.pending == 0


async def test_draining_reads_what_is_left_without_the_loop(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    b = End(sockets[1])
    sockets[0].sendall(frame(b"a") + frame(b"b"))
    b.channel.drain()
    assert [payload for _, payload in b.frames] == [b"a", b"b"]
    b.channel.close()


async def test_closing_from_inside_a_frame_stops_at_once(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    heard: list[bytes] = []

    def once(_kind: int, payload: bytes) -> None:
        heard.append(payload)
        channel.close()

    channel = Channel(sockets[1], once, lambda: heard.append(b"on_close"))
    sockets[0].sendall(frame(b"a") + frame(b"b"))
    channel.drain()
    assert heard == [b"a"]
