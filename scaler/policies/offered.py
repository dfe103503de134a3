"""How much load is offered to a version, and how fast it has risen before. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Final, Self

from msgspec import Struct, structs

from fleet.model import Observation
from fleet.telemetry.histogram import BOUNDS

BLOCKS: Final = 120
"""Blocks of history kept; a block is a quarter of the start time."""
BLOCKS_A_START: Final = 4
SHORTEST_BLOCK: Final = 1.0
"""Seconds."""
ENOUGH: Final = 12
"""Rises after which the history is believed."""
UNKNOWN_RISE: Final = 1.5
"""Until then: the usual beta of square-root staffing (Halfin and Whitt, 1981)."""
RISE_QUANTILE: Final = 0.95
LEVEL: Final = 30.0
"""Seconds over which the load is averaged, exponentially, for what chance does around it."""
LATELY: Final = 300.0
"""Seconds over which service time and late requests are averaged, exponentially; and the most that
one request counts for, so that one of hours does not seem to be what all will be like."""
LAST: Final = 0.5
"""Requests, averaged as they are: fewer say nothing new of the service time."""
FEW: Final = 30
"""Requests: until so many have ended, those in flight count for the service time too, since the
quickest end first."""
NOTHING: Final = 1e-3
"""Requests a second, and slots, below which what is left of an average is none at all."""


class Offered(Struct, frozen=True, kw_only=True):
    """What is known of a version's load; counters are those of the last observation."""

    at: float
    """Monotonic seconds."""
    arrived: int
    served: int
    busy: float
    waited: int
    late: int
    in_flight: int = 0
    """At the last look."""
    served_lately: float = 0.0
    busy_lately: float = 0.0
    held_lately: float = 0.0
    """Slot-seconds of all requests, those that are still in flight included; seldom too many."""
    waited_lately: float = 0.0
    late_lately: float = 0.0
    service: float = 0.0
    """Mean seconds that a request holds a slot, of those that ended last; 0 until one has."""
    rate: float = 0.0
    """Arrivals a second, smoothed over the objective's wait."""
    load: float = 0.0
    """Slots that would be busy if there were always enough; 0 while the service time is unknown."""
    level: float = 0.0
    """The same, smoothed over LEVEL, and within two standard deviations of it."""
    occupied: float = 0.0
    """Slots that were busy all the time; what is busy more becomes part of it over LEVEL."""
    block_ends: float
    """Monotonic seconds."""
    peak: float = 0.0
    """Highest load of this block."""
    ends: tuple[float, ...] = ()
    """Load at the end of each block, the oldest first."""
    peaks: tuple[float, ...] = ()
    ahead: float = 0.0
    """The load to expect a start time ahead, if it goes on growing; 0 while it does not."""
    rise: float = UNKNOWN_RISE
    """How far load may rise within a start time, in units of its square root."""

    @property
    def steady(self) -> float:
        """Slots that are busy but for chance: by the load, or as long requests keep them."""
        return max(self.level, self.occupied)

    @property
    def highest(self) -> float:
        """The highest load of the history."""
        return max(self.load, *self.peaks) if self.peaks else self.load

    @property
    def late_share(self) -> float:
        """The share of requests that waited too long lately."""
        return self.late_lately / self.waited_lately if self.waited_lately >= 1 else 0.0

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return structs.replace(self, at=self.at + by, block_ends=self.block_ends + by)


def begun(seen: Observation, wait: float) -> Offered:
    """Before the first look; `wait` is the objective's, in seconds."""
    waited, late = _waits(seen, wait)
    return Offered(
        at=seen.monotonic,
        arrived=seen.arrived,
        served=seen.served,
        busy=seen.busy,
        waited=waited,
        late=late,
        in_flight=seen.in_flight,
        block_ends=seen.monotonic,
    )


def followed(before: Offered, seen: Observation, wait: float, start: float) -> Offered:
    """After one more look. `start` is the seconds that a replica takes until it is ready.

    Between looks the load follows dL/dt = rate - L / service: arrivals each add a busy slot, and
    slots come free at 1 / service. It begins, and its history with it, once the service time is
    known; all slots that ever were busy, by all requests that have ended, is the estimate of a mean
    under censoring. Counters that went back belong to a new daemon.
    """
    passed = seen.monotonic - before.at
    if passed <= 0:
        return before
    waited, late = _waits(seen, wait)
    fade = math.exp(-passed / LATELY)
    fade_level = math.exp(-passed / LEVEL)
    ended = max(0, seen.served - before.served)
    served = before.served_lately * fade + ended
    held_them = min(max(0.0, seen.busy - before.busy), LATELY * ended)
    busy = before.busy_lately * fade + held_them
    throughout = min(before.in_flight, seen.in_flight)
    held = before.held_lately * fade + throughout * passed
    service = before.service
    if served >= LAST:
        service = (max(busy, held) if served < FEW else busy) / served
    keep = math.exp(-passed / wait)
    arriving = max(0, seen.arrived - before.arrived) / passed
    rate = before.rate * keep + arriving * (1 - keep) if before.rate or before.ends else arriving
    if before.service > 0 and service > 0:
        keep = math.exp(-passed / service)
        load = before.load * keep + rate * service * (1 - keep)
    else:
        load = min(rate * service, float(seen.in_flight + seen.queued))
    rate, load = (size if size >= NOTHING else 0.0 for size in (rate, load))
    after = structs.replace(
        before,
        at=seen.monotonic,
        arrived=seen.arrived,
        served=seen.served,
        busy=seen.busy,
        waited=waited,
        late=late,
        served_lately=served,
        busy_lately=busy,
        held_lately=held,
        occupied=min(throughout, before.occupied * fade_level + throughout * (1 - fade_level)),
        in_flight=seen.in_flight,
        service=service,
        waited_lately=before.waited_lately * fade + max(0, waited - before.waited),
        late_lately=before.late_lately * fade + max(0, late - before.late),
        rate=rate,
        load=load,
        level=_near(before.level * fade_level + load * (1 - fade_level), load),
        peak=max(before.peak, load),
    )
    if not service or seen.monotonic < after.block_ends:
        return after
    return _turned(after, start)


def _near(level: float, load: float) -> float:
    """`level`, kept where chance could have brought `load` from it."""
    chance = 2 * math.sqrt(load)
    return min(load + chance, max(load - chance, level))


def _turned(offered: Offered, start: float) -> Offered:
    """With a new block begun, and the rise measured anew.

    Worked: a start of 10 s is four blocks of 2.5 s, and the one in which it is asked for. A load
    of 25 that in the five blocks after reached 30 has risen by (30 - 25) / sqrt(25 + 1) = 0.98.
    """
    ends = (*offered.ends, offered.load)[-BLOCKS:]
    peaks = (*offered.peaks, offered.peak)[-BLOCKS:]
    ahead = BLOCKS_A_START + 1
    rises = sorted(
        (max(peaks[i + 1 : i + 1 + ahead]) - ends[i]) / math.sqrt(ends[i] + 1)
        for i in range(len(ends) - ahead)
    )
    rise = offered.rise
    if len(rises) >= ENOUGH:
        rise = max(0.0, rises[min(len(rises) - 1, int(RISE_QUANTILE * len(rises)))])
    return structs.replace(
        offered,
        ahead=_ahead(ends, offered.service, start),
        block_ends=offered.at + max(SHORTEST_BLOCK, start / BLOCKS_A_START),
        peak=offered.load,
        ends=ends,
        peaks=peaks,
        rise=rise,
    )


def _ahead(ends: tuple[float, ...], service: float, start: float) -> float:
    """The load by a straight line through the means of the last two start times.

    The later mean lies half a start back, so the line is followed for one and a half. Growth
    within two standard errors of such a difference is chance. Worked: means of 20 and 24 are 30.
    """
    if len(ends) < 2 * BLOCKS_A_START:
        return 0.0
    later = sum(ends[-BLOCKS_A_START:]) / BLOCKS_A_START
    sooner = sum(ends[-2 * BLOCKS_A_START : -BLOCKS_A_START]) / BLOCKS_A_START
    error = math.sqrt(2 * later * min(1.0, 2 * service / start))
    grown = later - sooner
    return min(2 * later, later + 1.5 * grown) if grown > 2 * error else 0.0


def _waits(seen: Observation, wait: float) -> tuple[int, int]:
    """Requests that have waited, and those of them that waited longer than `wait` for sure."""
    return sum(seen.waits), sum(seen.waits[bisect_left(BOUNDS, wait) + 1 :])
