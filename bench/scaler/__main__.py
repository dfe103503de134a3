"""Compare the policies on recorded traffic, in the simulator.

python -m bench.scaler [--quick] [--jobs N] [--output FILE] [--publish]

In steps: `slo` (or `target`, where there is none) at its defaults on every trace; every other
policy searched on the traces to learn from, for the fewest misses at no more than that cost; all
of them, at their defaults and as found, on every trace, with a constant size of equal cost and an
oracle. `--publish` writes the tables and pictures into the documentation.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.scaler import report, works
from bench.scaler.plan import COLD_STARTS, FULL, QUICK, TRACES, TRAFFIC, Plan, scenario
from fleet.config.schema import Scale
from scaler.policies import POLICIES
from scaler.simulate.knobs import KNOBS, Setting, candidates, with_setting
from scaler.simulate.session import with_policy
from scaler.simulate.summary import Summary
from scaler.simulate.tuning import Scenario, best_at_cost, scores

RESULTS = Path(__file__).parents[1] / "results" / "scaler.json"
OURS = "slo" if "slo" in POLICIES else "target"


def main() -> int:
    """Run, print, store and, if asked, publish."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaler", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer seeds, settings and hours")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--publish", action="store_true", help="write docs/autoscaling.md anew")
    options = parser.parse_args()
    if not TRACES.exists():
        print(f"the traces are not there: {TRACES}", file=sys.stderr)
        return 1
    plan = QUICK if options.quick else FULL
    begin = time.monotonic()
    with ProcessPoolExecutor(options.jobs) as executor:
        cold_starts = {cold: _under(cold, plan, executor) for cold in COLD_STARTS}
    result: report.Result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - begin),
        "quick": options.quick,
        "seeds": plan.seeds,
        "points": plan.points,
        "ours": OURS,
        "groups": {traffic.name: traffic.group for traffic in TRAFFIC},
        "learned": [traffic.name for traffic in TRAFFIC if traffic.learn],
        "cold_starts": cold_starts,
    }
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    print(report.text(result))
    if options.publish:
        report.publish(result)
    return 0


def _under(cold: str, plan: Plan, executor: Executor) -> report.ColdStart:
    every = [scenario(traffic, cold, plan, plan.seeds) for traffic in TRAFFIC]
    settings = {name: with_policy(every[0].setup.scale, name) for name in POLICIES}
    found = _tuned(cold, plan, settings, executor)
    choices = dict(settings)
    for name, setting in found.items():
        choices[f"{name} tuned"] = with_setting(settings[name], setting)
    waiting = [_parts(executor, one, list(choices.values())) for one in every]
    oracles = [executor.submit(works.oracle, one) for one in every]
    figures = {
        one.name: dict(zip(choices, _whole(parts), strict=True))
        for one, parts in zip(every, waiting, strict=True)
    }
    statics = [
        executor.submit(works.equal_cost, one, figures[one.name][OURS].replica_hours)
        for one in every
    ]
    for one, static, knows in zip(every, statics, oracles, strict=True):
        figures[one.name]["static"] = static.result()
        figures[one.name]["oracle"] = knows.result()
    print(f"cold start {cold}: done", file=sys.stderr)
    return {
        "settings": {name: dict(setting) for name, setting in found.items()},
        "traces": {
            name: {policy: msgspec.to_builtins(s) for policy, s in by_policy.items()}
            for name, by_policy in figures.items()
        },
    }


def _tuned(
    cold: str, plan: Plan, settings: dict[str, Scale], executor: Executor
) -> dict[str, Setting]:
    """The best setting of each policy with knobs, at no more than the cost of ours."""
    learn = [scenario(traffic, cold, plan, 1) for traffic in TRAFFIC if traffic.learn]
    ours = [executor.submit(works.policies, one, [settings[OURS]]) for one in learn]
    tried: dict[str, list[Setting]] = {}
    waiting = {}
    for name in KNOBS:
        if name == OURS:
            continue
        tried[name] = [{}, *candidates(name, plan.points, 0)]
        choices = [with_setting(settings[name], setting) for setting in tried[name]]
        waiting[name] = [_parts(executor, one, choices) for one in learn]
    base = [future.result()[0] for future in ours]
    found = {}
    for name, settings_tried in tried.items():
        results = [
            [first, *_whole(parts)] for first, parts in zip(base, waiting[name], strict=True)
        ]
        ranked = scores([{}, *settings_tried], results)[1:]
        found[name] = best_at_cost(ranked, 1.0).setting
    return found


def _parts(
    executor: Executor, one: Scenario, choices: Sequence[Scale], size: int = 4
) -> list[Future[list[Summary]]]:
    return [
        executor.submit(works.policies, one, choices[at : at + size])
        for at in range(0, len(choices), size)
    ]


def _whole(parts: Sequence[Future[list[Summary]]]) -> list[Summary]:
    return [summary for part in parts for summary in part.result()]


if __name__ == "__main__":
    sys.exit(main())
