"""The Redis signal against a real redis-server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from fleet.config.schema import RedisSignal
from scaler.signals.redis import COUNTED_UP_TO, RedisSource
from scaler.signals.redis_age import RedisAgeSource
from scaler.signals.source import SignalLostError
from tests.support.ports import free_port
from tests.support.servers import redis_client, redis_server

Fill = Callable[[Redis], Awaitable[object]]
STREAM = {"stream": "jobs", "group": "workers"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture
async def redis(shared_url: str) -> AsyncIterator[Redis]:
    async with redis_client(shared_url) as client:
        await client.flushall()
        yield client


@contextlib.asynccontextmanager
async def source(url: str, **settings: Any) -> AsyncIterator[RedisSource]:
    made = RedisSource(RedisSignal.model_validate(settings), url, "jobs")
    try:
        yield made
    finally:
        await made.close()


async def add(redis: Redis, count: int) -> list[str]:
    return [str(await redis.xadd("jobs", {"n": n})) for n in range(count)]


async def take(redis: Redis, count: int) -> list[str]:
    """The next entries, delivered to a worker of the group and not acknowledged."""
    answer: Any = await redis.xreadgroup("workers", "w1", {"jobs": ">"}, count)
    ((_, entries),) = answer
    return [entry for entry, _ in entries]


async def nothing(redis: Redis) -> None:
    await redis.ping()


async def fill_list(redis: Redis) -> None:
    await redis.rpush("jobs", *"abc")


async def fill_sorted_set(redis: Redis) -> None:
    await redis.zadd("jobs", {"a": 1, "b": 2})


async def fill_stream(redis: Redis) -> None:
    await add(redis, 4)


async def new_group(redis: Redis) -> None:
    await redis.xgroup_create("jobs", "workers", "0", mkstream=True)


async def partly_done(redis: Redis) -> None:
    """Ten entries: three done, two taken, five not yet delivered."""
    await new_group(redis)
    await add(redis, 10)
    taken = await take(redis, 5)
    await redis.xack("jobs", "workers", *taken[:3])


async def all_done(redis: Redis) -> None:
    await partly_done(redis)
    pending = await redis.xpending_range("jobs", "workers", "-", "+", 10)
    await redis.xack("jobs", "workers", *(p["message_id"] for p in pending))
    await redis.xack("jobs", "workers", *await take(redis, 10))


async def lag_unknown(redis: Redis) -> None:
    """Two of ten entries deleted ahead of the group, which has taken three."""
    await new_group(redis)
    ids = await add(redis, 10)
    await take(redis, 3)
    await redis.xdel("jobs", ids[5], ids[6])
    (group,) = await redis.xinfo_groups("jobs")
    assert group["lag"] is None


async def long_lag_unknown(redis: Redis) -> None:
    await new_group(redis)
    ids = await add(redis, COUNTED_UP_TO + 60)
    await take(redis, 10)
    await redis.xdel("jobs", ids[20])


VALUES: dict[str, tuple[dict[str, str], Fill, float]] = {
    "a list: its length": ({"list": "jobs"}, fill_list, 3),
    "a list that does not exist is empty": ({"list": "jobs"}, nothing, 0),
    "a sorted set: its size": ({"sorted_set": "jobs"}, fill_sorted_set, 2),
    "a sorted set that does not exist is empty": ({"sorted_set": "jobs"}, nothing, 0),
    "a stream: its length": ({"stream": "jobs"}, fill_stream, 4),
    "a stream that does not exist is empty": ({"stream": "jobs"}, nothing, 0),
    "a group of a stream that does not exist has nothing to do": (STREAM, nothing, 0),
    "a group that nobody created yet has the whole stream to do": (STREAM, fill_stream, 4),
    "a new group has nothing to do": (STREAM, new_group, 0),
    "a group: what is not delivered and what is not acknowledged": (STREAM, partly_done, 7),
    "a group that has done all has nothing to do": (STREAM, all_done, 0),
    "a lag that Redis cannot tell is counted": (STREAM, lag_unknown, 5 + 3),
    "a long lag that Redis cannot tell is the stream's length": (
        STREAM,
        long_lag_unknown,
        COUNTED_UP_TO + 59 + 10,
    ),
}


@pytest.mark.parametrize(("settings", "fill", "value"), VALUES.values(), ids=VALUES.keys())
async def test_value(
    shared_url: str, redis: Redis, settings: dict[str, str], fill: Fill, value: float
) -> None:
    await fill(redis)
    async with source(shared_url, **settings) as jobs:
        assert await jobs.read() == value
        assert await jobs.read() == value, "and again on the same connection"


async def age_of(url: str, **settings: Any) -> float | None:
    made = RedisAgeSource(RedisSignal.model_validate({"age": "30s", **settings}), url, "jobs.age")
    try:
        return await made.read()
    finally:
        await made.close()


async def seconds_ago(redis: Redis, seconds: float) -> float:
    now, micro = await redis.time()
    return float(now) + micro / 1e6 - seconds


async def test_the_age_of_a_stream_is_that_of_its_first_entry(
    shared_url: str, redis: Redis
) -> None:
    for seconds in (90, 20):
        since = await seconds_ago(redis, seconds)
        await redis.xadd("jobs", {"n": 1}, id=f"{since * 1000:.0f}-1")
    assert await age_of(shared_url, stream="jobs") == pytest.approx(90, abs=30)
    assert await age_of(shared_url, **STREAM) == pytest.approx(90, abs=30), "no group yet"
    await new_group(redis)
    await take(redis, 1)
    assert await age_of(shared_url, **STREAM) == pytest.approx(20, abs=30), "the first is taken"
    await take(redis, 1)
    assert await age_of(shared_url, **STREAM) is None, "nothing waits"


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
async def test_the_age_of_a_sorted_set_is_by_its_least_score(
    shared_url: str, redis: Redis, unit: int
) -> None:
    assert await age_of(shared_url, sorted_set="jobs") is None, "there is none"
    await redis.zadd("jobs", {"ahead": await seconds_ago(redis, -3600) * unit})
    assert await age_of(shared_url, sorted_set="jobs") is None, "it is not due"
    await redis.zadd("jobs", {"due": await seconds_ago(redis, 90) * unit})
    assert await age_of(shared_url, sorted_set="jobs") == pytest.approx(90, abs=30)


async def test_scores_and_ids_that_are_no_times_are_lost_and_not_an_age_of_decades(
    shared_url: str, redis: Redis
) -> None:
    await redis.zadd("ranks", {"a": 7})
    await redis.xadd("jobs", {"n": 1}, id="1-1")
    with pytest.raises(SignalLostError, match="score of the oldest entry is no time: 7"):
        await age_of(shared_url, sorted_set="ranks")
    with pytest.raises(SignalLostError, match="id of the oldest entry is no time"):
        await age_of(shared_url, stream="jobs")


LOST: dict[str, tuple[dict[str, str], Fill, str]] = {
    "a key of another type": ({"list": "jobs"}, fill_stream, "Operation against a key"),
    "a group asked of a list": (STREAM, fill_list, "Operation against a key"),
}


@pytest.mark.parametrize(("settings", "fill", "error"), LOST.values(), ids=LOST.keys())
async def test_lost(
    shared_url: str, redis: Redis, settings: dict[str, str], fill: Fill, error: str
) -> None:
    await fill(redis)
    async with source(shared_url, **settings) as jobs:
        with pytest.raises(SignalLostError, match=error):
            await jobs.read()


async def test_one_connection_serves_all_reads(shared_url: str, redis: Redis) -> None:
    async with source(shared_url, list="jobs") as jobs:
        await jobs.read()
        before = (await redis.info("stats"))["total_connections_received"]
        for _ in range(5):
            await jobs.read()
        assert (await redis.info("stats"))["total_connections_received"] == before


async def test_nobody_listening_is_lost_at_once() -> None:
    async with source(f"redis://user:secret@127.0.0.1:{free_port()}/0", list="jobs") as jobs:
        with pytest.raises(SignalLostError, match="Connect call failed") as caught:
            await jobs.read()
    assert "secret" not in str(caught.value)


async def test_a_server_that_restarts_is_found_again(tmp_path: Path) -> None:
    port = free_port()
    async with source(f"redis://127.0.0.1:{port}/0", list="jobs") as jobs:
        async with redis_server(tmp_path, port=port):
            assert await jobs.read() == 0
        with pytest.raises(SignalLostError):
            await jobs.read()
        async with redis_server(tmp_path, port=port) as (url, _), redis_client(url) as redis:
            await fill_list(redis)
            assert await jobs.read() == 3


async def test_a_server_that_hangs_is_lost_within_its_time(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (url, server), source(url, list="jobs") as jobs:
        await jobs.read()
        server.process.send_signal(signal.SIGSTOP)
        try:
            start = asyncio.get_running_loop().time()
            with pytest.raises(SignalLostError, match="no answer within 1s"):
                await jobs.read()
            assert asyncio.get_running_loop().time() - start < 1.5
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert await jobs.read() == 0, "the late answer is not taken for the next one"
