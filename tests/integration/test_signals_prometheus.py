"""The Prometheus signal against a real Prometheus, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from fleet.config.schema import PrometheusSignal
from scaler.signals.prometheus import LONGEST_ANSWER, PrometheusSource, parse_answer
from scaler.signals.source import SignalLostError
from tests.support.ports import free_port
from tests.support.servers import prometheus_server
from tests.support.waiting import wait_until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """`handler` answering every GET: host and port."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0]
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def asking(url: str, query: str = "backlog") -> AsyncIterator[PrometheusSource]:
    source = PrometheusSource(PrometheusSignal(query=query, per_replica=10), url, "prometheus[0]")
    try:
        yield source
    finally:
        await source.close()


async def metrics(request: web.Request) -> web.Response:
    return web.Response(text='backlog{pool="support"} 37\nbacklog{pool="other"} 5\nempty NaN\n')


async def value(url: str, query: str) -> float:
    async with asking(url, query) as source:
        return await source.read()


async def lost(url: str, query: str) -> str:
    with pytest.raises(SignalLostError) as caught:
        await value(url, query)
    return str(caught.value)


@pytest.mark.slow
async def test_queries_of_a_real_prometheus(tmp_path: Path) -> None:
    async with (
        served(metrics) as target,
        prometheus_server(tmp_path, {"agents": target}) as (url, _),
    ):

        async def scraped() -> bool:
            return await value(url, "count(backlog) or vector(0)") == 2

        await wait_until(scraped, "the target is scraped", timeout=20)
        assert await value(url, 'sum(backlog{pool="support"})') == 37
        assert await value(url, "sum(backlog)") == 42
        assert await value(url, 'backlog{pool="other"}') == 5
        assert await value(url, "scalar(sum(backlog)) * 2") == 84
        assert await value(url, "sum(absent_metric) or vector(0)") == 0
        assert await lost(url, "backlog") == "the query found 2 series instead of one"
        assert await lost(url, "sum(absent_metric)") == "the query found nothing"
        assert await lost(url, "sum(empty)") == "the query's value is NaN"
        assert await lost(url, "sum(backlog) / 0") == "the query's value is +Inf"
        assert await lost(url, "backlog[1m]") == "the query gives a matrix, not a number"
        assert (await lost(url, "sum(")).startswith("bad_data: ")


ANSWERS = {
    "an error page": (502, b"<html>Bad Gateway</html>", "HTTP 502, not an answer of Prometheus"),
    "an empty body": (200, b"", "HTTP 200, not an answer of Prometheus"),
    "an error": (
        503,
        b'{"status":"error","errorType":"timeout","error":"query timed out"}',
        "timeout: query timed out",
    ),
    "success without data": (200, b'{"status":"success"}', "the query found nothing"),
    "a string": (
        200,
        b'{"status":"success","data":{"resultType":"string","result":[1,"x"]}}',
        "the query gives a string, not a number",
    ),
    "minus infinity": (
        200,
        b'{"status":"success","data":{"resultType":"scalar","result":[1,"-Inf"]}}',
        "the query's value is -Inf",
    ),
    "a value that is no number": (
        200,
        b'{"status":"success","data":{"resultType":"scalar","result":[1,"many"]}}',
        "the answer cannot be read: could not convert string to float: 'many'",
    ),
    "no text": (200, b'{"status":"\xff"}', "HTTP 200, not an answer of Prometheus"),
    "too deep an answer": (
        200,
        b'{"any":' * 10_000,
        "HTTP 200, not an answer of Prometheus",
    ),
    "a series without a value": (
        200,
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}',
        "the query's value is empty",
    ),
    "a series whose value is null": (
        200,
        b'{"status":"success","data":{"resultType":"vector","result":[{"value":null}]}}',
        "the query's value is empty",
    ),
    "a result that is null": (
        200,
        b'{"status":"success","data":{"resultType":"vector","result":null}}',
        "the query found nothing",
    ),
}


@pytest.mark.parametrize(("status", "body", "error"), ANSWERS.values(), ids=ANSWERS.keys())
def test_anything_but_one_number_is_lost(status: int, body: bytes, error: str) -> None:
    with pytest.raises(SignalLostError) as caught:
        parse_answer(status, body)
    assert str(caught.value) == error


NOTHING = (
    "minus infinity",
    "a result that is null",
    "a series whose value is null",
    "a series without a value",
    "success without data",
)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_without_a_number_is_zero_if_so_configured(name: str) -> None:
    status, body, error = ANSWERS[name]
    if name in NOTHING:
        assert parse_answer(status, body, ignore_null_values=True) == 0
        return
    with pytest.raises(SignalLostError) as caught:
        parse_answer(status, body, ignore_null_values=True)
    assert str(caught.value) == error


def test_a_query_has_an_amount_for_each_replica_or_a_target() -> None:
    amount = PrometheusSource(PrometheusSignal(query="up", per_replica=3), "http://p", "a")
    target = PrometheusSource(PrometheusSignal(query="up", target=0.8), "http://p", "b")
    assert (amount.per_replica, amount.ratio) == (3.0, False)
    assert (target.per_replica, target.ratio) == (0.8, True)


async def test_the_query_goes_below_the_path_of_the_url_with_its_password() -> None:
    asked: list[tuple[str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(
            (request.path, request.query["query"], request.headers.get("Authorization", ""))
        )
        return web.Response(
            text='{"status":"success","data":{"resultType":"scalar","result":[1.5,"7"]}}'
        )

    async with served(answer) as host, asking(f"http://me:secret@{host}/prom/", "a+b") as source:
        assert await source.read() == 7
    assert asked == [("/prom/api/v1/query", "a+b", "Basic bWU6c2VjcmV0")]


async def test_an_answer_without_end_is_cut() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await reply.write(b" " * 65536)
        return reply

    async with served(answer) as host, asking(f"http://{host}") as source:
        with pytest.raises(SignalLostError, match=f"longer than {LONGEST_ANSWER} bytes"):
            await source.read()


async def test_nobody_listening_is_lost_at_once() -> None:
    async with asking(f"http://me:secret@127.0.0.1:{free_port()}") as source:
        with pytest.raises(SignalLostError, match="Cannot connect") as caught:
            await source.read()
    assert "secret" not in str(caught.value)


@pytest.mark.slow
async def test_a_server_that_hangs_is_lost_within_its_time() -> None:
    ended = asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, asking(f"http://127.0.0.1:{port}") as source:
        start = asyncio.get_running_loop().time()
        with pytest.raises(SignalLostError, match="no answer within 2s"):
            await source.read()
        assert asyncio.get_running_loop().time() - start < 2.5
        ended.set()
