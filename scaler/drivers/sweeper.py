"""Ends what a replica leaves behind, for many replicas with one look at `/proc`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from scaler.drivers.procfs import Family, end_families

_log = structlog.get_logger("replicas")


class Sweeper:
    """Coalesces: all requests made while one sweep runs share the next."""

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self._waiting: list[tuple[Family, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def clear(self, family: Family) -> None:
        """Return when no process of `family` is left; they get SIGKILL."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((family, done))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="replica-sweep")
        await done

    async def end(self, families: Sequence[Family], grace: float) -> None:
        """End `families` with SIGTERM, `grace` seconds, SIGKILL; see `end_families`."""
        left = await asyncio.to_thread(end_families, families, self._state_dir, grace)
        if left:
            _log.error(
                "processes cannot be killed", count=left, families=[f.name for f in families]
            )

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await self.end([family for family, _ in batch], grace=0)
                except OSError as error:
                    _log.error("cannot look for processes left behind", error=str(error))
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)
        finally:
            self._task = None
