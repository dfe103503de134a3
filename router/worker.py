"""A worker process: the data plane on uvloop, and nothing else.

Started by control as `python -m router.worker INDEX WORKERS CHANNEL_FD SLAB_FD`. It serves what
control pushes over the channel, and ends when told to, or when control is gone.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from time import monotonic

import uvloop

from fleet import channel, wire
from fleet.telemetry.slab import Slab
from router.accesslog import AccessLog
from router.doors import Doors
from router.plane import Plane

IDLE_GRACE = 0.5
"""Seconds that idle client connections stay open at shutdown: a request already on its way is
served, with `Connection: close`, instead of meeting a closed door."""

ORPHANED_TIMEOUT = 5.0
"""Seconds to finish what there is when control has died."""


class Worker:
    """Joins the channel to the plane and owns the listeners."""

    def __init__(self, index: int, workers: int, control: socket.socket, slab_fd: int) -> None:
        self._slab = Slab.attach(slab_fd, workers)
        row = self._slab.row(index)
        self._channel = channel.Channel(control, self._frame, self._control_gone)
        log = AccessLog(
            lambda lines: self._channel.send(lines, channel.LOG),
            lambda: self._channel.pending,
            row,
        )
        self.plane = Plane(row, self._tell, log)
        self._doors = Doors(self.plane)
        self._opening = asyncio.Lock()
        self._ended = asyncio.Event()
        self._stop_at: float | None = None
        self._idle_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        tick = self.plane.wheel.tick

        due = [loop.time() + tick]

        def on_tick() -> None:
            try:
                if self._stop_at is not None:
                    self._draining(self._stop_at)
                self.plane.tick(max(0.0, loop.time() - due[0]))
            finally:  # a fault in something timed must not end all time-outs and the drain
                due[0] = loop.time() + tick
                timer[0] = loop.call_later(tick, on_tick)

        timer = [loop.call_later(tick, on_tick)]
        await self._ended.wait()
        timer[0].cancel()
        self.plane.log.flush()
        self._channel.close()

    def _tell(self, message: wire.ToControl) -> None:
        self._channel.send(wire.encode(message))

    def _frame(self, kind: int, payload: bytes) -> None:
        message = wire.to_worker.decode(payload)
        if isinstance(message, wire.Table):
            sockets = {
                address: socket.socket(fileno=self._channel.take_fd())
                for address in message.new_listeners
            }
            self.plane.apply(message)
            self._listen(message, sockets)
        elif isinstance(message, wire.Members):
            self.plane.members(message, self._channel.take_fd)
        elif isinstance(message, wire.Loads):
            self.plane.loads(message)
        else:
            self._shutdown(message.timeout)

    def _listen(self, table: wire.Table, sockets: dict[str, socket.socket]) -> None:
        task = asyncio.get_running_loop().create_task(self._open(table, sockets))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, table: wire.Table, sockets: dict[str, socket.socket]) -> None:
        async with self._opening:  # generations come in order, and so do their listeners
            await self._doors.open(table.listeners, sockets)
        self._tell(wire.Applied(generation=table.generation))

    def _shutdown(self, timeout: float) -> None:
        if self._stop_at is not None:
            return
        now = monotonic()
        self._stop_at = now + timeout
        self._idle_until = now + min(IDLE_GRACE, timeout)
        self.plane.draining = True
        self._doors.close()

    def _draining(self, stop_at: float) -> None:
        now = monotonic()
        if now >= self._idle_until:
            for downstream in list(self.plane.downstreams):
                downstream.drain()
        if now >= stop_at:
            for downstream in list(self.plane.downstreams):
                downstream.abandon()
        if not self.plane.downstreams or now >= stop_at:
            self._ended.set()

    def _control_gone(self) -> None:
        self._shutdown(ORPHANED_TIMEOUT)


async def _main(index: int, workers: int, channel_fd: int, slab_fd: int) -> None:
    worker = Worker(index, workers, socket.socket(fileno=channel_fd), slab_fd)
    await worker.run()


def main(argv: list[str]) -> int:
    """Entry point; see the module."""
    index, workers, channel_fd, slab_fd = map(int, argv[1:5])
    # control decides when workers stop; a Ctrl-C at the terminal reaches the whole group
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    uvloop.run(_main(index, workers, channel_fd, slab_fd))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
