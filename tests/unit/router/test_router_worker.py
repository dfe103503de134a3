from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest

from fleet.telemetry.slab import Slab
from router.worker import Worker


async def test_a_tick_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    slab = Slab.create(1)
    control, mine = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    worker = Worker(0, 1, mine, os.dup(slab.fd))
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    failed = asyncio.Event()

    def fail(_: float) -> None:
        failed.set()
        raise ValueError("a fault in something timed")

    monkeypatch.setattr(worker.plane, "tick", fail)
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(failed.wait(), 10)
    control.close()
    await asyncio.wait_for(running, 10)
    assert {str(context["exception"]) for context in said} == {"a fault in something timed"}
