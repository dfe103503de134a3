"""Medians, spreads and ratios of rounds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """The middle and the ends of one figure over the rounds."""

    median: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Distance of the ends relative to the median; 0 when the median is."""
        return (self.high - self.low) / self.median if self.median else 0.0


def spread(values: Sequence[float]) -> Spread:
    """Over at least one value. Raises ValueError when there is none."""
    if not values:
        raise ValueError("no values")
    return Spread(median(values), min(values), max(values))


def ratio(of: Sequence[float], to: Sequence[float]) -> Spread | None:
    """Round by round, so that what slowed a whole round down cancels; None without a pair."""
    pairs = [a / b for a, b in zip(of, to, strict=False) if b > 0]
    return spread(pairs) if pairs else None


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value with at least `share` (0..1] of all at or below it."""
    if not ordered:
        raise ValueError("no values")
    index = -int(-share * len(ordered) // 1) - 1
    return ordered[max(0, min(index, len(ordered) - 1))]
