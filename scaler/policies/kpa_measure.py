"""How Knative averages load and finds a target. Pure.

Source: knative `pkg/autoscaler/aggregation/bucketing.go` and
`pkg/reconciler/autoscaling/resources/target.go`.
"""

from __future__ import annotations

import math
from typing import Final

from scaler.policies.metrics import Load
from scaler.windows import Wish, remembered

LEAST_TARGET: Final = 0.01
PRECISION: Final = 0.9999
"""Part of all weight that the buckets of an exponential window have together."""
LEAST_DECAY: Final = 0.2
DIGITS: Final = 6
"""Of a mean."""


def by_second(looks: tuple[Load, ...]) -> tuple[Load, ...]:
    """One load a second: the mean of that second's looks, or what the second before had."""
    seconds: dict[int, list[float]] = {}
    for look in looks:
        seconds.setdefault(math.floor(look.at), []).append(look.value)
    loads: list[Load] = []
    for second, values in seconds.items():
        if loads:
            last = loads[-1]
            loads.extend(Load(at, last.value) for at in range(int(last.at) + 1, second))
        loads.append(Load(second, sum(values) / len(values)))
    return tuple(loads)


def linear(
    loads: tuple[Load, ...], first: float, window: float, now: float, granularity: float = 1.0
) -> float:
    """The mean over the buckets of the window up to the newest written.

    `first` is the time of the first write since the window was last empty; buckets without a
    write count as 0. Worked, window 5 s, written 1 to 5 at 0 to 4 s: at 6 s the buckets 2 to 6
    less the two not written yet are three, (3 + 4 + 5) / 3 = 4.
    """
    if not loads:
        return 0.0
    newest = loads[-1].at
    here = max(math.floor(now / granularity) * granularity, newest)
    if here - newest >= window:
        return 0.0
    buckets = math.ceil(window / granularity)
    counted = [one.value for one in loads if one.at > here - buckets * granularity]
    since_first = (newest - math.floor(first / granularity) * granularity) / granularity + 1
    written = buckets - (here - newest) / granularity
    return round(sum(counted) / max(1.0, min(since_first, written)), DIGITS)


def decay(buckets: float) -> float:
    """The weight of the newest of so many buckets; each older one has that part of the rest."""
    return max(1 - math.pow(1 - PRECISION, 1 / buckets), LEAST_DECAY)


def exponential(
    loads: tuple[Load, ...], window: float, now: float, granularity: float = 1.0
) -> float:
    """The mean with weights m * (1 - m)^age, age in buckets and m from `decay`."""
    if not loads:
        return 0.0
    here = max(math.floor(now / granularity) * granularity, loads[-1].at)
    buckets = math.ceil(window / granularity)
    newest = decay(buckets)
    return sum(
        one.value * newest * math.pow(1 - newest, (here - one.at) / granularity)
        for one in loads
        if one.at > here - buckets * granularity
    )


def most_lately(
    wishes: tuple[Wish, ...], wish: Wish, window: float, granularity: float
) -> tuple[Wish, ...]:
    """`remembered`, by buckets of `granularity` seconds; the first is the largest."""
    bucket = math.floor(wish.at / granularity) * granularity
    length = math.ceil(window / granularity) * granularity
    return remembered(wishes, Wish(bucket, wish.replicas), length)


def targets(
    default: float, utilization: float, *, asked: float | None = None, capacity: float | None = None
) -> tuple[float, float]:
    """What a replica should carry, and the most that it can.

    `capacity` is its limit of requests at once, `asked` what the user wants instead of it or of
    the `default`; never above the capacity.
    """
    total = default if capacity is None else capacity
    if asked is not None:
        total = asked if capacity is None else min(asked, capacity)
    return max(LEAST_TARGET, total * utilization), total
