"""Ray Serve's autoscaling policy."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.config.policies import Ray
from scaler.policies import ray
from scaler.policies.metrics import Load, held_mean


def scaling_factors(case: dict[str, Any]) -> None:
    up, down = case["upscaling_factor"], case["downscaling_factor"]
    assert ray.smoothed(case["current"], case["desired"], up, down) == case["expect"]


def policy(case: dict[str, Any]) -> None:
    given = case["config"]
    to_zero = given["downscale_to_zero_delay_s"]
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
    merged = tuple(Load(at, value) for at, value in case["merged"])
    end = merged[-1].at + case["last_window_s"]
    expect = case["expect"]
    assert held_mean(merged, 0.0, end) == pytest.approx(expect["unaligned"])
    assert held_mean(merged, 0.2, end) == pytest.approx(expect["aligned_from_0_2"])
