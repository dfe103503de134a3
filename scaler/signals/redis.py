"""Depth of a queue in Redis: a list, a stream or a sorted set.

| kind | value |
|---|---|
| list, sorted set | its length; 0 when the key does not exist |
| stream | its length; 0 when the key does not exist |
| stream with group | the group's lag plus its pending entries; 0 when the key does not exist |

A group that does not exist yet has everything before it, so its value is the stream's length:
workers create their group when they start, and at zero replicas nobody else would.

With a group, what a worker has taken but not acknowledged counts until it is done, so busy
workers are not taken for idle ones. A list knows only what nobody has taken yet.

Redis cannot always tell a lag: never before 7.0, and not after entries ahead of the group were
deleted or the group was set to an arbitrary id (XINFO GROUPS, "consumer group lag"). Then the
entries behind the group's last one are counted; are they COUNTED_UP_TO or more, the length of the
whole stream is taken, which is never too small.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from fleet.config.schema import RedisSignal
from scaler.signals.source import SignalLostError

Answer = TypeVar("Answer")

TIMEOUT: Final = 1.0
"""Longest wait for an answer, in seconds."""
COUNTED_UP_TO: Final = 100
"""Entries fetched at most to count a lag that Redis cannot tell."""


class RedisSource:
    """See the module. One connection, kept."""

    ratio = False

    def __init__(self, settings: RedisSignal, url: str, name: str) -> None:
        self.name = name
        self.per_replica = settings.per_replica
        self._settings = settings
        self._redis: Redis = connect(url)

    async def read(self) -> float:
        """See `Source.read`."""
        return await answer(self._depth())

    async def close(self) -> None:
        """See `Source.close`."""
        await self._redis.aclose()

    async def _depth(self) -> float:
        settings = self._settings
        if settings.list is not None:
            return float(await self._redis.llen(settings.list))
        if settings.sorted_set is not None:
            return float(await self._redis.zcard(settings.sorted_set))
        assert settings.stream is not None
        if settings.group is None:
            return float(await self._redis.xlen(settings.stream))
        group = await group_of(self._redis, settings.stream, settings.group)
        if group is None:
            return float(await self._redis.xlen(settings.stream))
        return float(int(group["pending"]) + await self._lag(settings.stream, group))

    async def _lag(self, stream: str, group: Mapping[str, Any]) -> int:
        if (lag := group.get("lag")) is not None:
            return int(lag)
        last = group["last-delivered-id"].decode()
        behind = len(await self._redis.xrange(stream, f"({last}", "+", COUNTED_UP_TO) or ())
        if behind < COUNTED_UP_TO:
            return behind
        return int(await self._redis.xlen(stream))


def connect(url: str) -> Redis:
    """A client of one connection, which is made at the first question."""
    client: Redis = Redis.from_url(
        url,
        protocol=2,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 1),
    )
    return client


async def answer(question: Awaitable[Answer]) -> Answer:
    """What Redis answers within TIMEOUT. Raises SignalLostError when it does not."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await question
    except TimeoutError:
        raise SignalLostError(f"no answer within {TIMEOUT:g}s") from None
    except (RedisError, OSError) as error:
        raise SignalLostError(str(error) or type(error).__name__) from error


async def group_of(redis: Redis, stream: str, group: str) -> Mapping[str, Any] | None:
    """What XINFO says of a group; None when it, or its stream, does not exist."""
    try:
        groups = await redis.xinfo_groups(stream)
    except ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    return next((found for found in groups if found["name"] == group.encode()), None)
