"""Ray Serve's autoscaling policy."""

from __future__ import annotations

from typing import Any

from fleet.config.policies import Ray
from scaler.policies import ray


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
