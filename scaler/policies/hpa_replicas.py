"""The replica calculator of Kubernetes' HorizontalPodAutoscaler, and its behaviour. Pure.

Source: kubernetes `pkg/controller/podautoscaler/replica_calculator.go` and `horizontal.go`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from fleet.config.policies import HpaDirection
from scaler.windows import Change, Wish, begun_with

ROUNDING = 1e-9
"""Keeps 0.3 / 0.1 = 3.0000000000000004 from asking for a fourth replica, where a policy computes
with measured numbers as they are."""
UNITS = 1e6
"""HPA computes in whole thousandths; in whole millionths a small target keeps its value."""


MOST = 1e12
"""Of a measured number, so that a larger one is not more than can be computed with."""


class Tolerance(Struct, frozen=True):
    """How far a ratio may be from 1 and still count as 1."""

    up: float
    down: float

    def covers(self, ratio: float) -> bool:
        """Whether `ratio` counts as 1; the bounds do."""
        return 1 - self.down <= ratio <= 1 + self.up


class Pod(Struct, frozen=True, kw_only=True):
    """What is known of one replica, in whole numbers."""

    value: float | None
    """None: it reports none, though it should."""
    full: float
    """What it is taken to report if it does not, when the others ask for fewer."""
    weight: float = 1
    """Its part in the mean. For a utilization: what it requests, by which all are divided."""
    ignored: bool = False
    """It is on its way, so its value says nothing yet."""


class Sized(Struct, frozen=True):
    """What a metric asks for."""

    replicas: int
    observed: int
    """The metric as compared to its target."""


def ceil(value: float) -> int:
    """The least whole number not below `value`, but for rounding."""
    return math.ceil(value - ROUNDING * max(1.0, abs(value)))


def whole(value: float) -> int:
    """A measured number in the units of this module."""
    return round(max(-MOST, min(value, MOST)) * UNITS)


def from_pods(
    pods: Sequence[Pod], target: float, current: int, tolerance: Tolerance
) -> Sized | None:
    """Replicas that bring the mean of `pods` to `target`; None if none has a value that counts.

    A pod without a value counts as full when the rest asks for fewer and as 0 when it asks for
    more; one on its way counts as 0 when the rest asks for more, and not at all otherwise. Does
    that turn the direction round, the size stays.

    Worked: 1500 and 2500 of 1000 each ask for 200 % of their target; with one more on its way
    that is 133 % of three, so 4.
    """
    counted = [pod for pod in pods if not pod.ignored and pod.value is not None]
    missing = [pod for pod in pods if not pod.ignored and pod.value is None]
    ignored = [pod for pod in pods if pod.ignored]
    weight = sum(pod.weight for pod in counted)
    if not weight:
        return None
    total = sum(pod.value or 0 for pod in counted)
    observed = math.floor(total / weight)
    ratio = observed / target
    if not missing and not (ignored and ratio > 1):
        within = tolerance.covers(ratio)
        return Sized(current if within else math.ceil(ratio * len(counted)), observed)
    added = missing if ratio != 1 else []
    if ratio < 1:
        total += sum(pod.full for pod in added)
    if ratio > 1:
        added = [*added, *ignored]
    again = math.floor(total / (weight + sum(pod.weight for pod in added))) / target
    if tolerance.covers(again) or (ratio < 1) != (again < 1):
        return Sized(current, observed)
    replicas = math.ceil(again * (len(counted) + len(added)))
    return Sized(max(replicas, current) if again > 1 else min(replicas, current), observed)


def from_total(
    total: float, target: float, current: int, ready: int, tolerance: Tolerance
) -> Sized:
    """Replicas for a metric of one object whose value should be `target` (type Value)."""
    ratio, observed = total / target, math.floor(total)
    if current == 0:
        return Sized(math.ceil(ratio), observed)
    return Sized(current if tolerance.covers(ratio) else math.ceil(ratio * ready), observed)


def from_total_per_replica(
    total: float, target: float, current: int, tolerance: Tolerance
) -> Sized:
    """Replicas so that each has `target` of `total` (type AverageValue)."""
    observed = math.ceil(total / current) if current else math.ceil(total)
    if current and tolerance.covers(total / (target * current)):
        return Sized(current, observed)
    return Sized(math.ceil(total / target), observed)


def largest(proposals: Sequence[int | None], current: int) -> int:
    """The result of several metrics; None is one that failed, which blocks shrinking."""
    found = [p for p in proposals if p is not None]
    if not found:
        return current
    best = max(found)
    return max(best, current) if len(found) < len(proposals) else best


def up_limit(
    current: int, rule: HpaDirection, ups: tuple[Change, ...], downs: tuple[Change, ...], now: float
) -> int:
    """The largest size allowed now; at least `current`.

    A period began with what there is now less what came in it and with what went in it.
    """
    if rule.select_policy == "disabled":
        return current
    limits = []
    for policy in rule.policies:
        start = begun_with(current, ups, downs, policy.period, now)
        percent = policy.type == "percent"
        limits.append(
            math.ceil(start * (1 + policy.value / 100)) if percent else start + policy.value
        )
    return max(current, max(limits) if rule.select_policy == "max" else min(limits))


def down_limit(
    current: int, rule: HpaDirection, ups: tuple[Change, ...], downs: tuple[Change, ...], now: float
) -> int:
    """The smallest size allowed now; at most `current`. Periods begin as in `up_limit`."""
    if rule.select_policy == "disabled":
        return current
    limits = []
    for policy in rule.policies:
        start = begun_with(current, ups, downs, policy.period, now)
        percent = policy.type == "percent"
        limits.append(
            math.trunc(start * (1 - policy.value / 100)) if percent else start - policy.value
        )
    return min(current, min(limits) if rule.select_policy == "max" else max(limits))


def stabilized(
    wanted: int, current: int, wishes: Sequence[Wish], up: float, down: float, now: float
) -> int:
    """The least wanted within `up` seconds for growth, else the most wanted within `down`."""
    growing = wanted >= current
    window = up if growing else down
    lately = [w.replicas for w in wishes if w.at > now - window]
    return min([wanted, *lately]) if growing else max([wanted, *lately])
