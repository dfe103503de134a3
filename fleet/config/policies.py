"""Settings of the policies that come from other autoscalers, with the originals' defaults."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fleet.config.base import Model
from fleet.config.units import Duration, PositiveDuration


class HpaRate(Model):
    """One policy of a direction's behaviour."""

    type: Literal["percent", "pods"] = Field(description="What `value` counts.")
    value: int = Field(ge=0, description="The most that may change within `period`.")
    period: PositiveDuration = Field(15.0, description="The period.")


class HpaDirection(Model):
    """The behaviour of one direction."""

    stabilization_window: Duration
    select_policy: Literal["disabled", "max", "min"] = Field(
        "max", description="Which of the policies counts: that of the larger or smaller change."
    )
    tolerance: float | None = Field(
        None, ge=0, description="In this direction. Default: `tolerance` of both."
    )
    policies: tuple[HpaRate, ...]


class HpaUp(HpaDirection):
    """The behaviour of growth."""

    stabilization_window: Duration = Field(
        0.0, description="Grows only to the smallest size wanted within this time."
    )
    policies: tuple[HpaRate, ...] = Field(
        (HpaRate(type="pods", value=4), HpaRate(type="percent", value=100)),
        description="Rates, of which one is selected. Default: 4 pods and 100 percent in 15s.",
    )


class HpaDown(HpaDirection):
    """The behaviour of shrinking."""

    stabilization_window: Duration = Field(
        300.0, description="Shrinks only to the largest size wanted within this time."
    )
    policies: tuple[HpaRate, ...] = Field(
        (HpaRate(type="percent", value=100),),
        description="Rates, of which one is selected. Default: 100 percent in 15s.",
    )


class Hpa(Model):
    """As the HorizontalPodAutoscaler of Kubernetes."""

    sync_period: PositiveDuration = Field(15.0, description="Between two decisions.")
    tolerance: float = Field(
        0.1, ge=0, lt=1, description="No change while a reading is this near its target."
    )
    scale_up: HpaUp = Field(default=HpaUp(), description="Growth.")
    scale_down: HpaDown = Field(default=HpaDown(), description="Shrinking.")


class Kpa(Model):
    """As the autoscaler of Knative."""

    tick: PositiveDuration = Field(2.0, description="Between two decisions.")
    target_utilization: float = Field(
        0.7, gt=0, le=1, description="Wanted share of busy slots; queued requests count as busy."
    )
    target: float | None = Field(
        None,
        gt=0,
        description="Requests a replica can have at once, of which the share is wanted; at most "
        "its slots. Default: its slots.",
    )
    aggregation: Literal["exponential", "linear"] = Field(
        "linear", description="How load is averaged; `exponential` gives new load more weight."
    )
    stable_window: PositiveDuration = Field(60.0, description="Over which load is averaged.")
    panic_window_percentage: float = Field(
        10.0, ge=1, le=100, description="Of the stable window: over which panic looks."
    )
    panic_threshold_percentage: float = Field(
        200.0, gt=100, description="Of what is ready: wanted beyond this is panic."
    )
    max_scale_up_rate: float = Field(1000.0, gt=1, description="Most growth, times what is ready.")
    max_scale_down_rate: float = Field(2.0, gt=1, description="Most shrinking: to a part of this.")
    activation_scale: int = Field(0, ge=0, description="Least replicas while there is load.")
    initial_scale: int = Field(
        1,
        ge=0,
        le=1000,
        description="Replicas that a version with weight begins with, until so many are ready.",
    )
    scale_down_delay: Duration = Field(
        0.0, description="Shrinks only to the most wanted within this time."
    )
    scale_to_zero_grace_period: Duration = Field(
        30.0, description="Kept for this long after the stable window without load."
    )
    scale_to_zero_pod_retention_period: Duration = Field(
        0.0,
        description="The last replica is kept for this long after the stable window, if longer.",
    )


class Keda(Model):
    """As KEDA: activation by itself, between one and `max` through a HorizontalPodAutoscaler."""

    polling_interval: PositiveDuration = Field(
        30.0, description="Between two looks for activity; between one and `max` HPA looks itself."
    )
    cooldown_period: Duration = Field(
        300.0, description="From the last activity to the step down to `min` or idle."
    )
    initial_cooldown_period: Duration = Field(
        0.0, description="The same from the first look on, while there was no activity yet."
    )
    activation: float = Field(0.0, ge=0, description="A reading above this is activity.")
    idle_replicas: int | None = Field(
        None,
        ge=0,
        description="Replicas without activity, which may be fewer than `min`. Default: `min`.",
    )
    hpa: Hpa = Field(default=Hpa(), description="Between one and `max`.")


class Ray(Model):
    """As the autoscaling of Ray Serve."""

    target_ongoing_requests: float = Field(2.0, gt=0, description="In flight for each replica.")
    look_back_period: PositiveDuration = Field(30.0, description="Over which load is looked at.")
    aggregation_function: Literal["max", "mean", "min"] = Field(
        "mean", description="What is taken of the load over that time."
    )
    upscale_delay: Duration = Field(30.0, description="Growth must be wanted for this long.")
    downscale_delay: Duration = Field(600.0, description="Shrinking must be wanted for this long.")
    downscale_to_zero_delay: Duration | None = Field(
        None, description="The same from one to zero. Default: `downscale_delay`."
    )
    upscaling_factor: float = Field(1.0, gt=0, description="Part of the gap closed by growth.")
    downscaling_factor: float = Field(1.0, gt=0, description="Part of the gap closed by shrinking.")
    gang_size: int = Field(
        1, ge=1, le=1000, description="Replicas are wanted in multiples of this."
    )


class Nomad(Model):
    """As the target-value strategy of the Nomad Autoscaler."""

    evaluation_interval: PositiveDuration = Field(10.0, description="Between two decisions.")
    cooldown: Duration = Field(300.0, description="No decision for this long after a change.")
    cooldown_on_scale_up: Duration | None = Field(
        None, description="The same after growth. Default: `cooldown`."
    )
    threshold: float = Field(
        0.01, ge=0, lt=1, description="No change while a reading is this near its target."
    )
    max_scale_up: int | None = Field(None, ge=1, description="Most replicas added in a step.")
    max_scale_down: int | None = Field(None, ge=1, description="Most replicas removed in a step.")


class Apa(Model):
    """As the AI-optimised pod autoscaler of AIBrix."""

    tick: PositiveDuration = Field(10.0, description="Between two decisions.")
    target_utilization: float = Field(
        0.7, gt=0, le=1, description="Wanted share of busy slots; queued requests count as busy."
    )
    window: PositiveDuration = Field(180.0, description="Over which load is averaged.")
    up_fluctuation_tolerance: float = Field(0.1, ge=0, description="No growth within this.")
    down_fluctuation_tolerance: float = Field(
        0.1, ge=0, lt=1, description="No shrinking within this."
    )
    max_scale_up_rate: float = Field(2.0, gt=1, description="Most growth, times what is ready.")
    max_scale_down_rate: float = Field(2.0, gt=1, description="Most shrinking: to a part of this.")
    scale_down_cooldown_window: Duration = Field(
        300.0, description="Shrinks only to the most wanted within this time."
    )


class StepRule(Model):
    """A change of size beyond a threshold: exactly one of above or below."""

    above: float | None = Field(
        None, ge=0, description="Counts while more requests are there for each ready slot."
    )
    below: float | None = Field(
        None, ge=0, description="Counts while fewer requests are there for each ready slot."
    )
    change: int = Field(ge=-10_000, le=10_000, description="Replicas added, or removed below 0.")


class Step(Model):
    """Fixed steps: the largest change of all rules that count."""

    rules: tuple[StepRule, ...] = Field(
        (
            StepRule(above=0.8, change=1),
            StepRule(above=1.0, change=2),
            StepRule(above=2.0, change=4),
            StepRule(below=0.4, change=-1),
        ),
        description="The rules. Default: one more above 0.8, two above 1, four above 2, one less "
        "below 0.4.",
    )
    cooldown: Duration = Field(30.0, description="No step for this long after one.")
