"""Compare the policies on recorded traffic, in the simulator.

python -m bench.scaler [--quick] [--seeds N] [--jobs N] [--output FILE] [--publish]

In steps, for each cold start: `slo` at its defaults on the traces to learn from; settings of every
searched policy on the same traces, at random and then in rounds near the best around the cost of
`slo`, of which those of its frontier around that cost stay; all of them on the traces reported on,
with a constant size of equal cost and an oracle.
`--publish` writes the tables and pictures into the documentation.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import msgspec

from bench import storing
from bench.scaler import report, works
from bench.scaler.frontier import around, named
from bench.scaler.plan import (
    COLD_STARTS,
    FULL,
    OURS,
    QUICK,
    SEARCHED,
    TRACES,
    TRAFFIC,
    Plan,
    scenario,
)
from fleet.config.schema import Scale
from scaler.policies import POLICIES
from scaler.simulate.knobs import Setting, candidates, near, with_setting
from scaler.simulate.session import with_policy
from scaler.simulate.tuning import Scenario, Score

RESULTS = storing.RESULTS / "scaler.json"


def main() -> int:
    """Run, print, store and, if asked, publish."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaler", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer seeds, settings and hours")
    parser.add_argument("--seeds", type=int, help="seeds of each run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--publish", action="store_true", help="write docs/autoscaling.md anew")
    options = parser.parse_args()
    if not TRACES.exists():
        print(f"the traces are not there: {TRACES}", file=sys.stderr)
        return 1
    plan = QUICK if options.quick else FULL
    if options.seeds:
        plan = msgspec.structs.replace(plan, seeds=options.seeds)
    begin = time.monotonic()
    with ProcessPoolExecutor(options.jobs) as executor:
        cold_starts = {cold: _under(cold, plan, executor) for cold in COLD_STARTS}
    result: report.Result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - begin),
        "quick": options.quick,
        "seeds": plan.seeds,
        "tried": plan.tried,
        "groups": {traffic.name: traffic.group for traffic in TRAFFIC},
        "learned": [traffic.name for traffic in TRAFFIC if traffic.learn],
        "cold_starts": cold_starts,
    }
    storing.write(options.output, result)
    print(report.text(result))
    if options.publish:
        report.publish(result)
    return 0


def _under(cold: str, plan: Plan, executor: Executor) -> report.ColdStart:
    told = [scenario(traffic, cold, plan, plan.seeds) for traffic in TRAFFIC if not traffic.learn]
    settings = {name: with_policy(told[0].setup.scale, name) for name in POLICIES}
    tuned = named(_searched(cold, plan, settings, executor))
    choices = {
        **settings,
        **{name: with_setting(settings[policy], one) for name, (policy, one) in tuned.items()},
    }
    waiting = [_parts(executor, one, list(choices.values())) for one in told]
    oracles = [executor.submit(works.oracle, one) for one in told]
    figures = {
        one.name: dict(zip(choices, _whole(parts), strict=True))
        for one, parts in zip(told, waiting, strict=True)
    }
    statics = [
        executor.submit(works.equal_cost, one, figures[one.name][OURS].replica_hours)
        for one in told
    ]
    for one, static, knows in zip(told, statics, oracles, strict=True):
        figures[one.name]["static"] = static.result()
        figures[one.name]["oracle"] = knows.result()
    print(f"cold start {cold}: done", file=sys.stderr)
    return {
        "settings": {name: dict(one) for name, (_, one) in tuned.items()},
        "traces": {
            name: {policy: msgspec.to_builtins(f) for policy, f in by_policy.items()}
            for name, by_policy in figures.items()
        },
    }


def _searched(
    cold: str, plan: Plan, settings: dict[str, Scale], executor: Executor
) -> dict[str, list[Setting]]:
    """Of each policy searched, the settings around our cost that no other beats.

    The first round is drawn from all values, each later one near the best around our cost so far.
    """
    learn = [scenario(traffic, cold, plan, plan.learning) for traffic in TRAFFIC if traffic.learn]
    ours = [executor.submit(works.policies, one, [settings[OURS]]) for one in learn]
    base = [future.result()[0].replica_hours for future in ours]
    found: dict[str, list[Score]] = {name: [] for name in SEARCHED}
    for number in range(plan.rounds):
        drawn = {
            name: near(settings[name], around(found[name], 1.0), plan.points, number)
            if number
            else [{}, *candidates(name, plan.points, 0)]
            for name in SEARCHED
        }
        waiting = {
            name: [
                _parts(executor, one, [with_setting(settings[name], each) for each in tried])
                for one in learn
            ]
            for name, tried in drawn.items()
        }
        for name, by_trace in waiting.items():
            found[name] += _scores(drawn[name], base, [_whole(parts) for parts in by_trace])
    return {name: around(scores, 1.0) for name, scores in found.items()}


def _scores(
    tried: Sequence[Setting], base: Sequence[float], found: Sequence[Sequence[works.Figures]]
) -> list[Score]:
    """Mean misses over the traces, and mean replica-hours relative to `base`."""
    return [
        Score(
            setting=setting,
            miss_ratio=fmean(trace[number].miss_ratio for trace in found),
            cost=fmean(
                trace[number].replica_hours / hours
                for trace, hours in zip(found, base, strict=True)
            ),
        )
        for number, setting in enumerate(tried)
    ]


def _parts(
    executor: Executor, one: Scenario, choices: Sequence[Scale], size: int = 4
) -> list[Future[list[works.Figures]]]:
    return [
        executor.submit(works.policies, one, choices[at : at + size])
        for at in range(0, len(choices), size)
    ]


def _whole(parts: Sequence[Future[list[works.Figures]]]) -> list[works.Figures]:
    return [figures for part in parts for figures in part.result()]


if __name__ == "__main__":
    sys.exit(main())
