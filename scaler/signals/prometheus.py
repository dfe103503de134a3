"""The value of one PromQL query, by Prometheus' HTTP API (instant query).

The answer must be one number: a scalar, or a vector of exactly one series. Anything else is a
lost signal, never zero: an outage read as "nothing to do" scales a busy pool down
(kubernetes/kubernetes#104387; KEDA's default turns empty, NaN and Inf into 0). A query that may
rightly find nothing says so itself: `sum(x) or vector(0)`.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from fleet.config.schema import PrometheusSignal
from scaler.signals.source import SignalLostError

TIMEOUT: Final = 2.0
"""Longest wait for a whole answer, in seconds."""
LONGEST_ANSWER: Final = 1 << 20
"""Bytes."""


class _Series(Struct):
    value: tuple[float, str]


class _Data(Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Answer(Struct, rename="camel"):
    status: str
    data: _Data | None = None
    error_type: str = ""
    error: str = ""


class PrometheusSource:
    """See the module. One connection, kept; `url` may have a path, and user and password."""

    ratio = False

    def __init__(self, settings: PrometheusSignal, url: str, name: str) -> None:
        self.name = name
        self.per_replica = settings.per_replica
        self._query = settings.query
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._session: aiohttp.ClientSession | None = None

    async def read(self) -> float:
        """See `Source.read`."""
        try:
            async with asyncio.timeout(TIMEOUT):
                status, body = await self._ask()
        except TimeoutError:
            raise SignalLostError(f"no answer within {TIMEOUT:g}s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise SignalLostError(str(error) or type(error).__name__) from error
        return parse_answer(status, body)

    async def close(self) -> None:
        """See `Source.close`."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
        async with self._session.get(self._url, params={"query": self._query}) as reply:
            body = bytearray()
            async for chunk in reply.content.iter_any():
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    raise SignalLostError(f"the answer is longer than {LONGEST_ANSWER} bytes")
            return reply.status, bytes(body)


def parse_answer(status: int, body: bytes) -> float:
    """The one finite number in an answer. Raises SignalLostError for everything else."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.MsgspecError:
        raise SignalLostError(f"HTTP {status}, not an answer of Prometheus") from None
    if answer.status != "success" or answer.data is None:
        raise SignalLostError(f"{answer.error_type or f'HTTP {status}'}: {answer.error}")
    try:
        text = _only_value(answer.data)
        value = float(text)
    except ValueError as error:
        raise SignalLostError(f"the answer cannot be read: {error}") from None
    if not math.isfinite(value):
        raise SignalLostError(f"the query's value is {text}")
    return value


def _only_value(data: _Data) -> str:
    match data.result_type:
        case "scalar":
            _, text = msgspec.json.decode(data.result, type=tuple[float, str])
            return text
        case "vector":
            series = msgspec.json.decode(data.result, type=list[_Series])
            if not series:
                raise SignalLostError("the query found nothing")
            if len(series) > 1:
                raise SignalLostError(f"the query found {len(series)} series instead of one")
            _, text = series[0].value
            return text
        case other:
            raise SignalLostError(f"the query gives a {other}, not a number")
