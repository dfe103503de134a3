"""Every setting of a peer's policy changes what it decides, from the configuration to the sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from scaler_kit import scale, seen, total

from fleet.config.policies import Apa, Hpa, HpaDown, HpaUp, Keda, Kpa, Nomad, Ray
from scaler.decide import decide_pool
from scaler.state import PoolState

START = 10.0
"""Seconds from a wish to a ready replica."""
TARGET = 2.8
LOADS = (
    *((60, 3), (60, 12), (60, 20), (60, 26), (20, 60), (350, 20), (350, 16), (400, 3.1), (60, 25)),
    *((1000, 0), (30, 4), (90, 0)),
)
"""Seconds, and requests that are there meanwhile."""

OTHERS: dict[type[BaseModel], dict[str, Any]] = {
    Apa: {
        "tick": "30s",
        "target_utilization": 0.5,
        "window": "20s",
        "up_fluctuation_tolerance": 0.5,
        "down_fluctuation_tolerance": 0.5,
        "max_scale_up_rate": 1.2,
        "max_scale_down_rate": 1.2,
        "scale_down_cooldown_window": "20s",
    },
    Hpa: {
        "sync_period": "40s",
        "tolerance": 0.4,
        "scale_up": {"policies": [{"type": "pods", "value": 1}]},
        "scale_down": {"stabilization_window": "20s"},
    },
    HpaUp: {
        "stabilization_window": "30s",
        "select_policy": "min",
        "tolerance": 0.4,
        "policies": [{"type": "percent", "value": 20, "period": "30s"}],
    },
    HpaDown: {
        "stabilization_window": "20s",
        "select_policy": "disabled",
        "tolerance": 0.4,
        "policies": [{"type": "pods", "value": 1, "period": "30s"}],
    },
    Keda: {
        "polling_interval": "50s",
        "cooldown_period": "20s",
        "initial_cooldown_period": "30s",
        "activation": 3.5,
        "idle_replicas": 1,
        "hpa": {"tolerance": 0.4},
    },
    Kpa: {
        "tick": "9s",
        "target_utilization": 0.4,
        "target": 2,
        "aggregation": "exponential",
        "stable_window": "20s",
        "panic_window_percentage": 50,
        "panic_threshold_percentage": 1000,
        "max_scale_up_rate": 1.5,
        "max_scale_down_rate": 1.2,
        "activation_scale": 3,
        "initial_scale": 3,
        "scale_down_delay": "2m",
        "scale_to_zero_grace_period": "2m",
        "scale_to_zero_pod_retention_period": "3m",
    },
    Nomad: {
        "evaluation_interval": "45s",
        "cooldown": "20s",
        "cooldown_on_scale_up": "20s",
        "threshold": 0.3,
        "max_scale_up": 1,
        "max_scale_down": 1,
    },
    Ray: {
        "target_ongoing_requests": 5,
        "look_back_period": "5s",
        "aggregation_function": "max",
        "upscale_delay": "5s",
        "downscale_delay": "20s",
        "downscale_to_zero_delay": "30s",
        "upscaling_factor": 0.5,
        "downscaling_factor": 0.2,
        "gang_size": 3,
    },
}
"""A value of each setting that is not its default."""
CONTEXT: dict[tuple[str, str], dict[str, Any]] = {
    ("apa", "max_scale_up_rate"): {"apa": {"window": "60s"}},
    ("keda", "idle_replicas"): {"min": 2},
    ("keda", "initial_cooldown_period"): {"idle": True},
    ("nomad", "evaluation_interval"): {"nomad": {"cooldown": "0s"}},
}
"""What else must be so for a setting to count: other settings, or a pool without work at first."""


def _sizes(settings: dict[str, Any], *, idle: bool = False) -> list[int]:
    """The sizes over a run, tick by tick; replicas start within START seconds, and stop at once."""
    loads = ((60, 0), *LOADS) if idle else LOADS
    chosen, state = scale(**{"min": 0, **settings}), PoolState()
    desired, asked, sizes = 1, [1] * int(START / 2), []
    now = 0.0
    for seconds, load in loads:
        for _ in range(seconds // 2):
            ready = min(desired, *asked[-int(START / 2) :])
            reading = total(load, TARGET)
            observation = seen(
                reading,
                desired=desired,
                ready=ready,
                starting=desired - ready,
                in_flight=int(load),
                now=now,
            )
            (decision,), state = decide_pool([observation], chosen, None, state)
            desired = decision.desired
            asked.append(desired)
            sizes.append(desired)
            now += 2.0
    return sizes


def _settings() -> Iterator[Any]:
    parts: tuple[tuple[str, type[BaseModel]], ...] = (
        ("apa", Apa),
        ("hpa", Hpa),
        ("hpa.scale_down", HpaDown),
        ("hpa.scale_up", HpaUp),
        ("keda", Keda),
        ("kpa", Kpa),
        ("nomad", Nomad),
        ("ray", Ray),
    )
    for path, model in parts:
        for key in model.model_fields:
            yield pytest.param(path, model, key, id=f"{path}.{key}")


@pytest.mark.parametrize(("path", "model", "key"), list(_settings()))
def test_a_setting_changes_the_sizes(path: str, model: type[BaseModel], key: str) -> None:
    context = dict(CONTEXT.get((path, key), {}))
    idle = context.pop("idle", False)
    policy, *inner = path.split(".")
    changed: dict[str, Any] = {key: OTHERS[model][key]}
    for part in reversed(inner):
        changed = {part: changed}
    base: dict[str, Any] = {"policy": policy, **context}
    with_it = {**base, policy: {**base.get(policy, {}), **changed}}
    assert _sizes(with_it, idle=idle) != _sizes(base, idle=idle)


@pytest.mark.parametrize("policy", ["apa", "hpa", "keda", "kpa", "nomad", "ray"])
def test_a_run_grows_and_comes_back(policy: str) -> None:
    sizes = _sizes({"policy": policy})
    assert max(sizes) >= 7, "20 requests at 2.8 each are eight replicas"
    assert sizes[-1] <= 2
