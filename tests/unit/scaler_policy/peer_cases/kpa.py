"""Knative's pod autoscaler."""

from __future__ import annotations

from typing import Any

from scaler.policies.kpa import KpaPast, KpaSpec, scale
from scaler.windows import Wish, remembered

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


def _spec(given: dict[str, Any]) -> KpaSpec:
    return KpaSpec(**{KEYS[key]: value for key, value in given.items() if key in KEYS})


def decide(case: dict[str, Any]) -> None:
    given = dict(case["spec"])
    past = KpaPast.begun(case["initial_ready"], case["steps"][0]["t_s"])
    if preset := case.get("preset"):
        past = KpaPast(**preset)
    for step in case["steps"]:
        given.update(step.get("spec_update", {}))
        if not step["expect"].get("valid", True):
            continue
        found, past = scale(
            _spec(given), past, step["t_s"], step["ready"], step["stable"], step["panic"]
        )
        assert found == step["expect"]["desired"], step
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
