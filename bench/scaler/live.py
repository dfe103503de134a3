"""The gateway under a compressed trace, against the simulator's prediction.

python -m bench.scaler.live [--minutes N] [--output FILE]

Process replicas of 4 slots that start in about 2 s, `slo` at its defaults; the same requests and
service times in both, the simulator with the mean start time that the gateway measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from bench import storing
from bench.scaler import stand
from bench.scaler.plan import SLO, TRACES, TRAFFIC
from scaler.simulate.controller import PolicyController
from scaler.simulate.distribution import parse_distribution
from scaler.simulate.engine import simulate
from scaler.simulate.run import Run
from scaler.simulate.setup import setup_of
from scaler.simulate.traces import read_trace
from scaler.simulate.workload import Workload, workload_of

RESULTS: Final = storing.RESULTS / "scaler-live.json"
TRAFFIC_NAME: Final = "autothrottle-diurnal-2"
START: Final = 1.5
"""Seconds until an agent listens, beside what its process takes."""
INITIAL: Final = 6
SCALE: Final[dict[str, Any]] = {"min": 1, "max": 40, "slo": "p95 wait 500ms"}


def main() -> int:
    """Run both, print and store."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaler.live", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="to compress the trace to")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not TRACES.exists():
        print(f"the traces are not there: {TRACES}", file=sys.stderr)
        return 1
    workload = compressed(60 * options.minutes)
    config = stand.config_of(START, SCALE)
    live = stand.run(config, workload, INITIAL)
    told = predicted(config, workload, INITIAL, live.start_seconds or START)
    found = {
        "trace": TRAFFIC_NAME,
        "minutes": options.minutes,
        "requests": len(workload.arrivals),
        "failed": live.failed,
        "start_seconds": live.start_seconds,
        "replica_hours": {"live": live.replica_hours, "simulated": told.replica_hours},
        "miss_ratio": {"live": live.miss_ratio(SLO), "simulated": told.miss_ratio},
    }
    storing.write(options.output, found)
    print(json.dumps(found, indent=1))
    return 0


def compressed(seconds: float) -> Workload:
    """The trace in so many seconds, at the rates that it has in the comparison."""
    traffic = next(one for one in TRAFFIC if one.name == TRAFFIC_NAME)
    trace = read_trace(TRACES / traffic.file, series=traffic.series)
    service = None if traffic.service is None else parse_distribution(traffic.service)
    change = replace(traffic.change, speed=trace.end / seconds)
    return workload_of(trace, change, service, seed=0)


def predicted(config: dict[str, Any], workload: Workload, initial: int, start: float) -> Run:
    """What the simulator says of the same requests; `start` seconds for every start."""
    setup = setup_of(
        stand.parsed(config),
        None,
        cold_start=parse_distribution(f"{start:.3f}s"),
        slo=SLO,
        initial=initial,
    )
    return simulate(setup, workload, PolicyController(setup.scale), seed=0)


if __name__ == "__main__":
    sys.exit(main())
