"""Searching a policy's parameters on some traffic, to be judged on other traffic. Pure.

A candidate is run on every scenario. Its misses are the mean of their miss ratios, its cost the
mean of its replica-hours relative to those of the settings as they are, so that a long trace
counts no more than a short one. The best is the cheapest whose misses are within the limit, or
the one with the fewest misses when none is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from msgspec import Struct

from fleet.config.load import ConfigError, load_text
from fleet.config.schema import Scale
from scaler.simulate.distribution import Distribution
from scaler.simulate.edit import Edit, UneditableError, dressed, edited, undressed, unified
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
            cost=fmean(
                relative(found[number].replica_hours, found[0].replica_hours) for found in results
            ),
        )
        for number, setting in enumerate(tried)
    ]


def relative(hours: float, base: float) -> float:
    """Replica-hours as a multiple of others; nothing is as much as nothing."""
    return hours / base if base else math.inf if hours else 1.0


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


def edits(pool: str, configured: Scale, settings: Scale, setting: Setting) -> list[Edit]:
    """What to change in the configuration of `pool` so that it has `setting`.

    `settings` are those of the policy that was tuned, `configured` those of the file, which may
    name another one.
    """
    found = []
    if configured.policy != settings.policy:
        found.append(Edit(("pools", pool, "scale", "policy"), settings.policy))
    for knob in KNOBS[settings.policy]:
        if knob.path in setting and setting[knob.path] != value_of(settings, knob):
            below = knob.path.replace("router.", "signals.router.", 1).split(".")
            found.append(Edit(("pools", pool, "scale", *below), knob.shown(setting[knob.path])))
    return found


def diff_of(text: str, file: Path, pool: str, changes: Sequence[Edit], wanted: Scale) -> str:
    """The change of the configuration file `file`, whose content is `text`, as `patch` takes it.

    Raises UneditableError when the changed text would not be the configuration with `wanted` as
    the scaling of `pool`, and nothing else changed: where it has aliases, for instance.
    """
    plain = undressed(text)
    after = edited(plain, changes)
    try:
        before, found = load_text(plain, file), load_text(after, file)
    except ConfigError as error:
        raise UneditableError(str(error)) from error
    scale = found.pools[pool].scale
    pools = {**found.pools, pool: before.pools[pool]}
    if (
        _unordered(scale) != _unordered(wanted)
        or found.model_copy(update={"pools": pools}) != before
    ):
        raise UneditableError("other values would change with it")
    return unified(text, dressed(after, text), str(file))


def _unordered(scale: Scale) -> Scale:
    """With the signals in an order that does not depend on where one was put."""
    return scale.model_copy(update={"signals": tuple(sorted(scale.signals, key=repr))})
