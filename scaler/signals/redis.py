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
from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from fleet.config.schema import RedisSignal
from scaler.signals.source import SignalLostError

TIMEOUT: Final = 1.0
"""Longest wait for an answer, in seconds."""
COUNTED_UP_TO: Final = 100
"""Entries fetched at most to count a lag that Redis cannot tell."""


class RedisSource:
    """See the module. One connection, kept."""

    def __init__(self, settings: RedisSignal, url: str) -> None:
        self.per_replica = settings.per_replica
        key = settings.list or settings.sorted_set or settings.stream
        group = f"/{settings.group}" if settings.group else ""
        self.name = f"redis:{key}{group}"
        self._settings = settings
        self._redis: Redis = Redis.from_url(
            url,
            protocol=2,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )

    async def read(self) -> float:
        """See `Source.read`."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return float(await self._depth())
        except TimeoutError:
            raise SignalLostError(f"no answer within {TIMEOUT:g}s") from None
        except (RedisError, OSError) as error:
            raise SignalLostError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """See `Source.close`."""
        await self._redis.aclose()

    async def _depth(self) -> int:
        settings = self._settings
        if settings.list is not None:
            return int(await self._redis.llen(settings.list))
        if settings.sorted_set is not None:
            return int(await self._redis.zcard(settings.sorted_set))
        assert settings.stream is not None
        if settings.group is None:
            return int(await self._redis.xlen(settings.stream))
        return await self._unfinished(settings.stream, settings.group)

    async def _unfinished(self, stream: str, group: str) -> int:
        try:
            groups = await self._redis.xinfo_groups(stream)
        except ResponseError as error:
            if "no such key" in str(error):
                return 0
            raise
        for found in groups:
            if found["name"] == group.encode():
                return int(found["pending"]) + await self._lag(stream, found)
        return int(await self._redis.xlen(stream))

    async def _lag(self, stream: str, group: Mapping[str, Any]) -> int:
        if (lag := group.get("lag")) is not None:
            return int(lag)
        last = group["last-delivered-id"].decode()
        behind = len(await self._redis.xrange(stream, f"({last}", "+", COUNTED_UP_TO) or ())
        if behind < COUNTED_UP_TO:
            return behind
        return int(await self._redis.xlen(stream))
