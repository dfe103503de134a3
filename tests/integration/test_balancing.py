"""Balancing by a whole daemon over live agents: one slow, one failing, one busy elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.daemon import Load, daemon


class LiveAgent:
    """An agent in this process: answers `status` after `seconds`, and `/load` as it is told."""

    def __init__(self, seconds: float = 0.005, status: int = 200, load: float = 0.0) -> None:
        self.seconds = seconds
        self.status = status
        self.load = load
        self.served = 0
        self.asked = asyncio.Event()
        self.url = ""

    async def answer(self, _: web.Request) -> web.Response:
        self.served += 1
        await asyncio.sleep(self.seconds)
        return web.json_response({}, status=self.status)

    async def healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def loads(self, _: web.Request) -> web.Response:
        self.asked.set()
        return web.json_response({"load": self.load})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/load", self.loads)
        app.router.add_post("/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def live(*agents: LiveAgent) -> AsyncIterator[list[str]]:
    async with contextlib.AsyncExitStack() as stack:
        for agent in agents:
            await stack.enter_async_context(agent.running())
        yield [agent.url for agent in agents]


def config(endpoints: list[str], **pool: Any) -> dict[str, Any]:
    static = {"static": {"endpoints": endpoints}}
    settings = {"driver": static, "health": {"interval": "200ms"}, "concurrency": 100, **pool}
    return {"routes": [{"pool": "agents"}], "pools": {"agents": settings}}


@pytest.mark.parametrize("policy", ["peak_ewma", "prequal"])
async def test_a_slow_and_a_failing_agent_get_little(tmp_path: Path, policy: str) -> None:
    slow, failing = LiveAgent(seconds=0.2), LiveAgent(seconds=0.0, status=500)
    usual = [LiveAgent(seconds=0.02) for _ in range(3)]
    async with live(slow, failing, *usual) as endpoints:
        settings = config(endpoints, balance=policy, outliers=None)
        async with daemon(tmp_path, settings) as running:
            await running.until_ready("agents", 5)
            load = await Load(running.url + "/v1").requests(1000, clients=10)
    assert load.done == 1000
    assert failing.served < 20
    assert slow.served < 150  # of 200 by turns; the three others share the rest
    assert all(agent.served > 20 for agent in usual)


async def test_a_failing_agent_is_ejected_told_of_and_shown(tmp_path: Path) -> None:
    failing, good = LiveAgent(status=500), LiveAgent()
    async with live(failing, good) as endpoints:
        settings = config(endpoints, outliers={"time": "3s"})
        async with daemon(tmp_path, settings) as running:
            await running.until_ready("agents", 2)
            load = Load(running.url + "/v1")
            async with load.running(clients=4):
                await running.until(lambda s: s["pools"][0]["ejected"], "the ejection shows")
                failing.status = 200
                metrics = await running.metrics()
                await running.until(lambda s: not s["pools"][0]["ejected"], "the return shows")
                served = failing.served
                await load.served(200)
                events = await running.events()
    name = f"agents-v1-127.0.0.1-{endpoints[0].rpartition(':')[2]}"
    told = {e["kind"]: e for e in events if e["replica"] == name}
    assert told["replica.ejected"]["message"] == "5 failures in a row; for 3s by worker 0"
    assert told["replica.returned"]["message"] == "its time is over, in worker 0"
    assert 'headrace_replicas_ejected{pool="agents",version="v1"} 1.0' in metrics
    assert 'headrace_ejections_total{pool="agents",rule="failures",version="v1"} 1.0' in metrics
    # at most those that were on their way, beside the five of the row
    assert load.statuses[500] <= 5 + 4
    assert failing.served > served


async def test_an_agent_that_says_it_is_busy_gets_nothing(tmp_path: Path) -> None:
    busy, idle = LiveAgent(load=1000.0), LiveAgent()
    async with live(busy, idle) as endpoints:
        balance = {"load": {"path": "/load", "interval": "100ms", "stale": "10s"}}
        async with daemon(tmp_path, config(endpoints, balance=balance)) as running:
            await running.until_ready("agents", 2)
            load = Load(running.url + "/v1")
            async with load.running(clients=4):
                # the second question comes only once the first answers have been passed on
                for _ in range(2):
                    busy.asked.clear()
                    async with asyncio.timeout(10):
                        await busy.asked.wait()
                await load.served(50)
                before = busy.served
                await load.served(200)
                assert busy.served == before
    assert load.failures == []


async def test_a_session_stays_on_one_agent(tmp_path: Path) -> None:
    agents = [LiveAgent() for _ in range(4)]
    async with live(*agents) as endpoints:
        affinity = {"header": "Content-Type", "replica": True}
        settings = {**config(endpoints, affinity=affinity), "workers": 2}
        settings["pools"]["agents"]["balance"] = {"factor": 100}
        async with daemon(tmp_path, settings) as running:
            await running.until_ready("agents", 4)
            load = await Load(running.url + "/v1").requests(200, clients=8)
    assert load.failures == []
    assert sorted(agent.served for agent in agents) == [0, 0, 0, 200]
