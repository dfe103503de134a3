"""Policies over seeds: what `headrace simulate` runs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from msgspec.structs import replace

from fleet.config.schema import Scale
from fleet.errors import HeadraceError
from scaler.policies import POLICIES
from scaler.simulate.controller import PolicyController
from scaler.simulate.distribution import Distribution
from scaler.simulate.engine import simulate
from scaler.simulate.run import Run
from scaler.simulate.setup import Setup
from scaler.simulate.traces import Trace
from scaler.simulate.workload import Change, workload_of


def with_policy(settings: Scale, policy: str) -> Scale:
    """The same settings under another policy. Raises HeadraceError for an unknown one."""
    if policy not in POLICIES:
        raise HeadraceError(f"there is no policy {policy!r}; known are {', '.join(POLICIES)}")
    return settings.model_copy(update={"policy": policy})


def compare(
    setup: Setup,
    trace: Trace,
    policies: Mapping[str, Scale],
    *,
    change: Change,
    service: Distribution | None,
    seeds: Iterable[int],
    progress: Callable[[str, int, float], None] = lambda name, seed, at: None,
) -> dict[str, list[Run]]:
    """The runs of each policy, one a seed; all policies meet the same requests.

    `progress` gets the policy, the seed and the simulated seconds of that run done.
    """
    runs: dict[str, list[Run]] = {name: [] for name in policies}
    for seed in seeds:
        workload = workload_of(trace, change, service, seed)
        for name, settings in policies.items():
            runs[name].append(
                simulate(
                    replace(setup, scale=settings),
                    workload,
                    PolicyController(settings),
                    seed=seed,
                    progress=partial(progress, name, seed),
                )
            )
    return runs
