"""Knative's pod autoscaler."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from scaler.policies.kpa import KpaPast, KpaSpec, scale
from scaler.policies.kpa_measure import decay, exponential, linear, most_lately, targets
from scaler.policies.kpa_stage import Stage, sized
from scaler.policies.metrics import Load
from scaler.windows import Wish, remembered

from .forms import UnknownFormError, checked

KEYS = {
    "target": "target",
    "panic_threshold": "panic_threshold",
    "max_up_rate": "max_up_rate",
    "max_down_rate": "max_down_rate",
    "stable_window_s": "stable_window",
    "reachable": "reachable",
    "activation_scale": "activation_scale",
    "scale_down_delay_s": "scale_down_delay",
}
SCALED = (
    "buffer_in_path",
    "current",
    "desired",
    "grace_period_s",
    "initial_scale",
    "last_pod_retention_s",
    "max",
    "min",
    "reachable",
    "stable_window_s",
    "state",
    "state_age_s",
    "window_s",
)
BURST = "the gateway is always in the path of requests, whatever burst the replicas could take"


def _spec(given: dict[str, Any]) -> KpaSpec:
    known = checked(given, *KEYS, total=BURST, burst=BURST)
    return KpaSpec(**{KEYS[key]: value for key, value in known.items() if key in KEYS})


def decide(case: dict[str, Any]) -> None:
    given = dict(case["spec"])
    past = KpaPast.begun(case["initial_ready"], case["steps"][0]["t_s"])
    if preset := case.get("preset"):
        past = KpaPast(**preset)
    for step in case["steps"]:
        checked(
            {k: v for k, v in step.items() if k.startswith("expect")},
            "expect",
            "expect_panic",
            "expect_panic_since",
            "expect_max_panic",
        )
        expect = checked(step["expect"], "desired", "valid", ebc=BURST)
        given.update(step.get("spec_update", {}))
        if not expect.get("valid", True):
            continue  # without data Knative decides nothing, and the gateway always has some
        found, past = scale(
            _spec(given), past, step["t_s"], step["ready"], step["stable"], step["panic"]
        )
        assert found == expect["desired"], step
        assert past.max_panic == step.get("expect_max_panic", past.max_panic)
        if "expect_panic" in step:
            assert (past.panic_since is not None) == step["expect_panic"]
        if "expect_panic_since" in step:
            assert past.panic_since == step["expect_panic_since"]


def start_state(case: dict[str, Any]) -> None:
    past = KpaPast.begun(case["initial_ready"], 0.0)
    assert (past.panic_since is not None) == case["expect_panic"]
    assert past.max_panic == case["expect_max_panic"]


def max_window(case: dict[str, Any]) -> None:
    wishes: tuple[Wish, ...] = ()
    found = []
    for index, value in zip(case["indexes"], case["values"], strict=True):
        wishes = remembered(wishes, Wish(index, value), case["size"])
        found.append(wishes[0].replicas)
    assert found == case["expect_current"]


def max_time_window(case: dict[str, Any]) -> None:
    wishes: tuple[Wish, ...] = ()
    for at, value in case["records"]:
        wishes = most_lately(wishes, Wish(at, value), case["window_s"], case["granularity_s"])
    assert wishes[0].replicas == case["expect"]


def avg_window(case: dict[str, Any]) -> None:
    """The records, late ones too, are put into their buckets here: Headrace looks in order."""
    window, step = case["window_s"], case["granularity_s"]
    buckets: dict[float, float] = {}
    first = newest = 0.0
    for kind, at, value in case["ops"]:
        bucket = at // step * step
        match kind:
            case "record":
                if not buckets or bucket - newest >= window:
                    buckets, first, newest = {}, bucket, bucket
                if newest - bucket < window:
                    buckets[bucket] = buckets.get(bucket, 0.0) + value
                    first, newest = min(first, bucket), max(newest, bucket)
            case "resize":
                first = newest - (math.ceil(window / step) - 1) * step
                buckets = {at: held for at, held in buckets.items() if at >= first}
                window = value
            case "avg":
                loads = tuple(Load(*one) for one in sorted(buckets.items()))
                found = AVERAGES[case["kind"]](loads, first, window, at, step)
                close = 0.5 * 10.0 ** -case.get("round", 6)
                assert found == pytest.approx(value, abs=close), (kind, at)
            case other:
                raise UnknownFormError(f"an operation {other} on a window")


AVERAGES: dict[str, Callable[..., float]] = {
    "exponential": lambda loads, _, window, at, step: exponential(loads, window, at, step),
    "linear": linear,
}


def decay_coefficient(case: dict[str, Any]) -> None:
    assert decay(case["buckets"]) == pytest.approx(case["expect"], abs=case["abs_tol"])


def target(case: dict[str, Any]) -> None:
    expect = checked(case["expect"], "target", "total")
    rps = case["metric"] == "rps"
    percent = case.get("utilization_annotation_pct")
    share = case["rps_utilization"] if rps else case["concurrency_fraction"]
    found, total = targets(
        case["rps_default"] if rps else case["concurrency_default"],
        share if percent is None else percent / 100,
        asked=case.get("target_annotation"),
        capacity=None if rps else case["container_concurrency"] or None,
    )
    assert found == pytest.approx(expect["target"])
    assert total == pytest.approx(expect["total"])


def scale_to_zero(case: dict[str, Any]) -> None:
    """Knative writes -1 for a size that it does not know.

    Bounds are the pool's. The grace period is one with the buffer in the path of requests, as the
    gateway always is: where it is not yet, no part of that period is over.
    """
    expect = checked(case["expect"], "applied", "result")
    checked(case, *SCALED, "expect", "name", "src")
    if case["desired"] < 0:
        assert (expect["result"], expect["applied"]) == (case["desired"], False)
        return
    window = case.get("stable_window_s", case.get("window_s", 300.0))
    age = float(case.get("state_age_s", 0))
    if not case.get("buffer_in_path", True):
        age = 0.0
    size, applied = sized(
        min(case["desired"], case.get("max") or case["desired"]),
        case["current"],
        Stage(case.get("state", "active"), 0.0),
        age,
        stable_window=window,
        grace=max(case.get("grace_period_s", 60.0), case.get("last_pod_retention_s", 0.0)),
        initial=case.get("initial_scale", 1),
        least=(case.get("min") or 0) if case.get("reachable", True) else 0,
    )
    assert (-1 if size is None else size, applied) == (expect["result"], expect["applied"])
