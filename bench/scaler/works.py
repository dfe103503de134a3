"""The runs: policies on scenarios, constant sizes of equal cost, and an oracle."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from statistics import fmean

from msgspec import Struct
from msgspec.structs import replace

from bench.scaler.plan import WARM_UP
from fleet.config.schema import Scale
from fleet.model import Observation
from scaler.simulate.controller import Controller, constant
from scaler.simulate.engine import simulate
from scaler.simulate.run import Run
from scaler.simulate.tuning import Scenario, runs_of
from scaler.simulate.workload import Workload, workload_of


class Figures(Struct, frozen=True, kw_only=True):
    """Means over the seeds."""

    miss_ratio: float
    """Requests without a slot within the SLO, of all after WARM_UP."""
    miss_ratio_whole: float
    """The same from the first second."""
    replica_hours: float
    """From the first second."""
    starts: float
    flips_300s: float


def policies(scenario: Scenario, settings: Sequence[Scale]) -> list[Figures]:
    """Each of `settings` on the scenario."""
    return [figures(found) for found in runs_of(scenario, settings)]


def figures(runs: Sequence[Run]) -> Figures:
    """The means over `runs`, at least one."""
    return Figures(
        miss_ratio=fmean(missed_after(run, WARM_UP) for run in runs),
        miss_ratio_whole=fmean(run.miss_ratio for run in runs),
        replica_hours=fmean(run.replica_hours for run in runs),
        starts=fmean(run.starts for run in runs),
        flips_300s=fmean(run.flips for run in runs),
    )


def missed_after(run: Run, seconds: float) -> float:
    """The share of misses among the requests after the first `seconds`; 0 when none came."""
    place = bisect_left(run.series.at, seconds)
    if place == len(run.series.at):
        return 0.0
    arrived = run.arrived - run.series.arrived[place]
    return (run.missed - run.series.missed[place]) / arrived if arrived else 0.0


def equal_cost(scenario: Scenario, hours: float) -> Figures:
    """A constant size with as many replica-hours: between the two whole sizes next to it."""
    lower, upper = (_constant(scenario, size) for size in _around(scenario, hours))
    if upper.replica_hours <= lower.replica_hours:
        return lower
    part = (hours - lower.replica_hours) / (upper.replica_hours - lower.replica_hours)
    part = min(1.0, max(0.0, part))
    mixed = {
        name: (1 - part) * getattr(lower, name) + part * getattr(upper, name)
        for name in lower.__struct_fields__
    }
    return Figures(**mixed)


def oracle(scenario: Scenario) -> Figures:
    """Who knows all requests, and starts each replica just in time so that none waits."""
    runs = []
    for seed in scenario.seeds:
        workload = workload_of(scenario.trace, scenario.change, scenario.service, seed)
        setup = scenario.setup
        ahead = setup.cold_start.parameters[-1]
        knows = foreseeing(workload, ahead=ahead, slots=setup.versions[0].slots)
        begin = knows([])["v1"]
        runs.append(simulate(replace(setup, initial=begin), workload, knows, seed=seed))
    return figures(runs)


def foreseeing(workload: Workload, *, ahead: float, slots: int) -> Controller:
    """At each moment, the most slots that will be busy until `ahead` seconds and a tick later."""
    busiest = _busiest(workload)
    reach = math.ceil(ahead) + 2
    needs = _window_maximum(busiest, reach)

    def decide(seen: Sequence[Observation]) -> Mapping[str, int]:
        at = int(seen[0].monotonic) if seen else 0
        return {"v1": max(1, -(-needs[min(at, len(needs) - 1)] // slots))}

    return decide


def _around(scenario: Scenario, hours: float) -> tuple[int, int]:
    seed = scenario.seeds[0]
    end = workload_of(scenario.trace, scenario.change, scenario.service, seed).end
    size = hours * 3600 / end
    return max(1, math.floor(size)), max(1, math.ceil(size))


def _constant(scenario: Scenario, size: int) -> Figures:
    tick = scenario.setup.scale.model_copy(update={"tick": 60.0})
    setup = replace(scenario.setup, initial=size, scale=tick)
    return figures(
        [
            simulate(
                setup,
                workload_of(scenario.trace, scenario.change, scenario.service, seed),
                constant({"v1": size}),
                seed=seed,
            )
            for seed in scenario.seeds
        ]
    )


def _busiest(workload: Workload) -> array[int]:
    """The most requests at once in each second, if none waits."""
    events = sorted(
        [(at, 1) for at in workload.arrivals]
        + [(at + s, -1) for at, s in zip(workload.arrivals, workload.services, strict=True)]
    )
    most = array("q", bytes(8 * (math.ceil(workload.end) + 1)))
    busy, second = 0, 0
    for at, change in events:
        while second < min(int(at), len(most) - 1):
            second += 1
            most[second] = busy
        busy += change
        most[second] = max(most[second], busy)
    return most


def _window_maximum(values: Sequence[int], reach: int) -> list[int]:
    """For each place the largest of the `reach` values from there on."""
    found = [0] * len(values)
    best: deque[int] = deque()
    for place in range(len(values) - 1, -1, -1):
        while best and values[best[-1]] <= values[place]:
            best.pop()
        best.append(place)
        if best[0] >= place + reach:
            best.popleft()
        found[place] = values[best[0]]
    return found
