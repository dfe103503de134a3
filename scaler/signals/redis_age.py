"""How long the oldest entry of a queue in Redis has waited.

| kind | since |
|---|---|
| stream | the time in the id of its first entry |
| stream with group | the same of the first entry that the group has not got yet |
| sorted set | its least score: Unix seconds, or milliseconds if that large; one ahead waits not |

Both ends of the time are taken from one server, since XADD makes ids by the clock that TIME
tells. Entries that a worker has got are worked at, not waiting. Nothing that waits has no age.
"""

from __future__ import annotations

from typing import Any, Final

from redis.asyncio import Redis

from fleet.config.schema import RedisSignal
from scaler.signals.redis import answer, connect, group_of
from scaler.signals.source import SignalLostError

EARLIEST: Final = 1e9
"""Unix seconds; an id or score before (2001) is no time."""
MILLISECONDS_FROM: Final = 1e11
"""Scores of this or more are milliseconds: as seconds this is the year 5138."""


class RedisAgeSource:
    """See the module. A ratio: `per_replica` is the wanted age in seconds."""

    ratio = True

    def __init__(self, settings: RedisSignal, url: str, name: str) -> None:
        assert settings.age is not None
        self.name = name
        self.per_replica = settings.age
        self._settings = settings
        self._redis: Redis = connect(url)

    async def read(self) -> float | None:
        """See `Source.read`."""
        return await answer(self._age())

    async def close(self) -> None:
        """See `Source.close`."""
        await self._redis.aclose()

    async def _age(self) -> float | None:
        since = await self._since()
        if since is None:
            return None
        seconds, micro = await self._redis.time()
        age = seconds + micro / 1e6 - since
        if self._settings.sorted_set is not None and age < 0:
            return None
        return max(0.0, age)

    async def _since(self) -> float | None:
        settings = self._settings
        if settings.sorted_set is not None:
            least: Any = await self._redis.zrange(settings.sorted_set, 0, 0, withscores=True)
            return time_of(float(least[0][1]), "score") if least else None
        assert settings.stream is not None
        start = "-"
        if settings.group is not None:
            found = await group_of(self._redis, settings.stream, settings.group)
            if found is not None:
                start = f"({found['last-delivered-id'].decode()}"
        entries: Any = await self._redis.xrange(settings.stream, start, "+", 1)
        if not entries:
            return None
        return time_of(float(entries[0][0].partition(b"-")[0]) / 1000, "id")


def time_of(number: float, what: str) -> float:
    """Unix seconds of a score or an id. Raises SignalLostError when it is no time."""
    seconds = number / 1000 if number >= MILLISECONDS_FROM else number
    if not EARLIEST <= seconds < MILLISECONDS_FROM:
        raise SignalLostError(f"the {what} of the oldest entry is no time: {number:.15g}")
    return seconds
