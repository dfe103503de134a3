"""Asks replicas for their load, where the configuration says so, for the workers and the scaler.

A replica answers `GET` of its pool's `balance.load.path` with 200 and `{"load": NUMBER}`; other
keys are ignored. What does not answer like that within an interval reports nothing that time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from fleet.clock import Clock
from fleet.config.schema import Config
from fleet.model import ReplicaState
from fleet.ports import Gateway
from scaler.members import Member
from scaler.prober import Prober
from scaler.signals.source import LARGEST


class LoadSettings(Struct, frozen=True, kw_only=True):
    """How the replicas of one pool are asked. Times in seconds."""

    path: str
    interval: float
    per_request: float


class _Answer(Struct):
    load: float


def settings_of(config: Config) -> dict[str, LoadSettings]:
    """By the pools whose replicas are asked."""
    return {
        name: LoadSettings(path=load.path, interval=load.interval, per_request=load.per_request)
        for name, pool in config.pools.items()
        if (load := pool.balance.load) is not None and load.path is not None
    }


def load_in(body: bytes | None) -> float | None:
    """The number that an answer holds; None when it holds none from 0 to LARGEST."""
    if body is None:
        return None
    try:
        load = msgspec.json.decode(body, type=_Answer).load
    except (msgspec.MsgspecError, RecursionError):
        return None
    return load if 0 <= load <= LARGEST else None


class LoadPoller:
    """See the module. One task for each pool that is asked; needs a running event loop."""

    def __init__(
        self,
        gateway: Gateway,
        prober: Prober,
        clock: Clock,
        members: Callable[[str], Sequence[Member]],
    ) -> None:
        self._gateway = gateway
        self._prober = prober
        self._clock = clock
        self._members = members
        self._tasks: dict[str, tuple[LoadSettings, asyncio.Task[None]]] = {}

    def configure(self, wanted: Mapping[str, LoadSettings]) -> None:
        """Ask the pools of `wanted`, and no others; those that stay the same go on."""
        for pool, (settings, task) in list(self._tasks.items()):
            if wanted.get(pool) != settings:
                task.cancel()
                del self._tasks[pool]
        for pool, settings in wanted.items():
            if pool not in self._tasks:
                task = asyncio.create_task(self._poll(pool, settings), name=f"loads of {pool}")
                self._tasks[pool] = settings, task

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = [task for _, task in self._tasks.values()]
        self.configure({})
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self, pool: str, settings: LoadSettings) -> None:
        while True:
            ready = [m for m in self._members(pool) if m.state is ReplicaState.READY and m.host]
            answers = await asyncio.gather(
                *(self._ask(member, settings) for member in ready),
                asyncio.sleep(settings.interval, None),
            )
            loads = {}
            for member, load in zip(ready, answers, strict=False):
                if load is not None:
                    member.reported = load, self._clock.monotonic()
                    loads[member.name] = load / settings.per_request
            if loads:
                self._gateway.loads(pool, loads)

    async def _ask(self, member: Member, settings: LoadSettings) -> float | None:
        tls = member.settings.tls if member.tls else None
        body = await self._prober.read(
            member.host, member.port, settings.path, settings.interval, tls
        )
        return load_in(body)
