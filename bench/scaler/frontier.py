"""What a policy gives for what it costs, over its settings. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from scaler.simulate.knobs import Setting
from scaler.simulate.tuning import Score

Point = tuple[float, float]
"""Cost and misses."""

ABOUT: Final = (0.92, 0.97, 1.02, 1.07, 1.12, 1.18)
"""Costs of which each has the nearest setting of a frontier kept, in times ours. What costs as much
as ours on the traces to learn from has cost up to a seventh less on the others, seldom more."""


def around(found: Sequence[Score], cost: float) -> list[Setting]:
    """The settings of the frontier next to `cost`, by ABOUT, the cheapest first.

    A dearer setting with as many misses as a cheaper one stays: where few are missed at all, that
    is no reason not to try it on other traces.
    """
    kept: list[Score] = []
    for score in sorted(found, key=lambda score: (score.cost, score.miss_ratio)):
        if not kept or score.miss_ratio <= kept[-1].miss_ratio:
            kept.append(score)
    near = {_nearest(kept, part * cost) for part in ABOUT}
    return [kept[place].setting for place in sorted(near)]


def _nearest(kept: Sequence[Score], cost: float) -> int:
    return min(range(len(kept)), key=lambda place: abs(kept[place].cost - cost))


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
