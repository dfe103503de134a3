"""Replicas that exist already: found healthy or not, added and removed by reloads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from replica_kit import LogTap, config, pool, staged, tapped_log

from fleet.config.schema import Health
from fleet.model import ReplicaState
from scaler.prober import Prober

READY = ReplicaState.READY
UNHEALTHY = ReplicaState.UNHEALTHY
DRAINING = ReplicaState.DRAINING


@pytest.fixture(autouse=True)
def log() -> Iterator[LogTap]:
    with tapped_log() as tap:
        yield tap


class Upstream:
    """An agent that answers health checks as it is told."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.asked: list[str] = []
        self.silent = asyncio.Event()
        self.silent.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def name(self) -> str:
        return f"chat-v1-127.0.0.1-{self.port}"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        await self.silent.wait()
        headers = {"Location": "/elsewhere"} if 300 <= self.status < 400 else {}
        return web.Response(status=self.status, headers=headers)


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    runner: web.AppRunner
    agent = Upstream(0)
    app = web.Application()
    app.router.add_get("/{path:.*}", agent.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    agent.port = runner.addresses[0][1]
    try:
        yield agent
    finally:
        await runner.cleanup()


def static(*agents: Upstream, **settings: object) -> dict[str, object]:
    return pool({"static": {"endpoints": [agent.url for agent in agents]}}, **settings)


async def test_endpoints_are_checked_and_follow_their_health(tmp_path: Path) -> None:
    async with upstream() as one, staged(tmp_path, config(chat=static(one))) as stage:
        replica = await stage.ready(one.name)
        assert (replica.host, replica.port, replica.pid) == ("127.0.0.1", one.port, None)
        one.status = 503
        unhealthy = await stage.journal.first("unhealthy")
        assert unhealthy.message == "GET /healthz answered 503"
        assert len(one.asked) >= 4
        one.status = 200
        await stage.journal.first("recovered")
        assert (await stage.ready(one.name)).cell == replica.cell


async def test_a_reload_adds_and_drains_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    async with (
        upstream() as one,
        upstream() as two,
        upstream() as three,
        staged(tmp_path, config(chat=static(one, two))) as stage,
    ):
        kept = await stage.ready(two.name)
        await stage.ready(one.name)
        stage.gateway.busy[one.name] = 1
        stage.manager.configure(config(chat=static(two, three)))
        await stage.ready(three.name)
        assert stage.gateway.states("chat") == {
            one.name: DRAINING,
            two.name: READY,
            three.name: READY,
        }
        assert await stage.ready(two.name) == kept
        stage.gateway.finish(one.name)
        await stage.gateway.until(
            lambda: stage.gateway.states("chat") == {two.name: READY, three.name: READY}
        )


async def test_an_endpoint_that_returns_while_it_drains_comes_back_after(tmp_path: Path) -> None:
    async with upstream() as one, staged(tmp_path, config(chat=static(one))) as stage:
        before = await stage.ready(one.name)
        stage.gateway.busy[one.name] = 1
        stage.manager.configure(config(chat=static()))
        await stage.journal.first("draining")
        stage.manager.configure(config(chat=static(one)))
        stage.gateway.finish(one.name)
        assert (await stage.ready(one.name)).cell != before.cell


async def test_one_drained_by_hand_stays_out_until_the_next_reload(tmp_path: Path) -> None:
    async with (
        upstream() as one,
        upstream() as two,
        staged(tmp_path, config(chat=static(one, two))) as stage,
    ):
        await stage.ready(one.name)
        await stage.ready(two.name)
        stage.manager.drain(one.name)
        await stage.journal.first("stopped", one.name)
        two.status = 500
        await stage.journal.first("unhealthy", two.name)
        assert stage.gateway.states("chat") == {two.name: UNHEALTHY}
        stage.manager.configure(config(chat=static(one, two)))
        await stage.ready(one.name)


async def test_desired_numbers_do_not_touch_static_replicas(tmp_path: Path) -> None:
    async with upstream() as one, staged(tmp_path, config(chat=static(one))) as stage:
        stage.manager.set_desired("chat", {"v1": 0})
        await stage.ready(one.name)
        stage.manager.set_desired("chat", {"v1": 5})
        one.status = 500
        await stage.journal.first("unhealthy")
        assert stage.gateway.states("chat") == {one.name: UNHEALTHY}


@pytest.fixture
async def prober(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Prober]:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    prober = Prober()
    yield prober
    await prober.close()


STATUSES = {200: None, 204: None, 302: None, 399: None, 404: "404", 500: "500"}


@pytest.mark.parametrize(("status", "failure"), STATUSES.items(), ids=map(str, STATUSES))
async def test_a_status_from_200_to_399_is_healthy_and_no_redirect_is_followed(
    prober: Prober, status: int, failure: str | None
) -> None:
    async with upstream() as one:
        one.status = status
        verdict = await prober.check("127.0.0.1", one.port, Health(path="/up?x=%41"))
        assert verdict == (f"GET /up?x=%41 answered {failure}" if failure else None)
        assert one.asked == ["/up?x=%41"]


async def test_one_that_does_not_answer_in_time_is_not_healthy(prober: Prober) -> None:
    async with upstream() as one:
        one.silent.clear()
        health = Health.model_validate({"timeout": "50ms"})
        verdict = await prober.check("127.0.0.1", one.port, health)
        one.silent.set()
        assert verdict == "no answer within 0.05s"


async def test_without_a_path_a_connection_is_enough(prober: Prober) -> None:
    async with upstream() as one:
        one.status = 500
        assert await prober.check("127.0.0.1", one.port, Health(path=None)) is None
    refused = await prober.check("127.0.0.1", one.port, Health(path=None))
    assert refused is not None
    assert refused.startswith("cannot connect: ")


async def test_one_that_refuses_or_speaks_no_http_is_not_healthy(prober: Prober) -> None:
    def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    verdict = await prober.check("127.0.0.1", port, Health())
    assert verdict is not None
    assert verdict.startswith("check failed: ")
    server.close()
    await server.wait_closed()
    refused = await prober.check("127.0.0.1", port, Health())
    assert refused is not None
    assert refused.startswith("cannot connect: ")


async def test_without_a_host_there_is_nothing_to_ask(prober: Prober) -> None:
    assert await prober.check("", 0, Health()) is None
