"""The example agents as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.ports import free_port
from tests.support.processes import ROOT, Spawned, spawned
from tests.support.servers import redis_client, redis_server
from tests.support.waiting import wait_until

EXAMPLES = ROOT / "examples"
QUESTION = {"question": "When is the lease on a slot released?"}
CHAT = {"messages": [{"role": "user", "content": "What is a version?"}]}


@contextlib.asynccontextmanager
async def agent(*options: str) -> AsyncIterator[tuple[Spawned, aiohttp.ClientSession]]:
    """An agent, listening, and a session whose base is its address."""
    port = free_port()
    command = (sys.executable, EXAMPLES / "agent.py", "--port", str(port), "--seed", "1")
    named = {"HEADRACE_REPLICA": "support-v2-7", "HEADRACE_VERSION": "v2"}
    async with (
        spawned(*command, *options, env=named) as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        await process.line("listens on")
        yield process, session


async def support_url(process: Spawned) -> str:
    return (await process.line(r"listens on (\S+)"))[1] + "/v1/support"


async def post(session: aiohttp.ClientSession, path: str, body: object) -> tuple[int, Any]:
    async with session.post(path, json=body) as reply:
        return reply.status, await reply.json()


async def stats(session: aiohttp.ClientSession) -> dict[str, int]:
    async with session.get("/stats") as reply:
        counts: dict[str, int] = await reply.json()
        return counts


async def events(reply: aiohttp.ClientResponse) -> list[str]:
    text = (await reply.read()).decode()
    assert text.endswith("\n\n")
    return [event.removeprefix("data: ") for event in text.removesuffix("\n\n").split("\n\n")]


async def test_an_agent_answers_from_its_corpus_and_names_itself() -> None:
    async with agent("--latency", "1ms", "--model", "large") as (_, session):
        status, reply = await post(session, "/v1/support", QUESTION)
        assert status == 200
        assert reply["replica"] == "support-v2-7"
        assert reply["version"] == "v2"
        assert reply["model"] == "large"
        assert len(reply["answer"].split()) > 3
        status, reply = await post(session, "/v1/chat/completions", CHAT)
        assert status == 200
        assert reply["object"] == "chat.completion"
        assert reply["choices"][0]["message"]["role"] == "assistant"


async def test_an_agent_streams_tokens_and_ends_with_done() -> None:
    async with agent("--latency", "10ms") as (_, session):
        async with session.post("/v1/support", json={**QUESTION, "stream": True}) as reply:
            assert reply.headers["Content-Type"] == "text/event-stream"
            *tokens, done = await events(reply)
        assert done == "[DONE]"
        assert len("".join(json.loads(token)["token"] for token in tokens).split()) == len(tokens)
        async with session.post("/v1/chat/completions", json={**CHAT, "stream": True}) as reply:
            *tokens, done = await events(reply)
        assert done == "[DONE]"
        assert all(json.loads(t)["object"] == "chat.completion.chunk" for t in tokens)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/support", [], id="a list is no request"),
        pytest.param("/v1/support", {}, id="a question is needed"),
        pytest.param("/v1/chat/completions", {"messages": []}, id="a message is needed"),
        pytest.param("/v1/chat/completions", {"messages": ["hi"]}, id="a message has content"),
    ],
)
async def test_an_agent_refuses_what_it_does_not_understand(path: str, body: object) -> None:
    async with agent() as (_, session):
        status, reply = await post(session, path, body)
        assert status == 400
        assert "expected" in reply["error"]


async def test_an_agent_fails_as_often_as_told() -> None:
    async with agent("--failure-rate", "1", "--latency", "1ms") as (_, session):
        status, reply = await post(session, "/v1/support", QUESTION)
        assert (status, reply["error"]) == (500, "the model failed")
        assert (await stats(session))["failed"] == 1


async def test_an_agent_queues_what_is_above_its_concurrency() -> None:
    async with agent("--latency", "20ms", "--concurrency", "2") as (_, session):
        replies = await asyncio.gather(*(post(session, "/v1/support", QUESTION) for _ in range(8)))
        assert [status for status, _ in replies] == [200] * 8
        counts = await stats(session)
        assert (counts["most_running"], counts["served"], counts["running"]) == (2, 8, 0)


async def test_an_agent_is_unhealthy_until_it_has_started() -> None:
    async with agent("--start-delay", "1s") as (_, session):

        async def health() -> int:
            async with session.get("/healthz") as reply:
                return reply.status

        async def healthy() -> bool:
            return await health() == 200

        assert await health() == 503
        await wait_until(healthy, "the agent is healthy")


async def test_an_agent_told_to_stop_finishes_its_stream_and_exits_with_0() -> None:
    async with agent("--latency", "500ms") as (process, session):
        async with session.post("/v1/support", json={**QUESTION, "stream": True}) as reply:
            await reply.content.readuntil(b"\n\n")
            process.terminate()
            assert (await events(reply))[-1] == "[DONE]"
        assert await process.exit_code() == 0


async def test_an_agent_outlives_a_client_that_leaves_mid_stream() -> None:
    async with agent("--latency", "300ms") as (process, session):
        async with session.post("/v1/support", json={**QUESTION, "stream": True}) as reply:
            await reply.content.readuntil(b"\n\n")
            reply.close()

        async def abandoned() -> bool:
            return (await stats(session))["abandoned"] == 1

        await wait_until(abandoned, "the agent notices")
        assert "Traceback" not in process.output


@pytest.mark.parametrize(
    ("options", "figures"),
    [
        pytest.param(
            ["--requests", "40", "--concurrency", "4"],
            ["requests   40", "status     200: 40"],
            id="a closed loop sends as many as told",
        ),
        pytest.param(
            ["--requests", "20", "--rate", "200"],
            ["requests   20", "served by  -: 20"],
            id="an open loop sends as many as told",
        ),
        pytest.param(
            ["--requests", "8", "--concurrency", "4", "--stream"],
            ["failed     0", "first byte p50"],
            id="streams are read to their end",
        ),
    ],
)
async def test_load_reports_what_it_did(options: list[str], figures: list[str]) -> None:
    async with agent("--latency", "5ms", "--work", "1ms") as (process, _):
        url = await support_url(process)
        async with spawned(sys.executable, EXAMPLES / "load.py", "--url", url, *options) as load:
            assert await load.exit_code() == 0, load.output
            for figure in figures:
                assert figure in load.output


async def test_load_fails_when_a_request_did() -> None:
    async with agent("--latency", "1ms", "--failure-rate", "1") as (process, _):
        url = await support_url(process)
        command = (sys.executable, EXAMPLES / "load.py", "--requests", "5", "--url")
        async with spawned(*command, url) as load:
            assert await load.exit_code() == 1
            assert "status     500: 5" in load.output
        async with spawned(*command, f"http://127.0.0.1:{free_port()}/") as load:
            assert await load.exit_code() == 1
            assert "error      ClientConnectorError: 5" in load.output


def worker(url: str, *options: str, name: str = "summarize-v1-1") -> Any:
    env = {"HEADRACE_REDIS_URL": url, "HEADRACE_REPLICA": name}
    return spawned(sys.executable, EXAMPLES / "worker.py", *options, env=env)


async def test_a_worker_does_the_jobs_and_leaves_when_told_to_stop(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (url, _), redis_client(url) as redis:
        enqueue = (sys.executable, EXAMPLES / "enqueue.py", "--count", "20")
        async with spawned(*enqueue, env={"HEADRACE_REDIS_URL": url}) as jobs:
            assert await jobs.exit_code() == 0, jobs.output
        async with worker(url, "--latency", "5ms") as process:

            async def done() -> bool:
                return await redis.xlen("jobs:summarize:results") == 20

            await wait_until(done, "all jobs are done")
            process.terminate()
            assert await process.exit_code() == 0
        group = (await redis.xinfo_groups("jobs:summarize"))[0]
        assert (group["lag"], group["pending"], group["consumers"]) == (0, 0, 0)
        results: Any = await redis.xrange("jobs:summarize:results")
        _, result = results[0]
        assert result["worker"] == "summarize-v1-1"
        assert result["answer"]


async def test_a_worker_told_to_stop_finishes_its_job(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (url, _), redis_client(url) as redis:
        await redis.xadd("jobs:summarize", {"question": "What is a pool?"})
        await redis.xadd("jobs:summarize", {"question": "What is a slot?"})
        async with worker(url, "--latency", "300ms") as process:

            async def busy() -> bool:
                if not await redis.xlen("jobs:summarize") or not await groups():
                    return False
                return bool((await groups())[0]["pending"] == 1)

            async def groups() -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = await redis.xinfo_groups("jobs:summarize")
                return found

            await wait_until(busy, "the worker has a job")
            process.terminate()
            assert await process.exit_code() == 0
        assert await redis.xlen("jobs:summarize:results") == 1
        assert (await redis.xinfo_groups("jobs:summarize"))[0]["lag"] == 1


async def test_the_job_of_a_killed_worker_is_taken_over(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (url, _), redis_client(url) as redis:
        await redis.xgroup_create("jobs:summarize", "workers", id="0", mkstream=True)
        await redis.xadd("jobs:summarize", {"question": "What is a pool?"})
        await redis.xreadgroup("workers", "killed", {"jobs:summarize": ">"}, count=1)
        async with worker(url, "--latency", "1ms", "--takeover", "100ms"):

            async def done() -> bool:
                return await redis.xlen("jobs:summarize:results") == 1

            await wait_until(done, "the job is done")


async def test_a_worker_waits_for_a_redis_that_is_away(tmp_path: Path) -> None:
    port = free_port()
    async with worker(f"redis://127.0.0.1:{port}/0", "--latency", "1ms") as process:
        await process.line("redis failed")
        async with redis_server(tmp_path, port=port) as (url, _), redis_client(url) as redis:
            await redis.xadd("jobs:summarize", {"question": "What is a pool?"})

            async def done() -> bool:
                return await redis.xlen("jobs:summarize:results") == 1

            await wait_until(done, "the job is done")
