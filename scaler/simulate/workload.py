"""What comes in: the moment and the service time of each request."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Mapping
from random import Random

from msgspec import Struct


class Workload(Struct, frozen=True, kw_only=True):
    """Requests in the order of their arrival. Times in seconds from the start of the run."""

    arrivals: array[float]
    services: array[float]
    """Seconds each holds its slot; as many as arrivals."""
    end: float
    """When the run ends."""


def assigned(count: int, weights: Mapping[str, int], rng: Random) -> bytes:
    """The version of each of `count` requests, by its place in `weights`; b"" when only one.

    Raises ValueError when no version has weight.
    """
    if len(weights) == 1:
        return b""
    sums = list(itertools.accumulate(weights.values()))
    if not sums or not sums[-1]:
        raise ValueError("no version has a weight above 0")
    return bytes(rng.choices(range(len(weights)), cum_weights=sums, k=count))
