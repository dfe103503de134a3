"""Strict decoding of what clients send: what is not known is refused, never ignored."""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from typing import Annotated, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from fleet.config.schema import MAX_REPLICAS, MAX_WEIGHT
from fleet.config.units import parse_positive_duration
from fleet.errors import InvalidRequestError

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
"""As many records as the journal keeps in memory."""
LATEST_TIME: Final = 253_402_300_800.0
"""Unix time of the year 10000, beyond which no date can be shown."""

Weights = Annotated[
    dict[str, Annotated[int, Meta(ge=0, le=MAX_WEIGHT)]], Meta(min_length=1, max_length=1000)
]
"""Body of a weight override; bounds as in the configuration."""


class ScaleBody(Struct, frozen=True, forbid_unknown_fields=True, rename={"duration": "for"}):
    """Body of a size override."""

    replicas: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)]
    duration: str | None = None

    def seconds(self) -> float | None:
        """How long it holds; None: until it is taken back. Raises InvalidRequestError."""
        if self.duration is None:
            return None
        try:
            return parse_positive_duration(self.duration)
        except ValueError as error:
            raise InvalidRequestError(f"for: {error}") from error


_T = TypeVar("_T")


async def read_body(request: web.Request, type_: type[_T]) -> _T:
    """The JSON body as `type_`. Raises InvalidRequestError, or HTTPRequestEntityTooLarge."""
    data = await request.read()
    if not data:
        raise InvalidRequestError("a JSON body is needed")
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"the body is not as expected: {error}") from error


async def read_nothing(request: web.Request) -> None:
    """Check that there is no body. Raises InvalidRequestError."""
    if await request.read():
        raise InvalidRequestError(f"{request.method} {request.path} takes no body")


def read_query(request: web.Request, known: AbstractSet[str]) -> dict[str, str]:
    """The query parameters, each at most once. Raises InvalidRequestError."""
    for name in request.query:
        if name not in known:
            takes = ", ".join(sorted(known)) or "none"
            raise InvalidRequestError(f"unknown query parameter {name!r}; known: {takes}")
        if len(request.query.getall(name)) > 1:
            raise InvalidRequestError(f"query parameter {name!r} is given twice")
    return dict(request.query)


def parse_time(text: str | None) -> float | None:
    """A Unix time, perhaps with a fraction. Raises InvalidRequestError."""
    if text is None:
        return None
    try:
        at = float(text)
    except ValueError:
        at = math.nan
    if not 0 <= at < LATEST_TIME:
        raise InvalidRequestError(f"at must be a Unix time in seconds, not {text!r}")
    return at


def parse_limit(text: str | None) -> int:
    """How many records are wanted. Raises InvalidRequestError."""
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidRequestError(f"limit must be 1 to {MAX_LIMIT}, not {text!r}")
