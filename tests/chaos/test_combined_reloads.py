"""Everything at once: ejections, hedges, retries, deadlines, found-out slots shared by two workers,
classes and tenants, while reloads change all of them under load.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.daemon_kit import SUPPORT, ask, one_pool
from tests.support.daemon import Daemon, agent, complete, daemon

ROUNDS = 12

AT_LAST = 4
"""Slots of each of the three replicas in the end."""

QUEUES: tuple[dict[str, Any], ...] = (
    {"limit": 10},
    {"limit": 6, "classes": ["high", "middle", "low"], "priority": {"header": "X-Priority"}},
    {"limit": 6, "classes": ["middle", "high"], "priority": {"header": "X-Priority"},
     "tenant": {"header": "X-Tenant"}, "order": "edf"},
    {"limit": 4, "tenant": {"header": "X-Account"}, "order": "lifo", "target": "50ms",
     "interval": "100ms"},
)  # fmt: skip
BALANCES = ("least_request", "peak_ewma", "consistent_hash", "prequal", "round_robin")
SLOTS: tuple[int | str, ...] = ("auto", 2, 4, "auto", 1)


def _config(number: int) -> dict[str, Any]:
    config = one_pool(
        driver=agent("--latency", "30ms", "--failure-rate", "0.1", "--concurrency", "4"),
        scale={"min": 3, "max": 3},
        queue=QUEUES[number % len(QUEUES)],
        balance=BALANCES[number % len(BALANCES)],
        concurrency=SLOTS[number % len(SLOTS)],
        outliers={"failures": 2, "time": "300ms", "max_ejected": 0.5} if number % 3 else None,
        retry={"attempts": 2, "idempotency_key": True, "backoff": "5ms"},
    )
    hedge = {"hedge": {"quantile": 0.5, "least": "10ms"}} if number % 2 else {}
    routes = [{"match": {"path": "/"}, "pool": "support", **hedge}]
    return config | {"routes": routes, "workers": 2}


async def _client(url: str, number: int, over: asyncio.Event, statuses: Counter[int | str]) -> None:
    fields = {
        "X-Priority": ("high", "middle", "low")[number % 3],
        "X-Tenant": f"t{number % 2}",
        "X-Account": f"a{number % 5}",
        "Idempotency-Key": str(number),
    }
    patience = ("2", "60ms", "5")[number % 3]
    async with aiohttp.ClientSession(headers=fields) as session:
        for turn in itertools.count():
            if over.is_set():
                return
            stream = turn % 4 == 3
            named = {} if stream else {"X-Request-Timeout": patience}
            body = {"question": "What is a headrace?", "stream": stream}
            try:
                async with session.post(url, json=body, headers=named) as reply:
                    await reply.read()
                    statuses[reply.status] += 1
            except aiohttp.ClientError as error:
                statuses[type(error).__name__] += 1


async def _reloaded(running: Daemon, config: dict[str, Any]) -> None:
    running.write(complete(config))
    status, said = await ask(running, "POST", "/v1/reload")
    assert (status, said["applied"]) == (200, True), said


async def _settled(running: Daemon) -> None:
    def quiet(status: dict[str, Any]) -> bool:
        (pool,) = status["pools"]
        return all(v["in_flight"] == v["queued"] == 0 for v in pool["versions"])

    await running.until(quiet, "nothing runs or waits")


async def test_reloads_of_everything_under_load_lose_no_slot_and_no_request(
    tmp_path: Path,
) -> None:
    async with daemon(tmp_path, _config(0)) as running:
        await running.until_ready("support", 3)
        over, statuses = asyncio.Event(), Counter[int | str]()
        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(_client(running.url + SUPPORT, number, over, statuses))
            for number in range(1, ROUNDS + 1):
                await _reloaded(running, _config(number))
                before = statuses[200]
                await running.until(
                    lambda _, before=before: statuses[200] > before + 8, "requests are served"
                )
            over.set()
        await _settled(running)
        await _reloaded(running, _config(0) | _without_queue(_config(0)))
        full = Counter[int]()
        for _ in range(5):
            full.update(await _at_once(running.url + SUPPORT, 3 * AT_LAST))
        state = await running.status()
    assert [worker["restarts"] for worker in state["workers"]] == [0, 0]
    assert set(statuses) <= {200, 429, 500, 503, 504}, statuses
    assert full.total() == full[200] + full[500] == 15 * AT_LAST, "a slot was lost"


def _without_queue(config: dict[str, Any]) -> dict[str, Any]:
    """As many slots as `AT_LAST`, and nobody may wait for one."""
    settings = config["pools"]["support"] | {"concurrency": AT_LAST, "queue": {"limit": 0}}
    return {"pools": {"support": settings}}


async def _at_once(url: str, count: int) -> list[int]:
    async def one(session: aiohttp.ClientSession) -> int:
        async with session.post(url, json={"question": "x"}) as reply:
            return reply.status

    async with aiohttp.ClientSession() as session:
        return await asyncio.gather(*(one(session) for _ in range(count)))
