"""What peers' policies measure: load averaged over a window, as plain data."""

from __future__ import annotations

from msgspec import Struct


class Load(Struct, frozen=True, array_like=True):
    """A load at one moment."""

    at: float
    """Monotonic seconds."""
    value: float


def noted(loads: tuple[Load, ...], load: Load, window: float) -> tuple[Load, ...]:
    """`loads` with one more, without those `window` seconds old or older."""
    first = next((i for i, one in enumerate(loads) if one.at > load.at - window), len(loads))
    return (*loads[first:], load)


def mean(loads: tuple[Load, ...], window: float, now: float) -> float:
    """The mean of those younger than `window` seconds; 0 without any."""
    values = [load.value for load in loads if load.at > now - window]
    return sum(values) / len(values) if values else 0.0


def held_mean(loads: tuple[Load, ...], start: float, end: float) -> float:
    """The mean over the time from the first load since `start` to `end`; 0 without any.

    Each load holds until the next, so many looks in a moment weigh no more than one. Source: ray
    `python/ray/serve/_private/metrics_utils.py`, `time_weighted_average`.
    """
    first = next((i for i, one in enumerate(loads) if one.at >= start), len(loads))
    area = 0.0
    begun = max(start, loads[first].at) if first < len(loads) else end
    for index, one in enumerate(loads[first:], first):
        until = loads[index + 1].at if index + 1 < len(loads) else end
        area += one.value * max(0.0, min(until, end) - max(one.at, start))
    return area / (end - begun) if end > begun else 0.0


def loads_moved(loads: tuple[Load, ...], by: float) -> tuple[Load, ...]:
    """The same loads on a clock that is `by` seconds ahead."""
    return tuple(Load(load.at + by, load.value) for load in loads)
