"""The replica calculator of Kubernetes' HorizontalPodAutoscaler, and its behaviour. Pure.

Source: kubernetes `pkg/controller/podautoscaler/replica_calculator.go` and `horizontal.go`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from fleet.config.policies import HpaDirection
from scaler.windows import Change, Wish, changed_within

ROUNDING = 1e-9
"""Keeps 0.3 / 0.1 = 3.0000000000000004 from asking for a fourth replica."""


class Pod(Struct, frozen=True, kw_only=True):
    """What is known of one replica."""

    value: float | None
    """None: it reports none, though it should."""
    ignored: bool = False
    """It is on its way, so its value says nothing yet."""


def ceil(value: float) -> int:
    """The least whole number not below `value`, but for rounding."""
    return math.ceil(value - ROUNDING * max(1.0, abs(value)))


def within(ratio: float, tolerance: float) -> bool:
    """Whether `ratio` counts as 1."""
    return abs(ratio - 1) <= tolerance + ROUNDING


def from_pods(pods: Sequence[Pod], wanted: float, full: float, current: int, tol: float) -> int:
    """Replicas that bring the mean of `pods` to `wanted`.

    A pod without a value counts as `full` when the rest asks for fewer and as 0 when it asks for
    more; one on its way counts as 0 when the rest asks for more, and not at all otherwise. Does
    that turn the direction round, the size stays. `tol` is the tolerance.
    """
    counted = [p.value for p in pods if not p.ignored and p.value is not None]
    missing = sum(p.value is None and not p.ignored for p in pods)
    ignored = sum(p.ignored for p in pods)
    if not counted:
        return current
    ratio = sum(counted) / len(counted) / wanted
    if not missing and not (ignored and ratio > 1):
        return current if within(ratio, tol) else ceil(ratio * len(counted))
    total, number = sum(counted), len(counted) + missing
    if ratio < 1:
        total += missing * full
    if ratio > 1:
        number += ignored
    again = total / number / wanted
    if within(again, tol) or (ratio < 1) != (again < 1):
        return current
    replicas = ceil(again * number)
    return max(replicas, current) if again > 1 else min(replicas, current)


def from_total(total: float, target: float, current: int, ready: int, tol: float) -> int:
    """Replicas for a metric of one object whose value should be `target` (type Value)."""
    ratio = total / target
    if current == 0:
        return ceil(ratio)
    return current if within(ratio, tol) else ceil(ratio * ready)


def from_total_per_replica(total: float, target: float, current: int, tol: float) -> int:
    """Replicas so that each has `target` of `total` (type AverageValue)."""
    if current and within(total / (target * current), tol):
        return current
    return ceil(total / target)


def largest(proposals: Sequence[int | None], current: int) -> int:
    """The result of several metrics; None is one that failed, which blocks shrinking."""
    found = [p for p in proposals if p is not None]
    if not found:
        return current
    best = max(found)
    return max(best, current) if len(found) < len(proposals) else best


def up_limit(current: int, rule: HpaDirection, ups: tuple[Change, ...], now: float) -> int:
    """The largest size allowed now; at least `current`."""
    if rule.select_policy == "disabled":
        return current
    limits = []
    for policy in rule.policies:
        start = current - changed_within(ups, policy.period, now)
        percent = policy.type == "percent"
        limits.append(ceil(start * (1 + policy.value / 100)) if percent else start + policy.value)
    return max(current, max(limits) if rule.select_policy == "max" else min(limits))


def down_limit(current: int, rule: HpaDirection, downs: tuple[Change, ...], now: float) -> int:
    """The smallest size allowed now; at most `current`."""
    if rule.select_policy == "disabled":
        return current
    limits = []
    for policy in rule.policies:
        start = current + changed_within(downs, policy.period, now)
        percent = policy.type == "percent"
        limits.append(
            math.trunc(start * (1 - policy.value / 100) + ROUNDING)
            if percent
            else start - policy.value
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
