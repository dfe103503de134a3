"""Whether a figure grows over time, and how sure that is. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

BLOCKS = 20
"""Readings are averaged into blocks first: neighbours resemble each other, and counting each of
them would make the interval too narrow (batch means; Law, "Simulation Modeling and Analysis")."""

T_95 = 2.101
"""Student's t at 97.5 % for `BLOCKS` - 2 degrees of freedom."""


@dataclass(frozen=True)
class Trend:
    """Slope a second of a least-squares line, with the ends of its 95 % interval."""

    slope: float
    low: float
    high: float


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """Over at least two readings a block, equally spaced. Raises ValueError when there are fewer.

    Example: 40 readings one second apart that rise by 3 each have slope 3 and an interval from
    3 to 3; when they only waver, the interval has 0 inside.
    """
    size = len(values) // BLOCKS
    if size < 2 or len(times) != len(values):
        raise ValueError(f"{len(values)} readings are too few for {BLOCKS} blocks")
    blocks = [
        (fmean(times[at : at + size]), fmean(values[at : at + size]))
        for at in range(0, size * BLOCKS, size)
    ]
    middle, level = (fmean(column) for column in zip(*blocks, strict=True))
    wide = sum((x - middle) ** 2 for x, _ in blocks)
    slope = sum((x - middle) * (y - level) for x, y in blocks) / wide
    left = sum((y - level - slope * (x - middle)) ** 2 for x, y in blocks)
    margin = T_95 * math.sqrt(left / (BLOCKS - 2) / wide)
    return Trend(slope, slope - margin, slope + margin)
