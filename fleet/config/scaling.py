"""Scaling in the configuration: policy, rates and bounds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fleet.config.base import Model
from fleet.config.floors import Predict, Schedule
from fleet.config.kinds import MAX_REPLICAS, Name
from fleet.config.objective import ObjectiveText
from fleet.config.policies import Apa, Hpa, Keda, Kpa, Nomad, Ray, Step
from fleet.config.signals import Signal
from fleet.config.units import Duration, PositiveDuration


class Rate(Model):
    """The most that may change within a period: the larger of the two."""

    percent: float = Field(
        100.0, ge=0, description="Percent of the replicas at the period's start."
    )
    replicas: int = Field(4, ge=0, description="Number of replicas.")
    period: PositiveDuration = Field(15.0, description="The period.")


class Scale(Model):
    """How many replicas a pool has."""

    min: int = Field(
        1, ge=0, description="Least replicas of the pool; 0 lets an idle pool go to zero."
    )
    max: int = Field(
        1, ge=0, le=MAX_REPLICAS, description="Most replicas of the pool; 0 switches it off."
    )
    policy: Literal["apa", "hpa", "keda", "kpa", "nomad", "ray", "slo", "step", "target"] = Field(
        "slo", description="How the load becomes replicas."
    )
    slo: ObjectiveText = Field(
        "p95 wait 500ms",
        description="With policy `slo`: `pNN wait DURATION`, the share of the requests, in "
        "percent, that should wait at most this long for a slot.",
    )
    apa: Apa = Field(default=Apa(), description="Settings of policy `apa`, as in AIBrix.")
    hpa: Hpa = Field(default=Hpa(), description="Settings of policy `hpa`, as in Kubernetes.")
    keda: Keda = Field(default=Keda(), description="Settings of policy `keda`, as in KEDA.")
    kpa: Kpa = Field(default=Kpa(), description="Settings of policy `kpa`, as in Knative.")
    nomad: Nomad = Field(default=Nomad(), description="Settings of policy `nomad`, as in Nomad.")
    ray: Ray = Field(default=Ray(), description="Settings of policy `ray`, as in Ray Serve.")
    step: Step = Field(default=Step(), description="Settings of policy `step`.")
    schedule: tuple[Schedule, ...] = Field((), description="Floors by the clock.")
    predict: Predict | None = Field(
        None, description="Floor by a seasonal forecast, which may only raise. Default: none."
    )
    pause: Literal["both", "in", "out"] | None = Field(
        None, description="Directions in which nothing is scaled: in (down), out (up) or both."
    )
    dry_run: bool = Field(
        False,
        description="Decides, journals and exports metrics, but keeps the present size (within min "
        "and max).",
    )
    idle: Duration | None = Field(
        None,
        description="With `min: 0`: the last replica goes once the pool has had no work for so "
        "long. Default: `stabilization` if given, else 60s with slo, step and target, and the "
        "policy's own rule with others.",
    )
    standby: int = Field(
        0, ge=0, le=MAX_REPLICAS, description="Replicas kept ready beyond the need, within max."
    )
    surge: int = Field(
        1,
        ge=0,
        le=MAX_REPLICAS,
        description="Replicas beyond the wanted size while others are replaced. 0: one is taken "
        "out before its successor starts.",
    )
    shift_timeout: Duration = Field(
        60.0,
        description="Longest that a raised weight waits for the replicas its share needs. 0: it "
        "moves at once.",
    )
    pack: Literal["always", "never", "shrinking"] = Field(
        "never",
        description="When requests are packed onto the oldest replicas, so that the others empty "
        "and can go: always, or while the pool is larger than wanted.",
    )
    budget: Name | None = Field(
        None, description="Budget (a name in `budgets`) that its replicas are taken from."
    )
    priority: int = Field(
        0,
        ge=-1000,
        le=1000,
        description="Who is served first by a short budget: the larger.",
    )
    signals: tuple[Signal, ...] = Field((), description="The inputs; the largest proposal wins.")
    tolerance: float = Field(
        0.1, ge=0, lt=1, description="No change while a reading is this near its target."
    )
    tick: PositiveDuration = Field(
        1.0, description="Between two decisions; a forming queue decides at once."
    )
    up: Rate | None = Field(None, description="Fastest growth. Default: the policy's own pace.")
    down: Rate | None = Field(
        None, description="Fastest shrinking. Default: the policy's own pace."
    )
    stabilization: Duration | None = Field(
        None,
        description="Shrinks only to the largest size wanted within this time. "
        "Default: the policy's own pace.",
    )
