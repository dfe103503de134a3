"""A daemon with many more clients than slots, and changes that must not touch what runs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.daemon_kit import SUPPORT, ask, one_pool
from tests.support.daemon import Load, agent, complete, daemon

SLOTS, LATENCY = 8, 0.05
QUESTION = {"question": "What is a headrace?"}


class Crowd:
    """Clients of one class that ask again at once, and note what they got and how long it took."""

    def __init__(self, url: str, priority: str) -> None:
        self._url = url
        self._headers = {"X-Priority": priority}
        self.statuses: Counter[int] = Counter()
        self.took: list[float] = []
        self.unhinted = 0

    async def ask_for(self, seconds: float, session: aiohttp.ClientSession) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            async with session.post(self._url, json=QUESTION, headers=self._headers) as reply:
                await reply.read()
                self.statuses[reply.status] += 1
                if reply.status == 200:
                    self.took.append(time.monotonic() - began)
                elif "Retry-After" not in reply.headers:
                    self.unhinted += 1


async def test_the_highest_class_is_served_while_the_lowest_is_refused(tmp_path: Path) -> None:
    config = one_pool(
        driver=agent("--latency", f"{LATENCY:g}s", "--concurrency", str(SLOTS)),
        concurrency=SLOTS,
        queue={
            "limit": 16, "classes": ["high", "low"], "priority": {"header": "X-Priority"},
            "target": "100ms", "interval": "200ms",
        },
        scale={"min": 1, "max": 1},
    )  # fmt: skip
    async with daemon(tmp_path, config | {"workers": 2}) as running:
        await running.until_ready("support", 1)
        high, low = (Crowd(running.url + SUPPORT, name) for name in ("high", "low"))
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(2):
                group.create_task(high.ask_for(4.0, session))
            for _ in range(5 * SLOTS):
                group.create_task(low.ask_for(4.0, session))
        shed = [line for line in (await running.metrics()).splitlines() if "shed_total{" in line]
        version = await running.version("support")
    # on a machine that stalls for longer than twice the target the highest class waits too long too
    assert high.statuses[200] >= 0.95 * high.statuses.total(), high.statuses
    assert set(low.statuses) == {200, 503}
    assert low.unhinted == 0
    refused = sum(float(line.rpartition(" ")[2]) for line in shed if 'class="low"' in line)
    assert refused == low.statuses[503]
    assert (version["in_flight"], version["queued"]) == (0, 0)


def _two_pools(v1: int, v2: int, **other: Any) -> dict[str, Any]:
    driver = agent("--latency", "1500ms")
    pools = one_pool(
        driver=driver,
        versions={"v1": {"weight": v1}, "v2": {"weight": v2}},
        scale={"min": 2, "max": 2},
    )["pools"]
    pools["other"] = {"driver": {"static": {"endpoints": ["http://127.0.0.1:9"]}}, **other}
    routes = [
        {"match": {"path": "/other"}, "pool": "other"},
        {"match": {"path": "/"}, "pool": "support"},
    ]
    return {"routes": routes, "pools": pools}


async def _reload(running: Any, config: dict[str, Any]) -> None:
    running.write(complete(config))
    status, said = await ask(running, "POST", "/v1/reload")
    assert (status, said["applied"]) == (200, True), said


async def test_changes_leave_a_stream_alone_and_turn_new_requests_elsewhere(
    tmp_path: Path,
) -> None:
    async with daemon(tmp_path, _two_pools(99, 1)) as running, aiohttp.ClientSession() as session:
        await running.until_ready("support", 2)
        body = {**QUESTION, "stream": True}
        named = {"X-Headrace-Version": "v1"}
        async with session.post(running.url + SUPPORT, json=body, headers=named) as reply:
            assert reply.headers["X-Served-By"] == "support/v1"
            text = await reply.content.readany()
            # another pool's queue, then its weight, then its own replica
            await _reload(running, _two_pools(99, 1, queue={"classes": ["a", "b"]}))
            await _reload(running, _two_pools(0, 100, critical=True))
            replicas = (await running.pool("support"))["replicas"]
            (held,) = [r["name"] for r in replicas if r["version"] == "v1"]
            status, drained = await ask(running, "POST", f"/v1/replicas/{held}/drain")
            assert (status, drained["state"]) == (200, "draining")
            load = await Load(running.url + SUPPORT).requests(4, clients=4)
            text += await reply.read()
    assert text.endswith(b"data: [DONE]\n\n")
    assert load.failures == []
    assert set(load.served_by) == {"support/v2"}
