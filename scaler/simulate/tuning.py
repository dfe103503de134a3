"""Searching a policy's parameters on some traffic, to be judged on other traffic. Pure.

A candidate is run on every scenario. Its misses are the mean of their miss ratios, its cost the
mean of its replica-hours relative to those of the settings as they are, so that a long trace
counts no more than a short one. The best is the cheapest whose misses are within the limit, or
the one with the fewest misses when none is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from msgspec import Struct

from fleet.config.schema import Scale
from scaler.simulate.distribution import Distribution
from scaler.simulate.knobs import KNOBS, Setting, value_of
from scaler.simulate.run import Run
from scaler.simulate.session import compare
from scaler.simulate.setup import Setup
from scaler.simulate.summary import Summary, summarize
from scaler.simulate.traces import Trace
from scaler.simulate.workload import Change


class Scenario(Struct, frozen=True, kw_only=True):
    """A pool under some traffic."""

    name: str
    setup: Setup
    trace: Trace
    change: Change
    service: Distribution | None
    seeds: tuple[int, ...]


class Score(Struct, frozen=True, kw_only=True):
    """A candidate over all scenarios."""

    setting: Setting
    """Empty: the settings as they are."""
    miss_ratio: float
    cost: float
    """Relative to the settings as they are: 1 is as much."""


def runs_of(scenario: Scenario, settings: Sequence[Scale]) -> list[list[Run]]:
    """The scenario under each of `settings`, a run for each seed, all on the same requests."""
    found = compare(
        scenario.setup,
        scenario.trace,
        {str(number): one for number, one in enumerate(settings)},
        change=scenario.change,
        service=scenario.service,
        seeds=scenario.seeds,
    )
    return list(found.values())


def evaluate(scenario: Scenario, settings: Sequence[Scale]) -> list[Summary]:
    """The means over the seeds of the scenario under each of `settings`."""
    return [summarize(found) for found in runs_of(scenario, settings)]


def scores(tried: Sequence[Setting], results: Sequence[Sequence[Summary]]) -> list[Score]:
    """`results` has for each scenario a summary of each setting tried; the first is the base."""
    return [
        Score(
            setting=setting,
            miss_ratio=fmean(found[number].miss_ratio for found in results),
            cost=fmean(found[number].replica_hours / found[0].replica_hours for found in results),
        )
        for number, setting in enumerate(tried)
    ]


def best(found: Sequence[Score], max_miss: float) -> Score:
    """The cheapest within `max_miss`, else the one with the fewest misses."""
    within = [score for score in found if score.miss_ratio <= max_miss]
    if within:
        return min(within, key=lambda score: (score.cost, score.miss_ratio))
    return min(found, key=lambda score: (score.miss_ratio, score.cost))


def frontier(found: Sequence[Score]) -> list[Score]:
    """Those that no other beats in both misses and cost, the cheapest first."""
    kept: list[Score] = []
    for score in sorted(found, key=lambda score: (score.cost, score.miss_ratio)):
        if not kept or score.miss_ratio < kept[-1].miss_ratio:
            kept.append(score)
    return kept


def yaml_diff(pool: str, settings: Scale, setting: Setting) -> str:
    """What to change in the configuration, as a diff of YAML; empty when nothing is.

    A knob of the router signal stands under the first `router` entry of `signals`.
    """
    tree: dict[str, object] = {}
    for knob in KNOBS[settings.policy]:
        if knob.path in setting and setting[knob.path] != value_of(settings, knob):
            *parents, leaf = knob.path.split(".")
            node = tree
            for parent in parents:
                child = node.setdefault(parent, {})
                assert isinstance(child, dict)
                node = child
            node[leaf] = (knob.shown(value_of(settings, knob)), knob.shown(setting[knob.path]))
    if not tree:
        return ""
    lines = [" pools:", f"   {pool}:", "     scale:"]
    if "router" in tree:
        lines += ["       signals:", *_diff({"- router": tree.pop("router")}, 9)]
    return "\n".join([*lines, *_diff(tree, 7)])


def _diff(tree: Mapping[str, object], indent: int) -> list[str]:
    lines = []
    for name, value in tree.items():
        if isinstance(value, dict):
            deeper = indent + (4 if name.startswith("- ") else 2)
            lines += [f"{' ' * indent}{name}:", *_diff(value, deeper)]
        elif isinstance(value, tuple):
            old, new = value
            lines += [f"-{' ' * (indent - 1)}{name}: {old}", f"+{' ' * (indent - 1)}{name}: {new}"]
    return lines
