"""What comes in: the moment and the service time of each request."""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from random import Random
from typing import Final

from msgspec import Struct

from fleet.errors import HeadraceError
from scaler.simulate.distribution import Distribution
from scaler.simulate.traces import Requests, Trace, Windows


class Workload(Struct, frozen=True, kw_only=True):
    """Requests in the order of their arrival. Times in seconds from the start of the run."""

    arrivals: array[float]
    services: array[float]
    """Seconds each holds its slot; as many as arrivals."""
    end: float
    """When the run ends."""
    clock: float = 0.0
    """Unix time at the start of the run, which schedules and forecasts go by."""
    speed: float = 1.0
    """Seconds of that clock in one second of the run."""


MOST_REQUESTS: Final = 50_000_000
"""Of one run: beyond it a trace is taken for a mistake, as its run would take hours."""
MOST_SECONDS: Final = 1000 * 86400.0
"""Of one run. Times of two kinds in one trace, or in a wrong unit, make runs of decades."""
MOST_VARIATION: Final = 5.0
"""Of gaps; beyond it a window is a handful of clumps, which says more of the estimate than of the
traffic."""


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


class Change(Struct, frozen=True, kw_only=True):
    """How a trace is changed before it is run."""

    scale: float = 1.0
    """Requests in place of one."""
    speed: float = 1.0
    """Times as fast; the rate of requests stays as it is, so a run has fewer."""
    begin: float = 0.0
    """Seconds of the trace that are left out at its beginning."""
    length: float | None = None
    """Seconds of the trace that are run; None: all the rest."""
    clock: float | None = None
    """Unix time at the beginning of the trace; None: what the trace says."""


def workload_of(trace: Trace, change: Change, service: Distribution | None, seed: int) -> Workload:
    """Requests drawn from a trace.

    The requests of a window are spread over it by chance: as a Poisson process, or with gamma
    gaps where the trace gives their coefficient of variation. Single requests stay at their
    times; a `scale` draws how often each is repeated, within a mean gap of its time. `service`
    outranks the trace's own service times. Raises HeadraceError when there are neither, when
    nothing is left to run, and for a run beyond MOST_REQUESTS or MOST_SECONDS.
    """
    last = trace.end if change.length is None else min(trace.end, change.begin + change.length)
    if change.begin >= last:
        part = "" if change.length is None else f" for {change.length:g}s"
        raise HeadraceError(
            f"nothing is left of the trace: it ends at {trace.end:.6g}s, "
            f"and the run is from {change.begin:g}s{part}"
        )
    end = (last - change.begin) / change.speed
    _check_size(trace, change, last, end)
    rng = Random(f"{seed}: arrivals")
    services: array[float] | None = None
    if isinstance(trace, Windows):
        spread = _spread(trace, change, last, rng)
        arrivals = array("d", (at for at in spread if 0 <= at < end))
    else:
        arrivals, services = _repeated(trace, change, last, rng)
    if service is not None:
        services = service.samples(len(arrivals), Random(f"{seed}: services"))
    if services is None:
        raise HeadraceError("the trace has no service times: give them with --service")
    return Workload(
        arrivals=arrivals,
        services=services,
        end=end,
        clock=(trace.clock if change.clock is None else change.clock) + change.begin,
        speed=change.speed,
    )


def _check_size(trace: Trace, change: Change, last: float, end: float) -> None:
    if end > MOST_SECONDS:
        raise HeadraceError(
            f"the run would be of {end / 86400:.6g} days, at most {MOST_SECONDS / 86400:g} are "
            "simulated: check the times of the trace, or run a part of it with --for"
        )
    if isinstance(trace, Windows):
        first, stop = _places(trace, change, last)
        found = sum(trace.counts[first:stop])
    else:
        low, high = _between(trace, change, last)
        found = float(high - low)
    expected = found * change.scale / change.speed
    if expected > MOST_REQUESTS:
        raise HeadraceError(
            f"the run would have {expected:.3g} requests, at most {MOST_REQUESTS:,} are "
            "simulated: check the trace, thin it with --scale, or run a part of it with --for"
        )


def _places(trace: Windows, change: Change, last: float) -> tuple[int, int]:
    """The windows that are run, the first and the last in part perhaps."""
    return int(change.begin / trace.width), math.ceil(last / trace.width)


def _between(trace: Requests, change: Change, last: float) -> tuple[int, int]:
    return bisect_left(trace.arrivals, change.begin), bisect_left(trace.arrivals, last)


def _spread(trace: Windows, change: Change, last: float, rng: Random) -> Iterator[float]:
    """Arrivals of all windows that are run, those outside of the run too."""
    width = trace.width / change.speed
    first, stop = _places(trace, change, last)
    skipped = (change.begin - first * trace.width) / change.speed
    for place in range(first, stop):
        begin = (place - first) * width - skipped
        expected = trace.counts[place] * change.scale / change.speed
        if trace.exact:
            count = int(expected + rng.random())
            yield from sorted(begin + width * rng.random() for _ in range(count))
        elif expected > 0:
            yield from _renewals(
                begin, begin + width, width / expected, _variation(trace, place, change), rng
            )


def _variation(trace: Windows, place: int, change: Change) -> float:
    """The coefficient of variation of a window's gaps, after thinning.

    Thinning to a part p leaves 1 + p (c - 1) of an index of dispersion c (Cox and Isham, Point
    Processes, 1980), which in the long run is the square of the coefficient.
    """
    if trace.cvs is None:
        return 1.0
    square = 1 + min(1.0, change.scale) * (trace.cvs[place] ** 2 - 1)
    return min(MOST_VARIATION, math.sqrt(max(0.0001, square)))


def _renewals(begin: float, end: float, mean: float, cv: float, rng: Random) -> Iterator[float]:
    """Arrivals with gamma gaps, as many as expected however short the window is.

    It begins within a gap. Which, is drawn by length, as a long one is the likelier to be met (Cox,
    Renewal Theory, 1962), and a gamma distribution weighted by length is one of shape + 1.
    """
    shape = 1 / (cv * cv)
    at = begin + rng.random() * rng.gammavariate(shape + 1, mean / shape)
    while at < end:
        yield at
        at += rng.gammavariate(shape, mean / shape)


def _repeated(
    trace: Requests, change: Change, last: float, rng: Random
) -> tuple[array[float], array[float] | None]:
    each = change.scale / change.speed
    part = slice(*_between(trace, change, last))
    if each == 1:
        return (
            array("d", ((at - change.begin) / change.speed for at in trace.arrivals[part])),
            None if trace.services is None else trace.services[part],
        )
    gap = trace.end / len(trace.arrivals)
    places: list[tuple[float, int]] = []
    for number in range(part.start, part.stop):
        at = trace.arrivals[number] - change.begin
        copies = int(each + rng.random())
        if copies:
            places.append((at / change.speed, number))
        for _ in range(copies - 1):
            moved = min(at + gap * rng.random(), math.nextafter(last - change.begin, 0))
            places.append((moved / change.speed, number))
    places.sort()
    arrivals = array("d", [at for at, _ in places])
    if trace.services is None:
        return arrivals, None
    return arrivals, array("d", [trace.services[number] for _, number in places])
