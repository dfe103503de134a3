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


def loads_moved(loads: tuple[Load, ...], by: float) -> tuple[Load, ...]:
    """The same loads on a clock that is `by` seconds ahead."""
    return tuple(Load(load.at + by, load.value) for load in loads)
