"""A budget over two real daemons: their processes are counted all the time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cluster_kit import LEASE, role
from tests.support.daemon import Load, agent, daemon, left_behind
from tests.support.servers import redis_server
from tests.support.waiting import wait_until

BUDGET = 4
NAMES = ("a", "b")


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with redis_server(tmp_path) as (url, _):
        yield url


def config(url: str, member: str) -> dict[str, Any]:
    scale = {"policy": "target", "min": 1, "max": 4, "tick": "200ms", "stabilization": "1s"}
    pool = {
        "driver": agent("--latency", "50ms"),
        "health": {"interval": "200ms"},
        "concurrency": 2,
        "queue": {"timeout": "20s"},
        "scale": {**scale, "budget": "gpu"},
    }
    return {
        "routes": [{"match": {"path": f"/{name}"}, "pool": name} for name in ("p", "q")],
        "pools": {"p": {**pool, "scale": {**pool["scale"], "priority": 1}}, "q": pool},
        "budgets": {"gpu": {"replicas": BUDGET}},
        "store": url,
        "cluster": {"name": "test", "member": member, "lease": f"{LEASE:g}s"},
    }


class Count:
    """Agents of all daemons of a test, looked at all the time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.most = 0

    @property
    def now(self) -> int:
        return sum(len(left_behind(self._directory / name)) for name in NAMES)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        over = asyncio.Event()

        async def look() -> None:
            while not over.is_set():
                self.most = max(self.most, self.now)
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            group.create_task(look())
            try:
                yield
            finally:
                over.set()


async def test_no_more_processes_than_the_budget_while_load_moves_and_the_leader_dies(
    tmp_path: Path, url: str
) -> None:
    count = Count(tmp_path)
    for name in NAMES:
        (tmp_path / name).mkdir()
    async with (
        count.running(),
        daemon(tmp_path / "a", config(url, "a")) as a,
        daemon(tmp_path / "b", config(url, "b")) as b,
    ):
        await role(a, "leader")
        await role(b, "follower")
        async with Load(b.url + "/q").running(6):
            await wait_until(lambda: count.now == BUDGET, "the budget is used", 30)
            async with Load(a.url + "/p").running(6) as first:
                await first.served(100, 30)
                a.process.kill()
                await role(b, "leader")
                async with daemon(tmp_path / "a", config(url, "a")) as again:
                    await role(again, "follower")
                    async with Load(again.url + "/p").running(6) as second:
                        await second.served(100, 30)
                        await wait_until(lambda: count.now == BUDGET, "the budget is used", 30)
        assert count.most == BUDGET
