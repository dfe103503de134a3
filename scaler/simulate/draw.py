"""Pictures of simulations: a run over time, and misses against replica-hours. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from scaler.simulate.run import Run, Series
from scaler.simulate.svg import COLOURS, LEFT, RIGHT, WIDTH, Axis, Line, Panel, Point, picture

BUCKETS: Final = 400
"""Points of a line at most."""
LEAST_MISS: Final = 0.01
"""Percent; fewer misses are drawn as this, on a logarithmic axis."""

_HEIGHT: Final = 130
_HEAD: Final = 60
_STEP: Final = _HEIGHT + 62


def draw_runs(runs: Mapping[str, Run]) -> str:
    """Arrivals, queue, replicas and misses over time, a colour for each name in `runs`."""
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(runs)}
    end = max(run.end for run in runs.values())
    unit, size = _unit(end)
    first = next(iter(runs))
    panels = []
    wanted: tuple[
        tuple[str, Mapping[str, Run], Callable[[Run], Iterator[tuple[Sequence[Point], bool]]]], ...
    ] = (
        ("arrivals a second", {first: runs[first]}, lambda run: _arrivals(run.series)),
        ("requests in the queue", runs, lambda run: _gauge(run.series, run.series.queued)),
        ("replicas: ready, and dashed with those that start or drain", runs, _replicas),
        ("misses a second", runs, lambda run: _misses(run.series)),
    )
    for place, (title, shown, lines_of) in enumerate(wanted):
        lines = [
            Line(
                points=[(at / size, value) for at, value in points],
                colour="#57606a" if place == 0 else colours[name],
                dashed=dashed,
            )
            for name, run in shown.items()
            for points, dashed in lines_of(run)
        ]
        top = _HEAD + place * _STEP
        high = max((y for line in lines for _, y in line.points), default=0.0)
        panels.append(
            Panel(
                title=title,
                x=Axis(low=0.0, high=end / size, start=LEFT, stop=WIDTH - RIGHT),
                y=Axis(low=0.0, high=high or 1.0, start=top + _HEIGHT, stop=top),
                x_label=unit if place == len(wanted) - 1 else "",
                lines=lines,
            )
        )
    legend = [(colour, name) for name, colour in colours.items()]
    return picture(panels, legend, _HEAD + len(wanted) * _STEP)


class Placed(Protocol):
    """What has a place in the picture of a frontier."""

    @property
    def miss_ratio(self) -> float:
        """0 to 1."""

    @property
    def replica_hours(self) -> float:
        """Hours, or relative to some."""


def draw_frontier(
    title: str, points: Mapping[str, Sequence[Placed]], cost: str = "replica-hours"
) -> str:
    """Misses in percent, logarithmic, against `cost`.

    Of each name the points that no other beats in both are joined.
    """
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(points)}
    hours = [one.replica_hours for found in points.values() for one in found]
    misses = [_percent(one) for found in points.values() for one in found]
    placed = {
        name: sorted((one.replica_hours, _percent(one)) for one in found)
        for name, found in points.items()
    }
    panel = Panel(
        title=title,
        x=Axis(low=0.95 * min(hours), high=1.05 * max(hours), start=LEFT, stop=WIDTH - RIGHT),
        y=Axis(low=LEAST_MISS, high=max(1.0, *misses), start=420, stop=_HEAD, logarithmic=True),
        x_label=f"{cost}; the axis upwards is misses in %",
        lines=[Line(points=_unbeaten(found), colour=colours[n]) for n, found in placed.items()],
        dots=[(point, colours[name], "") for name, found in placed.items() for point in found],
    )
    return picture([panel], [(colour, name) for name, colour in colours.items()], 470)


def _unbeaten(rising: Sequence[Point]) -> list[Point]:
    """The points with fewer misses than every cheaper one."""
    kept: list[Point] = []
    for point in rising:
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept


def _percent(one: Placed) -> float:
    return max(LEAST_MISS, 100 * one.miss_ratio)


def _unit(end: float) -> tuple[str, float]:
    for name, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if end >= 3 * size:
            return name, size
    return "seconds", 1.0


def _spans(series: Series) -> Iterator[tuple[int, int]]:
    """The ticks of each bucket of time: first, and one past the last."""
    end = series.at[-1]
    first = 0
    for number in range(1, BUCKETS + 1):
        last = (
            bisect_left(series.at, end * number / BUCKETS) if number < BUCKETS else len(series.at)
        )
        if last > first:
            yield first, last
            first = last


def _gauge(series: Series, values: Sequence[int]) -> Iterator[tuple[Sequence[Point], bool]]:
    yield [(series.at[i], float(max(values[i:k]))) for i, k in _spans(series)], False


def _rate(series: Series, totals: Sequence[int]) -> list[Point]:
    points, before, at = [], 0, 0.0
    for i, k in _spans(series):
        last = series.at[k - 1]
        if last > at:
            points.append((series.at[i], (totals[k - 1] - before) / (last - at)))
            before, at = totals[k - 1], last
    return points


def _arrivals(series: Series) -> Iterator[tuple[Sequence[Point], bool]]:
    yield _rate(series, series.arrived), False


def _misses(series: Series) -> Iterator[tuple[Sequence[Point], bool]]:
    yield _rate(series, series.missed), False


def _replicas(run: Run) -> Iterator[tuple[Sequence[Point], bool]]:
    yield from _gauge(run.series, run.series.ready)
    for points, _ in _gauge(run.series, run.series.alive):
        yield points, True
