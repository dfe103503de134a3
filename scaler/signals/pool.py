"""All signals of one pool, put together into the readings of each version.

What the gateway sees is per version. What comes from outside is per pool and shared over its
versions by weight: of 40 items in a queue a version with 5 of 100 answers for 2. A version
without weight gets no part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from fleet.clock import Clock
from fleet.config.schema import RouterSignal
from fleet.model import Reading
from fleet.telemetry.slab import VersionTotals
from scaler.signals.poller import NOT_READ_YET, Poller
from scaler.signals.router import RouterReadings
from scaler.signals.source import Source


class PoolSignals:
    """The signals of a pool. Sources are asked every `interval` seconds while `running`."""

    def __init__(
        self,
        router: Sequence[RouterSignal],
        sources: Sequence[Source],
        *,
        clock: Clock,
        interval: float,
        on_event: Callable[[str, str], None],
    ) -> None:
        self._router = router
        self._pollers = [Poller(source, clock, interval, on_event) for source in sources]
        self._versions: dict[str, list[RouterReadings]] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask the sources in the background; at the end they are closed."""
        async with contextlib.AsyncExitStack() as stack:
            for poller in self._pollers:
                stack.push_async_callback(poller.source.close)
                name = f"signal {poller.source.name}"
                task = asyncio.create_task(poller.run(), name=name)
                stack.push_async_callback(asyncio.wait, [task])
                stack.callback(task.cancel)
                stack.callback(poller.end)
            yield

    def read(
        self,
        version: str,
        totals: VersionTotals,
        weights: Mapping[str, int],
        *,
        slots: int,
        ready: int,
        now: float,
    ) -> tuple[Reading, ...]:
        """The readings of a version at monotonic time `now`; `weights` are all versions'."""
        if version not in self._versions:
            self._versions[version] = [RouterReadings(settings) for settings in self._router]
        readings = [
            reading
            for router in self._versions[version]
            for reading in router.read(totals, slots=slots, ready=ready, now=now)
        ]
        if weights[version]:
            share = weights[version] / sum(weights.values())
            readings += [poller.reading(share) for poller in self._pollers]
        return tuple(readings)

    def forget(self, kept: Mapping[str, object]) -> None:
        """Drop what is kept of versions not in `kept`."""
        self._versions = {v: r for v, r in self._versions.items() if v in kept}

    def lost(self) -> tuple[str, ...]:
        """The signals without a value now, each with its error."""
        return tuple(
            f"{poller.source.name}: {poller.error}"
            for poller in self._pollers
            if poller.error not in (None, NOT_READ_YET)
        )
