"""What a policy gives for what it costs, over its settings. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from scaler.simulate.knobs import Setting
from scaler.simulate.tuning import Score, frontier

Point = tuple[float, float]
"""Cost and misses."""

BELOW: Final = 2
"""Settings of a frontier kept at no more than our cost, the nearest."""
ABOVE: Final = 1
"""And above it."""


def around(found: Sequence[Score], cost: float) -> list[Setting]:
    """The settings of the frontier that lie around `cost`, the cheapest first."""
    kept = frontier(found)
    below = [score.setting for score in kept if score.cost <= cost][-BELOW:]
    above = [score.setting for score in kept if score.cost > cost][:ABOVE]
    return [*below, *above]


def least_misses(points: Sequence[Point], cost: float) -> float | None:
    """The fewest misses for `cost`, along straight lines between the points no other beats.

    None when all cost more. Worked: (0.9, 4.0) and (1.1, 2.0) are 3.0 at a cost of 1.
    """
    best: list[Point] = []
    for point in sorted(points):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    if not best or best[0][0] > cost:
        return None
    for (low, more), (high, fewer) in itertools.pairwise(best):
        if low <= cost <= high:
            return more + (fewer - more) * (cost - low) / (high - low)
    return best[-1][1]


def named(settings: Mapping[str, Sequence[Setting]]) -> dict[str, tuple[str, Setting]]:
    """Each setting of each policy under a name: `kpa tuned 1` and so on, as (policy, setting)."""
    return {
        f"{policy} tuned {number}": (policy, setting)
        for policy, found in settings.items()
        for number, setting in enumerate(found, 1)
    }
