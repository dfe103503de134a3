"""A seasonal forecast of load, which may only raise a size. Pure.

Time is cut into steps. The forecast for a step is the mean of the same step in the seasons
before, scaled by how the latest step compares with its own forecast (at most by half or double):
a seasonal-naive forecast with a level (Hyndman and Athanasopoulos, Forecasting: Principles and
Practice, 5.2). What is remembered is in Unix time, so that it outlives a long break.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct, structs

from fleet.config.floors import Predict

LEVEL: Final = 2.0
"""The forecast is scaled at most by this factor."""
ERROR_MEMORY: Final = 288
"""Steps over which the error is averaged, exponentially."""


class Forecast(Struct, frozen=True, kw_only=True):
    """What is remembered of one version's load; loads are mean requests in flight and queued."""

    width: float
    """Seconds of a step."""
    step: int
    """Number of the present step since 1970."""
    total: float = 0.0
    """Of the present step's looks."""
    looks: int = 0
    history: tuple[float | None, ...] = ()
    """Mean load of the steps before the present one, the newest last; None: not seen."""
    expected: float | None = None
    """For the present step, as forecast one step before."""
    missed: float = 0.0
    """Absolute errors, averaged."""
    happened: float = 0.0
    """Loads they are errors of, averaged."""

    @property
    def error(self) -> float | None:
        """Mean absolute error over mean load; None before the first forecast was judged."""
        return self.missed / self.happened if self.happened else None


def looked(before: Forecast | None, load: float, at: float, settings: Predict) -> Forecast:
    """After a look at the load at Unix time `at`. Other steps than before begin anew."""
    step = int(at // settings.step)
    if before is None or before.width != settings.step or step < before.step:
        return Forecast(width=settings.step, step=step, total=load, looks=1)
    if step == before.step:
        return structs.replace(before, total=before.total + load, looks=before.looks + 1)
    keep = steps_of(settings) * settings.seasons
    gone = min(step - before.step - 1, keep)
    mean = round(before.total / before.looks, 3)
    history = (*before.history, mean, *[None] * gone)[-keep:]
    missed, happened = before.missed, before.happened
    if before.expected is not None:
        part = 1 / ERROR_MEMORY
        missed += part * (abs(mean - before.expected) - missed)
        happened += part * (mean - happened)
    after = Forecast(
        width=settings.step,
        step=step,
        total=load,
        looks=1,
        history=history,
        missed=missed,
        happened=happened,
    )
    return structs.replace(after, expected=expected(after, step, settings))


def needed(forecast: Forecast, at: float, slots: int, settings: Predict) -> tuple[int, float]:
    """Replicas for the highest load expected from now to `ahead`, and that load."""
    last = int((at + settings.ahead) // settings.step)
    loads = [expected(forecast, step, settings) for step in range(forecast.step, last + 1)]
    load = max((load for load in loads if load is not None), default=0.0)
    return math.ceil(load / (slots * settings.utilization) - 1e-9), load


def expected(forecast: Forecast, step: int, settings: Predict) -> float | None:
    """The load expected in a step that is not over; None without a season of history."""
    seasonal = _seasonal(forecast, step, settings)
    if seasonal is None:
        return None
    last = forecast.history[-1] if forecast.history else None
    usual = _seasonal(forecast, forecast.step - 1, settings)
    if last is None or not usual:
        return seasonal
    return seasonal * min(LEVEL, max(1 / LEVEL, last / usual))


def steps_of(settings: Predict) -> int:
    """Steps of a season."""
    return max(1, round(settings.season / settings.step))


def _seasonal(forecast: Forecast, step: int, settings: Predict) -> float | None:
    """Mean of the steps that lie whole seasons before `step`; their index counts from the end."""
    season = steps_of(settings)
    found = []
    back = forecast.step - step + season
    while back <= len(forecast.history):
        value = forecast.history[-back] if back > 0 else None
        if value is not None:
            found.append(value)
        back += season
    return sum(found) / len(found) if found else None
