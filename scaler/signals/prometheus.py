"""The value of one PromQL query, by Prometheus' HTTP API (instant query).

The answer must be one number: a scalar, or a vector of exactly one series. Anything else is a
lost signal, never zero: an outage read as "nothing to do" scales a busy pool down
(kubernetes/kubernetes#104387). A query that may rightly find nothing says so itself, as in
`sum(x) or vector(0)`, or has `ignore_null_values`, which KEDA has on by default: then an answer
that is empty, NaN or infinite is 0. No answer, or an error, is never that.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct

from fleet.config.schema import PrometheusSignal
from scaler.signals.source import SignalLostError

TIMEOUT: Final = 2.0
"""Longest wait for a whole answer, in seconds."""
LONGEST_ANSWER: Final = 1 << 20
"""Bytes."""


class _Series(Struct, frozen=True):
    value: tuple[Any, ...] | None = ()


class _Data(Struct, frozen=True, rename="camel"):
    result_type: str = "vector"
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Answer(Struct, frozen=True, rename="camel"):
    status: str = "success"
    data: _Data = _Data()
    error_type: str = ""
    error: str = ""


class _NothingError(SignalLostError):
    """An answer, but without a finite number in it."""


class PrometheusSource:
    """See the module. One connection, kept; `url` may have a path, and user and password."""

    def __init__(self, settings: PrometheusSignal, url: str, name: str) -> None:
        self.name = name
        self.per_replica = wanted(settings)
        self.ratio = settings.target is not None
        self._ignore_null_values = settings.ignore_null_values
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
        return parse_answer(status, body, ignore_null_values=self._ignore_null_values)

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


def wanted(settings: PrometheusSignal) -> float:
    """What one replica should carry, or what the value should be."""
    return settings.per_replica or settings.target or 1.0


def parse_answer(status: int, body: bytes, *, ignore_null_values: bool = False) -> float:
    """The one finite number in an answer. Raises SignalLostError for everything else.

    Source of what `ignore_null_values` ignores: keda `pkg/scalers/prometheus_scaler.go`.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SignalLostError(f"HTTP {status}, not an answer of Prometheus") from None
    if answer.status != "success" or not 200 <= status < 300:
        raise SignalLostError(f"{answer.error_type or f'HTTP {status}'}: {answer.error}")
    try:
        return _only_number(answer.data)
    except _NothingError:
        if ignore_null_values:
            return 0.0
        raise
    except ValueError as error:
        raise SignalLostError(f"the answer cannot be read: {error}") from None


def _only_number(data: _Data) -> float:
    match data.result_type:
        case "scalar":
            pair = msgspec.json.decode(data.result, type=tuple[Any, ...])
        case "vector":
            series = msgspec.json.decode(data.result, type=list[_Series] | None)
            if not series:
                raise _NothingError("the query found nothing")
            if len(series) > 1:
                raise SignalLostError(f"the query found {len(series)} series instead of one")
            pair = series[0].value or ()
        case other:
            raise SignalLostError(f"the query gives a {other}, not a number")
    if not pair:
        raise _NothingError("the query's value is empty")
    if len(pair) != 2 or not isinstance(pair[1], str):
        raise SignalLostError(f"the query's value is {pair}, not a time and a number")
    value = float(pair[1])
    if not math.isfinite(value):
        raise _NothingError(f"the query's value is {pair[1]}")
    return value
