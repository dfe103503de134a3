"""Where the defaults of the originals stand in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fleet.config.schema import RedisSignal, Scale

DEFAULTS: Final[Mapping[tuple[str, str], Callable[[Scale], Any]]] = {
    ("keda", "activation"): lambda scale: scale.keda.activation,
    ("keda", "cooldown_s"): lambda scale: scale.keda.cooldown_period,
    ("keda", "initial_cooldown_s"): lambda scale: scale.keda.initial_cooldown_period,
    ("keda", "polling_interval_s"): lambda scale: scale.keda.polling_interval,
    ("keda", "redis_list_length"): lambda _: RedisSignal(list="jobs").per_replica,
    ("keda", "redis_stream_length"): lambda _: RedisSignal(stream="jobs").per_replica,
    ("keda", "redis_stream_pending"): lambda _: RedisSignal(stream="jobs", group="a").per_replica,
    ("kpa", "container_concurrency_target_pct"): lambda s: 100 * s.kpa.target_utilization,
    ("kpa", "initial_scale"): lambda scale: scale.kpa.initial_scale,
    ("kpa", "last_pod_retention_s"): lambda s: s.kpa.scale_to_zero_pod_retention_period,
    ("kpa", "max_scale_down_rate"): lambda scale: scale.kpa.max_scale_down_rate,
    ("kpa", "max_scale_up_rate"): lambda scale: scale.kpa.max_scale_up_rate,
    ("kpa", "panic_threshold_pct"): lambda scale: scale.kpa.panic_threshold_percentage,
    ("kpa", "panic_window_pct"): lambda scale: scale.kpa.panic_window_percentage,
    ("kpa", "scale_down_delay_s"): lambda scale: scale.kpa.scale_down_delay,
    ("kpa", "scale_to_zero_grace_s"): lambda scale: scale.kpa.scale_to_zero_grace_period,
    ("kpa", "stable_window_s"): lambda scale: scale.kpa.stable_window,
    ("kpa", "tick_s"): lambda scale: scale.kpa.tick,
    ("ray", "downscale_delay_s"): lambda scale: scale.ray.downscale_delay,
    ("ray", "downscaling_factor"): lambda scale: scale.ray.downscaling_factor,
    ("ray", "look_back_period_s"): lambda scale: scale.ray.look_back_period,
    ("ray", "min_replicas"): lambda scale: scale.min,
    ("ray", "target_ongoing_requests"): lambda scale: scale.ray.target_ongoing_requests,
    ("ray", "upscale_delay_s"): lambda scale: scale.ray.upscale_delay,
    ("ray", "upscaling_factor"): lambda scale: scale.ray.upscaling_factor,
}
"""By the peer and its name for it."""
_ALWAYS: Final = "the gateway is always in the path of requests, and there is one"
_BOUNDS: Final = "the bounds are the pool's, whatever its policy"
ELSEWHERE_SET: Final[Mapping[str, Mapping[str, str]]] = {
    "keda": {
        "hpa_max": _BOUNDS,
        "hpa_min": _BOUNDS,
        "ignore_null_values": "off: nothing found is a lost signal unless the user says otherwise",
    },
    "kpa": {
        "activator_capacity": _ALWAYS,
        "concurrency_default": "the capacity of a replica is the number of its slots",
        "rps_default": "load is requests that are there, not their rate",
        "target_burst_capacity": _ALWAYS,
    },
    "ray": {
        "control_loop_interval_s": "the scaler has one tick for all pools",
        "max_replicas_plain": _BOUNDS,
        "metrics_interval_s": "the gateway counts, nobody reports",
        "num_replicas_auto": _BOUNDS,
    },
}
"""What has no setting of its own, or another default on purpose, and why."""
