"""The worker processes: started, told what to serve, and restarted when they die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from fleet import channel, wire
from fleet.telemetry.slab import Slab

FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0
"""Seconds before a dead worker is started again, doubling while it keeps dying."""

STEADY = 10.0
"""Seconds after which a worker counts as having started well."""

KILL_AFTER = 2.0
"""Seconds a worker has to end after its time to finish is over."""

_log = structlog.get_logger("supervisor")


class Audience(Protocol):
    """Who hears of the workers."""

    def welcome(self, worker: Worker) -> None:
        """A fresh worker must be told everything."""
        ...

    def heard(self, worker: Worker, message: wire.ToControl) -> None:
        """A worker says something."""
        ...

    def died(self, worker: Worker) -> None:
        """A worker is dead; its row still holds its claims."""
        ...


class Worker:
    """One worker process at a time, at one index of the slab."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.process: asyncio.subprocess.Process | None = None
        self.channel: channel.Channel | None = None
        self.generation = 0
        self.restarts = 0
        self.listeners: set[str] = set()
        """Addresses it has the sockets of."""
        self.shared: set[str] = set()
        """Replicas it has the semaphores of."""
        self.told: set[str] = set()
        """Replicas it has been told of."""

    @property
    def pid(self) -> int | None:
        """Process id; None between two lives."""
        return self.process.pid if self.process else None

    def send(self, message: wire.ToWorker, fds: Sequence[int] = ()) -> None:
        """Tell the worker; dropped while it is dead, since it is told everything on its return."""
        if self.channel is not None:
            self.channel.send(wire.encode(message), fds=fds)


class Supervisor:
    """All workers. `write_log(lines)` takes access log lines."""

    def __init__(
        self, count: int, slab: Slab, audience: Audience, write_log: Callable[[bytes], None]
    ) -> None:
        self.workers = [Worker(i) for i in range(count)]
        self._slab = slab
        self._audience = audience
        self._write_log = write_log
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every worker, and keep them alive until `stop`."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._keep_alive(worker), name=f"worker {worker.index}")
            for worker in self.workers
        ]

    async def stop(self, timeout: float) -> None:
        """Let every worker finish what it has within `timeout` seconds, then end it."""
        self._stopping.set()
        running = [task for task in self._tasks if not task.done()]
        if not running:
            return
        for worker in self.workers:
            worker.send(wire.Shutdown(timeout=timeout))
        _, late = await asyncio.wait(running, timeout=timeout + KILL_AFTER)
        if late:
            _log.warning("workers did not end in time; killed")
            self.kill()
            await asyncio.wait(late)

    def kill(self) -> None:
        """End every worker at once."""
        for worker in self.workers:
            if worker.process is not None and worker.process.returncode is None:
                worker.process.kill()

    async def _keep_alive(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            started = loop.time()
            try:
                process, ours = await self._spawn(worker.index)
            except OSError as error:
                _log.error("worker cannot be started", worker=worker.index, reason=str(error))
            else:
                code = await self._live(worker, process, ours)
                if self._stopping.is_set():
                    return
                worker.restarts += 1
                _log.error("worker died; starting another", worker=worker.index, code=code)
            if loop.time() - started > STEADY:
                delay = FIRST_DELAY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
            delay = min(delay * 2, LONGEST_DELAY)

    async def _spawn(self, index: int) -> tuple[asyncio.subprocess.Process, socket.socket]:
        """A worker process and our end of its channel. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo, theirs:
            undo.callback(ours.close)
            arguments = (index, len(self.workers), theirs.fileno(), self._slab.fd)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "router.worker",
                *map(str, arguments),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._slab.fd),
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": _python_path()},
            )
            undo.pop_all()
        return process, ours

    async def _live(
        self, worker: Worker, process: asyncio.subprocess.Process, ours: socket.socket
    ) -> int:
        worker.process = process
        worker.generation = 0
        worker.listeners = set()
        worker.shared = set()
        worker.told = set()
        worker.channel = channel.Channel(
            ours, lambda kind, data: self._frame(worker, kind, data), lambda: None
        )
        self._audience.welcome(worker)
        if self._stopping.is_set():
            process.kill()
        code = await process.wait()
        # what it said last may still be in the socket
        worker.channel.drain()
        worker.channel.close()
        worker.channel = None
        worker.process = None
        worker.generation = 0
        self._audience.died(worker)
        return code

    def _frame(self, worker: Worker, kind: int, payload: bytes) -> None:
        if kind == channel.LOG:
            self._write_log(payload)
        else:
            self._audience.heard(worker, wire.to_control.decode(payload))


def _python_path() -> str:
    """Where a worker finds the packages that this process runs, whatever else lies about."""
    root = str(Path(channel.__file__).resolve().parents[1])
    given = os.environ.get("PYTHONPATH")
    return f"{root}{os.pathsep}{given}" if given else root
