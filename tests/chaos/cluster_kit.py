"""Several real daemons on one real redis-server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from redis.exceptions import RedisError

from tests.chaos.daemon_kit import one_pool
from tests.support.daemon import Daemon, agent, daemon
from tests.support.servers import redis_client
from tests.support.waiting import wait_until

LEASE = 2.0
"""Seconds. The default is 3; a shorter one makes shorter tests."""
PATIENCE = 30.0


def config(url: str, member: str, *, lease: float = LEASE, **scale: Any) -> dict[str, Any]:
    """One pool of process replicas, shared by a cluster."""
    sizes = {
        "policy": "target",
        "min": 2,
        "max": 6,
        "tick": "200ms",
        "stabilization": "5s",
        **scale,
    }
    return {
        # slow enough that clients without a pause leave the processors to the daemons
        **one_pool(driver=agent("--latency", "50ms"), scale=sizes),
        "store": url,
        "cluster": {"name": "test", "member": member, "lease": f"{lease:g}s"},
    }


@contextlib.asynccontextmanager
async def cluster(
    directory: Path, url: str, members: Sequence[str], **settings: Any
) -> AsyncIterator[dict[str, Daemon]]:
    """Daemons by name, started one after another, so that the first one leads."""
    async with contextlib.AsyncExitStack() as stack:
        daemons: dict[str, Daemon] = {}
        for name in members:
            where = directory / name
            where.mkdir(exist_ok=True)
            daemons[name] = await stack.enter_async_context(
                daemon(where, config(url, name, **settings))
            )
            if len(daemons) == 1:
                await role(daemons[name], "leader")
        await wait_until(
            lambda: _all_in(daemons), f"all of {', '.join(members)} are members", PATIENCE
        )
        yield daemons


async def _all_in(daemons: dict[str, Daemon]) -> bool:
    seen = [(await standing(running))["members"] for running in daemons.values()]
    return all(set(members) == set(daemons) for members in seen)


async def standing(running: Daemon) -> dict[str, Any]:
    """What a daemon says of its cluster."""
    of_cluster: dict[str, Any] = (await running.status())["cluster"]
    return of_cluster


async def role(running: Daemon, wanted: str, timeout: float = PATIENCE) -> dict[str, Any]:
    """Wait until a daemon has a role."""
    await running.until(
        lambda s: s["cluster"]["role"] == wanted, f"{running.path.parent.name} is {wanted}", timeout
    )
    return await standing(running)


async def desired(running: Daemon) -> int:
    """The size of a daemon's own share."""
    return sum(v["desired"] for v in (await running.pool("support"))["versions"])


async def pids(running: Daemon) -> set[int]:
    """Processes of a daemon's ready replicas."""
    replicas = (await running.pool("support"))["replicas"]
    return {r["pid"] for r in replicas if r["state"] == "ready"}


def alive(processes: set[int]) -> set[int]:
    """Those that still run."""
    return {pid for pid in processes if Path(f"/proc/{pid}").exists()}


def token(plan: str) -> int:
    """Under which token a stored plan was made."""
    return int(json.loads(plan)["token"])


class Watch:
    """Looks at the store all the time: who leads, and what was ever planned under which token."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.leaders: list[tuple[float, str]] = []
        """Monotonic time at which another holder of the lease was seen first."""
        self.plans: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Watch]:
        """Look for as long as the block runs."""
        over = asyncio.Event()
        task = asyncio.create_task(self._look(over))
        try:
            yield self
        finally:
            # not by cancellation, which the client may swallow (until Python 3.12)
            over.set()
            await task

    async def _look(self, over: asyncio.Event) -> None:
        async with redis_client(self._url) as redis:
            while not over.is_set():
                with contextlib.suppress(RedisError, OSError):
                    lease, plan = await redis.mget(
                        "headrace:cluster:test:lease", "headrace:cluster:test:plan"
                    )
                    holder = lease.split()[1].partition("/")[0] if lease else ""
                    if holder and (not self.leaders or self.leaders[-1][1] != holder):
                        self.leaders.append((time.monotonic(), holder))
                    if plan and (not self.plans or self.plans[-1] != plan):
                        self.plans.append(plan)
                await asyncio.sleep(0.02)

    async def taken_by_other_than(
        self, holder: str, timeout: float = PATIENCE
    ) -> tuple[float, str]:
        """When another one leads, and who."""
        await wait_until(
            lambda: self.leaders and self.leaders[-1][1] != holder,
            f"another one than {holder} leads",
            timeout,
        )
        return self.leaders[-1]


async def held(running: Daemon, size: int | None, pool: str = "support") -> None:
    """Hold the size of the pool by hand through one daemon."""
    method = "DELETE" if size is None else "PUT"
    body = None if size is None else {"replicas": size}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{running.admin}/v1/pools/{pool}/scale", json=body) as reply,
    ):
        assert reply.status == 200, await reply.text()
