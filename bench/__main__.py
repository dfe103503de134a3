"""Run the benchmark.

python -m bench [--quick] [--works small,sse-200] [--peers haproxy,headrace] [--soak SECONDS]
                [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench import accounting, limits, report
from bench.chart import chart
from bench.peers import PEERS
from bench.plan import FULL, QUICK
from bench.stand import Stand
from bench.works import NOT_QUICK, WORKS

RESULTS = Path(__file__).parent / "results"


def _names(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}"
            )
        return [name for name in known if name in names]

    return parse


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare with the peers.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--works", type=_names(list(WORKS)), help=", ".join(WORKS))
    parser.add_argument("--peers", type=_names(list(PEERS)), default=list(PEERS))
    parser.add_argument(
        "--soak", type=float, metavar="SECONDS", help="length of the long mixed run; 0: none"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "latest.json")
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
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - begin),
        "durations": durations,
        "quick": options.quick,
        "machine": accounting.machine(),
        "versions": {name: PEERS[name].version(program) for name, program in programs.items()},
        "absent": absent,
        "failures": stand.failures,
        "series": stand.series,
        "samples": [sample.as_dict() for sample in stand.samples],
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    options.output.with_suffix(".svg").write_text(chart(result))
    print()
    print(report.text(result))
    print(f"stored in {options.output} and {options.output.with_suffix('.svg')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
