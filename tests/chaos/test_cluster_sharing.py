"""Real daemons that use each other's replicas: 127.0.0.1 and 127.0.0.2 stand for two hosts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.cluster_kit import config as member
from tests.chaos.cluster_kit import role, standing
from tests.chaos.daemon_kit import SUPPORT
from tests.support.daemon import Daemon, Load, daemon
from tests.support.processes import Spawned
from tests.support.servers import redis_server
from tests.support.waiting import wait_until

HOSTS = {"a": "127.0.0.1", "b": "127.0.0.2"}
SLOTS = 2
AGENT = """
import asyncio, os, sys
from aiohttp import web

now = most = 0

async def work(request):
    global now, most
    now += 1
    most = max(most, now)
    try:
        await asyncio.sleep(float(request.headers.get("X-Seconds", "0.05")))
    finally:
        now -= 1
    return web.Response(text=sys.argv[1])

async def seen(request):
    return web.Response(text=str(most))

app = web.Application()
app.add_routes([web.get("/healthz", seen), web.get("/most", seen), web.post("/{any:.*}", work)])
web.run_app(app, host=sys.argv[1], port=int(os.environ["PORT"]), print=None)
"""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[tuple[str, Spawned]]:
    async with redis_server(tmp_path) as (url, server):
        yield url, server


def config(url: str, name: str, **scale: Any) -> dict[str, Any]:
    whole = member(url, name, **{"min": 1, "max": 1, **scale})
    whole["cluster"]["advertise"] = HOSTS[name]
    pool = whole["pools"]["support"]
    pool["driver"] = {"process": {"command": [sys.executable, "-c", AGENT, "{host}"]}}
    pool["concurrency"] = SLOTS
    pool["queue"] = {"timeout": "20s", "limit": 1000}
    pool["retry"] = {"attempts": 1}
    return whole


def place(directory: Path, name: str) -> Path:
    path = directory / name
    path.mkdir(exist_ok=True)
    return path


async def ask(running: Daemon, seconds: float = 0.05) -> str:
    """One request; where it was served."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(running.url + SUPPORT, headers={"X-Seconds": str(seconds)}) as reply,
    ):
        assert reply.status == 200, await reply.text()
        return await reply.text()


async def borrows(running: Daemon, least: int = 1) -> None:
    """Wait until a daemon may use so many slots of others."""

    async def met() -> bool:
        return bool((await standing(running))["borrowed"] >= least)

    await wait_until(met, f"{least} slots are borrowed", 30)


async def most_at(running: Daemon) -> list[int]:
    """How many requests each ready replica of a daemon has had at once, at most."""
    replicas = (await running.pool("support"))["replicas"]
    found = []
    async with aiohttp.ClientSession() as session:
        for replica in replicas:
            if replica["state"] == "ready":
                url = f"http://{replica['host']}:{replica['port']}/most"
                async with session.get(url) as reply:
                    found.append(int(await reply.text()))
    return found


async def test_a_gateway_without_a_replica_serves_by_that_of_another_without_waiting(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    async with daemon(place(tmp_path, "a"), config(store[0], "a")) as a:
        await role(a, "leader")
        await a.until_ready("support", 1)
        async with daemon(place(tmp_path, "b"), config(store[0], "b")) as b:
            await borrows(b)
            assert (await standing(a))["lent"] >= 1
            assert await ask(b) == HOSTS["a"]
            assert await ask(a) == HOSTS["a"]


async def test_no_replica_has_more_requests_than_slots_while_load_moves_between_gateways(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    settings = {"min": 2, "max": 2}
    async with (
        daemon(place(tmp_path, "a"), config(store[0], "a", **settings)) as a,
        daemon(place(tmp_path, "b"), config(store[0], "b", **settings)) as b,
    ):
        await a.until_ready("support", 1)
        await b.until_ready("support", 1)
        failures = []
        for loads in ((a,), (b,), (a, b)):
            async with asyncio.TaskGroup() as group:
                made = [
                    group.create_task(Load(one.url + SUPPORT).requests(160, 8)) for one in loads
                ]
            failures += [failure for task in made for failure in task.result().failures]
        assert failures == []
        assert await most_at(a) + await most_at(b) == [SLOTS, SLOTS]


async def test_a_replica_is_stopped_only_when_requests_of_other_gateways_are_through(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    async with (
        daemon(place(tmp_path, "a"), config(store[0], "a")) as a,
        daemon(place(tmp_path, "b"), config(store[0], "b")) as b,
    ):
        await a.until_ready("support", 1)
        await borrows(b)
        under_way = asyncio.create_task(ask(b, 3.0))
        await b.until(
            lambda s: s["pools"][0]["versions"][0]["totals"]["in_flight"] == 1, "it is under way"
        )
        a.process.terminate()
        assert await under_way == HOSTS["a"]
        assert await a.process.exit_code(timeout=20) == 0


async def test_a_gateway_that_stops_serves_what_waits_for_slots_of_others(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    async with (
        daemon(place(tmp_path, "a"), config(store[0], "a")) as a,
        daemon(place(tmp_path, "b"), config(store[0], "b")) as b,
    ):
        await a.until_ready("support", 1)
        await borrows(b)
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(ask(b, 0.4)) for _ in range(5)]
            await b.until(
                lambda s: s["pools"][0]["versions"][0]["totals"]["queued_now"] >= 2, "some wait"
            )
            b.process.terminate()
        assert [answer.result() for answer in answers] == [HOSTS["a"]] * 5
        assert await b.process.exit_code(timeout=20) == 0


async def test_without_the_store_nothing_of_others_is_used_after_the_lease(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    url, server = store
    async with (
        daemon(place(tmp_path, "a"), config(url, "a", max=4)) as a,
        daemon(place(tmp_path, "b"), config(url, "b", max=4)) as b,
    ):
        await a.until_ready("support", 1)
        await borrows(b)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await role(b, "alone")
            # its own, which it has to start first
            assert await ask(b) == HOSTS["b"]
            assert await ask(a) == HOSTS["a"]
        finally:
            os.kill(server.pid, signal.SIGCONT)
