"""Run the balance works.

python -m bench.balance [--quick] [--works live,model,overload] [--output FILE]
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import accounting, limits, storing
from bench.balance import agents, report, simulation
from bench.balance.chart import chart
from bench.balance.gateways import gateways
from bench.balance.live import Bed, LiveError
from bench.balance.plan import FULL, QUICK, Plan
from bench.options import names
from bench.peers.headrace import HEADRACE
from bench.processes import StartError
from bench.stand import Sample

OURS = "headrace"


class Book:
    """Samples, and why there are none."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.failures: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self._strangers = accounting.Strangers()

    def take(self, work: str, name: str, number: int, run: Callable[[], dict[str, float]]) -> None:
        """One run."""
        self._strangers.since()
        try:
            figures = run()
        except (LiveError, OSError, StartError) as error:
            self.failures[f"{work} {name}"] = str(error)
            print(f"{work:<9} {name:<24} FAILED: {error}", flush=True)
            return
        strangers, stolen = self._strangers.since()
        self.samples.append(Sample(work, name, number, figures, strangers, stolen))
        shown = "  ".join(f"{key}={value:.5g}" for key, value in figures.items())
        print(f"{work:<9} {name:<24} {number + 1}  {shown}", flush=True)


def live(book: Book, bed: Bed, plan: Plan) -> None:
    """Every gateway in turn, on agents that do the same for each of a round."""
    there = {}
    for name, gateway in gateways().items():
        program = gateway.peer.find()
        if program is None:
            book.absent[name] = gateway.peer.absent
        else:
            there[name] = (gateway, program)
            book.versions[name.split()[0]] = gateway.peer.version(program)
    for number in range(plan.rounds):
        for name, (gateway, program) in there.items():
            run = partial(bed.unequal, gateway, program, plan, number)
            book.take("live", name, number, run)


def model(book: Book, _: Bed, plan: Plan) -> None:
    """Headrace's policies before a large fleet."""
    profiles = agents.fleet("unequal", plan.fleet)
    rate = plan.load * sum(profile.capacity for profile in profiles)
    for seed in range(plan.model_seeds):
        for policy in simulation.POLICIES:
            run = partial(simulation.simulated, policy, profiles, rate, plan.model_seconds, seed)
            book.take("model", policy, seed, run)


def overload(book: Book, bed: Bed, plan: Plan) -> None:
    """Headrace with five times what its agents can."""
    program = HEADRACE.find()
    assert program is not None
    for number in range(plan.rounds):
        book.take("overload", OURS, number, partial(bed.overload, program, plan, number))


WORKS: dict[str, Callable[[Book, Bed, Plan], None]] = {
    "live": live,
    "model": model,
    "overload": overload,
}


def main() -> int:
    """Measure, print, store and draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.balance", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--works", type=names(WORKS), default=list(WORKS), help=", ".join(WORKS))
    parser.add_argument("--output", type=Path, default=storing.RESULTS / "balance.json")
    options = parser.parse_args()
    # an ended run ends what it has started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    limits.raise_open_files()
    plan = QUICK if options.quick else FULL
    book = Book()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="headrace-balance-") as directory:
        bed = Bed(Path(directory))
        for work in options.works:
            WORKS[work](book, bed, plan)
    result = storing.result_of(
        book.samples,
        begin=begin,
        quick=options.quick,
        versions=book.versions,
        absent=book.absent,
        failures=book.failures,
    )
    storing.finish(options.output, result, report.text, chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
