"""What a metric is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from headrace.operations import Status

Labels: TypeAlias = tuple[str, ...]


class Distribution(Struct, frozen=True):
    """What one histogram sample holds: counts by bucket, not cumulative, and their sum."""

    counts: Sequence[int]
    sum: float


Samples: TypeAlias = Iterable[tuple[Labels, float | Distribution]]


class Metric(Struct, frozen=True, kw_only=True):
    """One metric: what it is, and how it is read off a `Status`."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    unit: str
    """What one is one of; `1` for a flag."""
    labels: Labels = ()
    read: Callable[[Status], Samples]
