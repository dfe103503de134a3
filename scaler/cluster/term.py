"""The time in which a member's loops decide."""

from __future__ import annotations

import asyncio

from scaler.loop import ScalerLoop


class Term:
    """The time in which the loops run: as a leader, or alone."""

    def __init__(self, scaler: ScalerLoop) -> None:
        self._scaler = scaler
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Let the loops run, in a task of their own."""
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._scaler.run(self._over), name="scaler term")

    @property
    def running(self) -> bool:
        """It has begun and not ended."""
        return self._task is not None

    async def end(self) -> None:
        """Return once they run no longer."""
        task, self._task = self._task, None
        if task is not None:
            self._over.set()
            await task
