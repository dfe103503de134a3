"""Ray Serve's autoscaling policy."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.config.policies import Ray
from scaler.policies import ray
from scaler.policies.metrics import Load, held_mean

from .forms import checked


def scaling_factors(case: dict[str, Any]) -> None:
    up, down = case["upscaling_factor"], case["downscaling_factor"]
    assert ray.smoothed(case["current"], case["desired"], up, down) == case["expect"]


def policy(case: dict[str, Any]) -> None:
    given = case["config"]
    to_zero = given.get("downscale_to_zero_delay_s")
    settings = Ray.model_validate(
        {
            "target_ongoing_requests": given["target_ongoing"],
            "upscale_delay": f"{given['upscale_delay_s']}s",
            "downscale_delay": f"{given['downscale_delay_s']}s",
            "downscale_to_zero_delay": None if to_zero is None else f"{to_zero}s",
            "upscaling_factor": given["upscaling_factor"],
            "downscaling_factor": given["downscaling_factor"],
        }
    )
    wished = None
    for step in case["steps"]:
        checked({k: v for k, v in step.items() if k.startswith("expect")}, "expect")
        found, wished = ray.scale(
            settings,
            wished,
            step["t_s"],
            current=step["current"],
            target=step["target"],
            requests=step["requests"],
        )
        assert found == step["expect"], step


def gang(case: dict[str, Any]) -> None:
    found = ray.ganged(case["raw"], case["gang_size"])
    assert min(case.get("max", found), max(case.get("min", 0), found)) == case["expect"]


def aggregate(case: dict[str, Any]) -> None:
    """The mean from the first report of all, and from the moment by which every series has one."""
    expect = checked(case["expect"], "aligned_from_0_2", "unaligned")
    merged = _merged(case["series"])
    assert [[load.at, load.value] for load in merged] == case.get(
        "merged", [[load.at, load.value] for load in merged]
    )
    end = merged[-1].at + case["last_window_s"]
    aligned = max(series[0][0] for series in case["series"])
    assert held_mean(merged, 0.0, end) == pytest.approx(expect["unaligned"])
    if "aligned_from_0_2" in expect:
        assert aligned == 0.2
        assert held_mean(merged, aligned, end) == pytest.approx(expect["aligned_from_0_2"])


def _merged(series: list[list[list[float]]]) -> tuple[Load, ...]:
    """The sum of step functions; Headrace has one series, which the gateway counts itself."""
    times = sorted({at for one in series for at, _ in one})
    return tuple(
        Load(at, sum(next((v for t, v in reversed(one) if t <= at), 0.0) for one in series))
        for at in times
    )
