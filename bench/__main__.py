"""Run the benchmark.

python -m bench [--quick] [--works small,sse-200] [--peers haproxy,headrace] [--soak SECONDS]
                [--output FILE]
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench import limits, report, storing
from bench.chart import chart
from bench.options import names
from bench.peers import PEERS
from bench.plan import FULL, QUICK
from bench.stand import Stand
from bench.works import NOT_QUICK, WORKS


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare with the peers.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--works", type=names(WORKS), help=", ".join(WORKS))
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS))
    parser.add_argument(
        "--soak", type=float, metavar="SECONDS", help="length of the long mixed run; 0: none"
    )
    parser.add_argument("--output", type=Path, default=storing.RESULTS / "latest.json")
    return parser.parse_args()


def main() -> int:
    """Measure, print, store and draw."""
    options = _options()
    if shutil.which("wrk") is None:
        print("wrk is needed (Debian package wrk)", file=sys.stderr)
        return 1
    # an ended run ends what it has started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    limits.raise_open_files()
    programs = {n: p for n in options.peers if (p := PEERS[n].find()) is not None}
    absent = {name: PEERS[name].absent for name in options.peers if name not in programs}
    for name, how in absent.items():
        print(f"absent: {name} ({how})")
    works = options.works
    if works is None:
        works = [work for work in WORKS if not (options.quick and work in NOT_QUICK)]
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as directory:
        plan = QUICK if options.quick else FULL
        if options.soak is not None:
            plan = replace(plan, soak_seconds=options.soak)
        stand = Stand(plan, programs, Path(directory))
        durations = {}
        for work in works:
            started = time.monotonic()
            WORKS[work](stand)
            durations[work] = round(time.monotonic() - started, 1)
            print(f"{work:<14} took {durations[work]} s", flush=True)
    result = storing.result_of(
        stand.samples,
        begin=begin,
        quick=options.quick,
        versions={name: PEERS[name].version(program) for name, program in programs.items()},
        absent=absent,
        failures=stand.failures,
        durations=durations,
        series=stand.series,
    )
    storing.finish(options.output, result, report.text, chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
