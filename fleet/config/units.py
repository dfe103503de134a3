"""Durations and sizes as people write them: `500ms`, `10s`, `1h30m`, `64KiB`, `1.5MB`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field


def parse_duration(value: object) -> float:
    """Seconds; replaced by the real parser."""
    raise NotImplementedError


def parse_size(value: object) -> int:
    """Bytes; replaced by the real parser."""
    raise NotImplementedError


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]
