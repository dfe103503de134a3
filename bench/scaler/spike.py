"""Five times the base load for a minute, on a scaled and on a fixed fleet, at the same time.

python -m bench.scaler.spike [--minutes N] [--output FILE]

The fixed fleet has the whole number of replicas at or above the mean size that the simulator
predicts of the scaled one: no fewer replica-hours. Both get the same requests.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, Final

from bench import storing
from bench.scaler import stand
from bench.scaler.live import SCALE, START, predicted
from scaler.simulate.workload import Workload

RESULTS: Final = storing.RESULTS / "scaler-spike.json"
BASE: Final = 8.0
"""Requests a second, each of a second on average."""
TIMES: Final = 5.0
BEFORE: Final = 120.0
"""Seconds."""
SPIKE: Final = 60.0
"""Seconds."""
INITIAL: Final = 4


def main() -> int:
    """Run both, print and store."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaler.spike", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    workload = spiking(60 * options.minutes)
    scaling = stand.config_of(START, SCALE)
    hours = predicted(scaling, workload, INITIAL, START + 1).replica_hours
    size = math.ceil(hours * 3600 / workload.end)
    fixing = stand.config_of(START, {"min": size, "max": size})
    with ThreadPoolExecutor(2) as executor:
        runs = {
            "scaled": executor.submit(stand.run, scaling, workload, INITIAL),
            "fixed": executor.submit(stand.run, fixing, workload, size),
        }
        found = {name: _told(run.result()) for name, run in runs.items()}
    less = 1 - found["scaled"]["mean_response_s"] / found["fixed"]["mean_response_s"]
    result: dict[str, Any] = {
        "minutes": options.minutes,
        "requests": len(workload.arrivals),
        **found,
        "mean_response_lower_by": less,
    }
    storing.write(options.output, result)
    print(json.dumps(result, indent=1))
    return 0


def spiking(end: float, seed: int = 0) -> Workload:
    """Poisson arrivals with exponential service times; the rate jumps up once, and back."""
    rng = Random(seed)
    arrivals = array("d", _arrivals(end, rng))
    services = array("d", [rng.expovariate(1.0) for _ in arrivals])
    return Workload(arrivals=arrivals, services=services, end=end)


def _arrivals(end: float, rng: Random) -> Iterator[float]:
    at = 0.0
    while (at := at + rng.expovariate(BASE * TIMES)) < end:
        if BEFORE <= at < BEFORE + SPIKE or rng.random() < 1 / TIMES:
            yield at


def _told(live: stand.Live) -> dict[str, float]:
    return {
        "failed": live.failed,
        "mean_response_s": live.mean_response,
        "p95_response_s": sorted(live.responses)[int(0.95 * len(live.responses))],
        "replica_hours": live.replica_hours,
        "peak": live.peak,
    }


if __name__ == "__main__":
    sys.exit(main())
